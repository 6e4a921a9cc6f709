"""Combinations of tenants and arms that are too much work to check."""

from __future__ import annotations

import pytest

from tests.compiler.conftest import Compile, Programme

BASE = "victor: 1\nname: shop\nunknown_tenants: refuse\nmodels: {main: {type: echo}}\ncontributors: [{type: text, text: Hi}]\n"


def _tenants(count: int, overlay: str) -> str:
    return "tenants:\n" + "".join(f"  t{i}: {{with: {{{overlay}}}}}\n" for i in range(count))


def _arms(count: int, overlay: str) -> str:
    return "variants: {e: {arms: {" + ", ".join(f"a{i}: {{with: {{{overlay}}}}}" for i in range(count)) + "}}}\n"


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        (
            _tenants(300, "settings: {temperature: 0.5}") + _arms(300, "settings: {seed: 1}"),
            ("tenants",),
            "300 tenants and 300 arms are too many to check, with what they change",
        ),
        (
            _arms(1_500, "contributors: {c1: {text: x}}")
            + "contributors:\n"
            + "".join(f"- {{type: text, name: c{i}, text: x}}\n" for i in range(1_500)),
            ("variants",),
            "1,500 arms are too many to check, with what they change",
        ),
    ],
)
def test_too_many_combinations_are_one_fault_at_their_section(
    compile: Compile, text: str, place: tuple[str], message: str
) -> None:
    base = BASE if "contributors:\n" not in text else BASE.replace("contributors: [{type: text, text: Hi}]\n", "")
    [fault] = compile(base + text).diagnostics
    assert (fault.code, fault.path, fault.message) == ("too-large", place, message)
    assert fault.hint is not None
    assert fault.hint.startswith("remove experiments that have ended")


def test_faults_of_the_base_are_reported_beside_it(compile: Compile) -> None:
    text = BASE + _tenants(300, "settings: {temperature: 0.5}") + _arms(300, "settings: {seed: 1}")
    found = compile(text.replace("type: text", "type: txt")).diagnostics
    assert sorted(fault.code for fault in found) == ["too-large", "unknown-component"]


def test_a_thousand_tenants_with_three_experiments_are_checked(compile: Compile) -> None:
    overlay = "settings: {temperature: null}, contributors: {text: {text: Hello}}"
    experiments = "".join(
        f"  e{i}: {{arms: {{a: {{}}, b: {{with: {{settings: {{{s}: 1}}}}}}}}}}\n"
        for i, s in enumerate(("seed", "top_p", "max_tokens"))
    )
    compiled = compile(f"{BASE}settings: {{temperature: 0.1}}\n{_tenants(1_000, overlay)}variants:\n{experiments}")
    assert [fault.code for fault in compiled.errors] == []


def test_a_tenant_has_the_inputs_that_it_changes_adds_and_leaves(program: Programme) -> None:
    made = program(
        BASE
        + "inputs: {a: {type: string, default: x}, b: {type: string}, c: {type: string, default: z}}\n"
        + "tenants: {t: {with: {inputs: {a: {default: y}, b: null, d: {type: integer, default: 1}}}}, u: {with: {inputs: null}}}\n"
    )
    defaults = {
        tenant: {name: one.default for name, one in made.plan_for(tenant, {}).inputs.items()}
        for tenant in (None, "t", "u")
    }
    assert defaults == {None: {"a": "x", "b": None, "c": "z"}, "t": {"a": "y", "c": "z", "d": 1}, "u": {}}


def test_a_fault_in_the_inputs_of_a_tenant_is_placed_at_it_once(compile: Compile) -> None:
    text = f"{BASE}inputs: {{a: {{type: string, default: x}}}}\ntenants: {{t: {{with: {{inputs: {{a: {{type: txt}}}}}}}}}}\n"
    [fault] = compile(text).diagnostics
    assert (fault.code, fault.span.line) == ("wrong-value", 7)
