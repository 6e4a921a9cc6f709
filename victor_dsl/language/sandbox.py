"""The Jinja2 sandbox for templates: strict about names, and bounded in loops, sizes and time.

Imported only where there is a template: importing jinja2 takes 50 ms.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import repeat
from operator import is_
from typing import Any

from jinja2 import BaseLoader, Environment, Template, meta, nodes
from jinja2.exceptions import SecurityError
from jinja2.lexer import Lexer
from jinja2.runtime import Context, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing
from jinja2.visitor import NodeTransformer
from pydantic import BaseModel

from victor_dsl.language.template import GLOBALS, INSTEAD, METHODS
from victor_dsl.language.template_filters import MOST_CHARACTERS, bound, bound_bits, filters, format_text, printable
from victor_dsl.language.template_lines import LineLexer
from victor_dsl.language.template_undefined import Missing, Unset, what
from victor_dsl.values.frozen import FrozenList, FrozenMap, value
from victor_dsl.values.settings import Settings

MOST_STEPS = 50_000
"""The most rounds of loops and macros in one rendering."""
MOST_SECONDS = 2.0
"""The longest time of one rendering, checked in every round of a loop or macro."""

CALLED = "()"
"""Ends the name of an attribute that is called at once."""


def unset(name: str) -> Unset:
    """What a template finds under the name of a value that a turn need not have."""
    return Unset(f"this turn has no {name}; write `{{% if {name} %}}` or `{name} | default('…')`", name=name)


NO_TENANT, NO_USER = unset("tenant"), unset("user")
_UNCHANGEABLE = (str, int, float, type(None), type(missing), FrozenMap, FrozenList, Settings, Unset)


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
        super().__init__(loader=loader, undefined=Missing, autoescape=False, finalize=printable, auto_reload=False)
        self.filters = filters()
        self.tests = {**self.tests, "none": _is_none}
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

    @property
    def lexer(self) -> Lexer:
        """The rules of white space."""
        return _lexer()

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A key of a map before anything else; a set value of settings; a method where it is called (`_Bounds` marks that)."""
        if isinstance(obj, dict):
            if attribute in obj:
                return obj[attribute]
        elif not isinstance(obj, str) and isinstance(obj, BaseModel):  # an abstract class: its check takes longer
            return self._setting(obj, attribute)
        name = attribute.removesuffix(CALLED)
        for of, methods in METHODS:
            if isinstance(obj, of):
                if name in methods and name != attribute:
                    return getattr(obj, name)
                if isinstance(obj, Mapping) and name in obj:
                    return obj[name]
                return self._no_attribute(obj, name, methods)
        return super().getattr(obj, name)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """An item or key; with a text, also what `getattr` finds."""
        try:
            return obj[argument]
        except (AttributeError, TypeError, LookupError):
            if isinstance(argument, str):
                return self.getattr(obj, argument)
            return self.undefined(obj=obj, name=argument)

    def _setting(self, group: BaseModel, name: str) -> Any:
        if name not in type(group).model_fields:
            return self.undefined(obj=group, name=name.removesuffix(CALLED))
        value = getattr(group, name)
        hint = f"the setting '{name}' is not set; write `{{% if … %}}` or `| default(…)`"
        if isinstance(value, tuple):
            return list(value)
        return Unset(hint, name=name) if value is None else value

    def _no_attribute(self, obj: Any, name: str, methods: Sequence[str]) -> Undefined:
        hint = None
        if name in methods:
            hint = f"'{name}' is a method of {what(obj)}: call it, `.{name}(…)`"
            hint += f"; or write `['{name}']` for a key" if isinstance(obj, Mapping) else ""
        elif hasattr(obj, name):
            return self.unsafe_undefined(obj, name)
        return self.undefined(hint=hint, obj=obj, name=name)

    def unsafe_undefined(self, obj: Any, attribute: str) -> Undefined:
        """What stands for an attribute that templates do not have."""
        hint = f"templates have no `.{attribute}` of {what(obj)}"
        if instead := INSTEAD.get(attribute):
            hint += f"; write `{instead}`"
        return self.undefined(hint, obj=obj, name=attribute, exc=SecurityError)

    def call(self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: PYI063 - as Jinja2 declares it
        """Calls a macro, a method or one of the few functions."""
        if not callable(__obj):
            raise SecurityError(f"{what(__obj)} cannot be called")
        return super().call(__context, __obj, *args, **kwargs)

    def wrap_str_format(self, value: Any) -> None:
        """Does not wrap `str.format`, which leaves it as unsafe as other methods: its widths have no bounds."""

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Bounds the operators whose result may be much larger than their operands."""
        if operator == "%" and isinstance(left, str):
            return format_text(left, *(right if isinstance(right, tuple) else (right,)))
        if operator == "*":
            _bound_product(left, right)
            _bound_product(right, left)
        elif operator == "+" and isinstance(left, str | list | tuple) and isinstance(right, str | list | tuple):
            bound(len(left) + len(right), left)
        elif operator == "**" and isinstance(left, int) and isinstance(right, int):
            bound_bits(left.bit_length() * right)
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


@cache
def _lexer() -> LineLexer:
    return LineLexer(Environment(autoescape=False))  # noqa: S701 - prompts are no HTML


def _is_none(value: Any) -> bool:
    """Whether the value is null, or one that this turn does not have."""
    return value is None or isinstance(value, Unset)


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
                bound(length)
            pieces.append(piece)
    except Exception:  # noqa: BLE001 - Jinja2 raises it again
        environment.handle_exception()  # with the template's own lines in the traceback
    return "".join(pieces)


class _Bounds(NodeTransformer):
    """Puts a step into each loop and macro, turns `a ~ b` into a join, which is bounded, and marks methods that are called."""

    def __init__(self, environment: Sandbox) -> None:
        self._environment = environment

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - Jinja2 calls visitors so
        return self._with_step(node)

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:  # noqa: N802
        return self._with_step(node)

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.Node:  # noqa: N802
        return self._with_step(node)

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        if isinstance(node.node, nodes.Getattr):
            node.node.attr += CALLED
        return node

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


def _bound_product(one: Any, times: Any) -> None:
    if not isinstance(times, int):
        return
    if isinstance(one, str | list | tuple):
        bound(len(one) * times, one)
    elif isinstance(one, int):
        bound_bits(one.bit_length() + times.bit_length())
