"""Compiling specs that tests write down."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.compiler.stand_ins import REGISTRY
from victor_dsl.compiler import Compilation, compile_spec
from victor_dsl.graph.plan import Program

Compile = Callable[..., Compilation]
Programme = Callable[..., Program]


@pytest.fixture
def compile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compile:
    """Compiles a spec text (named `victor.yml`) in the test's folder, with the files beside it that are given."""
    monkeypatch.chdir(tmp_path)

    def compiled(
        text: str, files: Mapping[str, str] | None = None, environment: Mapping[str, str] | None = None, **options: Any
    ) -> Compilation:
        name, registry = options.pop("name", "victor.yml"), options.pop("registry", REGISTRY)
        for path, content in {**(files or {}), name: text}.items():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(textwrap.dedent(content), encoding="utf-8")
        return compile_spec(name, environment=environment or {}, registry=registry, **options)

    return compiled


@pytest.fixture
def program(compile: Compile) -> Programme:
    """The program of a spec that must be without a fault."""

    def made(*args: Any, **options: Any) -> Program:
        compilation = compile(*args, **options)
        assert [f"{d.span.file}:{d.span.line}: {d.message}" for d in compilation.errors] == []
        assert compilation.program is not None
        return compilation.program

    return made


def places(compilation: Compilation) -> list[tuple[str, str, int, int]]:
    """Each fault's code, file, line and column."""
    return [(d.code, d.span.file, d.span.line, d.span.column) for d in compilation.diagnostics]
