"""The rules beyond the schema: what they let pass, and what they do not."""

from __future__ import annotations

import sys

import pytest

from tests.compiler.conftest import Compile, places
from victor_dsl.compiler.lint.middleware import OUTER_INNER

SMALL = "victor: 1\nname: s\nmodels: {main: {type: echo}}\n"


def codes(compile: Compile, text: str, files: dict[str, str] | None = None) -> list[str]:
    return [d.code for d in compile(text, files).diagnostics]


def template(text: str) -> str:
    return f"{SMALL}vars: {{product: Acme}}\ncontributors:\n  - {{type: template, template: '{text}'}}\n"


@pytest.mark.parametrize(
    "text",
    [
        "{{ product }} {{ session }} {{ tenant or 1 }} {{ user if user }} {{ settings.temperature | default(1) }}",
        "{% if vip is defined %}{{ vip }}{% endif %}",
        "{% for x in range(3) %}{{ x }}{{ loop.index }}{% endfor %}",
        "{% set greeting = 1 %}{{ greeting }}",
        "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1) }}",
        "{# {{ vip }} #}{% raw %}{{ vip }}{% endraw %}",
    ],
)
def test_a_template_may_use_what_is_declared_guarded_or_its_own(compile: Compile, text: str) -> None:
    assert codes(compile, template(text)) == []


@pytest.mark.parametrize(
    "text", ["{{ vip }}", "{% if vip %}{% endif %}", "{{ cycler(1) }}", "{{ [vip] }}", "{{ vip.name }}"]
)
def test_a_template_may_not_use_what_nothing_declares(compile: Compile, text: str) -> None:
    assert codes(compile, template(text)) == ["undefined-variable"]


def test_a_var_that_every_arm_but_one_has_is_a_fault_in_that_one(compile: Compile) -> None:
    text = template("{{ product }}") + "variants: {v: {arms: {a: {}, b: {with: {vars: {product: null}}}}}}\n"
    (found,) = compile(text).diagnostics
    assert (found.code, "arm v.b" in found.message) == ("undefined-variable", True)


def test_vars_of_an_inline_provider_are_declared(compile: Compile) -> None:
    text = template("{{ vip }}") + "providers: [{type: inline, values: {vars: {vip: true}}}]\n"
    assert codes(compile, text) == []


@pytest.mark.parametrize(
    "module",
    [
        "def f() -> str:\n    return ''\n",
        "async def f() -> str:\n    return ''\n",
        "from os.path import join as f\n",
        "import os as f\n",
        "f = print\n",
        "try:\n    from fast import f\nexcept ImportError:\n    from slow import f\n",
        "from elsewhere import *\n",
        "def __getattr__(name):\n    return print\n",
    ],
)
def test_a_function_may_be_defined_in_any_way(compile: Compile, module: str) -> None:
    text = f'{SMALL}tools: [{{type: python, function: "mine:f"}}]\n'
    assert codes(compile, text, {"mine.py": module}) == []


@pytest.mark.parametrize(
    ("function", "files"),
    [
        ("mine:g", {"mine.py": "def f(): ...\n"}),
        ("mine.sub:f", {"mine.py": "def f(): ...\n"}),
        ("other:f", {"mine.py": "def f(): ...\n"}),
        ("mine:f", {"mine.py": "def f(:\n"}),
        ("mine", {"mine.py": "def f(): ...\n"}),
        ("mine:f.g", {"mine.py": "def f(): ...\n"}),
        ("mine:", {"mine.py": "def f(): ...\n"}),
    ],
)
def test_a_function_that_is_not_there_is_a_fault(compile: Compile, function: str, files: dict[str, str]) -> None:
    text = f'{SMALL}tools: [{{type: python, function: "{function}"}}]\n'
    assert codes(compile, text, files) == ["unknown-function"]


CALL = 'tools: [{type: python, function: "m:f"}]\n'


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = " + "-" * 200_000 + "1", "the module 'm' is nested too deeply to be read"),
        ("x = a" + ".a" * 100_000, "the module 'm' is nested too deeply to be read"),
        ("x = " + "(" * 100_000, "the module 'm' cannot be read: too many nested parentheses (m.py, line 1)"),
        ("x = 1\0", "the module 'm' cannot be read: source code string cannot contain null bytes"),
    ],
)
def test_a_module_that_cannot_be_parsed_is_a_fault(compile: Compile, source: str, message: str) -> None:
    found = compile(f"{SMALL}{CALL}", {"m.py": source}).diagnostics
    assert [(fault.code, fault.message) for fault in found] == [("unknown-function", message)]


def test_of_a_module_that_is_too_large_nothing_is_known(compile: Compile) -> None:
    assert codes(compile, f"{SMALL}{CALL}", {"m.py": "#" * 300_000}) == []
    assert codes(compile, f"{SMALL}{CALL}", {"m.py": "#" * 200_000}) == ["unknown-function"]


def test_a_module_is_read_and_never_imported(compile: Compile) -> None:
    text = f'{SMALL}tools: [{{type: python, function: "trap.inner:f"}}]\n'
    files = {"trap/__init__.py": "raise SystemExit\n", "trap/inner.py": "raise SystemExit\ndef f(): ...\n"}
    assert codes(compile, text, files) == []
    assert not {name for name in sys.modules if name.startswith("trap")}


def test_a_file_that_may_be_missing_is_no_fault(compile: Compile) -> None:
    text = f"{SMALL}contributors: [{{type: file, path: gone.md}}]\n"
    assert codes(compile, text) == ["missing-file"]
    assert codes(compile, text.replace("gone.md", "gone.md, optional: true")) == []


@pytest.mark.parametrize(("outer", "inner"), [(outer, inner) for outer, inner, _ in OUTER_INNER])
def test_middleware_in_an_unwise_order_is_a_warning_and_the_other_way_none(
    compile: Compile, outer: str, inner: str
) -> None:
    one, other = (f"{{type: {type}, around: turn}}" for type in (inner, outer))
    head = f"{SMALL}settings: {{limits: {{requests_per_minute: 60}}}}\n" if "rate_limit" in (outer, inner) else SMALL
    compilation = compile(f"{head}middleware: [{one}, {other}]\n")
    assert [(d.code, d.severity) for d in compilation.diagnostics] == [("unwise-order", "warning")]
    assert compilation.program is not None
    assert codes(compile, f"{head}middleware: [{other}, {one}]\n") == []


def test_middleware_around_different_things_has_no_order(compile: Compile) -> None:
    limits = "settings: {limits: {requests_per_minute: 60}}\n"
    text = f"{SMALL}{limits}middleware: [{{type: retry, around: tool}}, {{type: rate_limit, around: turn}}]\n"
    assert codes(compile, text) == []


@pytest.mark.parametrize(
    ("middleware", "expected"),
    [
        ("[retry, circuit_breaker, {type: timeout, around: model}]", []),
        ("[circuit_breaker, retry]", ["unwise-order"]),
        ("[retry, {type: timeout, around: model}, circuit_breaker]", ["unwise-order"]),
        ("[timeout, retry, circuit_breaker]", []),
    ],
)
def test_a_circuit_breaker_should_see_each_attempt_and_each_timeout(
    compile: Compile, middleware: str, expected: list[str]
) -> None:
    text = f"victor: 1\nname: s\nmodels: {{main: {{type: echo}}}}\nmiddleware: {middleware}\n"
    assert codes(compile, text) == expected


def budget(window: int, answer: int, rest: str = "") -> str:
    return (
        f"victor: 1\nname: s\nmodels: {{main: {{type: echo, context_window: {window}}}}}\n"
        f"settings: {{max_tokens: {answer}}}\n{rest}"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (budget(1000, 999), []),
        (budget(1000, 1000), ["over-budget"]),
        (budget(1000, 600, "prompt: {max_tokens: 399}\n"), []),
        (budget(1000, 600, "prompt: {max_tokens: 400}\n"), ["over-budget"]),
        (budget(1000, 600, f"contributors: [{{type: text, text: {'x' * 1596}}}]\n"), []),
        (budget(1000, 600, f"contributors: [{{type: text, text: {'x' * 1600}}}]\n"), ["over-budget"]),
        (
            budget(1000, 600, "contributors: [{type: text, text: x, max_tokens: 400, overflow: drop}]\n"),
            ["over-budget"],
        ),
        (budget(1000, 600, "compaction: {threshold: 0.4}\n"), []),
        (budget(1000, 600, "compaction: {threshold: 0.41}\n"), ["compaction-too-late"]),
        (budget(1000, 600, "compaction: {threshold: 0}\n"), []),
        (
            budget(1000, 600, "tenants: {a: {with: {settings: {max_tokens: 1000}}}}\nunknown_tenants: base\n"),
            ["over-budget"],
        ),
        (budget(1000, 600).replace(", context_window: 1000", ""), []),
    ],
)
def test_what_the_spec_promises_must_fit_the_window(compile: Compile, text: str, expected: list[str]) -> None:
    assert codes(compile, text) == expected


def test_a_model_that_never_answers_has_no_budget(compile: Compile) -> None:
    text = budget(9000, 5000).replace("main:", "tiny: {type: echo, context_window: 10}, main:") + "vars: {}\n"
    text = text.replace("settings: {", "settings: {model: main, ")
    assert places(compile(text)) == [("unused-name", "victor.yml", 3, 10)]


@pytest.mark.parametrize(
    "text",
    [
        "{{ product | upperr }}",
        "{{ product is shouted }}",
        "{{ product }",
        "{% if product %}",
        "{% endif %}",
        "{% fi %}",
        "{{ 1 + }}",
        "{% block a %}{% endblock %}{% block a %}{% endblock %}",
        "{% break %}",
    ],
)
def test_what_is_no_template_is_a_fault_and_nothing_worse(compile: Compile, text: str) -> None:
    assert codes(compile, template(text)) == ["template-syntax"]


def test_a_control_that_is_no_arm_is_an_unknown_name(compile: Compile) -> None:
    found = compile(SMALL + "variants: {v: {control: wram, arms: {a: {}, warm: {}}}}\n").diagnostics
    assert [d.message for d in found if d.code == "unknown-name"] == ["variants.v.arms has no 'wram'"]


def test_keys_of_ones_own_hold_anchors_and_have_no_effect(compile: Compile) -> None:
    text = SMALL + "settings: {temperature: 1}\n"
    anchored = f"x-common: &common {{temperature: 1}}\nx-more: [1, {{a: null}}]\n{SMALL}settings: {{<<: *common}}\n"
    programs = [compile(one).program for one in (text, anchored)]
    assert len({program and program.plan_for(None, {}).digest for program in programs}) == 1
    assert codes(compile, SMALL + "y-common: 1\n") == ["unknown-key"]
    for key in ("x_common", "X-common"):
        (fault,) = compile(f"{SMALL}{key}: 1\n").errors
        assert fault.hint == "keys of your own begin with `x-`: write `x-common`"


def test_an_empty_values_file_is_told_its_keys(compile: Compile) -> None:
    (fault,) = compile(SMALL + "providers: [{type: file, path: s.yml}]\n", {"s.yml": "# nothing\n"}).diagnostics
    assert (fault.code, fault.hint) == ("empty-file", "write the keys `settings` and `vars`")


def test_a_command_line_written_as_one_text_gets_its_words_as_a_list(compile: Compile) -> None:
    text = 'victor: 1\nname: s\nmodels: {main: {type: echo}}\ntools:\n  - {type: mcp, name: files, command: "npx -y @scope/files ./data"}\n'
    (fault,) = compile(text).diagnostics
    assert fault.hint == 'write it as a list: `[npx, -y, "@scope/files", ./data]`'


DEFAULTED = "{{ vip | default(1) }}"


def test_a_default_for_what_nothing_can_give_is_reported(compile: Compile) -> None:
    (fault,) = compile(template(DEFAULTED)).diagnostics
    assert (fault.code, fault.severity) == ("undefined-variable", "warning")
    assert fault.message == "nothing can set 'vip', so its default is always used"
    assert fault.hint == "declare it, so that something may set it: `vars: {vip: null}`, or under `inputs`"


@pytest.mark.parametrize(
    "more",
    [
        "tenants: {acme: {with: {vars: {vip: 1}}}}\nunknown_tenants: base\n",
        "tenants: {acme: {with: {inputs: {vip: {type: integer}}}}}\nunknown_tenants: base\n",
        "variants: {x: {arms: {a: {with: {vars: {vip: 1}}}}}}\n",
        "inputs: {vip: {type: integer}}\n",
        "providers: [{type: env, prefix: APP_}]\n",
        "providers: [{type: inline, values: {vars: {vip: 1}}}]\n",
    ],
)
def test_a_default_for_what_an_overlay_a_request_or_a_provider_may_give_is_not(compile: Compile, more: str) -> None:
    assert codes(compile, template(DEFAULTED) + more) == []


def test_a_default_for_a_var_that_is_null_is_not(compile: Compile) -> None:
    assert codes(compile, template(DEFAULTED).replace("product: Acme", "vip: null")) == []
