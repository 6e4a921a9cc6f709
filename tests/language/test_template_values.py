"""What templates see of values: keys before methods, nothing of Python in a prompt, and what is not set is undefined."""

from __future__ import annotations

from typing import Any

import pytest
from jinja2.exceptions import SecurityError, TemplateError, UndefinedError

from victor_dsl.language.sandbox import NO_TENANT, NO_USER, Sandbox
from victor_dsl.language.sandbox import render as render_template
from victor_dsl.language.template import METHODS
from victor_dsl.language.template_undefined import plain
from victor_dsl.values.frozen import freeze
from victor_dsl.values.settings import Settings

METHOD_NAMES = sorted({name for of in (dict, list, str) for name in dir(of) if not name.startswith("_")})
VALUES: dict[str, Any] = {
    **freeze(
        {
            "order": {"items": ["a", "b"], "keys": 1, "get": 3, "n": 1},
            "all": dict.fromkeys(METHOD_NAMES, "mine"),
            "lang": "en",
            "tags": ["x"],
            "brand": {"name": "Acme"},
            "holes": ["a", None],
            "infinite": float("inf"),
        }
    ),
    "settings": Settings(model="main", stop=("END",)),
    "session": "s1",
    "user": NO_USER,
    "tenant": NO_TENANT,
}


def render(text: str) -> str:
    return render_template(Sandbox().from_string(text), VALUES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ order.items }} {{ order.keys }} {{ order.get }} {{ order['items'][0] }}", "['a', 'b'] 1 3 a"),
        ("{% for i in order.items %}{{ i }}{% endfor %}", "ab"),
        ("{% for k, v in order.items() %}{{ k }} {% endfor %}{{ order.get('n') }}", "items keys get n 1"),
        ("{% for k in order.keys() %}{{ k }} {% endfor %}{{ order.values() | length }}", "items keys get n 4"),
        ("{% for k in order | items %}{{ k[0] }} {% endfor %}", "items keys get n "),
        ("{{ [order] | map(attribute='items') | first }}", "['a', 'b']"),
        ("{{ brand.get('nothing', 'else') }} {{ lang.upper() }} {{ tags.count('x') }}", "else EN 1"),
        (
            "{{ settings.model }} {{ settings.stop }} {{ settings['model'] }} {{ settings.threshold }}",
            "main ['END'] main 0.8",
        ),
        ("{{ settings.temperature | default(0.5) }} {{ settings.limits.concurrency | default('any') }}", "0.5 any"),
        ("{{ user | default('guest') }} {{ user or 'you' }} {{ tenant | d('all') }}", "guest you all"),
        ("{% if user %}a{% else %}b{% endif %}{% if settings.seed %}a{% else %}b{% endif %}", "bb"),
        ("{{ user is defined }} {{ user is none }} {{ user == none }} {{ user != none }}", "False True True False"),
        ("{{ user == 'ann' }} {{ tenant in ['a', 'b'] }} {{ tenant != 'a' }}", "False False True"),
        ("{{ 'for ' ~ user if user else 'for you' }}{{ ' twice' if user }}", "for you"),
        ("{{ holes | tojson }} {{ holes | map('default', 'b', true) | join }}", '["a", null] ab'),
        ("{{ range(2) | list }} {{ dict(a=1) }} {{ brand | items | list }}", "[0, 1] {'a': 1} [('name', 'Acme')]"),
        ("{{ true }} {{ 1.5 }} {{ [1, 'a', true] }} {{ brand }}", "True 1.5 [1, 'a', True] {'name': 'Acme'}"),
        ("{{ 'a\nb' | indent(100) | length }} {{ [1] | tojson(indent=8) | length }}", "103 13"),
    ],
)
def test_a_template_reads_values(text: str, expected: str) -> None:
    assert render(text) == expected


@pytest.mark.parametrize("name", METHOD_NAMES)
def test_a_key_comes_before_every_method(name: str) -> None:
    assert (
        render(f"{{{{ all.{name} }}}}{{{{ all['{name}'] }}}}{{{{ [all] | map(attribute='{name}') | join }}}}")
        == "mine" * 3
    )


@pytest.mark.parametrize("value", ["brand", "tags", "lang", "order.n", "true", "1.5", "''", "[]"])
@pytest.mark.parametrize("name", METHOD_NAMES)
def test_no_method_is_written_into_a_prompt(value: str, name: str) -> None:
    for text in (f"{{{{ ({value}).{name} }}}}", f"{{{{ [{value}.{name}] }}}}", f"{{{{ ({value})['{name}'] ~ '' }}}}"):
        with pytest.raises((SecurityError, UndefinedError)) as caught:
            render(text)
        assert "object" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ lang.upper }}", "'upper' is a method of text: call it, `.upper(…)`"),
        ("{{ tags.count }}", "'count' is a method of a list: call it"),
        ("{{ brand.items }}", "'items' is a method of a map: call it, `.items(…)`; or write `['items']` for a key"),
        ("{% for i in brand.items %}{% endfor %}", "'items' is a method of a map"),
        ("{% if brand.keys %}{% endif %}", "'keys' is a method of a map"),
        ("{{ brand.items() }}", "this is a sequence, not a text; write `| join(', ')` or `| list`"),
        ("{{ tags | map('upper') }}", "this is a sequence"),
        ("{{ range(3) }}", "this is a sequence"),
        ("{{ range }}", "this is a function or a part of the template"),
        ("{{ dict }}{{ namespace }}", "this is a function"),
        ("{% set n = namespace(a=1) %}{{ n }}", "a part of the template"),
        ("{{ self }}", "a part of the template"),
        ("{% for i in tags %}{{ loop }}{% endfor %}", "not a text"),
        ("{% for i in tags recursive %}{{ loop.cycle }}{% endfor %}", "not a text"),
        ("{% macro m() %}x{% endmacro %}{{ m }}", "'m' is a macro; call it: `{{ m(…) }}`"),
        ("{% macro m() %}x{% endmacro %}{{ m | upper }}{{ [m] }}", "'m' is a macro"),
        ("{% macro m() %}{{ caller }}{% endmacro %}{% call m() %}x{% endcall %}", "'caller' is a macro"),
        ("{{ settings }}", "a group of settings is not text; name one setting, such as `settings.model`"),
        ("{{ settings.limits }}", "a group of settings is not text"),
        ("{{ settings | tojson }}", "a group of settings is not text"),
        ("{{ '%s' | format(settings) }}", "a group of settings is not text"),
        ("{{ 'a' ~ settings }}", "a group of settings is not text"),
        ("{{ settings | string }}", "a group of settings is not text"),
        ("{{ settings.temprature }}", "settings have no 'temprature'; did you mean 'temperature'?"),
        ("{{ settings.limits.concurency }}", "did you mean 'concurrency'?"),
        ("{{ settings.model_dump() }}", "settings have no 'model_dump'"),
        ("{{ settings.temperature }}", "the setting 'temperature' is not set"),
        ("{{ settings.limits.tools.allow }}", "the setting 'tools' is not set"),
        ("{{ none }}", "there is a null, not text"),
        ("{{ none | upper }}", "there is a null"),
        ("{{ holes }}", "there is a null"),
        ("{{ holes | join }}", "there is a null"),
        ("{{ brand.get('nothing') }}", "there is a null"),
        ("{{ user }}", "this turn has no user; write `{% if user %}` or `user | default('…')`"),
        ("{{ user | upper }}", "this turn has no user"),
        ("{{ user ~ '!' }}", "this turn has no user"),
        ("{{ user.name }}", "this turn has no user"),
        ("{{ user | tojson }}", "this turn has no user"),
        ("{% for u in user %}{% endfor %}", "this turn has no user"),
        ("{{ tenant }}", "this turn has no tenant"),
        ("{{ [tenant] }}", "this turn has no tenant"),
        ("{{ session.id }}", "text has no 'id'"),
        ("{{ brand.nmae }}", "there is no key 'nmae'; did you mean 'name'? keys: name"),
        ("{{ brand['nmae'] }}", "there is no key 'nmae'; did you mean 'name'?"),
        ("{{ tags[5] }}", "there is no item 5: there are 1"),
        ('{{ ", ".join(tags) }}', "templates have no `.join` of text; write `items | join(', ')`"),
        ('{{ "{}".format(1) }}', "templates have no `.format` of text; write `'%s' | format(value)`"),
        ("{{ tags.append('y') }}", "templates have no `.append` of a list"),
        ("{{ brand.update({}) }}", "templates have no `.update` of a map"),
        ("{{ lang() }}", "text cannot be called"),
        ("{{ lang + 1 }}", "can only concatenate text (not a number) to text"),
        ("{{ brand + 1 }}", "a map and a number"),
        ("{{ lang < 1 }}", "'<' not supported between instances of text and a number"),
        ("{% for x in 5 %}{% endfor %}", "a number is not iterable"),
        ("{{ lang | round }}", "a value does not fit"),
        ("{{ 'foo' | replace('o', 42) }}", "replace takes two texts: `replace('old', 'new')`"),
        ("{{ 'foo' | replace(1, '2') }}", "replace takes two texts"),
        ("{{ lang | indent(101) }}", "indents by more than 100 spaces"),
        ("{{ lang | indent(1.5) }}", "indent takes a number of spaces"),
        ("{{ tags | tojson(indent=9) }}", "tojson indents by 0 to 8 spaces"),
        ("{{ tags | tojson(indent=-1) }}", "tojson indents by 0 to 8 spaces"),
        ("{{ infinite | tojson }}", "JSON has no infinity and no NaN"),
        ("{{ [[infinite - infinite]] | tojson }}", "JSON has no infinity and no NaN"),
    ],
)
def test_nothing_of_python_is_written_into_a_prompt(text: str, message: str) -> None:
    with pytest.raises((TemplateError, TypeError)) as caught:
        render(text)
    assert message in plain(caught.value)
    for name in ("FrozenMap", "FrozenList", "'str'", "'int'", "'dict'", "object at 0x"):
        assert name not in plain(caught.value)


def test_the_methods_of_templates_exist() -> None:
    for of, methods in METHODS:
        for kind in of if isinstance(of, tuple) else (of,):
            assert all(hasattr(kind, name) for name in methods)
