"""The tests of templates: Jinja2's own, those that compare or write values replaced by bounded ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from jinja2 import pass_environment
from jinja2.exceptions import SecurityError
from jinja2.tests import TESTS

from victor_dsl.language.template_undefined import Unset, what
from victor_dsl.language.template_work import Meter

JINJA: dict[str, Any] = dict(TESTS)
_OF_TYPES = (
    *("boolean", "callable", "defined", "escaped", "false", "float", "integer", "iterable", "mapping", "number"),
    *("sameas", "sequence", "string", "true", "undefined"),
)
"""Tests that look at what a value is, not into it."""
_COMPARISONS = (
    *("!=", "<", "<=", "==", ">", ">=", "eq", "equalto", "ge", "greaterthan", "gt", "le", "lessthan", "lt", "ne"),
    *("filter", "lower", "test", "upper"),
)
_OF_NUMBERS = ("divisibleby", "even", "odd")


def tests() -> dict[str, Callable[..., Any]]:
    """Every test by its name."""
    own: dict[str, Callable[..., Any]] = {"in": _in, "none": _is_none}
    weighed = {name: _weighed(JINJA[name]) for name in _COMPARISONS}
    return (
        {name: JINJA[name] for name in _OF_TYPES}
        | weighed
        | {name: _of_number(JINJA[name]) for name in _OF_NUMBERS}
        | own
    )


def _is_none(value: Any) -> bool:
    """Whether the value is null, or one that this turn does not have."""
    return value is None or isinstance(value, Unset)


@pass_environment
def _in(meter: Meter, value: Any, seq: Any) -> bool:
    """Whether the value is in the sequence."""
    return meter.within(value, seq)


def _weighed(test: Callable[..., Any]) -> Callable[..., Any]:
    passed = hasattr(test, "jinja_pass_arg")

    @pass_environment
    @wraps(test, updated=())
    def checked(meter: Meter, value: Any, *others: Any) -> Any:
        meter.weigh(value, *others)
        return test(meter, value, *others) if passed else test(value, *others)

    return checked


def _of_number(test: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(test)
    def checked(*numbers: Any) -> Any:
        for number in numbers:
            if isinstance(number, str | list | tuple):
                raise SecurityError(f"`{test.__name__.removeprefix('test_')}` takes numbers, not {what(number)}")
        return test(*numbers)

    return checked
