"""What templates can do, and what they cannot."""

from typing import Any

import pytest
from jinja2 import DictLoader
from jinja2.exceptions import SecurityError, TemplateError, UndefinedError

from victor_dsl.language.sandbox import Sandbox
from victor_dsl.language.sandbox import render as render_template
from victor_dsl.language.template_work import MOST_CHARACTERS
from victor_dsl.values.frozen import freeze
from victor_dsl.values.settings import Settings

VALUES: dict[str, Any] = {
    "product": "Acme Cloud",
    "items": ["b", "a"],
    "price": 2.5,
    "nested": {"deep": {"er": "found"}, "list": [{"n": 1}, {"n": 2}]},
    "settings": Settings(temperature=0.3),
    "tenant": None,
}


def render(text: str) -> str:
    return render_template(Sandbox().from_string(text), VALUES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("You help users of {{ product }}.", "You help users of Acme Cloud."),
        ("{{ nested.deep.er }} {{ nested['deep']['er'] }}", "found found"),
        ("{{ settings.temperature }}", "0.3"),
        ("{% if tenant %}no{% else %}yes{% endif %}", "yes"),
        ("{% for i in items | sort %}{{ loop.index }}{{ i }}{{ ',' if not loop.last }}{% endfor %}", "1a,2b"),
        ("{{ items | join(', ') }} {{ product ~ '!' ~ 7 }}", "b, a Acme Cloud!7"),
        ("{{ '%.2f' | format(price) }} {{ '%s-%s' % ('a', 'b') }} {{ 10 % 3 }}", "2.50 a-b 1"),
        ("{{ nested.list | map(attribute='n') | sum }}", "3"),
        ("{{ nested.list | tojson }}", '[{"n": 1}, {"n": 2}]'),
        ("{{ '<b> & é' | tojson }} {{ '<b>' }}", '"<b> & é" <b>'),
        ("{{ 'a\nb' | indent(2) }} {{ product | replace('Acme', 'Big') | upper }}", "a\n  b BIG CLOUD"),
        ("{% macro hi(n) %}hi {{ n }}{% endmacro %}{{ hi('you') }}", "hi you"),
        ("{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}x{% endcall %}", "<x>"),
        ("{% set ns = namespace(n=0) %}{% for i in range(3) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", "3"),
        ("{% if true %}\na\n{% endif %}\nb", "a\nb"),
        ("{% for i in [1, [2, [3]]] recursive %}{{ loop(i) if i is iterable else i }}{% endfor %}", "123"),
        (
            "{{ items * 2 }} {{ 2 ** 8 }} {{ 'ab' * 2 }} {{ product.split() }}",
            "['b', 'a', 'b', 'a'] 256 abab ['Acme', 'Cloud']",
        ),
    ],
)
def test_a_template_does_what_people_know(text: str, expected: str) -> None:
    assert render(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "{{ missing }}",
        "{{ nested.missing }}",
        "{{ missing.deeper }}",
        "{% if missing %}{% endif %}",
        "{% for i in missing %}{% endfor %}",
        "{{ missing ~ 'a' }}",
        "{{ [missing] | join }}",
        "{{ settings.missing }}",
    ],
)
def test_a_name_that_is_not_there_is_an_error(text: str) -> None:
    with pytest.raises(UndefinedError):
        render(text)


@pytest.mark.parametrize(
    "text",
    [
        # Attributes of Python's own machinery
        "{{ ''.__class__ }}",
        "{{ ''['__class__'] }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ ().__class__.__bases__[0] }}",
        "{{ settings.__class__.__init__.__globals__ }}",
        "{{ settings.__init__.__globals__['os'] }}",
        "{{ range.__init__ }}",
        "{{ namespace.__init__.__globals__ }}",
        "{{ dict.__base__ }}",
        "{{ self.__init__.__globals__ }}",
        "{{ self._TemplateReference__context }}",
        "{% macro m() %}{% endmacro %}{{ m._func.__globals__ }}",
        "{% macro m() %}{% endmacro %}{{ m.__init__ }}",
        "{% for i in items %}{{ loop.__init__.__globals__ }}{% endfor %}",
        "{{ (items | map('upper')).gi_frame }}",
        # Globals that hand over more than they seem to
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ joiner.__init__.__globals__ }}",
        "{{ lipsum.__globals__['os'].popen('id').read() }}",
        "{{ url_for.__globals__ }}",
        "{{ config }}",
        # CVE-2016-10745: str.format
        "{{ '{0.__class__.__mro__}'.format('') }}",
        # CVE-2019-10906: str.format_map
        "{{ '{a.__class__.__mro__}'.format_map({'a': ''}) }}",
        # CVE-2024-56326: a reference to str.format, called by something else
        "{{ ['{0.__class__}'] | map('format', '') | first }}{{ '{0.__class__}' | attr('format') }}",
        "{% set f = '{0.__class__}'.format %}{{ f('') }}",
        "{% macro m() %}{{ caller(1) }}{% endmacro %}{{ dict(f='{0.__class__}'.format).f('') }}",
        # CVE-2025-27516: the attr filter
        "{{ '{0.__class__.__mro__}' | attr('format')('') }}",
        "{{ '' | attr('__class__') }}",
        "{{ ['a'] | map('attr', '__class__') | list }}",
        "{{ ['a'] | map(attribute='__class__') | list }}",
        "{{ [''] | selectattr('__class__') | list }}",
        "{{ [''] | groupby('__class__') }}",
        "{{ [''] | sort(attribute='__class__.__name__') }}",
        "{{ ['a'] | join(attribute='__class__') }}",
        # What is given cannot be changed
        "{{ nested.update({'a': 1}) }}",
        "{{ items.append('c') }}",
        "{{ nested.list.clear() }}",
        "{{ nested.pop('deep') }}",
        # What is random renders no two prompts alike
        "{{ items | random }}",
        # Nothing is loaded
        "{% include 'other' %}",
        "{% import 'os' as os %}",
        "{% extends '/etc/passwd' %}",
    ],
)
def test_no_template_gets_out_of_its_sandbox(text: str) -> None:
    before = repr(VALUES)
    with pytest.raises((TemplateError, TypeError)):
        render(text)
    assert repr(VALUES) == before


@pytest.mark.parametrize(
    "text",
    [
        "{% for i in range(100000000) %}{% endfor %}",
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{% for i in range(99999) %}{{ i }}{% endfor %}",
        "{% macro f(n) %}{{ f(n + 1) }}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
        "{% for i in [1] recursive %}{{ loop([1, 1]) }}{% endfor %}",
        "{% for i in range(60000) %}{{ range(99999) | sum }}{% endfor %}",
        "{{ 'a' * 10000000000 }}",
        "{{ 10000000000 * 'a' }}",
        "{{ [1] * 10000000000 }}",
        "{{ 9 ** 99999 }}",
        "{% set ns = namespace(n=2) %}{% for i in range(99) %}{% set ns.n = ns.n * ns.n %}{% endfor %}",
        "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | tojson }}",
        "{% set ns = namespace(x='a') %}{% for i in range(9) %}{% set ns.x = ns.x | replace('a', 'a' * 99999) %}{% endfor %}",
        "{{ ('a' * 1000000) | replace('', 'b' * 1000000) }}",
        "{{ range(99999) | join('a' * 1000000) }}",
        "{{ '%1000000000d' | format(1) }}",
        "{{ '%*d' | format(1000000000, 1) }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ ('%(a)s' * 100000) | format(a='b' * 1000000) }}",
        "{{ ('\n' * 1000000) | indent(100, blank=true) }}",
        "{{ 'a' | center(1000000000) }}",
        "{{ 'a'.center(1000000000) }}",
        "{{ 'a'.zfill(1000000000) }}",
        "{{ [] | slice(1000000000) | list }}",
        "{{ 'a' * 900000 }}{{ 'a' * 900000 }}",
    ],
)
def test_no_template_takes_the_process_down(text: str) -> None:
    with pytest.raises((TemplateError, OverflowError, RecursionError)):
        render(text)


def test_a_text_of_the_most_characters_is_fine() -> None:
    assert len(render(f"{{{{ 'a' * {MOST_CHARACTERS} }}}}")) == MOST_CHARACTERS


def test_each_rendering_has_all_its_work() -> None:
    loop = "{% for i in range(40000) %}{{ i }}{% endfor %}"
    template = Sandbox().from_string(loop)
    for _ in range(3):
        render_template(template, {})
    with pytest.raises(SecurityError, match="takes more than 200,000 units of work: loop over fewer items"):
        render(loop + loop)


class _Counted(str):
    """A text that counts how often it is written."""

    __slots__ = ()
    written = 0

    def __str__(self) -> str:
        type(self).written += 1
        return self[:]


def test_a_text_is_rendered_anew_only_for_other_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Counted, "written", 0)
    template = Sandbox().from_string("{{ name }} {{ (more | default(0)) }}")
    values = {"name": _Counted("Acme"), "other": 1}
    assert [render_template(template, values | {"other": n}) for n in range(3)] == ["Acme 0"] * 3
    assert _Counted.written == 1
    assert render_template(template, values | {"more": 1}) == "Acme 1"
    assert render_template(template, values | {"more": 2}) == "Acme 2"
    assert render_template(template, values) == "Acme 0"
    assert render_template(template, values | {"name": "Acme"}) == "Acme 0"
    assert _Counted.written == 4


@pytest.mark.parametrize("fixed", [False, True])
def test_a_text_made_of_what_can_change_is_rendered_anew(fixed: bool) -> None:
    template = Sandbox().from_string("{{ items | join(', ') }}")
    items: list[str] = ["a"]
    value = freeze(items) if fixed else items
    assert render_template(template, {"items": value}) == "a"
    items.append("b")
    assert render_template(template, {"items": value}) == ("a" if fixed else "a, b")


def test_the_names_of_an_included_template_count_too() -> None:
    included = Sandbox(DictLoader({"a": "{{ name }}"}))
    template = included.from_string("{% include 'a' %}")
    assert [render_template(template, {"name": name}) for name in ("x", "y", "y")] == ["x", "y", "y"]
