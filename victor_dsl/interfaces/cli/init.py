"""`victor init`: a spec to begin with."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from victor_dsl.errors import UsageError
from victor_dsl.interfaces.cli.app import Command
from victor_dsl.interfaces.cli.output import say

SPEC = Path(__file__).with_name("init.yml")


@click.command("init", cls=Command, example="victor init my-assistant")
@click.argument("directory", metavar="[DIR]", default=".")
@click.option("--force", is_flag=True, help="Replace an existing victor.yml.")
def init(directory: str, *, force: bool) -> None:
    """Write DIR/victor.yml, a spec that validates and runs offline as it is. Asks nothing.

    DIR is created if it is missing. The default is the current folder.
    """
    folder = Path(directory)
    path = folder / "victor.yml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(SPEC.read_text(encoding="utf-8").replace("name: assistant", f"name: {_name(folder)}", 1))
    except FileExistsError as error:
        if not folder.is_dir():
            raise UsageError(f"{directory} is a file, not a folder") from error
        raise UsageError(f"{path} exists already; --force replaces it") from error
    shown = shlex.quote(str(path))
    say(f"Wrote {path}. Try it:\n")
    say(f"  victor validate {shown}\n  victor render {shown} --message Hello\n  victor run {shown} Hello")


def _name(folder: Path) -> str:
    """The folder's name as a spec may be called."""
    name = "".join(c if c.isascii() and (c.isalnum() or c in "_-.") else "-" for c in folder.resolve().name)
    name = name.strip("-.")[:64]
    return name if name[:1].isalpha() else "assistant"
