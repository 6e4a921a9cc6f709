"""A comparison as one page of HTML that needs nothing else: no script, no font, no network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from victor_dsl.workbench.plan import summary
from victor_dsl.workbench.plan.changes import Change
from victor_dsl.workbench.plan.comparison import Comparison
from victor_dsl.workbench.plan.summary import Row

STYLE = Path(__file__).with_name("report.css")

_CLASSES = {"+": "added", "-": "removed", "~": "changed"}


def as_html(comparison: Comparison) -> str:
    """The page."""
    name = f"{comparison.old} → {comparison.new}"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{_text(name)}</title>\n<style>\n{STYLE.read_text('utf-8')}</style>\n</head>\n<body>\n<main>\n"
        + "".join(f"{part}\n" for part in _parts(comparison, name))
        + "</main>\n</body>\n</html>\n"
    )


def _parts(comparison: Comparison, name: str) -> Iterator[str]:
    yield f"<header><p>{_text(name)}</p><h1>{_text(summary.last_line(comparison))}</h1></header>"
    for failure in comparison.failed:
        yield f'<p class="fault">--fail-on {_text(failure)}</p>'
    for side in ("old", "new"):
        errors = [one for one in comparison.diagnostics[side] if one["severity"] == "error"]
        if errors:
            yield f"<h2>Faults of the {side} spec</h2>"
            for one in errors:
                place, message = f"{one['file']}:{one['line']}", _text(one["message"])
                yield f'<p class="fault"><code>{_text(place)}</code> {message}</p>'
    if comparison.changes:
        yield "<h2>Changes</h2>"
        yield from map(_change, comparison.changes)
    if who := list(summary.who(comparison)):
        yield "<h2>Affected</h2><ul>" + "".join(f"<li>{_text(line)}</li>" for line in who) + "</ul>"
    if (traffic := comparison.traffic) is not None:
        yield f"<h2>Traffic: {summary.requests(traffic.requests)}, {traffic.changed:,} changed</h2>"
        yield _table("", list(summary.figures(traffic)))
        if tenants := list(summary.tenants(traffic)):
            yield _table("tokens by tenant", tenants)
        if notes := list(summary.notes(traffic)):
            yield "<ul>" + "".join(f"<li>{_text(line)}</li>" for line in notes) + "</ul>"
        for diff in traffic.system.found():
            count = f"{diff.requests:,} request{'' if diff.requests == 1 else 's'}"
            head = f"System prompt of {count}, such as <code>{_text(str(diff.example))}</code>"
            yield f"<details open><summary>{head}</summary>{_diff(diff.diff.split(chr(10)))}</details>"
    if answers := list(summary.answers(comparison)):
        yield "<h2>Answers</h2><ul>" + "".join(f"<li>{_text(line)}</li>" for line in answers) + "</ul>"
    yield from (f"<p>Not known, and left out: {_text(name)}</p>" for name in comparison.unknown)


def _change(change: Change) -> str:
    sign = summary.SIGNS[change.kind]
    place = f'<span class="place">{_text(change.file)}:{change.line}</span>'
    head = f'<h3 class="{_CLASSES[sign]}"><span>{sign}</span> {_text(summary.title(change))} {place}</h3>'
    if change.diff:
        return head + _diff(change.diff)
    lines = [] if change.kind == "added" else [f"- {summary.value(change.old, 2_000)}"]
    lines += [] if change.kind == "removed" else [f"+ {summary.value(change.new, 2_000)}"]
    return head + _diff(lines)


def _diff(lines: Sequence[str]) -> str:
    shown = (f'<span class="{_CLASSES.get(line[:1], "same")}">{_text(line)}\n</span>' for line in lines)
    return "<pre>" + "".join(shown) + "</pre>"


def _table(label: str, rows: Sequence[Row]) -> str:
    head = f"<tr><th>{_text(label)}</th><th>old</th><th>new</th><th></th></tr>"
    body = "".join(
        f"<tr><td>{_text(row.label)}</td><td>{_text(row.old)}</td><td>{_text(row.new)}</td><td>{_text(row.difference)}</td></tr>"
        for row in rows
    )
    return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"


def _text(text: str) -> str:
    return escape("".join(c if c.isprintable() or c in "\t\n" else "\N{REPLACEMENT CHARACTER}" for c in text))
