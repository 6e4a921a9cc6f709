"""Templates that try to take time or memory: every filter, test, operator and method on values that are large in some way.

    python -m tests.language.hostile_templates

Each is rendered once alone and once in a loop that ends only at a bound. Prints the slowest and the largest.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import define
from jinja2 import DictLoader

from victor_dsl.language.sandbox import Sandbox, render
from victor_dsl.language.template import TEXT_METHODS
from victor_dsl.language.template_filters import filters
from victor_dsl.language.template_tests import tests

_GROW = "{{% set ns = namespace(x={first}) %}}{{% for i in range({times}) %}}{{% set ns.x = {next} %}}{{% endfor %}}"
_NAMES = "".join(f"{{%set a{number}=1%}}" for number in range(1000))
_LETTERS = "abcdefghijklmnopqrstuvwxyz"

OPERANDS: Mapping[str, tuple[str, str]] = {
    "doubled lists": (_GROW.format(first="['a']", times=26, next="[ns.x, ns.x]"), "ns.x"),
    "doubled tuples": (_GROW.format(first="('a',)", times=60, next="(ns.x, ns.x)"), "ns.x"),
    "doubled maps": (_GROW.format(first="{'a': 1}", times=26, next="{'a': ns.x, 'b': ns.x}"), "ns.x"),
    "deep tuples": (_GROW.format(first="()", times=9999, next="(ns.x,)"), "ns.x"),
    "deep lists": (_GROW.format(first="[]", times=90, next="[ns.x]"), "ns.x"),
    "wide list": ("{% set x = [1, 'b', 'a'] * 30000 %}", "x"),
    "rows": ("{% set x = [{'a': 'b', 'n': 1}, {'a': 'a', 'n': 2}] * 5000 %}", "x"),
    "map": ("{% set x = dict(range(9999) | map('string') | map('list')) %}", "x"),
    "long text": ("{% set x = 'ab ' * 300000 %}", "x"),
    "text of pairs": ("{% set x = 'ab' * 7500 + 'c' + 'ab' * 7000 %}", "x"),
    "lines": ("{% set x = '\n' * 200000 %}", "x"),
    "wide characters": ("{% set x = '\U0001f600' * 1000000 %}", "x"),
    "long texts": ("{% set x = ['a' * 1000000] * 99999 %}", "x"),
    "numbers": ("{% set x = range(99999) %}", "x"),
    "lazy texts": ("{% set x = range(99999) | map('string') %}", "x"),
    "large number": ("{% set x = 9 ** 3000 %}", "x"),
    "captured": ("{% set x %}{% for i in range(99999) %}{{ 'a' * 1000 }}{% endfor %}{% endset %}", "x"),
}
"""Values: what makes each, and its name."""

ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "default": ("(X)",),
    "dictsort": ("", "(by='value')"),
    "format": ("(X)", "(*[1] * 99999)"),
    "groupby": ("('a')", "(0)"),
    "indent": ("(100, true, true)", "(X)"),
    "int": ("(0, 16)", "(0, 36)"),
    "join": ("", "(X)"),
    "map": ("('upper')", "(attribute='a')", "('replace', 'a', X)", "(attribute='a.a.a')", "('default', X)"),
    "max": ("", "(attribute='a')"),
    "reject": ("('equalto', X)",),
    "rejectattr": ("('a', 'equalto', X)",),
    "replace": ("('a', X)", "(X, 'a')", "('', 'b' * 1000)", "('a', 'b' * 1000)"),
    "round": ("(-100000000)", "(300, 'ceil')"),
    "select": ("('in', X)", "('string')"),
    "selectattr": ("('a')",),
    "sort": ("", "(attribute='a')", "(case_sensitive=true, reverse=true)"),
    "sum": ("", "(start=[])", "(start=())", "(attribute='n')"),
    "tojson": ("", "(indent=8)"),
    "trim": ("", "(X)"),
    "truncate": ("(999999)", "(20, false, X)"),
    "unique": ("", "(attribute='a')"),
}
_BINARY = frozenset(
    {
        "divisibleby",
        "in",
        "sameas",
        *["==", "!=", "<", "<=", ">", ">=", "eq", "equalto", "ge", "greaterthan", "gt", "le", "lessthan", "lt", "ne"],
    }
)
OPERATORS = (
    *(
        "X == Y",
        "X != Y",
        "X < Y",
        "X in Y",
        "'b' in X",
        "[X] in [Y, Y]",
        "X not in Y",
        "X + Y",
        "X * 2",
        "X * 99999",
        "X - Y",
        "X % 7",
    ),
    *(
        "X // 7",
        "X / 7",
        "X ** 2",
        "X ** X",
        "X ~ Y",
        "[X, Y, X]",
        "{X: 1}",
        "{(X, 1): 1}",
        "X[1:]",
        "X[::-1]",
        "X[X]",
        "{}[(X,)]",
    ),
    *(
        "'%s %s' % (X, X)",
        "'%(a)s' % {'a': X}",
        "('%(a)999d' * 9999) % {'a': 1}",
        "X is defined",
        "dict(a=X, b=X)",
        "-X",
        "not X",
    ),
    *(
        "1 < X < Y",
        "range(X | length)",
        "dict([[X, X]])",
        "namespace(a=X)",
        "X if X else X",
        "X and Y",
        "1 if X > [X] else 2",
    ),
)
CALLS = ("get(Y)", "items()", "keys()", "keys() - Y.keys()", "values()", "count(Y)", "index(Y)", "index([Y])")
TEXT_CALLS = ("", "X", "'a'", "'ab' * 50 + 'c'", "'c' + 'ab' * 6000")

WHOLE: Mapping[str, str] = {
    "loops": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "wide bodies": "{% for i in range(99999) %}" + "{{ i }}" * 1000 + "{% endfor %}",
    "long bodies": "{% set x %}{% for i in range(99999) %}" + "a" * 99999 + "{% endfor %}{% endset %}",
    "loops that pass nothing": "{% for i in range(99999) %}{% for j in range(99999) if false %}{% endfor %}{% endfor %}",
    "loops that test": "{% for i in range(99999) if ('a' * 99999) is upper %}{% endfor %}",
    "captures": "{% for j in range(99999) %}{% set x %}{% for i in range(49999) %}{{ 'a' * 1000000 }}{% endfor %}{% endset %}{% endfor %}",
    "filter blocks": "{% for j in range(99999) %}{% filter upper %}{{ 'a' * 1000000 }}{% endfilter %}{% endfor %}",
    "calls": "{% macro m() %}{{ caller() * 1000 }}{% endmacro %}{% for j in range(99999) %}{% call m() %}aaa{% endcall %}{% endfor %}",
    "macros of themselves": "{% macro f(n) %}{{ f(n + 1) }}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
    "macros twice": "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(40) }}",
    "many arguments": "{% macro m() %}{{ varargs | length }}{% endmacro %}{% for j in range(99999) %}{{ m(*range(99999)) }}{% endfor %}",
    "recursive loops": "{% for i in [1] recursive %}{{ loop([1, 1]) }}{% endfor %}",
    "changed": "{% set x = [['a'] * 9] * 999 %}{% for i in range(99999) %}{{ loop.changed(x + [i]) }}{% endfor %}",
    "cycle": "{% for i in range(99999) %}{{ loop.cycle('a' * 99999, 'b') }}{% endfor %}",
    "lengths of loops": "{% for j in range(99999) %}{% for i in range(99999) | map('string') %}{{ loop.length }}{% endfor %}{% endfor %}",
    "blocks": "{% block a %}aaaa{% endblock %}{% for i in range(99999) %}{{ self.a() }}{% endfor %}",
    "blocks of themselves": "{% block a %}{{ self.a() }}{{ self.a() }}{% endblock %}",
    "includes": "{% for i in range(99999) %}{% include 'leaf' %}{% endfor %}",
    "includes that fork": "{% include 'n0' %}",
    "an include of itself": "{% include 'itself' %}",
    "imports": "{% for i in range(99999) %}{% import 'leaf' as x with context %}{{ x.m() }}{% endfor %}",
    "imported macros": "{% from 'leaf' import m %}{% for i in range(99999) %}{{ m() }}{% endfor %}",
    "a parent of itself": "{% extends 'child' %}",
    "joins of joins": "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    "kept texts": "{% set ns = namespace(x=[]) %}{% for i in range(99999) %}{% set ns.x = ns.x + ['a' * 99999 ~ i] %}{% endfor %}",
    "kept lists": "{% set ns = namespace(x=[]) %}{% for i in range(99999) %}{% set ns.x = [ns.x, [0] * 9999] %}{% endfor %}",
    "kept pieces": "{% set ns = namespace(x=()) %}{% for i in range(99999) %}{% set ns.x = (ns.x, ('abc ' * 999).split()) %}{% endfor %}",
    "lazy towers": "{% set ns = namespace(x=range(9999)) %}{% for i in range(500) %}{% set ns.x = ns.x | map('string') %}{% endfor %}{{ ns.x | list | length }}",
    "numbers": "{% set ns = namespace(n=2) %}{% for i in range(99) %}{% set ns.n = ns.n * ns.n %}{% endfor %}",
    "stripped texts": "{{ ('a' * 1000000).strip('b' * 999999 ~ 'a') | length }}",
    "trimmed texts": "{{ ('a' * 300000) | trim('b' * 300000 ~ 'a') | length }}",
    "stripped in a loop": "{% for i in range(9999) %}{% set y = ('a' * 9999).rstrip('b' * 9999 ~ 'a') %}{% endfor %}",
    "scoped blocks": _NAMES + "{% for i in range(99999) %}{% block b scoped %}{% endblock %}{% endfor %}",
    "includes with many names": _NAMES + "{% for i in range(99999) %}{% include 'leaf' %}{% endfor %}",
    "read digits": "{% set n = '9' * 300 %}{% for i in range(99999) %}{% set y = n | int %}{% endfor %}",
    "written digits": "{% set n = 7 ** 300 %}{% set x %}{% for i in range(99999) %}{{ n }}{{ n }}{{ n }}{% endfor %}{% endset %}",
    "listed digits": "{{ [7 ** 300] * 90000 | string | length }}",
    "many digits": "{% for i in range(99999) %}{{ ('9' * 4300) | int % 7 }}{% endfor %}",
    "attributes": "{% for i in range(99999) %}{{ settings.limits.x is defined }}{% endfor %}",
    "long attributes": "{{ [{}] * 9999 | map(attribute='a.' * 99999, default='') | list }}",
    "missing keys": "{% set x = dict(range(9999) | map('string') | map('list')) %}{{ x['" + _LETTERS * 400 + "'] }}",
    "undefined names": "{{ " + _LETTERS * 9000 + " }}",
    "even texts": "{{ '%999999999d' is even }}",
    "formatted texts": "{{ '%(a)999999999d' | format(a=1) }}",
    "keys that open": "{{ ('%(' * 99999) | format(a=1) }}",
    "folded powers": "{{ 2 ** 10 ** 9 }}",
    "folded rounds": "{{ 15 | round(-100000000) }}",
    "H1": "{% set ns = namespace(x=['a']) %}{% for i in range(26) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x|lower|length }}",
}
FILES: Mapping[str, str] = {
    **{f"n{n}": f"{{% include 'n{n + 1}' %}}" * 2 for n in range(30)},
    "n30": "x",
    "leaf": "x{% macro m() %}y{% endmacro %}",
    "itself": "{% include 'itself' %}",
    "child": "{% extends 'child' %}",
}


def templates() -> Iterator[tuple[str, str]]:
    """Every template with a name."""
    yield from WHOLE.items()
    for operand, (made, name) in OPERANDS.items():
        for operation in _operations():
            one = operation.replace("X", name).replace("Y", f"(({name}) if true)")
            yield f"{operand}: {operation}", made + "{% set y = " + one + " %}"
            yield (
                f"{operand}, in a loop: {operation}",
                made + "{% for i in range(99999) %}{% set y = " + one + " %}{% endfor %}",
            )


def _operations() -> Iterator[str]:
    for name in sorted(filters()):
        for arguments in ARGUMENTS.get(name, ("",)):
            lazy = name in ("map", "reject", "rejectattr", "select", "selectattr", "unique", "items", "reverse")
            yield f"X | {name}{arguments}" + (" | list" if lazy else "")
    for name in sorted(tests()):
        if name.isalpha():
            yield f"X is {name}" + ("(Y)" if name in _BINARY else "(7)" if name == "divisibleby" else "")
    yield from OPERATORS
    yield from (f"X.{call}" for call in CALLS)
    for method in TEXT_METHODS:
        yield from (f"X.{method}({argument})" for argument in (TEXT_CALLS if method in _SEARCHES else TEXT_CALLS[:2]))


_SEARCHES = frozenset({"count", "find", "index", "partition", "rfind", "rpartition", "rsplit", "split"})


@define
class Result:
    """One rendering: CPU seconds, megabytes at the peak above what there was before (0 where that cannot be seen), and how it ended."""

    name: str
    seconds: float
    megabytes: float
    end: str


def measure(name: str, text: str) -> Result:
    """Renders one template."""
    sandbox = Sandbox(DictLoader(dict(FILES)))
    before = _peak(reset=True)
    started = time.thread_time()
    end = "rendered"
    try:
        render(sandbox.from_string(text), {"settings": {"limits": {}}})
    except Exception as error:  # noqa: BLE001 - whatever a template raises ends its turn and nothing else
        end = type(error).__name__
    seconds = time.thread_time() - started
    return Result(name, seconds, (_peak() - before) / 1024, end)


def _peak(*, reset: bool = False) -> int:
    """The most memory since the last reset, in KiB; Linux keeps it."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return int(status.split("VmHWM:")[1].split()[0])


def main() -> None:
    """Measures them, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m tests.language.hostile_templates", description=__doc__)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each Nth of those on large values")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    all_of_them = list(templates())
    chosen = all_of_them[: len(WHOLE)] + all_of_them[len(WHOLE) :: options.every]
    results = [measure(name, text) for name, text in chosen]
    slowest = sorted(results, key=lambda result: -result.seconds)[:12]
    largest = sorted(results, key=lambda result: -result.megabytes)[:12]
    if options.json:
        found = {"count": len(results), "seconds": slowest[0].seconds, "megabytes": largest[0].megabytes}
        sys.stdout.write(json.dumps({**found, "slowest": slowest[0].name, "largest": largest[0].name}) + "\n")
        return
    sys.stdout.write(f"{len(results)} templates, {sum(result.seconds for result in results):.1f} s\n")
    for result in (*slowest, *largest):
        sys.stdout.write(f"{result.seconds * 1000:8.1f} ms {result.megabytes:7.1f} MB  {result.end:18} {result.name}\n")


if __name__ == "__main__":
    main()
