"""What differs between sessions or turns stands behind fixed text, or `validate` says so; `prompt.order` puts it there."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.compiler.conftest import Compile, Programme

SPEC = "victor: 1\nname: s\nmodels: {main: {type: echo}}\nvars: {product: Acme, customer: '', on: true}\n"
LONG = "word " * 1000
"""1,250 tokens."""


def warnings(compile: Compile, text: str, files: Mapping[str, str] | None = None) -> list[tuple[int, int, str]]:
    found = [d for d in compile(text, files).diagnostics if d.code == "volatile-before-stable"]
    assert all(d.severity == "warning" for d in found)
    return [(d.span.line, d.span.column, d.message.split(": a")[0]) for d in found]


def spec(*contributors: str, more: str = "") -> str:
    return f"{SPEC}{more}contributors:\n" + "".join(f"  - {one}\n" for one in contributors)


def template(text: str, **more: object) -> str:
    return f'{{type: template, name: t, template: "{text}"' + "".join(f", {k}: {v}" for k, v in more.items()) + "}"


FIXED = f"{{type: text, text: '{LONG}'}}"


@pytest.mark.parametrize(
    "text",
    [
        "{{ session }}",
        "{% if user %}Hi{% endif %}",
        "{{ user | default('x') }}",
        "{{ customer }}",
        "{% for c in customer %}x{% endfor %}",
        "{% set who = user or 'you' %}{{ product }}{{ who }}",
        "{% macro hi() %}{{ session }}{% endmacro %}{{ hi() }}",
        "{% with s = session %}{{ s }}{% endwith %}",
        "{% filter upper %}{{ session }}{% endfilter %}",
        "{{ ('for ' ~ session) | upper }}",
    ],
)
def test_what_varies_before_much_fixed_text_is_a_warning(compile: Compile, text: str) -> None:
    ((line, _, message),) = warnings(compile, spec(template(text), FIXED))
    assert line == 6
    assert message.endswith("differs between sessions or turns, and 1,250 tokens of fixed text stand after it")
    assert warnings(compile, spec(FIXED, template(text))) == []


@pytest.mark.parametrize(
    "text",
    [
        "{{ product }} {{ settings.model }}",
        "{% if tenant %}{{ tenant }}{% endif %}",
        "{% set session = 1 %}{{ product }}",
        "{% macro hi() %}{{ session }}{% endmacro %}{{ product }}",
        "{# {{ session }} #}{% raw %}{{ session }}{% endraw %}",
        "{% if on %}a{% endif %}",
    ],
)
def test_what_is_the_same_in_all_sessions_of_a_tenant_is_none(compile: Compile, text: str) -> None:
    assert warnings(compile, spec(template(text), FIXED)) == []


def test_a_function_varies_and_little_text_is_not_worth_a_warning(compile: Compile) -> None:
    files = {"parts.py": "def now(turn):\n    return ''\n", "long.md": LONG, "short.md": LONG[:4000]}
    function = '{type: function, function: "parts:now"}'
    (found,) = warnings(compile, spec(function, "{type: file, path: long.md}"), files)
    assert found == (
        6,
        5,
        "'function' differs between sessions or turns, and 1,250 tokens of fixed text stand after it",
    )
    assert warnings(compile, spec(function, "{type: file, path: short.md}"), files) == []
    assert (
        warnings(compile, spec(function, "{type: file, path: long.md, max_tokens: 900, overflow: truncate}"), files)
        == []
    )


def test_text_behind_it_in_the_same_template_and_its_family_counts(compile: Compile) -> None:
    files = {
        "a.j2": "{% extends 'frame.j2' %}{% block top %}{% include 'who.j2' %}{% endblock %}",
        "frame.j2": f"{LONG}{{% block top %}}{{% endblock %}}{LONG}{{% block end %}}{LONG}{{% endblock %}}",
        "who.j2": "\nYou talk to {{ session }}.",
    }
    compilation = compile(spec("{type: template, path: a.j2}"), files)
    (found,) = compilation.diagnostics
    assert (found.span.file, found.span.line, found.span.column) == ("who.j2", 2, 16)
    assert "2,500 tokens of fixed text stand after it" in found.message
    assert (
        found.hint == "move what uses 'session' to the end of the template, or into a contributor of a lower priority"
    )


def test_a_var_that_a_provider_may_fill_is_no_request_var(compile: Compile) -> None:
    text = spec(
        template("{{ customer }}"), FIXED, more="providers: [{type: inline, values: {vars: {customer: Bob}}}]\n"
    )
    assert warnings(compile, text) == []
    assert (
        warnings(compile, text.replace("{type: inline, values: {vars: {customer: Bob}}}", "{type: env, prefix: S_}"))
        == []
    )


def test_each_variation_is_judged_by_its_own_order(compile: Compile) -> None:
    more = "tenants: {acme: {with: {contributors: {t: {priority: 90}}}}}\n"
    ((_, _, message),) = warnings(compile, spec(FIXED, template("{{ session }}"), more=more))
    assert message.startswith("'session' differs between sessions or turns for tenant acme")


def test_order_stability_is_the_way_out_for_equal_priorities(compile: Compile) -> None:
    text = spec(template("{{ session }}"), FIXED)
    (found,) = compile(text).diagnostics
    assert found.hint == "give the fixed text a higher priority, or write `prompt: {order: stability}`"
    assert warnings(compile, text + "prompt: {order: stability}\n") == []
    higher = spec(template("{{ session }}", priority=60), FIXED) + "prompt: {order: stability}\n"
    (found,) = compile(higher).diagnostics
    assert found.hint == "give the fixed text a higher priority"


def test_two_templates_that_include_each_other_end(compile: Compile) -> None:
    both = "{% if on %}{% include 'a.j2' %}{% include 'b.j2' %}{% endif %}" + LONG
    files = {"a.j2": "{{ session }}" + both, "b.j2": both}
    assert len(warnings(compile, spec("{type: template, path: a.j2}"), files)) == 1


def test_stability_sorts_inside_equal_priorities_alone(program: Programme) -> None:
    contributors = (
        '{type: function, name: f, function: "parts:now"}',
        "{type: text, name: a, text: a}",
        template("{{ session }}"),
        "{type: template, name: b, template: '{{ product }}'}",
        "{type: text, name: low, priority: 10, text: low}",
        "{type: template, name: high, priority: 90, template: '{{ session }}'}",
    )
    files = {"parts.py": "def now(turn):\n    return ''\n"}

    def order(prompt: str) -> tuple[list[str], str]:
        plan = program(spec(*contributors) + prompt, files).plan_for(None, {})
        return [id.split("/")[1] for id in plan.roles.contributors], plan.digest

    names, digest = order("prompt: {order: stability}\n")
    assert names == ["high", "a", "b", "f", "t", "low"]
    unsorted, other = order("prompt: {order: priority}\n")
    assert unsorted == ["high", "f", "a", "t", "b", "low"]
    assert digest != other
    assert order("") == (unsorted, other)
