"""Templates are looked through: the files that they name, and names, attributes and methods that are not there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.compiler.conftest import Compile
from victor_dsl.compiler.templates.family import read_family
from victor_dsl.compiler.templates.sources import Source, Templates
from victor_dsl.language.sandbox import Sandbox
from victor_dsl.source.located import Span
from victor_dsl.source.reader import Files, Included

SPEC = """\
victor: 1
name: s
models: {main: {type: echo}}
vars: {product: Acme, brand: {name: B, deep: {a: 1}}, tags: [x], n: 3, on: true, empty: {}, order: {items: [a]}}
"""
ORDERS = SPEC.replace(
    "tags: [x]", "tags: [x, y], orders: [{id: 1, name: a, sub: {q: 1}}, {id: 2, name: b, sub: {q: 2}}]"
)
INLINE = "contributors:\n  - type: template\n    template: |\n"
FILE = "contributors: [{type: template, path: p/a.j2}]\n"

Found = list[tuple[str, str, str]]
"""Each fault's place, code and message; the code of a warning begins with `~`."""


def found(compile: Compile, text: str, files: Mapping[str, str] | None = None) -> Found:
    compilation = compile(text, files)
    return [
        (f"{d.span.file}:{d.span.line}:{d.span.column}", ("~" if d.severity == "warning" else "") + d.code, d.message)
        for d in compilation.diagnostics
    ]


def of_text(compile: Compile, template: str, spec: str = SPEC) -> list[tuple[str, str]]:
    lines = "".join(f"      {line}\n" for line in template.split("\n"))
    return [(code, message) for _, code, message in found(compile, spec + INLINE + lines)]


def of_files(compile: Compile, spec: str = SPEC, **files: str) -> Found:
    return found(compile, spec + FILE, {f"p/{name.replace('__', '/')}.j2": text for name, text in files.items()})


ROWS = (
    "databases: {app: {type: sqlite, path: app.db}}\n"
    "providers: [{type: tenant, database: app, default: all%s}]\nlocked: [vars.brand.name]\n"
)


@pytest.mark.parametrize(
    ("rights", "template", "severity"),
    [
        ("", "{{ prodct }}", "~"),
        (", may_set: [vars.*]", "{{ prodct }}", "~"),
        (", may_set: [vars.product, settings.*]", "{{ prodct }}", ""),
        (", may_set: []", "{{ prodct }}", ""),
        (", may_set: [vars.brand.*]", "{{ brand.year }}", "~"),
        (", may_set: [vars.brand.deep]", "{{ brand.year }}", ""),
        ("", "{{ brand.name.first }}", ""),
        (", may_set: [vars.*]", "{{ settings.frequency_penalty }}", ""),
        (", may_set: [vars.n]", "{{ brand.deep.b }}", ""),
    ],
)
def test_what_no_row_may_set_is_an_error_where_nothing_declares_it(
    compile: Compile, rights: str, template: str, severity: str
) -> None:
    assert [code for code, _ in of_text(compile, template, SPEC + ROWS % rights)] == [f"{severity}undefined-variable"]


@pytest.mark.parametrize("rights", ["", ", may_set: ['settings.s*']"])
def test_a_setting_that_rows_may_set_may_be_there(compile: Compile, rights: str) -> None:
    assert of_text(compile, "{{ settings.seed }}", SPEC + ROWS % rights) == []


@pytest.mark.parametrize(
    "template",
    [
        "{{ brand.name }} {{ brand['name'] }} {{ brand.deep.a }} {{ brand.items() | list }} {{ brand.get('x', 1) }}",
        "{{ order.items }} {% for i in order.items %}{{ i.upper() }}{% endfor %}",
        "{{ product.upper() }} {{ product[0] }} {{ product[:3] }} {{ tags[0] }} {{ tags.count('x') }} {{ empty.x }}",
        "{{ brand.x | default('') }} {{ brand.y if brand.y is defined }} {{ product.z is defined }}",
        "{{ settings.model }} {{ settings.threshold }} {{ settings.model.upper() }}",
        "{{ settings.temperature | default(1) }}{% if settings.k %}{{ settings.k }}{% endif %}",
        "{% if tenant %}{{ tenant | upper }}{% endif %} {{ user or 'you' }} {{ user == 'ann' }}",
        "{% set brand = {'z': 1} %}{{ brand.z }}{% with n = brand %}{{ n.z }}{% endwith %}",
        "{% set ns = namespace(items=[]) %}{{ ns.items }}{% for i in tags %}{{ loop.index }}{% endfor %}",
        "{% macro m(a) %}{{ a.join }}{{ caller() }}{% endmacro %}{% call m({'join': 1}) %}x{% endcall %}",
        "{% if on %}{% set g = 'a' %}{% else %}{% set g = 'b' %}{% endif %}{{ g }}",
        "{% if user %}{% set b = brand %}{{ b.name }}{% endif %}{% if on %}{% set a, c = 1, 2 %}{{ a }}{{ c }}{% endif %}",
        "{% if user %}x{% elif n %}{% set g %}x{% endset %}{% for t in tags %}{{ g }}{{ t }}{% endfor %}{% endif %}",
        "{% for t in tags %}{% if on %}{% macro q() %}x{% endmacro %}{{ q() }}{% endif %}{% endfor %}",
        "{% include 'none.j2' ignore missing %}",
        "{{ range(3) | list }} {{ dict(a=1).a }} {{ 'a' | replace('a', 'b') }} {{ tags | tojson(indent=8) }}",
    ],
)
def test_what_a_template_may_do_is_no_fault(compile: Compile, template: str) -> None:
    assert of_text(compile, template) == []


@pytest.mark.parametrize(
    ("template", "code", "message"),
    [
        ("{{ brand.nmae }}", "undefined-variable", "brand has no 'nmae'"),
        ("{{ brand['nmae'] }}", "undefined-variable", "brand has no 'nmae'"),
        ("{{ brand.deep.b }}", "undefined-variable", "brand.deep has no 'b'"),
        ("{{ brand.deep.a.x }}", "undefined-variable", "brand.deep.a is a number, which has no 'x'"),
        ("{% if brand.nmae %}{% endif %}", "undefined-variable", "brand has no 'nmae'"),
        ("{{ product.x }}", "undefined-variable", "product is a text, which has no 'x'"),
        ("{{ session.id }}", "undefined-variable", "session is a text, which has no 'id'"),
        ("{% if tenant %}{{ tenant.name }}{% endif %}", "undefined-variable", "tenant is a text, which has no 'name'"),
        ("{{ n.x }}", "undefined-variable", "n is a number, which has no 'x'"),
        ("{{ tags.first }}", "undefined-variable", "tags is a list, which has no 'first'"),
        ("{{ settings.temprature }}", "undefined-variable", "settings has no 'temprature'"),
        ("{{ settings.temprature | default(1) }}", "undefined-variable", "settings has no 'temprature'"),
        ("{{ settings['temprature'] }}", "undefined-variable", "settings has no 'temprature'"),
        ("{{ settings.limits.concurency }}", "undefined-variable", "settings.limits has no 'concurency'"),
        ("{{ settings.k }}", "undefined-variable", "nothing sets settings.k"),
        ("{{ settings.limits.concurrency }}", "undefined-variable", "nothing sets settings.limits.concurrency"),
        ("{{ settings.seed }}", "~undefined-variable", "a turn may have no settings.seed: only a request sets it"),
        ("{{ tenant }}", "~undefined-variable", "a turn may have no tenant: nothing in this spec asks for one"),
        ("{{ user | upper }}", "~undefined-variable", "a turn may have no user: nothing in this spec asks for one"),
        ("{{ 'for ' ~ user }}", "~undefined-variable", "a turn may have no user: nothing in this spec asks for one"),
        ("{{ brand.items }}", "template-error", "'items' is a method of a map"),
        ("{% for i in brand.items %}{% endfor %}", "template-error", "'items' is a method of a map"),
        ("{{ product.upper }}", "template-error", "'upper' is a method of a text"),
        ("{{ tags.count }}", "template-error", "'count' is a method of a list"),
        ("{{ product.uper() }}", "template-error", "a template has no `.uper()` of a text"),
        ("{{ tags.append('y') }}", "template-error", "a template has no `.append()` of a list"),
        ("{{ brand.update({}) }}", "template-error", "a template has no `.update()` of a map"),
        ("{{ brand.copy() }}", "template-error", "a template has no `.copy()` of a map"),
        ("{{ brand.copy }}", "undefined-variable", "brand has no 'copy'"),
        ("{{ n.bit_length() }}", "template-error", "a template has no `.bit_length()` of a number"),
        ('{{ ", ".join(tags) }}', "template-error", "a template has no `.join()` of a text"),
        ('{{ "{}".format(n) }}', "template-error", "a template has no `.format()` of a text"),
        (
            "{% for t in tags %}{{ t.join('x') }}{% endfor %}",
            "template-error",
            "a template has no `.join()` of a value",
        ),
        ("{{ tags | join(attribute='x') }}", "template-error", "`join` has no `attribute` here"),
        ("{{ tags | join(', ', 'x') }}", "template-error", "`join` has no `attribute` here"),
        ("{{ 'foo' | replace('o', 42) }}", "template-error", "`replace` takes two texts"),
        ("{{ 'foo' | indent(200) }}", "template-error", "`indent` goes up to 100 spaces"),
        ("{{ 'foo' | indent(width=200) }}", "template-error", "`indent` goes up to 100 spaces"),
        ("{{ tags | tojson(indent=20) }}", "template-error", "`tojson` indents by 0 to 8 spaces"),
        ("{{ settings }}", "template-error", "`settings` is a group of settings, not text"),
        ("{{ settings | tojson }}", "template-error", "`settings` is a group of settings, not text"),
        ("{{ settings.limits }}", "template-error", "'limits' is a group of settings, not text"),
        ("{{ range }}", "template-error", "'range' is a function, not text"),
        ("{{ 'a' ~ dict }}", "template-error", "'dict' is a function, not text"),
        ("{% macro m() %}{% endmacro %}{{ m }}", "template-error", "'m' is a macro, not text"),
        ("{% macro m() %}{% endmacro %}{{ m | upper }}", "template-error", "'m' is a macro, not text"),
        ("{% for i in tags %}{{ loop }}{% endfor %}", "template-error", "'loop' is not text"),
        ("{{ self }}", "template-error", "'self' is not text"),
        ("{% include 'b.j2' %}", "template-error", "a template in the spec cannot name other templates"),
        ("{% import 'b.j2' as b %}", "template-error", "a template in the spec cannot name other templates"),
        ("{% extends 'b.j2' %}", "template-error", "a template in the spec cannot name other templates"),
        ("{% set ns.x = 1 %}", "template-error", "there is no namespace 'ns'"),
        ("{% if on %}{{ g }}{% set g = 1 %}{% endif %}", "undefined-variable", "nothing declares 'g'"),
        ("{% for t in tags %}{% set g = t %}{% endfor %}{{ g }}", "undefined-variable", "nothing declares 'g'"),
        ("{% if on %}{% with g = 1 %}{% endwith %}{% endif %}{{ g }}", "undefined-variable", "nothing declares 'g'"),
        ("{% include tags %}", "template-error", "the name of an included template must be plain text"),
    ],
)
def test_what_would_fail_a_turn_is_found(compile: Compile, template: str, code: str, message: str) -> None:
    assert of_text(compile, template) == [(code, message)]


@pytest.mark.parametrize(
    ("template", "code", "message"),
    [
        ("{% set b = brand %}{{ b.nmae }}", "undefined-variable", "there is no key 'nmae'"),
        ("{% with b = brand.deep %}{{ b.z }}{% endwith %}", "undefined-variable", "there is no key 'z'"),
        ("{% for o in orders %}{{ o.nmae }}{% endfor %}", "undefined-variable", "there is no key 'nmae'"),
        ("{% for o in orders if o.nmae %}{{ o }}{% endfor %}", "undefined-variable", "there is no key 'nmae'"),
        ("{% for o in orders %}{{ o.sub.z }}{% endfor %}", "undefined-variable", "there is no key 'z'"),
        ("{% for k, v in brand.items() %}{{ v.z }}{% endfor %}", "undefined-variable", "text has no 'z'"),
        ("{{ orders[0].nmae }}", "undefined-variable", "there is no key 'nmae'"),
        ("{{ (orders | first).nmae }}", "undefined-variable", "there is no key 'nmae'"),
        ("{{ orders | map(attribute='nmae') | join }}", "undefined-variable", "there is no key 'nmae'"),
        ("{{ orders | groupby('nmae') | list }}", "undefined-variable", "there is no key 'nmae'"),
        ("{{ brand[product] }}", "undefined-variable", "there is no key 'Acme'"),
        ("{% for t in tags %}{{ loop.indx }}{% endfor %}", "undefined-variable", "the loop has no 'indx'"),
        ("{% set ns = namespace(a=1) %}{{ ns.b }}", "undefined-variable", "a namespace has no 'b'"),
        (
            "{% macro m(a) %}{{ a.nmae }}{% endmacro %}{{ m(brand) }}",
            "undefined-variable",
            "there is no key 'nmae'",
        ),
        ("{% macro m(a) %}{{ a }}{% endmacro %}{{ m() }}", "undefined-variable", "parameter 'a' was not provided"),
        (
            "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}",
            "template-error",
            "macro 'm' takes not more than 1 argument(s)",
        ),
        (
            "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=1) }}",
            "template-error",
            "macro 'm' takes no keyword argument 'b'",
        ),
        ("{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}", "undefined-variable", "No caller defined"),
        ("{% block b %}{{ super() }}{% endblock %}", "undefined-variable", "there is no parent block called 'b'."),
        ("{% block b %}{% endblock %}{{ self.c() }}", "undefined-variable", "this has no 'c'"),
        ("{% set brand.x = 1 %}", "template-error", "cannot assign attribute on non-namespace object"),
        ("{{ namespace() }}", "template-error", "this is a function or a part of the template, not a text"),
        ("{{ [range] | join }}", "template-error", "'range' is a function, not text"),
        ("{{ {'a': settings} }}", "template-error", "`settings` is a group of settings, not text"),
        ("{% set m = range %}{{ m }}", "template-error", "this is a function or a part of the template, not a text"),
        ("{{ brand.keys() }}", "template-error", "this is a sequence, not a text"),
        ("{{ brand.get('x') }}", "template-error", "there is a null, not text"),
        ("{{ n | round('a') }}", "template-error", "text cannot be interpreted as an integer"),
        ("{{ 'x' | sum }}", "template-error", "unsupported operand type(s) for +: a number and text"),
        ("{{ tags | join(3) }}", "template-error", "object of type a number has no len()"),
        ("{{ product | upper(1) }}", "template-error", "`upper` takes 1 positional argument but 2 were given"),
        ("{{ product | replace('a') }}", "template-error", "`replace` missing 1 required positional argument: 'new'"),
        ("{{ tags | map('upperr') | list }}", "template-error", "No filter named 'upperr'."),
        ("{{ product is odd }}", "template-error", "`odd` takes numbers, not text"),
        ("{{ n + product }}", "template-error", "unsupported operand type(s) for +: a number and text"),
        (
            "{% if product > 3 %}{% endif %}",
            "template-error",
            "'>' not supported between instances of text and a number",
        ),
        ("{% for x in n %}{% endfor %}", "template-error", "a number is not iterable"),
        ("{{ product() }}", "template-error", "text cannot be called"),
        ("{{ product.split(1) }}", "template-error", "must be text or None, not a number"),
        ("{{ range('a') | list }}", "template-error", "text cannot be interpreted as an integer"),
        ("{% for k, v in brand %}{% endfor %}", "~template-error", "too many values to unpack (expected 2)"),
        ("{{ tags[5] }}", "~undefined-variable", "there is no item 5: there are 2"),
        ("{{ n / (n - 3) }}", "~template-error", "division by zero"),
        ("{{ session }} {{ user | upper if user }} {{ n + product }}", "template-error", "unsupported operand type(s)"),
        ("{{ session | upper }} {{ n + product }}", "template-error", "unsupported operand type(s)"),
        (
            "{% if tenant %}{% for o in orders %}{{ o.nmae }}{% endfor %}{% endif %}",
            "undefined-variable",
            "there is no key",
        ),
        (
            "{% if user %}{{ user | title }}{% set b = brand %}{{ b.nmae }}{% endif %}",
            "undefined-variable",
            "there is no key",
        ),
    ],
)
def test_what_fails_with_the_values_of_the_spec_is_found(
    compile: Compile, template: str, code: str, message: str
) -> None:
    [(given, told)] = of_text(compile, template, ORDERS)
    assert given == code
    assert told.startswith(message)


@pytest.mark.parametrize(
    "template",
    [
        "{% if user %}{{ user.split('@')[1] }}{% endif %}{% if user in brand %}{{ brand[user] }}{% endif %}",
        "{{ session[:3] }}{{ session.split('-')[4] }}{{ {session: 1}[session] }}{{ brand.get(session, 1) }}",
        "{% set s %}{{ session }}{% endset %}{{ s.split('-')[1] }}{{ s[3] }}",
        "{% set s %}{{ session }}{% endset %}{{ brand[s] }}",
        "{% if user %}{{ brand[user] }}{{ brand[user | lower] }}{{ user.split(' ')[1] }}{{ user[20] }}{% endif %}",
        "{{ brand.get(session).x }}{{ brand.get(session | upper) + 1 }}",
        "{{ brand.get(session) }}",
        "{% if user %}{{ user | list | groupby(0) | list | length }}{{ (user | int) / (user | length - 24) }}{% endif %}",
        "{% if tenant == 'acme' %}{{ orders[9].name }}{% endif %}{{ {'acme': 1}[tenant] if tenant }}",
        "{{ settings.model.split('/')[0] }}{{ orders[session | length].name }}",
        "{% for o in empty.orders or [] %}{{ o.x }}{% endfor %}{% set no = [] %}{{ no[0] }}{{ no | first }}",
        "{% for o in orders %}{{ o.extra | default('') }}{{ o.extra if o.extra is defined }}{% endfor %}",
        "{% if n > 5 %}{{ orders[7].name }}{% endif %}{{ tags | sort | map('upper') | join(', ') }}",
        "{% macro m(a, b='') %}{{ a | upper }}{{ b }}{% endmacro %}{{ m(session) }}{{ m(product, b=n) }}",
    ],
)
def test_what_depends_on_a_turn_is_no_fault(compile: Compile, template: str) -> None:
    assert of_text(compile, template, ORDERS) == []


def test_what_fails_with_the_values_of_the_spec_is_a_warning_where_a_provider_may_give_others(compile: Compile) -> None:
    spec = ORDERS + "providers: [{type: env, prefix: S_}]\n"
    assert [code for code, _ in of_text(compile, "{% set b = brand %}{{ b.nmae }}", spec)] == ["~undefined-variable"]


def test_what_fails_in_an_included_file_stands_at_its_line(compile: Compile) -> None:
    files = {"a": "a\n{% for o in orders %}{% include 'b.j2' %}{% endfor %}", "b": "b\n{{ o.id }} {{ o.nmae }}"}
    assert of_files(compile, ORDERS, **files) == [
        ("p/b.j2:2:17", "undefined-variable", "there is no key 'nmae'"),
    ]


def test_the_hint_of_a_method_of_python_is_the_filter(compile: Compile) -> None:
    (fault,) = compile(SPEC + INLINE + "      {{ ', '.join(tags) }}\n").diagnostics
    assert (fault.hint, fault.span.line, fault.span.column) == ("write `items | join(', ')`", 8, 15)


@pytest.mark.parametrize(
    ("more", "lacks"),
    [
        ("middleware: [auth]\n", []),
        ("providers: [{type: tenant, database: app}]\ndatabases: {app: {type: sqlite, path: a.db}}\n", ["user"]),
        (
            "providers: [{type: tenant, database: app, optional: true}]\ndatabases: {app: {type: sqlite, path: a.db}}\n",
            ["tenant", "user"],
        ),
    ],
)
def test_a_caller_is_asked_for_where_nothing_makes_sure_of_one(compile: Compile, more: str, lacks: list[str]) -> None:
    messages = [message for _, message in of_text(compile, "{{ tenant }} {{ user }}", SPEC + more)]
    assert messages == [f"a turn may have no {name}: nothing in this spec asks for one" for name in lacks]


def test_a_tenants_own_template_has_its_tenant(compile: Compile) -> None:
    text = (
        SPEC
        + "tenants: {acme: {with: {contributors: [{type: template, template: '{{ tenant }}!'}]}}}\nunknown_tenants: base\n"
    )
    assert found(compile, text) == []


@pytest.mark.parametrize(
    "more", ["settings: {seed: 7}\n", "providers: [{type: inline, values: {settings: {seed: 7}}}]\n", "variants: {}\n"]
)
def test_a_setting_that_is_set_needs_no_question(compile: Compile, more: str) -> None:
    assert bool(of_text(compile, "{{ settings.seed }}!", SPEC + more)) is (more == "variants: {}\n")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {"a": "A {% include 'b.j2' %}", "b": "\n{{ compny }}"},
            [("p/b.j2:2:4", "undefined-variable", "nothing declares 'compny'")],
        ),
        (
            {"a": "{% include 'x/b.j2' %}", "x__b": "{% include 'c.j2' %}", "c": "{{ brand.nmae }}"},
            [("p/c.j2:1:10", "undefined-variable", "brand has no 'nmae'")],
        ),
        ({"a": "{% include 'b.j2' %}", "b": "{% if %}"}, [("p/b.j2:1:1", "template-syntax", "")]),
        (
            {"a": "a\n{% include 'missing.j2' %}"},
            [("p/a.j2:2:13", "missing-file", "cannot read 'missing.j2': there is no such file")],
        ),
        (
            {"a": "{% include '../v.yml' %}"},
            [("p/a.j2:1:13", "missing-file", "cannot read '../v.yml': it is outside the template's folder")],
        ),
        (
            {"a": "{% include '/etc/passwd' ignore missing %}"},
            [("p/a.j2:1:13", "missing-file", "cannot read '/etc/passwd': it is outside the template's folder")],
        ),
        ({"a": "{% include 'none.j2' ignore missing %}"}, []),
        ({"a": "{% include ['none.j2', 'b.j2'] %}", "b": "b"}, []),
        (
            {"a": "{% include ['none.j2', 'no.j2'] %}"},
            [("p/a.j2:1:14", "missing-file", "cannot read 'none.j2': there is no such file")],
        ),
        (
            {"a": "{% include product %}"},
            [("p/a.j2:1:1", "template-error", "the name of an included template must be plain text")],
        ),
        (
            {"a": "{% import 'none.j2' as m %}"},
            [("p/a.j2:1:12", "missing-file", "cannot read 'none.j2': there is no such file")],
        ),
        (
            {"a": "{% extends 'none.j2' %}"},
            [("p/a.j2:1:13", "missing-file", "cannot read 'none.j2': there is no such file")],
        ),
        ({"a": "{% for i in tags %}{% include 'b.j2' %}{% endfor %}", "b": "{{ i }}{{ i[0] }}"}, []),
        ({"a": "{% set s = 1 %}{% include 'b.j2' %}", "b": "{{ s }}"}, []),
        (
            {"a": "{% include 'b.j2' %}{{ s }}", "b": "{% set s = 1 %}"},
            [("p/a.j2:1:24", "undefined-variable", "nothing declares 's'")],
        ),
        (
            {"a": "{% include 'b.j2' without context %}", "b": "{{ product }}"},
            [("p/b.j2:1:4", "undefined-variable", "an imported template does not see 'product'")],
        ),
        (
            {"a": "{% from 'm.j2' import hi %}{{ hi() }}", "m": "{% macro hi() %}{{ product }}{% endmacro %}"},
            [("p/m.j2:1:20", "undefined-variable", "an imported template does not see 'product'")],
        ),
        (
            {
                "a": "{% from 'm.j2' import hi with context %}{{ hi() }}",
                "m": "{% macro hi() %}{{ product }}{% endmacro %}",
            },
            [],
        ),
        (
            {"a": "{% from 'm.j2' import hii %}", "m": "{% macro hi() %}{% endmacro %}"},
            [("p/a.j2:1:23", "undefined-variable", "'p/m.j2' has no 'hii'")],
        ),
        (
            {"a": "{% import 'm.j2' as m %}{{ m.hii() }}", "m": "{% macro hi() %}{% endmacro %}"},
            [("p/a.j2:1:30", "undefined-variable", "'p/m.j2' has no 'hii'")],
        ),
        ({"a": "{% import 'm.j2' as m %}{{ m.join('x') }}", "m": "{% macro join(a) %}{{ a }}{% endmacro %}"}, []),
        (
            {"a": "{% from 'm.j2' import hi as h %}{{ h }}", "m": "{% macro hi() %}{% endmacro %}"},
            [("p/a.j2:1:29", "template-error", "'h' is a macro, not text")],
        ),
        (
            {"a": "{% import 'm.j2' as mm %}{{ mm }}", "m": "{% macro hi() %}{% endmacro %}"},
            [("p/a.j2:1:21", "template-error", "'mm' is an imported template, not text")],
        ),
        (
            {
                "a": "{% extends 'f.j2' %}{% set s = 1 %}{% block b %}{{ s }}{{ t }}{{ super() }}{% endblock %}",
                "f": "{% set t = 1 %}{{ s }}{% block b %}{% endblock %}{{ self.b() }}",
            },
            [],
        ),
        (
            {"a": "{% extends 'f.j2' %}{% block b %}{{ compny }}{% endblock %}", "f": "{% block b %}{% endblock %}"},
            [("p/a.j2:1:37", "undefined-variable", "nothing declares 'compny'")],
        ),
        (
            {"a": "{% if tenant %}{% include 'b.j2' %}{% endif %}", "b": "{{ tenant }} {{ user }}"},
            [("p/b.j2:1:17", "~undefined-variable", "a turn may have no user: nothing in this spec asks for one")],
        ),
        (
            {"a": "\n{% include 'a.j2' %}"},
            [("p/a.j2:2:13", "template-error", "'a.j2' refers to itself")],
        ),
        (
            {"a": "{% include 'b.j2' %}", "b": "b\n{% import 'c.j2' as c %}", "c": "{% extends 'a.j2' %}"},
            [("p/c.j2:1:13", "template-error", "'a.j2' refers to itself through 'b.j2', 'c.j2'")],
        ),
        (
            {"a": "{% include 'b.j2' %}", "b": "{% with x = 1 %}{% include ['none.j2', 'b.j2'] %}{% endwith %}"},
            [("p/b.j2:1:41", "template-error", "'b.j2' refers to itself")],
        ),
        ({"a": "{% if tenant %}{% include 'a.j2' %}{% endif %}{% include 'b.j2' %}{% include 'b.j2' %}", "b": "b"}, []),
        (
            {
                "a": "{% for i in tags %}{% include 'b.j2' %}{% endfor %}",
                "b": "{% if on %}{% include 'a.j2' %}{% endif %}",
            },
            [],
        ),
    ],
)
def test_templates_that_a_template_names_are_looked_through(
    compile: Compile, files: dict[str, str], expected: Found
) -> None:
    faults = of_files(compile, **files)
    assert [(place, code) for place, code, _ in faults] == [(place, code) for place, code, _ in expected]
    assert all(message in one[2] for one, (_, _, message) in zip(faults, expected, strict=True))


PROVIDED = SPEC + "providers: [{type: file, path: s.yml}]\n"


def test_vars_of_a_file_provider_are_declared(compile: Compile) -> None:
    text = (
        PROVIDED
        + INLINE
        + "      {{ prodct }} {{ plan }} {{ plan.x }} {{ house.color }} {{ house.colour }} {{ settings.k }}\n"
    )
    files = {"s.yml": "settings: {k: 2}\nvars: {plan: gold, house: {color: red}}\n"}
    assert found(compile, text, files) == [
        ("victor.yml:9:10", "undefined-variable", "nothing declares 'prodct'"),
        ("victor.yml:9:39", "undefined-variable", "plan is a text, which has no 'x'"),
        ("victor.yml:9:71", "undefined-variable", "house has no 'colour'"),
    ]


@pytest.mark.parametrize("provider", ["{type: env, prefix: S_}", "{type: file, path: none.yml, optional: true}"])
def test_where_a_provider_may_give_more_it_is_a_warning(compile: Compile, provider: str) -> None:
    text = f"{SPEC}providers: [{provider}]\n{INLINE}      {{{{ prodct }}}} {{{{ brand.nmae }}}} {{{{ settings.k }}}}\n"
    codes = {code for _, code, _ in found(compile, text) if code != "missing-file"}
    assert codes == {"~undefined-variable"}


def test_every_file_of_a_family_counts_for_the_digest(compile: Compile) -> None:
    digests = set()
    for text in ("one", "two"):
        files = {"p/a.j2": "{% include 'b.j2' %}", "p/b.j2": "{% include 'c.j2' %}", "p/c.j2": text}
        program = compile(SPEC + FILE, files).program
        assert program is not None
        digests.add(program.plan_for(None, {}).digest)
    assert len(digests) == 2


NESTED = "this template nests more than 16 tags, or 60 parts of an expression"


@pytest.mark.parametrize(
    ("template", "place", "message"),
    [
        ("\n{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", 2, NESTED),
        ("{{ " + "[" * 61 + "1" + "]" * 61 + " }}", 1, NESTED),
        ("{{ " + "not " * 5000 + "1 }}", 1, NESTED),
        ("{{ " + "1+" * 3000 + "1 }}", 1, NESTED),
        ("{{ 1" + " if 1 else 2" * 99 + " }}", 1, NESTED),
        ("{{ 'a'" + "|upper" * 99 + " }}", 1, NESTED),
        ("{% if 1 %}" * 2000 + "{% endif %}" * 2000, 1, NESTED),
        ("".join(f"{{% for a{n} in tags %}}\n" for n in range(30)) + "{% endfor %}" * 30, 17, NESTED),
        ("a\n{{ " + "1+" * 20000 + "1 }}", 2, "this template has more than 10,000 words and signs in its tags"),
        ("{{ n }}" * 2001, 1, "this template has more than 10,000 words and signs in its tags"),
        ("a" * 262_145, 1, "this template has more than 262,144 characters"),
        ("a\n{{ " + "9" * 5000 + " }}", 2, "this template has a number that is too large"),
        ("a\n{{ 1e999 }}", 2, "this template has a number that is too large"),
        ("a\n{{ 1 < 2 in [1] }}", 2, "this template compares with `in` and something else at once"),
        (
            "a\n{% macro m(a) %}{% endmacro %}\n{{ m(a=1, a=2) }}",
            3,
            "this is not a template: keyword argument repeated: a",
        ),
        (
            "a\n{% macro m(a, a) %}{% endmacro %}",
            2,
            "this is not a template: duplicate argument 'a' in function definition",
        ),
        ("a\n{% autoescape true %}{{ n }}{% endautoescape %}", 2, "this template has `autoescape`, which is for HTML"),
        ("a\n{{ 15 | round(-100000000) }}", 2, "`round` takes at most 300 decimal places"),
    ],
)
def test_what_no_turn_could_compile_is_a_fault(compile: Compile, template: str, place: int, message: str) -> None:
    [(at, code, told)] = found(compile, SPEC + FILE, {"p/a.j2": template})
    assert told == message
    assert code in ("template-syntax", "template-error")
    assert at.split(":")[:2] == ["p/a.j2", str(place)]


RAW = "text with braces of its own stands in `{% raw %}…{% endraw %}`"


@pytest.mark.parametrize(
    ("template", "columns", "hint"),
    [
        (r"x \frac{{a}}{2}", (10, 11), ""),
        (r"x \frac{{a}}{{b}}", (10, 11), ""),
        ("x ${{ github.sha }}", (7, 13), ""),
        ("{{ product }} ${{ secrets.X }}", (19, 26), ""),
        ('{{ product }} {{"title": ""}} {{ n }}', (15, 30), "a value is written `{{ name }}`; "),
        ("{{ product }} {#section}", (15, 25), "a comment is written `{# … #}`; "),
        ("{{#if n}}a{{/if}}", (1, 10), "a tag is written `{% if … %}…{% endif %}`, "),
        ("{{#each tags}}a{{/each}}", (1, 15), "a tag is written `{% if … %}…{% endif %}`, "),
        ("{{> header}}", (1, 13), "another template is written `{% include 'name.j2' %}`; "),
        ("{{! note }}{{ n }}", (1, 12), "a comment is written `{# … #}`; "),
        ("{{ n }} {{{product}}}", (9, 21), "a value is written `{{ name }}`, with two braces; "),
        ("{{ n }} {{ .Values.x }}", (9, 24), "a value is written `{{ name }}`, without a sign before it; "),
        ("{{ n }} {{ $json.x }}", (9, 22), "a value is written `{{ name }}`, without a sign before it; "),
        ("{{ product | append: 'b' }}", (1, 28), "a filter has its arguments in brackets: "),
        ("{{ on && n }} {{ n }}", (1, 14), "operators are `and`, `or`, `not`, `==` and `!=`; "),
        ("{{ !on }}", (1, 10), "operators are `and`, `or`, `not`, `==` and `!=`; "),
        ("{{ on ? 'a' : 'b' }}", (1, 21), "write `{{ 'a' if test else 'b' }}`; "),
        ("{{ brand?.name }}", (1, 18), "write `{{ a.b | default('…') }}`; "),
        ("{% if n = 1 %}a{% endif %}", (1, 15), "compare with `==`; "),
        ("{% for t of tags %}a{% endfor %}", (1, 20), "write `{% for item in items %}`; "),
        ("{{ “a” }} {{ n }}", (1, 10), "texts stand in straight quotes: "),
        ("{{ vars.product }}", (4, 8), "a var and an input have names of their own: `{{ product }}`; "),
        ("{{ env.REGION }}", (4, 7), 'give a var the value: `vars: {REGION: "${env:REGION}"}`'),
        ("{{ null }}", (4, 8), "write `none`; "),
        ("{{ end }}", (4, 7), "a tag is written "),
    ],
)
def test_the_hint_for_another_template_language_is_what_to_write(
    compile: Compile, template: str, columns: tuple[int, int], hint: str
) -> None:
    fault = compile(SPEC + FILE, {"p/a.j2": template}).diagnostics[0]
    assert (fault.span.column, fault.span.end_column) == columns
    assert fault.hint is not None
    assert fault.hint.startswith(hint)
    assert fault.hint.endswith(RAW)


@pytest.mark.parametrize("tag", ["endif", "else", "elif n", "endfor"])
def test_a_tag_that_closes_nothing_says_so(compile: Compile, tag: str) -> None:
    (fault,) = compile(SPEC + FILE, {"p/a.j2": f"a {{% {tag} %}}"}).diagnostics
    assert fault.message == f"'{{% {tag.split(maxsplit=1)[0]} %}}' belongs to no open tag"


def test_an_unclosed_tag_stands_where_it_begins(compile: Compile) -> None:
    text = SPEC + INLINE + "      Hello,\n      we speak {{ product\n      and so on.\n      Bye.\n"
    assert [place for place, _, _ in found(compile, text)] == ["victor.yml:9:16"]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ 9 ** 9 ** 9 ** 9 }}", "makes a number of more than 1,000 bits"),
        ("{{ 'a' * 10 ** 9 }}", "makes a text of more than 1,048,576 characters: shorten what it is made of"),
        (
            "{% set x = [0] * 10 ** 9 %}",
            "makes a list of more than 100,000 items, all levels counted: take fewer of them",
        ),
        ("{% if 9 ** 9 ** 9 ** 9 == 1 %}{% endif %}", "makes a number of more than 1,000 bits"),
        ("{{ range(10 ** 9) | list }}", "`range` makes at most 100,000 numbers"),
        ("{% for a in range(99999) %}{{ a }}{% endfor %}", ""),
    ],
)
def test_checking_a_template_computes_little(compile: Compile, template: str, message: str) -> None:
    found = of_text(compile, template)
    assert [told.partition(": use")[0] for _, told in found] == [message][: bool(message)]


@pytest.mark.parametrize(
    "template",
    [
        "".join(f"{{% for a{n} in tags %}}" for n in range(16)) + "{% endfor %}" * 16,
        "{{ " + "[" * 57 + "1" + "]" * 57 + " }}",
        "{{ 1" + " and 1" * 56 + " }}",
        "{{ " + "n in [" * 19 + "1" + "]" * 19 + " }}",
        "{{ n" + "".join(f" | default(n | default({n}))" for n in range(50)) + " }}",
        "{% macro m() %}{{ varargs | length }}{% endmacro %}{{ m(" + "1," * 4900 + "1) }}",
    ],
)
def test_what_is_no_fault_compiles(compile: Compile, template: str) -> None:
    assert of_text(compile, template) == []
    Sandbox().from_string(template)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a\0b", "an invisible character (U+0000) is not allowed in prompts"),
        ("é {{ product }}".encode("utf-16"), "it is not UTF-8 text"),
        ("é {{ product }}".encode("latin-1"), "it is not UTF-8 text"),
        (b"a" * 300_000, "has more than 262,144 characters"),
        (b"a" * 10_000_000, "it is larger than 4 MiB"),
    ],
)
def test_an_included_file_that_is_no_text_is_a_fault_at_its_place(
    compile: Compile, tmp_path: Path, content: bytes, problem: str
) -> None:
    folder = tmp_path / "p"
    folder.mkdir(exist_ok=True)
    (folder / "b.j2").write_bytes(content)
    [(place, _, message)] = found(compile, SPEC + FILE, {"p/a.j2": "a\n{% include 'b.j2' %}"})
    assert problem in message
    assert place.startswith(("p/b.j2:1:", "p/a.j2:2:"))


def test_an_include_follows_no_link_out_of_the_folder(compile: Compile, tmp_path: Path) -> None:
    (tmp_path / "secret.j2").write_text("secret")
    (tmp_path / "p").mkdir(exist_ok=True)
    (tmp_path / "p" / "b.j2").symlink_to(tmp_path / "secret.j2")
    [(place, code, message)] = found(compile, SPEC + FILE, {"p/a.j2": "a\n{% include 'b.j2' %}"})
    assert (place, code) == ("p/a.j2:2:13", "missing-file")
    assert message == "cannot read 'b.j2': it is outside the template's folder"


def test_an_include_of_a_circle_of_links_is_a_fault_at_the_include(compile: Compile, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir(exist_ok=True)
    (tmp_path / "p" / "b.j2").symlink_to("b.j2")
    [(place, code, message)] = found(compile, SPEC + FILE, {"p/a.j2": "a\n{% include 'b.j2' %}"})
    assert (place, code) == ("p/a.j2:2:13", "missing-file")
    assert message.startswith("cannot read 'b.j2': ")


def test_no_template_of_an_untrusted_spec_is_rendered(compile: Compile) -> None:
    text = ORDERS + INLINE + "      {% for o in orders %}{{ o.nmae }}{% endfor %}\n"
    assert [fault.code for fault in compile(text).diagnostics] == ["undefined-variable"]
    assert not compile(text, untrusted=True).diagnostics


def _written(text: str, line: int) -> Source:
    return Source(text, "victor.yml", line, 0, Span("victor.yml", line, 1, line, 2), ("contributors", line, "template"))


def test_a_text_that_is_repeated_is_parsed_once() -> None:
    templates = Templates(Files(), Included())
    first, second = (read_family(_written("{{ a }}", line), templates) for line in (1, 2))
    assert first.templates[""].tree is second.templates[""].tree
    assert [family.templates[""].source.line for family in (first, second)] == [1, 2]


def test_more_templates_than_can_be_checked_are_one_fault_at_the_first_that_is_too_many() -> None:
    templates = Templates(Files(), Included(), parts_left=30)
    found = [read_family(_written(f"{{{{ a{line} }}}}", line), templates).faults for line in range(1, 5)]
    assert [[fault.code for fault in faults] for faults in found[:2]] == [[], ["too-large"]]
    assert found[1] == found[2] == found[3]
    assert found[1][0].span.line == 2


def test_a_tenant_that_takes_away_a_name_gets_its_faults_and_others_are_not_checked_again(compile: Compile) -> None:
    tenants = "{a: {with: {vars: {on: null}}}, b: {with: {vars: {n: null}}}}"
    text = f"{SPEC}unknown_tenants: base\ntenants: {tenants}\n{INLINE}      {{{{ product | upper }}}} {{{{ n }}}}\n"
    (fault,) = compile(text).diagnostics
    assert (fault.code, fault.path[:2]) == ("undefined-variable", ("tenants", "b"))


def test_an_include_with_a_nul_is_a_fault_at_the_include(compile: Compile) -> None:
    [(place, code, _)] = found(compile, SPEC + FILE, {"p/a.j2": "a\n{% include 'b\\0' %}"})
    assert (place, code) == ("p/a.j2:2:1", "missing-file")
