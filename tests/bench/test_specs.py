"""The specs that the benchmarks measure are of the length asked for, the same every time, and valid."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import specs
from victor_dsl.compiler import compile_spec


@pytest.mark.parametrize("lines", [100, 2_000, 20_000])
def test_a_spec_is_about_as_long_as_asked(lines: int) -> None:
    assert 0.9 * lines <= len(specs.text(lines).splitlines()) <= lines


def test_a_spec_is_the_same_every_time() -> None:
    assert specs.text(500) == specs.text(500)


@pytest.mark.parametrize("lines", [100, 2_000])
def test_a_spec_is_valid_without_a_warning(tmp_path: Path, lines: int) -> None:
    compilation = compile_spec(str(specs.write(tmp_path, lines)), environment={})
    assert [f"{d.span.line}: {d.code}: {d.message}" for d in compilation.diagnostics] == []
