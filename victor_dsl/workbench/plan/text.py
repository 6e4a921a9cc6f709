"""A comparison for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from victor_dsl.workbench.plan import summary
from victor_dsl.workbench.plan.changes import Change
from victor_dsl.workbench.plan.comparison import Comparison
from victor_dsl.workbench.plan.one_request import one_request, safe
from victor_dsl.workbench.plan.summary import Row

_COLOURS = {"+": "green", "-": "red", "~": "yellow"}
MOST_LINES = 40
"""Of one diff."""
MOST_DIFFS = 10
MOST_CHANGES = 200


def as_text(comparison: Comparison, columns: int) -> str:
    """The comparison in lines of at most so many columns, with colours."""
    return "".join(f"{line}\n" for line in _lines(comparison, columns))


def _lines(comparison: Comparison, columns: int) -> Iterator[str]:
    for change in comparison.changes[:MOST_CHANGES]:
        yield from _change(change, columns)
    if (further := len(comparison.changes) - MOST_CHANGES) > 0:
        yield f"… and {further:,} further changes (--format json lists them)"
    if comparison.changes:
        yield ""
    who = list(summary.who(comparison))
    if who:
        yield click.style("Affected", bold=True)
        yield from (f"  {safe(line)}" for line in who)
        yield ""
    if comparison.rendered is not None:
        yield from one_request(*comparison.rendered, columns)
    elif (traffic := comparison.traffic) is not None:
        changed = "none changed" if not traffic.changed else f"{traffic.changed:,} changed"
        yield click.style(f"Traffic: {summary.requests(traffic.requests)}, {changed}", bold=True)
        rows = list(summary.figures(traffic))
        yield from _table(rows)
        if tenants := list(summary.tenants(traffic)):
            yield "  tokens by tenant"
            yield from _table(tenants)
        yield from (f"  {safe(line)}" for line in summary.notes(traffic))
        yield ""
        diffs = traffic.system.found()
        for diff in diffs[:MOST_DIFFS]:
            count = summary.requests(diff.requests)
            yield click.style(f"System prompt of {count}, such as {safe(str(diff.example))}", bold=True)
            yield from _diff(diff.diff.split("\n"), columns)
            yield ""
        if (further := len(diffs) - MOST_DIFFS) > 0 or traffic.system.others:
            yield f"… and {max(further, 0):,} further changes of system prompts (--format json lists them)"
            yield ""
    if answers := list(summary.answers(comparison)):
        yield click.style("Answers", bold=True)
        yield from (f"  {safe(line)}" for line in answers)
        yield ""
    for name in comparison.unknown:
        yield f"not known, and left out: {safe(name)}"
    yield click.style(summary.last_line(comparison), bold=True)


def _change(change: Change, columns: int) -> Iterator[str]:
    sign = summary.SIGNS[change.kind]
    head = click.style(f"{sign} {safe(summary.title(change))}", fg=_COLOURS[sign])
    place = click.style(f"  {safe(change.file)}:{change.line}", dim=True)
    if change.diff:
        yield head + place
        yield from _diff(change.diff, columns)
        return
    room = max(columns - 10, 40)
    old, new = safe(summary.value(change.old, room)), safe(summary.value(change.new, room))
    if change.kind == "changed":
        short = f"{old} → {new}"
        if len(short) + len(summary.title(change)) + len(change.file) + 14 <= columns:
            yield f"{head}: {short}{place}"
            return
        yield head + place
        yield click.style(f"    - {old}", fg="red")
        yield click.style(f"    + {new}", fg="green")
        return
    yield head + place
    yield f"    {new if change.kind == 'added' else old}"


def _diff(lines: Sequence[str], columns: int) -> Iterator[str]:
    for line in lines[:MOST_LINES]:
        for part in _wrapped(safe(line), max(columns - 4, 40)):
            yield f"    {click.style(part, fg=_COLOURS.get(line[:1]), dim=line[:1] not in _COLOURS or None)}"
    if len(lines) > MOST_LINES:
        yield f"    … {len(lines) - MOST_LINES:,} more lines"


def _wrapped(line: str, columns: int) -> Iterator[str]:
    start = line[:2] if line[:1] in {"+", "-"} else "  "
    yield line[:columns]
    for at in range(columns, len(line), columns - 2):
        yield start + line[at : at + columns - 2]


def _table(rows: Sequence[Row]) -> Iterator[str]:
    if not rows:
        return
    widths = [max(len(getattr(row, name)) for row in rows) for name in ("label", "old", "new", "difference")]
    for row in rows:
        same = row.old == row.new
        text = f"  {safe(row.label):{widths[0]}}  {row.old:>{widths[1]}}  →  {row.new:>{widths[2]}}  {row.difference:>{widths[3]}}"
        yield click.style(text.rstrip(), dim=True if same else None)
