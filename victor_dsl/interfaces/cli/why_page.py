"""The page of `victor why` that people read on a terminal: who had a say in a value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from victor_dsl.interfaces.cli.pages import FAINT, GOOD, HEAD, PLACE, Page, as_json, one_line
from victor_dsl.interfaces.why import NO_VALUE, Say, Why
from victor_dsl.lazy import Lazy

if TYPE_CHECKING:
    from rich import cells, console, padding, table, text
else:
    cells, console, padding = Lazy("rich.cells"), Lazy("rich.console"), Lazy("rich.padding")
    table, text = Lazy("rich.table"), Lazy("rich.text")

GAP = 2
"""Columns of the terminal between those of the table."""
LEAST = {"value": 20, "": 16}
"""What these columns of the table need at least, where what they have is longer; the others need all of theirs."""


def why_page(found: Why) -> Page:
    """Who had a say in a key."""
    value = [] if found.value is NO_VALUE or any(found.fields) else [" = ", one_line(as_json(found.value))]
    yield text.Text.assemble((one_line(found.key), HEAD), *value)
    for note in found.notes:
        yield text.Text(f"  {one_line(note)}", FAINT)
    if any(found.fields.values()):
        yield ""
        yield _Says(found)


class _Says:
    """What the layers say: a table, or, where the terminal is too narrow for one, a list."""

    def __init__(self, found: Why) -> None:
        names = ("layer", "value", "written at", "")
        self._names = ("field", *names) if any(found.fields) else names
        self._rows = [
            (one_line(path) or "(all of it)", _cells(say), "" if _counts(say, says) else FAINT)
            for path, says in found.fields.items()
            for say in says
        ]

    def __rich_console__(self, _: console.Console, options: console.ConsoleOptions) -> Iterator[Any]:
        if self._least_width() <= options.max_width:
            yield self._table()
        else:
            yield from self._list()

    def _least_width(self) -> int:
        columns = zip(*([path, *(cell.plain for cell in row)] for path, row, _ in self._rows), strict=True)
        widths = [max(map(cells.cell_len, column)) for column in columns][-len(self._names) :]
        least = (
            max(cells.cell_len(name), min(width, LEAST.get(name, width)))
            for name, width in zip(self._names, widths, strict=True)
        )
        return sum(least) + GAP * (len(self._names) - 1)

    def _table(self) -> Any:
        grid = table.Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style=FAINT)
        for name in self._names:
            grid.add_column(name, overflow="fold", no_wrap=name in ("field", "layer", "written at"))
        last = None
        for path, row, style in self._rows:
            field = [text.Text("" if path == last else path, f"{HEAD} not dim")] if self._names[0] == "field" else []
            grid.add_row(*field, *row, style=style)
            last = path
        return grid

    def _list(self) -> Iterator[Any]:
        last = None
        for path, (layer, value, place, about), style in self._rows:
            if self._names[0] == "field" and path != last:
                yield text.Text(path, HEAD)
            last = path
            head = text.Text("  ").join(part for part in (layer, place, about) if part.plain)
            for indent, line in ((2, head), (4, value)):
                line.stylize_before(style)
                yield padding.Padding(line, (0, 0, 0, indent))


def _counts(say: Say, says: Any) -> bool:
    """Whether a say is in force, or none of its field is."""
    return say.in_force or not any(one.in_force for one in says)


def _cells(say: Say) -> tuple[text.Text, text.Text, text.Text, text.Text]:
    """The layer, the value, the place, and whether it is in force."""
    about = ("; " if say.in_force and say.note else "") + one_line(say.note)
    return (
        text.Text(one_line(say.source), overflow="fold"),
        text.Text(one_line(as_json(say.value)), overflow="fold"),
        text.Text(one_line(say.place), PLACE, overflow="fold"),
        text.Text.assemble(("in force" if say.in_force else "", GOOD), about, overflow="fold"),
    )
