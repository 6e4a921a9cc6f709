"""The rules of the code's own shape that import-linter cannot say."""

from __future__ import annotations

import ast
import json
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import victor_dsl.components
from bench.sizes import circles, imports
from victor_dsl.language.kinds import KINDS

PACKAGE = Path(victor_dsl.components.__file__ or "").parent.parent
COMPONENTS = [
    module.name
    for kind in KINDS
    for module in pkgutil.iter_modules([str(PACKAGE / "components" / kind)], f"victor_dsl.components.{kind}.")
    if not module.name.rpartition(".")[2].startswith("_")
]
HEAVY = frozenset(
    [
        "aiohttp",
        "asyncio",
        "asyncpg",
        "cattrs",
        "importlib.metadata",
        "jinja2",
        "jsonschema",
        "logging",
        "mcp",
        "numpy",
        "redis",
        "rich",
        "scipy",
        "sklearn",
    ]
)
"""What a spec need not pay for to be checked: 10 to 500 ms each."""


def test_imports_go_in_no_circle_not_even_those_for_types() -> None:
    assert circles(imports(for_types=True)) == []


def test_a_circle_would_be_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"d"}}) == [["b", "c"], ["d"]]


def test_every_component_lies_in_the_folder_of_its_kind() -> None:
    files = (PACKAGE / "components").rglob("*.py")
    components = [file for file in files if "\nEXAMPLE = " in file.read_text(encoding="utf-8")]
    assert {file.relative_to(PACKAGE / "components").parts[0] for file in components} == set(KINDS)


def test_importing_every_component_imports_nothing_heavy() -> None:
    assert _imported_by(*COMPONENTS) & HEAVY == set()


@pytest.mark.parametrize("module", ["victor_dsl", "victor_dsl.compiler", "victor_dsl.interfaces.cli"])
def test_the_way_of_validate_imports_nothing_heavy(module: str) -> None:
    assert _imported_by(module) & HEAVY == set()


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_stand_at_the_top_or_in_build_or_load(path: Path) -> None:
    local = [f"{path}:{line}" for function, line in _local_imports(path) if function not in {"build", "load"}]
    assert local == []


def _imported_by(*modules: str) -> set[str]:
    """Everything that a fresh interpreter has imported after importing these."""
    program = f"import sys, json, {', '.join(modules)}; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    return set(json.loads(done.stdout))


def _local_imports(path: Path) -> Iterator[tuple[str, int]]:
    """The imports inside functions: the outermost function's name, and the line."""
    waiting: list[tuple[str, ast.AST]] = [("", ast.parse(path.read_text(encoding="utf-8")))]
    while waiting:
        function, node = waiting.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import | ast.ImportFrom) and function:
                yield function, child.lineno
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and not function
            waiting.append((child.name if inside else function, child))  # type: ignore[attr-defined]
