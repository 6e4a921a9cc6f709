"""Inputs in a spec: their declarations, templates that see them, overlays and the digest."""

from __future__ import annotations

import pytest

from tests.compiler.conftest import Compile, Programme

SPEC = """\
victor: 1
name: support
models: {main: {type: echo}}
vars: {product: Acme}
inputs:
  customer: {required: true}
  plan: {enum: [free, pro], default: free}
  items: {type: list}
  order: {type: map, required: true}
"""


def template(text: str) -> str:
    return f"contributors: [{{type: template, template: {text!r}}}]\n"


@pytest.mark.parametrize(
    "text",
    [
        "{{ customer }} {{ customer.upper() }} {{ plan }} {{ product }} {{ order.id.deep }}",
        "{% if items %}{{ items | join(', ') }}{% endif %}",
        "{% for item in items | default([]) %}{{ item.name }}{% endfor %}",
        "{% for key, value in order.items() %}{{ key }}{% endfor %}",
    ],
)
def test_templates_see_inputs(compile: Compile, text: str) -> None:
    assert not compile(SPEC + template(text)).diagnostics


@pytest.mark.parametrize(
    ("text", "severity", "message"),
    [
        ("{{ custmer }}", "error", "nothing declares 'custmer'"),
        ("{{ customer.name }}", "error", "customer is a text, which has no 'name'"),
        ("{{ plan.name }}", "error", "plan is a text, which has no 'name'"),
        ("{% if items %}{{ items.first }}{% endif %}", "error", "items is a list, which has no 'first'"),
        ("{{ items }}", "warning", "a request may leave out the input 'items'"),
    ],
)
def test_templates_are_checked_against_inputs(compile: Compile, text: str, severity: str, message: str) -> None:
    found = compile(SPEC + template(text)).diagnostics
    assert [(fault.severity, fault.message) for fault in found] == [(severity, message)]


@pytest.mark.parametrize(
    ("more", "code", "message", "line"),
    [
        ("  product: {}\n", "duplicate-name", "'product' is declared in `inputs` and in `vars`", 10),
        ("  user: {}\n", "bad-name", "'user' cannot be the name of an input", 10),
        ("  none: {}\n", "bad-name", "'none' cannot be the name of an input", 10),
        ("  two words: {}\n", "bad-name", "'two words' cannot be a name here", 10),
        ("  age: {type: int}\n", "wrong-value", "inputs.age.type must be 'string', 'integer'", 10),
        ("  age: {typ: integer}\n", "unknown-key", "inputs.age has no 'typ'", 10),
        ("  age: {type: integer, default: x}\n", "wrong-type", "inputs.age.default must be a whole number", 10),
        (
            "  age: {type: integer, enum: [a]}\n",
            "wrong-value",
            "inputs.age.enum[0] must be a whole number, not text",
            10,
        ),
        ("  age:\n    type: integer\n    default: x\n", "wrong-type", "inputs.age.default must be", 12),
        ("  age:\n    required: true\n    default: x\n", "wrong-value", "inputs.age.default is for optional", 12),
        ("  age:\n    type: integer\n    min: 3\n    max: 2\n", "wrong-value", "inputs.age.max allows no", 13),
        ("  age:\n    enum:\n    - a\n    - 1\n", "wrong-value", "inputs.age.enum[1] must be text", 13),
        ("tenants:\n  t:\n    with:\n      inputs:\n        plan: {default: prp}\n", "wrong-value", "inputs.plan", 14),
        ("  age: 3\n", "wrong-type", "inputs.age must be a map", 10),
        ("  tags: {type: list, items: {min: 1}}\n", "wrong-value", "inputs.tags.items.min is for numbers", 10),
        ("tenants: {t: {with: {vars: {plan: pro}}}}\n", "duplicate-name", "'plan' is declared in `inputs` and in", 7),
        (
            "tenants: {t: {with: {inputs: {plan: {enum: [gold]}}}}}\n",
            "wrong-value",
            "inputs.plan.default must be one",
            10,
        ),
        (
            "providers: [{type: inline, values: {vars: {plan: pro}}}]\n",
            "wrong-value",
            "vars.plan is declared in `inputs`, so only a request gives it",
            10,
        ),
        (
            "variants: {tone: {arms: {control: {}, warm: {with: {inputs: {plan: {default: pro}}}}}}}\n",
            "untouchable",
            "an arm may not change inputs",
            10,
        ),
    ],
)
def test_a_faulty_declaration_is_placed(compile: Compile, more: str, code: str, message: str, line: int) -> None:
    [fault] = compile(SPEC + more).errors
    assert (fault.code, fault.span.line) == (code, line)
    assert fault.message.startswith(message)


def test_a_tenant_may_change_inputs_and_its_templates_are_checked(compile: Compile) -> None:
    tenant = "tenants: {acme: {with: {inputs: {items: null, order: {required: false}}}}}\nunknown_tenants: base\n"
    asking = template("{% if items %}{{ items[0] }}{% endif %}")
    [fault] = compile(SPEC + tenant + asking).errors
    assert fault.message == "nothing declares 'items' (tenant acme removes it)"
    assert not compile(SPEC + tenant + template("{% if order %}{{ order.id }}{% endif %}")).diagnostics


def test_a_short_value_of_a_variable_replaces_nothing_else_in_a_message(compile: Compile) -> None:
    spec = SPEC + "  age: {max_length: '${env:MOST}', enum: ['${env:ONE}', e]}\n"
    [fault] = compile(spec, environment={"MOST": "2", "ONE": "abc"}).errors
    assert fault.message == "inputs.age.enum[0] has 3 characters, and may have 2"


@pytest.mark.parametrize("name", ["user", "settings", "true", "None", "not", "self"])
@pytest.mark.parametrize("where", ["vars: {{{0}: x}}", "tenants: {{acme: {{with: {{vars: {{{0}: x}}}}}}}}"])
def test_a_var_has_a_name_that_templates_can_use(compile: Compile, name: str, where: str) -> None:
    [fault] = compile("victor: 1\nname: support\nmodels: {main: {type: echo}}\n" + where.format(name)).errors
    assert (fault.code, fault.span.line, fault.path[-1]) == ("bad-name", 4, name)
    assert fault.message == f"'{name}' cannot be the name of a var"


@pytest.mark.parametrize(
    ("change", "message", "innocent"),
    [
        ("customer: {required: false}", "a request may leave out the input 'customer'", 13),
        ("plan: {enum: [gold]}", "inputs.plan.default must be one of its 1 values", 7),
        ("plan: {type: integer, enum: null}", "inputs.plan.default must be a whole number", 7),
    ],
)
def test_a_fault_that_a_tenant_makes_stands_in_its_overlay(
    compile: Compile, change: str, message: str, innocent: int
) -> None:
    tenant = f"tenants:\n  acme: {{with: {{inputs: {{{change}}}}}}}\nunknown_tenants: base\n"
    [fault] = compile(SPEC + tenant + template("{{ customer }}")).diagnostics
    assert fault.message == f"{message} (tenant acme changes it)"
    assert (fault.span.line, [place.span.line for place in fault.related]) == (11, [innocent])


def test_a_faulty_input_is_declared_nevertheless(compile: Compile) -> None:
    found = compile(
        SPEC.replace("default: free", "default: fre") + template("{{ customer }} {{ plan.name }}")
    ).diagnostics
    assert [fault.message for fault in found] == ["inputs.plan.default must be one of its 2 values"]


def test_an_overlay_may_write_the_type_of_an_input_alone(program: Programme) -> None:
    tenant = "tenants: {acme: {with: {inputs: {customer: {type: string, max_length: 9}}}}}\n"
    customer = program(SPEC + tenant).plan_for("acme", {}).inputs["customer"]
    assert (customer.required, customer.max_length) == (True, 9)


def test_the_digest_covers_declarations_and_not_their_descriptions(program: Programme) -> None:
    digest = program(SPEC).plan_for(None, {}).digest
    assert (
        program(SPEC.replace("required: true}\n  plan", "required: true, description: x}\n  plan"))
        .plan_for(None, {})
        .digest
        == digest
    )
    assert program(SPEC.replace("[free, pro]", "[free, pro, gold]")).plan_for(None, {}).digest != digest


def test_an_input_may_be_named_type(program: Programme) -> None:
    spec = SPEC + "  type: {required: true}\ntenants: {acme: {with: {inputs: {type: {required: false}}}}}\n"
    inputs = program(spec).plan_for("acme", {}).inputs
    assert (inputs["type"].required, inputs["customer"].required) == (False, True)
