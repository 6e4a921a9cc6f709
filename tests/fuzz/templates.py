"""Searches for templates that `validate` accepts and no turn can compile, or whose rendering takes long or fails in an unknown way.

    python -m tests.fuzz.templates --count 100000

A grammar makes them, of every tag, filter, test, method and operator, on values that are large or nested in some way.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from random import Random

from jinja2 import TemplateError, TemplateSyntaxError

from tests.fuzz._running import random_of, run
from tests.language.hostile_templates import ARGUMENTS, OPERANDS
from victor_dsl.compiler.templates.family import read_family
from victor_dsl.compiler.templates.sources import Source, Templates
from victor_dsl.language.sandbox import Sandbox, render
from victor_dsl.language.template import MAP_METHODS, SEQUENCE_METHODS, TEXT_METHODS
from victor_dsl.language.template_filters import filters
from victor_dsl.language.template_tests import tests
from victor_dsl.source.located import Span
from victor_dsl.source.reader import Files, Included
from victor_dsl.values.frozen import freeze
from victor_dsl.values.settings import Settings

VALUES = {
    "text": "Acme Cloud",
    "items": freeze(["b", "a", 3, None, 2.5, True]),
    "rows": freeze([{"a": n, "b": {"a": [n]}} for n in range(9)]),
    "settings": Settings(temperature=0.3),
}
LEAVES = (
    *(
        "text",
        "items",
        "rows",
        "settings",
        "nothing",
        "loop",
        "ns.x",
        "ns",
        "range",
        "1",
        "0",
        "-1",
        "2.5",
        "1e300",
        "99999",
        "''",
    ),
    *(
        "'a'",
        "'ab ' * 9999",
        "'%s %d'",
        "'%(a)s'",
        "true",
        "none",
        "[]",
        "{}",
        "()",
        "range(99999)",
        "rows[0].b",
        "m",
        "'\\ud800'",
    ),
)
OPERATORS = ("+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", "in", "not in", "and", "or")
KNOWN = (
    *(TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError),
    AssertionError,  # of `truncate`, whose length is less than that of its end
)
"""What a turn turns into the clear error of its template; anything else would be an internal error."""
MOST_SECONDS = 1.0
"""CPU time of one rendering: ten times the slowest of a fast machine."""


class Grammar:
    """Templates by chance."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def template(self) -> str:
        """A template of one to five parts, with a large value and a macro to use."""
        made, name = self._random.choice(list(OPERANDS.values()))
        start = f"{made}{{% set big = {name} %}}{{% set ns = namespace(x=big) %}}{{% macro m(a, b=1) %}}{{{{ a }}}}{{% endmacro %}}"
        text = (start if self._random.random() < 0.7 else "") + self._body(3)
        if self._random.random() < 0.1:  # damaged
            at = self._random.randrange(len(text) + 1)
            text = (
                text[:at] + self._random.choice(("{{", "%}", "(", ")", "'", "|", "", "{% endfor %}")) + text[at + 1 :]
            )
        return text

    def _body(self, depth: int) -> str:
        return "".join(self._statement(depth) for _ in range(self._random.randint(1, 3)))

    def _statement(self, depth: int) -> str:
        if depth == 0 or self._random.random() < 0.3:
            return f"{{{{ {self._expression(3)} }}}}"
        body, one = self._body(depth - 1), self._expression(2)
        return self._random.choice(
            (
                f"{{% for i in {one} %}}{body}{{% else %}}-{{% endfor %}}",
                f"{{% for i in range(99999) if {one} %}}{body}{{% endfor %}}",
                f"{{% for i in range(99999) recursive %}}{body}{{{{ loop({one}) }}}}{{% endfor %}}",
                f"{{% if {one} %}}{body}{{% else %}}{body}{{% endif %}}",
                f"{{% set ns.x = {one} %}}{body}",
                f"{{% set text %}}{body}{{% endset %}}",
                f"{{% set a, b = {one} %}}{body}",
                f"{{% filter {self._random.choice(sorted(filters()))} %}}{body}{{% endfilter %}}",
                f"{{% macro f(x) %}}{body}{{{{ caller() }}}}{{{{ f(x) }}}}{{% endmacro %}}{{% call f({one}) %}}{body}{{% endcall %}}",
                f"{{% with big = {one} %}}{body}{{% endwith %}}",
                f"{{% block {self._random.choice('abcdefgh')} %}}{body}{{% endblock %}}",
            )
        )

    def _expression(self, depth: int) -> str:
        choose = self._random.choice
        if depth == 0 or self._random.random() < 0.2:
            return choose(("big", "i", *LEAVES))
        one, two = self._expression(depth - 1), self._expression(depth - 1)
        name = choose(sorted(filters()))
        arguments = choose((*ARGUMENTS.get(name, ("",)), "", f"({two})")).replace("X", two)
        test = choose([name for name in sorted(tests()) if name.isalpha()])
        method = choose((*TEXT_METHODS, *MAP_METHODS, *SEQUENCE_METHODS, "__class__", "format", "append"))
        return choose(
            (
                f"({one} | {name}{arguments})",
                f"({one} | {name}{arguments})",
                f"({one} is {test}({two}))",
                f"({one} is not {test})",
                f"({one}).{method}({choose(('', two))})",
                f"({one} {choose(OPERATORS)} {two})",
                f"({one} {choose(OPERATORS)} {two})",
                f"[{one}, {two}]",
                f"{{{one}: {two}}}",
                f"({one}, {two})",
                f"({one})[{choose((two, '1:', '::-1', ':' + two))}]",
                f"({one} if {two})",
                f"m({one}, *{two})",
                f"dict([[{one}, {two}]])",
            )
        )


def search(numbers: Iterable[int], seed: int = 0) -> Counter[str]:
    """Makes, checks and renders a template for each number; how often each ending came up."""
    endings = Counter[str]()
    for number in numbers:
        text = Grammar(random_of(number, seed)).template()
        try:
            endings[_ending(text)] += 1
        except Exception as error:
            raise AssertionError(f"template {number} of seed {seed}:\n{text}") from error
    return endings


def _ending(text: str) -> str:
    place = Span("s.yml", 1, 1, 1, 2)
    faults = read_family(Source(text, "s.yml", 1, 0, place, ("contributors", 0)), Templates(Files(), Included())).faults
    try:
        template = Sandbox().from_string(text)
    except TemplateSyntaxError:
        assert faults, "validate accepts what no turn can compile"
        return "no template"
    assert not faults, faults
    began = time.thread_time()
    try:
        render(template, VALUES)
    except KNOWN as error:
        ending = type(error).__name__
    else:
        ending = "rendered"
    assert time.thread_time() - began < MOST_SECONDS, "it takes too long"
    return ending


if __name__ == "__main__":
    run(search, __doc__)
