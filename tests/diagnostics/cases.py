"""The cases: each spec of this folder, and the exact text that `victor validate` prints for it.

A case is `<code>.yml` or, where a code has several faces, `<code>.<face>.yml`; its text is the `.txt` of that name.
Folders hold the files that specs name.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from tests.compiler.stand_ins import REGISTRY
from victor_dsl.compiler import Compilation, compile_spec
from victor_dsl.interfaces.cli.diagnostics import FORMATS
from victor_dsl.language.registry import Registry

FOLDER = Path(__file__).parent
ABSENT = "unreadable-file.yml"
"""A case that is no file."""

CASES = sorted([ABSENT, *(path.name for path in FOLDER.iterdir() if path.suffix in (".yml", ".json"))])


def code(case: str) -> str:
    """The code that a case is about."""
    return case.split(".", maxsplit=1)[0]


def expected(case: str) -> Path:
    """The file with a case's text."""
    return FOLDER / f"{case.rpartition('.')[0]}.txt"


def compilation(case: str) -> Compilation:
    """A case compiled, its surroundings asked for where they are what it is about."""
    external = code(case) in ("missing-variable", "missing-secret")
    registry = REGISTRY if code(case) in ("untouchable", "unwise-order") else Registry(entry_points=False)
    with contextlib.chdir(FOLDER):
        return compile_spec(
            case,
            environment={},
            registry=registry,
            need_environment=external,
            need_secrets=external,
            untrusted=code(case) == "untrusted-code",
        )


def text(case: str) -> str:
    """What `victor validate` prints, with the exit code's cause left to the command's own tests."""
    with contextlib.chdir(FOLDER):
        found = compilation(case)
        return FORMATS["text"]([case], found.diagnostics, found.files, False) + "\n"
