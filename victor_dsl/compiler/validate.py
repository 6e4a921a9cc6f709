"""Checks a located value against a pydantic model, and puts each fault at the place that wrote the value."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, TypeVar

from attrs import define, field
from pydantic import BaseModel, ValidationError

from victor_dsl.compiler.hints import variable_meant
from victor_dsl.language.annotations import FunctionName, annotated_fields
from victor_dsl.language.config import Config
from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.interpolate import Interpolated
from victor_dsl.source.located import Located, Path
from victor_dsl.source.redaction import looks_secret
from victor_dsl.values.faults import RULES, Fault, Subject, faults_of, path_of
from victor_dsl.values.from_text import convert_texts
from victor_dsl.values.settings import Settings

M = TypeVar("M", bound=BaseModel)

_UNKNOWN = object()
"""Stands for a value that is not known."""


@define
class PythonValue:
    """A located value as Python values, which pydantic can check, and what of it came from `${…}`.

    `interpolated` holds each such leaf by path; `unknown` the paths of those whose value is not known. They are left
    out of `value`, so that defaults stand in.
    """

    value: Any
    interpolated: dict[Path, Interpolated] = field(factory=dict)
    unknown: set[Path] = field(factory=set)


def to_python(located: Located) -> PythonValue:
    """A located tree as Python values."""
    result = PythonValue(None)
    value = _converted(located, (), result)
    result.value = {} if value is _UNKNOWN else value
    return result


def _converted(located: Located, path: Path, result: PythonValue) -> Any:
    value = located.value
    kind = type(value)
    if kind is dict:
        made = {}
        for key, child in value.items():
            leaf = child.value
            simple = type(leaf)
            if simple is str or simple is int or simple is float or simple is bool or leaf is None:
                made[key] = leaf  # most leaves; a call for each would take half of the time
            elif (inner := _converted(child, (*path, key), result)) is not _UNKNOWN:
                made[key] = inner
        return made
    if kind is list:
        items = (_converted(child, (*path, i), result) for i, child in enumerate(value))
        return [item for item in items if item is not _UNKNOWN]
    if kind is Interpolated:
        result.interpolated[path] = value
        if value.value is None:
            result.unknown.add(path)
            return _UNKNOWN
        return value.value
    return value


def validate(
    model: type[M], located: Located, given: PythonValue, at: Path, what: str, *, within: Path = ()
) -> tuple[M | None, list[Diagnostic]]:
    """The validated model, or None and its faults. `at` is the value's path in the document.

    Messages call the value `what`, and its parts by their path below `within`.

    Text that came from `${…}` becomes the type that the schema wants; all else is exact. Nothing is reported about
    values that are not known; where one of them decides over the whole, there is neither a model nor a fault.
    """
    try:
        return model.model_validate(given.value), []
    except ValidationError as error:
        errors = error.errors(include_url=False)
    if given.interpolated and convert_texts(
        given.value, errors, _interpolated_text(given), partial(_may_hold_parts, model)
    ):
        try:
            return model.model_validate(given.value), []
        except ValidationError as error:
            errors = error.errors(include_url=False)
    subject = Subject(what, within, lambda path: _shown(located, given, path))
    errors = [error for error in errors if not _is_excused(model, given, error)]
    faults = faults_of(model, given.value, errors, subject)
    return None, list(_placed(faults, located, given, at))


def _may_hold_parts(model: type[BaseModel], path: Path) -> bool:
    """Whether one variable may hold the list or map at a path: in settings, and in fields of components that name nothing else of the spec."""
    if model is Settings or "settings" in path[:-1]:
        return True
    return issubclass(model, Config) and path[0] not in annotated_fields(model)


def _interpolated_text(given: PythonValue) -> Any:
    return lambda path: given.interpolated[path].value if path in given.interpolated else None


def _placed(faults: list[Fault], located: Located, given: PythonValue, at: Path) -> Iterator[Diagnostic]:
    for fault in faults:
        here = located.at(fault.path)
        span = (here.key_span or here.span) if fault.at_key else here.span
        hint = fault.hint
        if fault.path in given.interpolated and fault.code.startswith("wrong-"):
            hint = None  # it may show the value, which came from outside
        elif fault.code.startswith("wrong-") and (
            meant := variable_meant(here.value, shown=f"'{here.value}'" in fault.message)
        ):
            hint = f"did you mean the variable? write {meant}"
        yield Diagnostic(fault.code, fault.message, span, (*at, *fault.path), hint)


def _is_excused(model: type[BaseModel], given: PythonValue, error: Any) -> bool:
    """Whether an error is about a value that is not known, or about a function's name, which has a rule of its own."""
    path, kind, unknown = path_of(given.value, error), error["type"], given.unknown
    if kind == "string_pattern_mismatch" and path and issubclass(model, Config):
        return isinstance(annotated_fields(model).get(str(path[0])), FunctionName)
    above = any(place[: len(path)] == path for place in unknown)
    if kind in RULES:  # over several fields, of which one is not known
        return above
    return any(path[: len(place)] == place for place in unknown) or (kind.endswith("too_short") and above)


def _shown(located: Located, given: PythonValue, path: Path) -> str:
    """A value as a message shows it: its kind, and a bounded piece of it."""
    if path in given.interpolated:
        return f"the value of {given.interpolated[path].text}"
    value = located.at(path).value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        if looks_secret(value):
            return "what looks like a secret"
        return f"the text '{value[:40]}{'…' if len(value) > 40 else ''}'"
    return str(value)[:40]
