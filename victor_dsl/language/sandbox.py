"""The Jinja2 sandbox for templates: strict about names, and bounded in work and sizes.

Imported only where there is a template: importing jinja2 takes 50 ms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cache
from itertools import repeat
from operator import is_
from threading import Lock
from types import CodeType
from typing import Any

from jinja2 import BaseLoader, Environment, Template, nodes
from jinja2.environment import TemplateModule
from jinja2.exceptions import SecurityError, TemplateSyntaxError
from jinja2.lexer import Lexer
from jinja2.runtime import BlockReference, Context, LoopContext, Macro, TemplateReference, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace, missing
from pydantic import BaseModel

from victor_dsl.language.template import GLOBALS, INSTEAD, METHODS
from victor_dsl.language.template_calls import charge_call
from victor_dsl.language.template_code import CALLED, Generator, generated, line_of, parsed
from victor_dsl.language.template_filters import filters, finalize, format_text
from victor_dsl.language.template_lines import LineLexer
from victor_dsl.language.template_tests import tests
from victor_dsl.language.template_undefined import Missing, Unset, what
from victor_dsl.language.template_work import MOST_CHARACTERS, MOST_WORK, Meter, bound, bound_bits
from victor_dsl.values.frozen import FrozenList, FrozenMap, value
from victor_dsl.values.settings import Settings


def unset(name: str) -> Unset:
    """What a template finds under the name of a value that a turn need not have."""
    return Unset(f"this turn has no {name}; write `{{% if {name} %}}` or `{name} | default('…')`", name=name)


_FEW = 8
_WITH_ATTRIBUTES = (Namespace, LoopContext, Macro, TemplateReference, BlockReference, TemplateModule, Undefined)
"""What templates find attributes on, besides the values that they are given."""
_OF_CALLER = ("_block_vars", "_loop_vars")
_TEXTS_AND_LISTS = (str, list, tuple)
NO_TENANT, NO_USER = unset("tenant"), unset("user")
_UNCHANGEABLE = (str, int, float, type(None), type(missing), FrozenMap, FrozenList, Settings, Unset)


@value(eq=False)
class _Rendering:
    """A rendered text, with the values that the names of its template (`Sandbox.names`) had."""

    template: Template
    used: tuple[Any, ...]
    text: str


class Sandbox(Meter, ImmutableSandboxedEnvironment):
    """An environment whose templates see the values that they are rendered with and nothing else. One rendering at a time."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "**", "%"})
    code_generator_class = Generator

    def __init__(self, loader: BaseLoader | None = None, most_work: int = MOST_WORK) -> None:
        super().__init__(
            loader=loader, undefined=Missing, autoescape=False, finalize=finalize, auto_reload=False, optimized=False
        )
        self.filters = filters()
        self.tests = tests()  # type: ignore[assignment]
        self.globals = {name: self.globals[name] for name in GLOBALS}
        self.names: tuple[str, ...] = ()
        """The names that the templates compiled so far look up, each once."""
        self._naming = Lock()  # templates are compiled in threads
        self.last: _Rendering | None = None
        self.most_work = most_work

    @property
    def lexer(self) -> Lexer:
        """The rules of white space."""
        return _lexer()

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A key of a map before anything else; a set value of settings; a method where it is called (`Charged` marks that)."""
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
        return super().getattr(obj, name) if isinstance(obj, _WITH_ATTRIBUTES) else self._no_attribute(obj, name, ())

    def getitem(self, obj: Any, argument: Any) -> Any:
        """An item or key; with a text, also what `getattr` finds."""
        if isinstance(argument, tuple):
            self.weigh(argument)
        try:
            return obj[argument]
        except (AttributeError, TypeError, LookupError):
            if isinstance(argument, str):
                return self.getattr(obj, argument)
            return self.undefined(obj=obj, name=argument)

    def _setting(self, group: BaseModel, name: str) -> Any:
        name = name.removesuffix(CALLED)
        if name not in type(group).model_fields:
            return self.undefined(obj=group, name=name)
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
        if isinstance(__obj, Macro):
            if len(args) > _FEW:
                self.charge(len(args))
            for variables in _OF_CALLER:
                kwargs.pop(variables, None)
            return __obj(*args, **kwargs)  # as `super` does in three times the time
        if not callable(__obj):
            raise SecurityError(f"{what(__obj)} cannot be called")
        charge_call(self, __obj, args, kwargs)
        return super().call(__context, __obj, *args, **kwargs)

    def wrap_str_format(self, value: Any) -> None:
        """Does not wrap `str.format`, which leaves it as unsafe as other methods: its widths have no bounds."""

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Bounds the operators by the sizes of their operands."""
        if isinstance(left, int) and isinstance(right, int):
            _bound_number(operator, left, right)
        elif operator == "%" and isinstance(left, str):
            return format_text(self, left, *(right if isinstance(right, tuple) else (right,)))
        elif operator == "*":
            self._charge_product(left, right)
            self._charge_product(right, left)
        elif operator == "+" and isinstance(left, _TEXTS_AND_LISTS) and isinstance(right, _TEXTS_AND_LISTS):
            self.charge_made(len(left) + len(right), left)
        elif isinstance(left, AbstractSet) or isinstance(right, AbstractSet):
            raise SecurityError(f"`{operator}` takes numbers")
        return super().call_binop(context, operator, left, right)

    def _charge_product(self, one: Any, times: Any) -> None:
        if isinstance(times, int) and isinstance(one, _TEXTS_AND_LISTS):
            self.charge_made(len(one) * max(times, 0), one)

    def compiled(self, source: str, name: str, filename: str) -> tuple[CodeType, frozenset[str]]:
        """The code of a template, and the names that it takes from outside, which are not added to `names`."""
        code, names = generated(self, self._parse(source, name, filename), name, filename)
        return self._compile(code, filename), names

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        return parsed(self, source, name, filename)

    def _generate(
        self,
        source: nodes.Template,
        name: str | None,
        filename: str | None,
        defer_init: bool = False,  # noqa: ARG002 - as Jinja2 calls it
    ) -> str:
        code, found = generated(self, source, name, filename)
        with self._naming:
            self.names = (*self.names, *found.difference(self.names))
        return code

    def _compile(self, source: str, filename: str) -> CodeType:
        try:
            return super()._compile(source, filename)
        except SyntaxError as error:
            raise TemplateSyntaxError(str(error.msg), line_of(source, error), None, filename) from None


@cache
def _lexer() -> LineLexer:
    return LineLexer(Environment(autoescape=False))  # noqa: S701 - prompts are no HTML


def render(template: Template, values: Mapping[str, Any]) -> str:
    """The text of a sandbox's template. Raises whatever the template raises, and SecurityError over a bound.

    Templates have no clock, no randomness and no I/O. While the values that one names are the same, unchangeable objects,
    its text is the same too and is not rendered again.
    """
    environment = template.environment
    assert isinstance(environment, Sandbox)
    names, last = environment.names, environment.last
    environment.work_left = environment.most_work
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


def _bound_number(operator: str, left: int, right: int) -> None:
    if operator == "*":
        bound_bits(left.bit_length() + right.bit_length())
    elif operator == "**":
        bound_bits(left.bit_length() * right)
    else:
        bound_bits(max(left.bit_length(), right.bit_length()))
