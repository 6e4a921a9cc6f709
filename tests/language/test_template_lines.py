"""White space around tags: lines of tags vanish, and everything else is as Jinja2's defaults have it."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jinja2 import Environment, TemplateSyntaxError

from victor_dsl.language.sandbox import Sandbox, render

VALUES = {"rules": ["a", "b"], "yes": True, "no": False, "x": "X"}


def ours(text: str) -> str:
    return render(Sandbox().from_string(text), VALUES)


def jinja(text: str) -> str:
    return Environment(autoescape=False).from_string(text).render(VALUES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Rules:\n{%- for r in rules %}\n- {{ r }}\n{%- endfor %}\nEnd.", "Rules:\n- a\n- b\nEnd."),
        ("Rules:\n{% for r in rules %}\n- {{ r }}\n{% endfor %}\nEnd.", "Rules:\n- a\n- b\nEnd."),
        ("a\n  {% if yes %}\n  b\n  {% endif %}\nc", "a\n  b\nc"),
        ("a\n{# note #}\nb", "a\nb"),
        ("a\n{# a note\n  of two lines #}  \nb", "a\nb"),
        ("a\n {% if yes %} {# why #}\t{% if yes %} \nb\n{% endif %}{% endif %}\nc", "a\nb\nc"),
        ("a\n{% if\n  yes\n%}\nb\n{% endif %}", "a\nb\n"),
        ("a\r\n{% if yes %}\r\nb\r\n{% endif %}\r\nc", "a\nb\nc"),
        ("{% raw %}\n{{ x }}\n{% endraw %}\nb", "{{ x }}\nb"),
        ("a {% if yes %}\n b{% endif %}\nc", "a \n b\nc"),
        ("{% if yes %}b{% endif %}\nc", "b\nc"),
        ("a\n{% if yes %}{{ x }}\n{% endif %}b", "a\nX\nb"),
        ("a\n{%+ if yes %}\nb\n{% endif +%}\nc", "a\n\nb\n\nc"),
        ("a\n{% if yes -%}\n  b\n{% endif %}\nc", "a\nb\nc"),
        ("a\n  {% if yes %}\n  {%- if yes %}b{% endif %}{% endif %}", "a\nb"),
        ("a\n  {% if yes %}\n{{- x }}\n{% endif %}\nc", "a\nX\nc"),
        ("a\n{{ x }}\n{%- if no %}\n{% endif %}\nc", "a\nXc"),
        ("{% if yes %}\n{% endif %}\n\n\nc", "\n\nc"),
        ("{% set y = '{% if %}' %}\n{{ y }}", "{% if %}"),
        ("{#- a -#}  \n  b", "b"),
        ("a\n{##}\nb", "a\nb"),
    ],
)
def test_lines_that_hold_only_tags_vanish(text: str, expected: str) -> None:
    assert ours(text) == expected


SIGNS = st.sampled_from(["", "-", "+"])


@st.composite
def tags(draw: st.DrawFn, *, signed: bool | None = None) -> str:
    """A tag that stands alone: a comment, a `set`, an `if` with its end, or the same with signs."""
    signs = SIGNS if signed is None else st.just("") if not signed else st.sampled_from("-+")
    begin, end = draw(signs), draw(signs)
    inner = draw(st.sampled_from(["", "\n", " "]))
    return draw(
        st.sampled_from(
            [
                f"{{#{begin} note {inner}{end}#}}",
                f"{{%{begin} set y ={inner} 1 {end}%}}",
                f"{{%{begin} if yes{inner} {end}%}}{{%{begin} endif {end}%}}",
                f"{{%{begin} for r in{inner} rules {end}%}}{{%{begin} endfor {end}%}}",
            ]
        )
    )


TEXTS = st.text("ab \t", min_size=1, max_size=4)
CONTENT = st.one_of(
    st.sampled_from(["{{ x }}", "{{- x }}", "{{ x -}}", "{{ '{% if %}' }}", "word", "w{w", "w%}w", "é"])
)


@st.composite
def lines(draw: st.DrawFn) -> tuple[str, bool]:
    """A line, and whether it vanishes."""
    kind = draw(st.sampled_from(["tags", "signed", "mixed", "content", "blank"]))
    space = st.text(" \t", max_size=2)
    if kind == "tags":
        held = [draw(tags(signed=False)) for _ in range(draw(st.integers(1, 3)))]
        return draw(space) + draw(space).join(held) + draw(space), True
    if kind == "signed":
        held = [draw(tags(signed=True)), *draw(st.lists(tags(), max_size=2))]
        return draw(space) + draw(space).join(draw(st.permutations(held))) + draw(space), False
    if kind == "mixed":
        held = [draw(CONTENT), *draw(st.lists(tags(), min_size=1, max_size=2))]
        return draw(space) + draw(space).join(draw(st.permutations(held))) + draw(space), False
    return (draw(space) if kind == "blank" else draw(TEXTS) + draw(CONTENT)), False


@given(st.lists(lines(), max_size=7), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
@example([("{% if yes %}{% endif %}", True), ("  {{- x }}", False)], "\n", False)
def test_the_rest_is_as_jinja_has_it(written: list[tuple[str, bool]], end: str, closed: bool) -> None:
    """As the defaults of Jinja2 have it where nothing stands around the tags of the lines that vanish."""
    text = end.join(line for line, _ in written)
    pieces: list[str] = []
    for number, (line, vanishes) in enumerate(written):
        last = number == len(written) - 1
        pieces.append(re.sub(r"(?<=[%#]})\s+(?={[%#])", "", line.strip()) if vanishes else line + ("" if last else end))
    expected = Environment(autoescape=False, keep_trailing_newline=True).from_string("".join(pieces)).render(VALUES)
    assert ours(text + (end if closed or text.endswith(("\n", "\r")) else "")) == expected


@given(
    st.lists(
        st.sampled_from(
            ["{%", "%}", "{#", "#}", "{{", "}}", "-", "+", "\n", " ", "if yes", "endif", "raw", "endraw", "x", "a"]
        )
    )
)
def test_a_broken_template_is_a_syntax_error_as_for_jinja(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert fault(Sandbox(), text) == fault(Environment(autoescape=False), text)


def fault(environment: Environment, text: str) -> tuple[str | None, int] | None:
    try:
        environment.parse(text)
    except TemplateSyntaxError as error:
        return error.message, error.lineno
    return None


@given(st.lists(st.one_of(tags(signed=True), CONTENT, st.sampled_from(["\n", " "])), max_size=8))
def test_templates_without_such_lines_are_rendered_as_by_jinja(pieces: list[str]) -> None:
    assert ours("".join(pieces)) == jinja("".join(pieces))
