"""`victor fmt`: specs in their canonical layout."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path

import click

from victor_dsl.errors import EXIT_OK, EXIT_SPEC, VictorError
from victor_dsl.interfaces.cli import options
from victor_dsl.interfaces.cli.app import Command
from victor_dsl.interfaces.cli.diagnostics import Found, as_text
from victor_dsl.interfaces.cli.output import count_of, is_colourful, replace_file, say, without_controls
from victor_dsl.language.spec import section_rank
from victor_dsl.source.json_layout import layout_json
from victor_dsl.source.layout import MeaningChangedError, layout
from victor_dsl.source.reader import STDIN, Files


@click.command("fmt", cls=Command, example="victor fmt victor.yml")
@click.argument("names", metavar="[FILE]...", nargs=-1)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 where a file would change.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would change.")
def fmt(names: tuple[str, ...], *, check: bool, diff: bool) -> None:
    """Write specs, and files of tests, in their canonical layout. `-` reads standard input and writes standard output.

    The default FILE is victor.yml. Indentation, spacing, quotes and the order of sections change, and nothing else: comments, anchors,
    block texts and the digest of the plan stay. A file with a fault of syntax is reported (exit 1) and left alone.
    """
    changed, faulty = [], False
    if not names and not Path(options.SPEC).exists():
        raise click.UsageError(f"there is no {options.SPEC} here: name a FILE, or write one with 'victor init'")
    names = tuple(dict.fromkeys(names)) or (options.SPEC,)
    for name in names:
        texts = _texts(name)
        if texts is None:
            faulty = True
            continue
        before, after = texts
        if before != after:
            changed.append(name)
        if diff:
            click.echo(_difference(name, before, after), nl=False)
        elif name == STDIN:
            if not check:
                sys.stdout.buffer.write(after)
        elif before != after and not check:
            replace_file(name, after)
    if names != (STDIN,) or check:
        for name in changed:
            say(f"{'would format' if check or diff else 'formatted'} {without_controls(name)}")
        if not faulty and not changed:
            say(f"{count_of(len(names), 'file')} already formatted")
    raise click.exceptions.Exit(EXIT_SPEC if faulty or (check and changed) else EXIT_OK)


def _texts(name: str) -> tuple[bytes, bytes] | None:
    """A file as it is, and as it should be; None where it has faults, which are printed."""
    reading = options.reading()
    files = Files(max_bytes=reading.max_size)
    result = files.read(name)
    faults = [fault for fault in result.diagnostics if fault.severity == "error" and fault.code != "not-a-map"]
    if faults:
        say(as_text(Found.of([name], faults, files, reading), is_colourful(sys.stderr)))
        return None
    text = "\n".join(files.lines(name))
    is_spec = result.document is not None and result.document.get("victor") is not None
    rank = section_rank if is_spec else None
    before = files.versions[name].data or b""
    try:
        after = layout_json(text, rank) if name.lower().endswith(".json") else layout(text, rank)
    except MeaningChangedError as error:
        raise VictorError(
            f"{name}: it is left as it is, because its new layout would not mean the same; please report this"
        ) from error
    return before, after.encode()


def _difference(name: str, before: bytes, after: bytes) -> str:
    old, new = before.decode("utf-8"), after.decode("utf-8")
    lines = difflib.unified_diff(old.split("\n"), new.split("\n"), name, f"{name} (formatted)", lineterm="")
    return without_controls("".join(f"{line}\n" for line in lines))
