"""The project's standards, from the file beside the spec."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from victor_dsl.compiler import Compilation, compile_spec
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.values.outcome import Rendered
from victor_dsl.values.request import Request

SPEC = "victor: 1\nname: x\nmodels: {{main: {{type: echo}}}}\ncontributors: [{{type: standards{more}}}]\n"


@pytest.fixture
def compiled(spec: Callable[..., Path]) -> Callable[..., Compilation]:
    def compiled(more: str = "") -> Compilation:
        return compile_spec(str(spec(SPEC.format(more=more))), environment={})

    return compiled


async def render(compilation: Compilation) -> Rendered:
    assert compilation.program is not None, [d.message for d in compilation.diagnostics]
    async with Orchestrator(compilation.program) as orchestrator:
        return await orchestrator.render(Request(message="hi"))


async def test_the_default_file_is_beside_the_spec(
    spec: Callable[..., Path], compiled: Callable[..., Compilation]
) -> None:
    spec("Test first.\n", ".victor/standards.md")
    assert (await render(compiled())).system == "Test first."


def test_its_content_is_part_of_the_plans_digest(
    spec: Callable[..., Path], compiled: Callable[..., Compilation]
) -> None:
    digests = []
    for text in ("Test first.", "Test last.", "Test first."):
        spec(text, ".victor/standards.md")
        program = compiled().program
        assert program is not None
        digests.append(program.plan_for(None, {}).digest)
    assert digests[0] == digests[2] != digests[1]


def test_a_missing_file_is_an_error_at_the_item(compiled: Callable[..., Compilation]) -> None:
    (fault,) = compiled().diagnostics
    assert (fault.code, fault.span.line, fault.path) == ("missing-file", 4, ("contributors", 0))
    assert fault.message == "cannot read '.victor/standards.md': there is no such file"


async def test_without_the_file_the_default_is_used_or_an_optional_piece_left_out(
    compiled: Callable[..., Compilation],
) -> None:
    assert (await render(compiled(", default: Be kind."))).system == "Be kind."
    rendered = await render(compiled(", optional: true"))
    assert (rendered.system, rendered.contributors[0].dropped, rendered.error) == ("", True, None)


def test_recipe_2_a_file_over_its_size_limit_is_an_error(
    spec: Callable[..., Path], compiled: Callable[..., Compilation]
) -> None:
    spec("x" * 101, ".victor/standards.md")
    (fault,) = compiled(", max_bytes: 100, optional: true").diagnostics
    assert fault.message == "cannot read '.victor/standards.md': it is larger than 100 bytes"


@pytest.mark.parametrize(("overflow", "system"), [("drop", ""), ("truncate", "12345678")])
async def test_recipe_2_a_text_over_its_own_budget_is_treated_as_configured(
    spec: Callable[..., Path], compiled: Callable[..., Compilation], overflow: str, system: str
) -> None:
    spec("123456789", ".victor/standards.md")
    assert (await render(compiled(f", max_tokens: 2, overflow: {overflow}"))).system == system


def test_recipe_2_a_text_that_is_not_utf_8_is_an_error_before_anything_runs(
    spec: Callable[..., Path], compiled: Callable[..., Compilation]
) -> None:
    spec("", ".victor/standards.md").write_bytes("Prüfe zuerst.".encode("latin-1"))
    (fault,) = compiled().diagnostics
    assert fault.message == "cannot read '.victor/standards.md': it is not UTF-8 (byte 3)"
