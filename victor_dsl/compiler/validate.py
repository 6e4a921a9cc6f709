"""Holds a located value against a pydantic model, and puts pydantic's errors at the places that wrote them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from victor_dsl.compiler.faults import faults
from victor_dsl.compiler.plain import LEFT_OUT, Plain, converted
from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.interpolate import Interpolated
from victor_dsl.source.located import Located, Path

M = TypeVar("M", bound=BaseModel)


def validate(
    model: type[M], located: Located, given: Plain, at: Path, what: str, *, within: str = ""
) -> tuple[M | None, list[Diagnostic]]:
    """The validated model, or None and its faults. `at` is the value's path in the document.

    Messages call the value `what`, and its parts by their path, behind `within`.

    Text that came from `${…}` is coerced to the type that the schema wants; all else is exact. Faults at values
    that are not known are no faults; where one makes the whole unknowable, there is neither a model nor a fault.
    """
    value = given.value if given.value is not LEFT_OUT else {}
    try:
        return model.model_validate(value), []
    except ValidationError as error:
        errors = error.errors(include_url=False)
    if given.interpolated and _coerce(value, errors, given.interpolated):
        try:
            return model.model_validate(value), []
        except ValidationError as error:
            errors = error.errors(include_url=False)
    return None, faults(model, located, given, errors, at, what, within)


def _coerce(value: Any, errors: list[Any], interpolated: Mapping[Path, Interpolated]) -> bool:
    """Turns interpolated text into what the schema wants, in place; says whether anything was turned."""
    turned = False
    for error in errors:
        path = error["loc"]
        for length in range(len(path), 0, -1):  # a union adds its branch to the path
            if path[:length] in interpolated:
                path = path[:length]
                break
        else:
            continue
        text = interpolated[path].value
        value_wanted = converted(text, error["type"]) if text is not None else None
        if value_wanted is not None:
            holder = value
            for step in path[:-1]:
                holder = holder[step]
            holder[path[-1]] = value_wanted
            turned = True
    return turned
