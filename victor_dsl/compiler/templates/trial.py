"""Renders a family of templates with the spec's own values, and reports what fails.

It stops without a fault where the text depends on something that only a turn has: its user, its session, an input.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, NoReturn

from attrs import evolve
from jinja2 import BaseLoader, Environment, Template, TemplateNotFound, pass_context
from jinja2.exceptions import TemplateRuntimeError, UndefinedError
from jinja2.runtime import Context

from victor_dsl.compiler.templates.family import INLINE, Family, Parsed
from victor_dsl.compiler.templates.sources import Templates
from victor_dsl.compiler.templates.visible import VisibleNames
from victor_dsl.language.sandbox import Sandbox, render
from victor_dsl.language.template_filters import finalize
from victor_dsl.language.template_undefined import Missing, Unset, plain
from victor_dsl.language.template_work import MOST_WORK_OF_CHECKS
from victor_dsl.source.diagnostic import Diagnostic, Severity

_QUOTED = re.compile(r"'(\w+)'")
_MARK = "\ue000"
"""Stands for what an unknown value would write."""
_SETUP = 1_000
"""What it takes to begin."""
_TURN = frozenset({"session", "tenant", "user"})
_SAMPLES = ("k", "Ann B, c@d.example/e-f:7")
_HINT = "a turn with the values of this spec fails here; `victor render` shows what a turn sends"


class _NotKnown(TemplateRuntimeError):
    """The text depends on what only a turn has."""


class _Depends(UndefinedError):
    """There is no such item in a list whose length may be another one in a turn."""


def _refuse(*_: Any) -> NoReturn:
    raise _NotKnown


class _Unknown:
    """A value that only a turn has. It can be handed on and printed; whoever looks at it raises _NotKnown, `isinstance` too."""

    __class__ = property(_refuse)
    __str__ = __repr__ = __format__ = __iter__ = __len__ = __bool__ = __hash__ = _refuse
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = _refuse
    __getattr__ = __getitem__ = __call__ = __int__ = __float__ = __index__ = __round__ = _refuse
    __neg__ = __pos__ = __abs__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __mod__ = __rmod__ = (
        _refuse
    )
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __pow__ = __rpow__ = _refuse


class _Missing(Missing):
    """What is not there. An empty map or list is a placeholder: nothing is known of its items."""

    __slots__ = ()

    def __init__(self, hint: str | None = None, obj: Any = None, *rest: Any, **named: Any) -> None:
        super().__init__(hint, obj, *rest, **named)
        item: Any = self._undefined_name
        empty = isinstance(obj, Mapping | list | tuple | str) and not obj
        if empty or (hint or "").endswith("sequence was empty."):
            self._undefined_exception = _NotKnown
        elif isinstance(item, int) and isinstance(obj, list | tuple | str):
            self._undefined_exception = _Depends


class _Trial(Sandbox, BaseLoader):
    """An environment that is also the loader of one family."""

    def __init__(self, family: Family) -> None:
        super().__init__(self, MOST_WORK_OF_CHECKS)
        self._family = family
        self.finalize = _finalize
        self.undefined = _Missing
        self.complete = True
        """Whether everything that was written is known."""

    def charge(self, work: int) -> bool:
        self.work_left -= work
        return self.work_left >= 0 or _refuse()

    def load(self, environment: Environment, name: str, globals: Any = None) -> Template:
        parsed = self._family.templates.get(name)
        if parsed is None:
            raise TemplateNotFound(name)
        return Template.from_code(environment, parsed.code, globals or environment.globals)


@pass_context
def _finalize(context: Context, value: Any) -> Any:
    if type(value) is not _Unknown:
        return finalize(context, value)
    context.environment.complete = False  # type: ignore[attr-defined]
    return _MARK


def trial_faults(family: Family, names: VisibleNames, templates: Templates) -> Iterator[Diagnostic]:
    """The fault that ends the rendering, if it is one of the template and not of the turn. Its work is charged to `templates`.

    Where there is none without a turn's texts, two samples of them are tried: what fails alike with both fails with any.
    """
    fault = _rendered(family, names, templates, None)
    if fault is None and any(not _TURN.isdisjoint(parsed.undeclared) for parsed in family.templates.values()):
        first, second = (_rendered(family, names, templates, text) for text in _SAMPLES)
        if first is not None and first == second and first.severity == "error" and "null" not in first.message:
            fault = first
    if fault is not None:
        yield evolve(fault, severity="warning") if names.may_come(None) else fault


def _rendered(family: Family, names: VisibleNames, templates: Templates, text: str | None) -> Diagnostic | None:
    environment = _Trial(family)
    try:
        render(environment.get_template(next(iter(family.templates))), _values(names, text))
    except (_NotKnown, RecursionError):
        return None
    except Exception as error:  # noqa: BLE001 - a template may raise anything
        found = _place(error.__traceback__, {name or INLINE: parsed for name, parsed in family.templates.items()})
        depends = isinstance(error, _Depends | ArithmeticError | ValueError | LookupError)
        if found is None or _MARK in str(error) or (depends and not environment.complete):
            return None
        return _fault(error, *found, "warning" if depends else "error")
    finally:
        templates.work_left -= _SETUP + MOST_WORK_OF_CHECKS - max(0, environment.work_left)
    return None


def _values(names: VisibleNames, text: str | None) -> dict[str, Any]:
    """What the template sees; with a `text`, this is the session, the tenant and the user, else these are not known or not there."""
    unknown = _Unknown()
    values: dict[str, Any] = dict.fromkeys(_TURN, unknown if text is None else text)
    if text is None:
        values |= {steps[0]: Unset(name=steps[0], exc=_NotKnown) for steps in names.unset if len(steps) == 1}
    known = {name: unknown if value is None else value for name, value in names.known.items()}
    return {**known, **values, "settings": unknown}


def _place(trace: TracebackType | None, templates: Mapping[str, Parsed]) -> tuple[Parsed, int] | None:
    """The innermost line of a template in a traceback; Jinja2 gives its frames the template's name and lines."""
    found = None
    while trace is not None:
        if parsed := templates.get(trace.tb_frame.f_code.co_filename):
            found = parsed, trace.tb_lineno
        trace = trace.tb_next
    return found


def _fault(error: Exception, parsed: Parsed, line: int, severity: Severity) -> Diagnostic:
    code = "undefined-variable" if isinstance(error, UndefinedError) else "template-error"
    message, _, hint = plain(error).partition("; ")
    source = parsed.source
    named = _QUOTED.search(message)
    written = source.text.splitlines()[line - 1 : line]
    word = named[1] if named and written and named[1] in written[0] else None
    return Diagnostic(code, message, source.span(line, word), source.field, hint or _HINT, severity=severity)
