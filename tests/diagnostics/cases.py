"""The cases: the example of each code's page (`victor_dsl/language/codes/`), and further specs in this folder.

A further case is `<code>.<what is particular>.yml`; its `.txt` is the exact text that `victor validate` prints for it.
Folders hold the files that specs name.
"""

from __future__ import annotations

import contextlib
from datetime import date
from pathlib import Path

from tests.compiler.stand_ins import REGISTRY
from victor_dsl.compiler import Compilation, compile_spec
from victor_dsl.interfaces.cli.diagnostics import Found, as_text
from victor_dsl.language.codes import FOLDER as PAGES
from victor_dsl.language.codes import Explanation, explain
from victor_dsl.language.registry import Registry

FOLDER = Path(__file__).parent
CASES = sorted(path.name for path in FOLDER.iterdir() if path.suffix in (".yml", ".json"))


def page(code: str) -> Path:
    """The page of a code."""
    return PAGES / f"{code}.md"


def code(case: str) -> str:
    """The code that a case is about."""
    return case.split(".", maxsplit=1)[0]


def expected(case: str) -> Path:
    """The file with a case's text."""
    return FOLDER / f"{case.rpartition('.')[0]}.txt"


def compilation(case: str, folder: Path = FOLDER) -> Compilation:
    """A further case, compiled."""
    registry = REGISTRY if code(case) in ("untouchable", "unwise-order") else None
    return compiled(case, explain(code(case)), folder, registry)


def compiled(file: str, explanation: Explanation, folder: Path, registry: Registry | None = None) -> Compilation:
    """A file of a folder, compiled with the options of a code's page, and its lines read for the excerpts."""
    with contextlib.chdir(folder):
        found = compile_spec(
            file,
            environment={},
            registry=registry or Registry(entry_points=False),
            require_environment="--env" in explanation.options,
            require_secrets="--env" in explanation.options,
            untrusted="--untrusted" in explanation.options,
            today=date.fromisoformat(explanation.options[-1]) if "--today" in explanation.options else None,
        )
        for diagnostic in found.diagnostics:
            found.files.lines(diagnostic.span.file)
    return found


def wrong_example(page: Explanation, folder: Path) -> Compilation:
    """A page's wrong spec, written into a folder with the files beside it, and compiled."""
    return _example(page, page.wrong, page.encoding, folder)


def right_example(page: Explanation, folder: Path) -> Compilation:
    """The same with the right spec."""
    return _example(page, page.right, "utf-8", folder)


def _example(page: Explanation, text: str, encoding: str, folder: Path) -> Compilation:
    for name, content in page.beside.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    if text:
        (folder / page.file).write_bytes(text.encode(encoding))
    return compiled(page.file, page, folder)


def printed(file: str, found: Compilation) -> str:
    """What `victor validate` prints."""
    return as_text(Found([file], found.diagnostics, found.files, frozenset()), False) + "\n"
