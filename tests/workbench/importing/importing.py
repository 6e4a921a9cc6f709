"""What the tests of imports share: a file, the spec that it becomes, and what was not taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from victor_dsl.compiler import compile_spec
from victor_dsl.source.reader import Files
from victor_dsl.workbench.importing.sources import Imported, plain
from victor_dsl.workbench.importing.writing import finished, spec_text


@frozen
class Result:
    """An import: the spec as it was written, and what was not taken by `line: path`, with the reason."""

    spec: Mapping[str, Any]
    text: str
    not_taken: Mapping[str, str]


def imported(
    read: Callable[[str, str | None], Imported], folder: Path, name: str, text: str, prompt: str | None = None
) -> Result:
    """Imports the text as a file; the spec must compile without an error."""
    (folder / name).write_text(text, encoding="utf-8")
    return imported_file(read, folder / name, prompt)


def imported_file(read: Callable[[str, str | None], Imported], path: Path, prompt: str | None = None) -> Result:
    """Imports a file or folder; the spec must compile without an error."""
    made = read(str(path), prompt)
    spec = path.parent / "imported.yml"
    spec.write_text(spec_text(finished(made, str(path)), ["Imported.", *made.notes]), encoding="utf-8")
    errors = [d for d in compile_spec(str(spec), environment={}).diagnostics if d.severity == "error"]
    assert errors == []
    document = Files().read(str(spec)).document
    assert document is not None
    return Result(plain(document), spec.read_text(), {f"{one.line}: {one.path}": one.why for one in made.not_taken})
