"""The page of `victor why` that people read on a terminal: who had a say in a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from victor_dsl.interfaces.cli.pages import FAINT, GOOD, HEAD, PLACE, Page, as_json, one_line
from victor_dsl.interfaces.why import NO_VALUE, Why
from victor_dsl.lazy import Lazy

if TYPE_CHECKING:
    from rich import table, text
else:
    table, text = Lazy("rich.table"), Lazy("rich.text")


def why_page(found: Why) -> Page:
    """Who had a say in a key."""
    value = [] if found.value is NO_VALUE or any(found.fields) else [" = ", one_line(as_json(found.value))]
    yield text.Text.assemble((one_line(found.key), HEAD), *value)
    for note in found.notes:
        yield text.Text(f"  {one_line(note)}", FAINT)
    wide = any(found.fields)
    grid = table.Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style=FAINT)
    for name in (*(("field",) if wide else ()), "layer", "value", "written at", ""):
        grid.add_column(name, overflow="fold", no_wrap=name in ("layer", "written at"))
    for path, says in found.fields.items():
        for index, say in enumerate(says):
            cells = (
                [text.Text((one_line(path) or "(all of it)") if index == 0 else "", f"{HEAD} not dim")] if wide else []
            )
            cells += [
                text.Text(one_line(say.source)),
                text.Text(one_line(as_json(say.value))),
                text.Text(one_line(say.place), PLACE),
            ]
            about = ("; " if say.in_force and say.note else "") + one_line(say.note)
            cells.append(text.Text.assemble(("in force" if say.in_force else "", GOOD), about))
            grid.add_row(*cells, style="" if say.in_force or not any(one.in_force for one in says) else FAINT)
    if grid.rows:
        yield ""
        yield grid
