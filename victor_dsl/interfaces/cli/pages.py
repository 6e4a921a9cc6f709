"""What the pages have in common that people read on a terminal: `victor render` and `victor why`.

They use the basic colours, bold and dim, and say everything in words, too. Texts of prompts and callers are shown without secrets, and
cannot drive the terminal.
"""

from __future__ import annotations

import io
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import orjson

from victor_dsl.interfaces.cli.output import harmless, is_colourful
from victor_dsl.lazy import Lazy
from victor_dsl.source.redaction import redacted
from victor_dsl.values.settings import Origin

if TYPE_CHECKING:
    from rich import console, padding, table, text
else:
    console, padding = Lazy("rich.console"), Lazy("rich.padding")
    table, text = Lazy("rich.table"), Lazy("rich.text")

Page = Iterable[Any]
"""Things that rich prints, one below the other."""

_PADDING = re.compile(r"(?: |(\x1b\[0m))+$", re.MULTILINE)
LEAST_WIDTH = 40
MOST_WIDTH = 120
"""Longer lines are hard to read."""
READ_VALUE = 240
"""The longest value that is shown."""

PLACE, HEAD, FAINT, GOOD, BAD = "cyan", "bold", "dim", "green", "red"


def terminal_width() -> int:
    """The columns of the terminal on stdout."""
    return max(LEAST_WIDTH, min(shutil.get_terminal_size().columns, MOST_WIDTH))


def page_text(page: Page, width: int | None = None, *, colour: bool | None = None) -> str:
    """A page as text of a width, by default as stdout shows it."""
    written = io.StringIO()
    colour = is_colourful(sys.stdout) if colour is None else colour
    terminal = console.Console(
        file=written,
        width=width or terminal_width(),
        force_terminal=colour,
        color_system="standard" if colour else None,
        markup=False,
        highlight=False,
        emoji=False,
        legacy_windows=False,
        soft_wrap=False,
    )
    for part in page:
        terminal.print(part)
    return _PADDING.sub(r"\1", written.getvalue())


class Fitted:
    """What is made for the width that the page has."""

    def __init__(self, make: Callable[[int], Any]) -> None:
        self._make = make

    def __rich_console__(self, terminal: console.Console, options: console.ConsoleOptions) -> Iterator[Any]:
        yield self._make(options.max_width)


def heading(title: str, *about: str) -> Page:
    """The head of a part of a page: its title, and what is said about the part."""
    yield ""
    rest = f"  {' · '.join(about)}" if about else ""
    yield text.Text.assemble((title.upper(), HEAD), rest)


def grid_of(columns: int, *, wide: int | None = None) -> Any:
    """A table without lines; the column `wide` takes what room the others leave."""
    grid = table.Table.grid(padding=(0, 2, 0, 0), expand=wide is not None)
    for column in range(columns):
        grid.add_column(ratio=1 if column == wide else None, overflow="fold")
    return grid


def indented(content: Any) -> Any:
    """The content, two columns to the right."""
    return padding.Padding(content, (0, 0, 0, 2))


def origin_text(origin: Origin) -> Any:
    """A place with its layer; below it those that it lies upon."""
    shown = text.Text(one_line(str(origin)), PLACE)
    if len(origin.layers) > 1:
        shown.append(f" over {', '.join(one_line(str(one)) for one in origin.layers[-2::-1])}", FAINT)
    return shown


def as_json(value: Any) -> str:
    """A value in one line, as JSON."""
    words = redacted(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS, default=str).decode())
    return words if len(words) <= READ_VALUE else f"{words[:READ_VALUE]}…"


def in_lines(words: str) -> str:
    """A text of others, in its lines."""
    return harmless(redacted(words))


def one_line(words: str) -> str:
    """A text of others, in one line."""
    return harmless(" ".join(redacted(words).split()))
