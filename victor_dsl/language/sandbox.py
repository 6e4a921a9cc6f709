"""The Jinja2 sandbox for templates: strict about names, and bounded in loops, sizes and time.

Imported only where there is a template: importing jinja2 takes 50 ms.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping
from itertools import repeat
from operator import is_
from typing import Any

from jinja2 import BaseLoader, StrictUndefined, Template, meta, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing
from jinja2.visitor import NodeTransformer

from victor_dsl.language.template import GLOBALS
from victor_dsl.values.frozen import FrozenList, FrozenMap, value
from victor_dsl.values.settings import Settings

MOST_CHARACTERS = 1_048_576
"""The longest text that may be rendered, or made on the way."""
MOST_ITEMS = 100_000
"""The most items of a list that is made on the way, all levels counted."""
MOST_STEPS = 50_000
"""The most rounds of loops and macros in one rendering."""
MOST_SECONDS = 2.0
"""The longest time of one rendering, checked in every round of a loop or macro."""
MOST_BITS = 10_000
"""The largest number that may be computed, in bits."""

FILTERS = (
    *("abs", "capitalize", "count", "d", "default", "dictsort", "filesizeformat", "first", "float", "groupby", "int"),
    *("items", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "reverse", "round"),
    *("select", "selectattr", "sort", "string", "sum", "title", "trim", "truncate", "unique", "upper", "urlencode"),
    "wordcount",
)
"""Jinja2's own filters that templates have. Those for HTML, random ones and unbounded ones are left out."""
TEXT_METHODS = (
    *("capitalize", "casefold", "count", "endswith", "find", "index", "isalnum", "isalpha", "isdigit", "islower"),
    *("isnumeric", "isspace", "istitle", "isupper", "lower", "lstrip", "partition", "removeprefix", "removesuffix"),
    *("rfind", "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith", "strip", "swapcase", "title"),
    "upper",
)
METHODS: tuple[tuple[type, tuple[str, ...]], ...] = (
    (str, TEXT_METHODS),
    (Mapping, ("get", "items", "keys", "values")),
    (list, ("count", "index")),
    (tuple, ("count", "index")),
)
WIDTH = re.compile(r"%[^%a-zA-Z]*(\d{4}|\*)")


_SMALL = (str, int, float, type(None), Undefined)
_UNCHANGEABLE = (str, int, float, type(None), type(missing), FrozenMap, FrozenList, Settings)


@value(eq=False)
class _Rendering:
    """A rendered text, with the values that the names of its template (`Sandbox.names`) had."""

    template: Template
    used: tuple[Any, ...]
    text: str


class Sandbox(ImmutableSandboxedEnvironment):
    """An environment whose templates see the values that they are rendered with and nothing else. One rendering at a time."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, loader: BaseLoader | None = None) -> None:
        super().__init__(
            loader=loader, undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True,
            finalize=_weighed, auto_reload=False,
        )  # fmt: skip
        self.filters = {name: self.filters[name] for name in FILTERS} | {
            "format": _format, "indent": _indent, "join": _join, "replace": _replace, "tojson": _tojson,
        }  # fmt: skip
        self.globals = {name: self.globals[name] for name in GLOBALS}
        self.names: tuple[str, ...] = ()
        """The names that the templates compiled so far look up, each once."""
        self.last: _Rendering | None = None
        self._steps = 0
        self._end = 0.0

    def begin(self) -> None:
        """Starts the count of steps and the time of one rendering."""
        self._steps = 0
        self._end = time.monotonic() + MOST_SECONDS

    def step(self) -> None:
        """Counts one round of a loop or macro. `_Bounds` puts a call of it into each."""
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise SecurityError(f"runs more than {MOST_STEPS:,} rounds of its loops and macros")
        if time.monotonic() > self._end:
            raise SecurityError(f"exceeded its time limit of {MOST_SECONDS:g} seconds")

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Text, maps and lists have the harmless methods alone; anything else has what Jinja2 considers safe."""
        for of, methods in METHODS:
            if isinstance(obj, of):
                return attr in methods
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:
        """Does not wrap `str.format`, which leaves it as unsafe as other methods: its widths have no bounds."""

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Bounds the operators whose result may be much larger than their operands."""
        if operator == "%" and isinstance(left, str):
            return _format(left, *(right if isinstance(right, tuple) else (right,)))
        if operator == "*":
            _bound_product(left, right)
            _bound_product(right, left)
        elif operator == "+" and isinstance(left, str | list | tuple) and isinstance(right, str | list | tuple):
            _bound(len(left) + len(right), left)
        elif operator == "**" and isinstance(left, int) and isinstance(right, int):
            _bound_bits(left.bit_length() * right)
        return super().call_binop(context, operator, left, right)

    def _generate(
        self,
        source: nodes.Template,
        name: str | None,
        filename: str | None,
        defer_init: bool = False,
    ) -> str:
        bounded = _Bounds(self).visit(source)
        code = super()._generate(bounded, name, filename, defer_init)
        found = meta.find_undeclared_variables(bounded)  # after the checks, whose errors name the template
        self.names = (*self.names, *found.difference(self.names))
        return code


def render(template: Template, values: Mapping[str, Any]) -> str:
    """The text of a sandbox's template. Raises whatever the template raises, and SecurityError over a bound.

    Templates have no clock, no randomness and no I/O. While the values that one names are the same, unchangeable objects,
    its text is the same too and is not rendered again.
    """
    environment = template.environment
    assert isinstance(environment, Sandbox)
    names, last = environment.names, environment.last
    used = tuple(map(values.get, names, repeat(missing)))
    if last is not None and last.template is template and all(map(is_, last.used, used)):
        return last.text
    text = _rendered(environment, template, values)
    # An included template is compiled when it is first rendered, and may look up more names.
    fixed = environment.names is names and all(map(isinstance, used, repeat(_UNCHANGEABLE)))
    environment.last = _Rendering(template, used, text) if fixed else None
    return text


def _rendered(environment: Sandbox, template: Template, values: Mapping[str, Any]) -> str:
    """Does what `template.generate(values)` does, without its `dict(template.globals)`: a ChainMap, which Python iterates
    name by name, in half the time of a short template."""
    environment.begin()
    names = {**environment.globals, **values}
    context = environment.context_class(environment, names, template.name, template.blocks, environment.globals)
    pieces, length = [], 0
    try:
        for piece in template.root_render_func(context):
            length += len(piece)
            if length > MOST_CHARACTERS:
                _bound(length)
            pieces.append(piece)
    except Exception:  # noqa: BLE001 - Jinja2 raises it again
        environment.handle_exception()  # with the template's own lines in the traceback
    return "".join(pieces)


class _Bounds(NodeTransformer):
    """Puts a step into each loop and macro, and turns `a ~ b` into a join, which is bounded."""

    def __init__(self, environment: Sandbox) -> None:
        self._environment = environment

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - Jinja2 calls visitors so
        return self._with_step(node)

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:  # noqa: N802
        return self._with_step(node)

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.Node:  # noqa: N802
        return self._with_step(node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        parts = nodes.Tuple(node.nodes, "load", lineno=node.lineno)
        return self._at(nodes.Filter(parts, "join", [], [], None, None), node.lineno)

    def _with_step(self, node: Any) -> nodes.Node:
        self.generic_visit(node)
        step = nodes.EnvironmentAttribute("step()")  # compiled to `environment.step()`: a Call would cost 7 µs
        node.body.insert(0, self._at(nodes.ExprStmt(step), node.lineno))
        return node  # type: ignore[no-any-return]

    def _at(self, node: nodes.Node, line: int) -> nodes.Node:
        return node.set_lineno(line).set_environment(self._environment)


def _bound(size: int, of: Any = "") -> None:
    if isinstance(of, str) and size > MOST_CHARACTERS:
        raise SecurityError(f"makes a text of more than {MOST_CHARACTERS:,} characters")
    if not isinstance(of, str) and size > MOST_ITEMS:
        raise SecurityError(f"makes a list of more than {MOST_ITEMS:,} items")


def _bound_bits(bits: int) -> None:
    if bits > MOST_BITS:
        raise SecurityError(f"makes a number of more than {MOST_BITS:,} bits")


def _bound_product(one: Any, times: Any) -> None:
    if not isinstance(times, int):
        return
    if isinstance(one, str | list | tuple):
        _bound(len(one) * times, one)
    elif isinstance(one, int):
        _bound_bits(one.bit_length() + times.bit_length())


def _weighed(value: Any) -> Any:
    """The value, unless its text is over the bounds: a list of one list many times over is small until it is written."""
    if isinstance(value, _SMALL):
        return value
    items = characters = 0
    waiting: list[Any] = [value]
    while waiting:
        here = waiting.pop()
        items += 1
        if isinstance(here, Undefined):
            str(here)  # raises; within a list, Python would write `Undefined`
        characters += len(here) if isinstance(here, str) else 4
        _bound(items, ())
        _bound(characters)
        if isinstance(here, Mapping):
            waiting += [*here.keys(), *here.values()]
        elif isinstance(here, list | tuple | set | frozenset):
            waiting += here
    return value


def _text(value: Any) -> str:
    text: str = str(_weighed(value))
    return text


def _join(value: Iterable[Any], d: str = "", attribute: str | None = None) -> str:
    """The items' texts with `d` between them."""
    if attribute is not None:
        raise SecurityError("join has no `attribute` here; write `map(attribute=…) | join`")
    parts: list[str] = []
    length = 0
    for item in value:
        parts.append(_text(item))
        length += len(parts[-1]) + len(d)
        _bound(length)
        _bound(len(parts), ())
    return d.join(parts)


def _replace(text: Any, old: str, new: str, count: int = -1) -> str:
    """The text with `old` replaced by `new`."""
    known: str = _text(text)
    found = known.count(old) if count < 0 else min(count, known.count(old))
    _bound(len(known) + found * (len(new) - len(old)))
    return known.replace(old, new, count)


def _format(pattern: Any, *values: Any, **named: Any) -> str:
    """`printf` formatting: `"%.2f"|format(price)`."""
    pattern = str(pattern)
    if WIDTH.search(pattern):
        raise SecurityError("formats with a width of more than 999")
    longest = max((len(_text(value)) for value in (*values, *named.values())), default=0)
    _bound(len(pattern) + pattern.count("%") * longest)
    text: str = pattern % (named or values)
    return text


def _indent(text: Any, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    """The text with each line indented: the first only with `first`, empty ones only with `blank`."""
    space = width if isinstance(width, str) else " " * min(width, 100)
    lines = _text(text).split("\n")
    _bound(sum(map(len, lines)) + len(lines) * len(space))
    moved = [space + line if (first or number) and (line or blank) else line for number, line in enumerate(lines)]
    return "\n".join(moved)


def _tojson(value: Any, indent: int | None = None) -> str:
    """The value as JSON for a model to read: nothing is escaped for HTML."""
    return json.dumps(_weighed(value), ensure_ascii=False, indent=None if indent is None else max(0, min(indent, 8)))
