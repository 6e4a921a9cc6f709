"""The built-in texts, chosen by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.components.context import TURN, surroundings
from victor_dsl.compiler import Compilation, compile_spec
from victor_dsl.components.contributors import compliance, tech_stack
from victor_dsl.values.tokens import text_tokens


@pytest.fixture
def compiled(spec: Callable[..., Path]) -> Callable[[str], Compilation]:
    def compiled(item: str, more: str = "") -> Compilation:
        text = f"victor: 1\nname: x\nmodels: {{main: {{type: echo}}}}\ncontributors:\n  - {item}\n{more}"
        return compile_spec(str(spec(text)), environment={})

    return compiled


async def text(module: Any, tmp_path: Path, **config: Any) -> str:
    built = module.build(module.Config.model_validate(config), surroundings(tmp_path).context)
    given: str = await built.contribute(TURN)
    return given


@pytest.mark.parametrize(
    ("industry", "words"),
    [
        ("healthcare", ["HIPAA", "PHI", "audit log", "Minimum necessary", "error messages or logs"]),
        ("finance", ["PCI DSS", "SOC 2", "No hard-coded credentials", "PAN"]),
        ("general", ["GDPR", "Error handling", "Secure channels", "TLS"]),
    ],
)
async def test_each_industry_has_its_rules(tmp_path: Path, industry: str, words: list[str]) -> None:
    said = await text(compliance, tmp_path, industry=industry)
    assert [word for word in words if word not in said] == []
    assert {name for name, other in compliance.TEXTS.items() if other == said} == {industry}


async def test_the_general_guidance_is_three_lines(tmp_path: Path) -> None:
    assert len((await text(compliance, tmp_path, industry="general")).splitlines()) == 3


async def test_own_texts_are_added_to_the_built_in_ones_or_replace_them(tmp_path: Path) -> None:
    texts = {"insurance": "Quote no premium.", "general": "Our own rules."}
    assert await text(compliance, tmp_path, industry="insurance", texts=texts) == "Quote no premium."
    assert await text(compliance, tmp_path, industry="general", texts=texts) == "Our own rules."
    assert "HIPAA" in await text(compliance, tmp_path, industry="healthcare", texts=texts)


def test_recipe_2_an_unknown_industry_is_an_error_at_its_line_with_the_nearest(
    compiled: Callable[[str], Compilation],
) -> None:
    (fault,) = compiled("{type: compliance, industry: helthcare}").diagnostics
    assert (fault.code, fault.span.line, fault.span.column, fault.path) == (
        "wrong-value", 5, 34, ("contributors", 0, "industry"),
    )  # fmt: skip
    assert fault.message == "industry must be 'finance', 'general' or 'healthcare', not the text 'helthcare'"
    assert fault.hint == "did you mean 'healthcare'? values: finance, general, healthcare"


def test_an_own_name_is_known_and_a_fault_in_its_text_is_reported_once(
    compiled: Callable[[str], Compilation],
) -> None:
    assert compiled("{type: compliance, industry: hr, texts: {hr: Be fair.}}").program is not None
    (fault,) = compiled("{type: compliance, industry: hr, texts: {hr: 7}}").diagnostics
    assert fault.path == ("contributors", 0, "texts", "hr")


def test_an_arm_may_change_the_industry(compiled: Callable[..., Compilation]) -> None:
    program = compiled(
        "{type: compliance, industry: finance}",
        "tenants: {acme: {with: {contributors: {compliance: {industry: general}}}}}\n",
    ).program
    assert program is not None
    assert program.plan_for(None, {}).digest != program.plan_for("acme", {}).digest


def test_there_are_guidelines_for_more_than_twelve_languages() -> None:
    wanted = ["python", "typescript", "javascript", "rust", "go", "java", "kotlin", "swift", "csharp", "cpp", "c"]
    assert set(wanted) | {"ruby", "php", "scala", "sql", "shell", "react"} <= set(tech_stack.TEXTS)
    for name, guidelines in tech_stack.TEXTS.items():
        assert guidelines.count("\n- ") >= 4, name
        assert 80 < text_tokens(guidelines) < 200, name
        assert not any(line != line.strip() for line in guidelines.splitlines()), name


async def test_each_technology_of_the_stack_is_there_once_in_the_order_of_the_list(tmp_path: Path) -> None:
    said = await text(tech_stack, tmp_path, stack=["ts", "python", "typescript", "py"])
    headings = [part.splitlines()[0] for part in said.split("\n\n")]
    assert headings == ["Guidelines for the languages and frameworks in use:", "TypeScript", "Python"]


async def test_every_short_name_means_a_technology(tmp_path: Path) -> None:
    for short, name in tech_stack.ALIASES.items():
        assert await text(tech_stack, tmp_path, stack=[short]) == await text(tech_stack, tmp_path, stack=[name])


def test_recipe_2_an_unknown_technology_is_an_error_at_its_line_with_the_nearest(
    compiled: Callable[[str], Compilation],
) -> None:
    first, second = compiled("{type: tech_stack, stack: [python, typscript, cobol]}").diagnostics
    assert (first.span.line, first.span.column, first.path) == (5, 40, ("contributors", 0, "stack", 1))
    assert first.message == "stack[1] must be one of its 33 values, not the text 'typscript'"
    assert str(first.hint).startswith("did you mean 'typescript'?")
    assert second.path == ("contributors", 0, "stack", 2)


@pytest.mark.parametrize("stack", ["[]", "python", "[1]"])
def test_a_stack_is_a_list_of_names(compiled: Callable[[str], Compilation], stack: str) -> None:
    assert [fault.span.line for fault in compiled(f"{{type: tech_stack, stack: {stack}}}").diagnostics] == [5]


def test_the_texts_are_part_of_the_digest(
    compiled: Callable[..., Compilation], monkeypatch: pytest.MonkeyPatch
) -> None:
    def digest() -> str:
        program = compiled("{type: compliance, industry: general}").program
        assert program is not None
        return program.plan_for(None, {}).digest

    before = digest()
    assert digest() == before
    monkeypatch.setitem(compliance.TEXTS, "general", compliance.TEXTS["general"] + "\n- One more.")
    assert digest() != before


def test_the_texts_count_in_the_budget_of_the_window(spec: Callable[..., Path]) -> None:
    head = "victor: 1\nname: x\nmodels: {main: {type: echo, context_window: 300}}\n"
    path = spec(head + "contributors: [{type: compliance, industry: finance}]\n")
    assert [fault.code for fault in compile_spec(str(path), environment={}).diagnostics] == ["over-budget"]
