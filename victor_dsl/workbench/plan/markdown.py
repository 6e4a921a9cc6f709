"""A comparison as Markdown for a pull request. What comes of prompts stands in code, which it cannot leave."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from victor_dsl.workbench.plan import summary
from victor_dsl.workbench.plan.changes import Change
from victor_dsl.workbench.plan.comparison import Comparison
from victor_dsl.workbench.plan.figures import Traffic
from victor_dsl.workbench.plan.summary import Row

MOST_CHARACTERS = 60_000
"""A comment of GitHub has at most 65,536."""

MOST_CHANGES = 200
MOST_LINES = 60
"""Of one diff."""
MOST_DIFFS = 20
MOST_WIDTH = 400
"""Of one line."""

_CUT = "\n\nThe report is longer than a comment may be; `--format html` has all of it.\n"


def as_markdown(comparison: Comparison) -> str:
    """The comparison, bounded in size: what is left out is said."""
    parts: list[str] = []
    size = 0
    for part in _parts(comparison):
        size += len(part.encode())
        if size > MOST_CHARACTERS:
            parts.append(_CUT)
            break
        parts.append(part)
    return "".join(parts)


def _parts(comparison: Comparison) -> Iterator[str]:
    yield f"### {_words(summary.last_line(comparison))}\n"
    yield f"\n{code(comparison.old)} → {code(comparison.new)}\n"
    for failure in comparison.failed:
        yield f"\n> **--fail-on** {code(failure)}\n"
    for side in ("old", "new"):
        errors = [one for one in comparison.diagnostics[side] if one["severity"] == "error"]
        if errors:
            yield f"\n**The {side} spec has {len(errors):,} {'fault' if len(errors) == 1 else 'faults'}**\n"
            yield fenced([f"{one['file']}:{one['line']}: {one['message']} [{one['code']}]" for one in errors[:20]])
    if comparison.changes:
        yield "\n#### Changes\n"
        yield from map(_change, comparison.changes[:MOST_CHANGES])
        if len(comparison.changes) > MOST_CHANGES:
            yield f"\n… and {len(comparison.changes) - MOST_CHANGES:,} more\n"
    if who := list(summary.who(comparison)):
        yield "\n#### Affected\n\n"
        yield from (f"- {code(line)}\n" for line in who)
    if comparison.traffic is not None:
        yield from _traffic(comparison.traffic)
    if answers := list(summary.answers(comparison)):
        yield "\n#### Answers\n\n"
        yield from (f"- {code(line)}\n" for line in answers)
    for name in comparison.unknown:
        yield f"\nNot known, and left out: {code(name)}\n"


def _traffic(traffic: Traffic) -> Iterator[str]:
    yield f"\n#### Traffic: {summary.requests(traffic.requests)}, {traffic.changed:,} changed\n"
    yield _table("", list(summary.figures(traffic)))
    if tenants := list(summary.tenants(traffic)):
        yield _table("tokens by tenant", tenants)
    if notes := list(summary.notes(traffic)):
        yield "\n"
        yield from (f"- {code(line)}\n" for line in notes)
    diffs = traffic.system.found()
    for diff in diffs[:MOST_DIFFS]:
        count = f"{diff.requests:,} request{'' if diff.requests == 1 else 's'}"
        yield f"\n<details open><summary>System prompt of {count}</summary>\n\nsuch as {code(str(diff.example))}\n"
        yield fenced(diff.diff.split("\n"), "diff")
        yield "\n</details>\n"
    if (further := len(diffs) - MOST_DIFFS) > 0 or traffic.system.others:
        yield f"\n… and {max(further, 0):,} further changes of system prompts\n"


def _change(change: Change) -> str:
    sign = summary.SIGNS[change.kind]
    head = f"\n{code(f'{sign} {summary.title(change)}')} {code(f'{change.file}:{change.line}')}\n"
    if change.diff:
        return head + fenced(change.diff, "diff")
    lines = [] if change.kind == "added" else [f"- {summary.value(change.old, MOST_WIDTH)}"]
    lines += [] if change.kind == "removed" else [f"+ {summary.value(change.new, MOST_WIDTH)}"]
    return head + fenced(lines, "diff")


def _table(label: str, rows: Sequence[Row]) -> str:
    lines = [f"\n| {label} | old | new | |\n|---|--:|--:|--:|\n"]
    lines += [
        f"| {code(row.label) if label else row.label} | {row.old} | {row.new} | {row.difference} |\n".replace(
            "$", "\\$"
        )
        for row in rows
    ]
    return "".join(lines)


def fenced(lines: Sequence[str], language: str = "") -> str:
    """A code block that no text can end: its fence is longer than any in it."""
    shown = [_printable(line)[:MOST_WIDTH] for line in lines[:MOST_LINES]]
    if len(lines) > MOST_LINES:
        shown.append(f"… {len(lines) - MOST_LINES:,} more lines")
    longest = max((len(run) for line in shown for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"\n{fence}{language}\n" + "".join(f"{line}\n" for line in shown) + f"{fence}\n"


def code(text: str) -> str:
    """A text as code in a line, which it can neither end nor, in a table, leave its cell."""
    line = " ".join(_printable(text).split())[:MOST_WIDTH].replace("|", "¦")
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if longest else ""
    return f"{fence}{pad}{line or ' '}{pad}{fence}"


def _words(text: str) -> str:
    return text.replace("<", "&lt;")


def _printable(text: str) -> str:
    """A text without what is not seen: controls, and marks that turn the direction of writing."""
    return "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
