"""Writes the pictures of the terminal in the docs: `python -m docs.pictures`; `--check` says which are old.

Each is a command of victor on a terminal, in a folder with the spec that it names, drawn as an SVG.
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).parent.parent
FOLDER = Path(__file__).parent / "pictures"

THEME = TerminalTheme(
    (24, 26, 31),
    (215, 218, 224),
    [(24, 26, 31), (224, 108, 117), (152, 195, 121), (229, 192, 123), (97, 175, 239), (198, 120, 221), (86, 182, 194), (215, 218, 224)],
)  # fmt: skip

DRAWING = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-family: system-ui, sans-serif; font-size: 18px; font-weight: bold; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""Like rich's own, without fonts of other sites."""


class Picture(NamedTuple):
    """A picture: the command, and the spec that is `victor.yml` for it."""

    name: str
    command: str
    spec: str


def pictures() -> list[Picture]:
    """All of them."""
    shop = (FOLDER / "shop.yml").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    mistakes = re.findall(r"^```yaml\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)[1]
    caller = "--tenant nord --arm tone=warm"
    return [
        Picture("validate", "victor validate victor.yml", mistakes),
        Picture("render", f'victor render victor.yml {caller} --message "Where is order 4711?"', shop),
        Picture("why", f"victor why victor.yml style {caller}", shop),
    ]


def drawn(picture: Picture, columns: int = 96) -> str:
    """The SVG of what a terminal shows for a picture's command."""
    console = Console(record=True, width=columns, file=StringIO(), force_terminal=True, color_system="standard")
    shown = f"\x1b[1m$ {picture.command}\x1b[0m\n{shown_on_a_terminal(picture, columns)}"
    for line in Text.from_ansi(shown).split("\n", allow_blank=True):
        for row in line.divide(range(columns, len(line), columns)):
            console.print(row, soft_wrap=True)
    svg = console.export_svg(title="", theme=THEME, code_format=DRAWING, unique_id=picture.name)
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def shown_on_a_terminal(picture: Picture, columns: int) -> str:
    """All that a command prints on a pseudo-terminal of a width."""
    kept = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "VICTOR_API_KEY")}
    environment = {**kept, "PYTHONPATH": str(ROOT), "COLUMNS": str(columns), "TERM": "xterm", "LANG": "C.UTF-8"}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "victor.yml").write_text(picture.spec, encoding="utf-8")
        ours, theirs = pty.openpty()
        command = picture.command.replace("victor", f"{sys.executable} -m victor_dsl", 1)
        with subprocess.Popen(command, shell=True, cwd=folder, env=environment, stdout=theirs, stderr=theirs):
            os.close(theirs)
            shown = b""
            while piece := _read(ours):
                shown += piece
        os.close(ours)
    return shown.decode().replace("\r\n", "\n").rstrip("\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux says so that the other end is closed
        return b""


def main(arguments: list[str]) -> int:
    """Writes what differs; with --check it writes nothing, says what differs and gives 1."""
    check = arguments == ["--check"]
    if arguments and not check:
        print("usage: python -m docs.pictures [--check]", file=sys.stderr)
        return 2
    old = 0
    for picture in pictures():
        path, svg = FOLDER / f"{picture.name}.svg", drawn(picture)
        if path.is_file() and path.read_text(encoding="utf-8") == svg:
            continue
        old += 1
        name = path.relative_to(ROOT)
        print(f"{name} is not current; ./dev docs writes it" if check else f"wrote {name}", file=sys.stderr)
        if not check:
            path.write_text(svg, encoding="utf-8")
    return 1 if check and old else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
