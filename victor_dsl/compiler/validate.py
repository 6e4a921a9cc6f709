"""Holds a located value against a pydantic model, and puts pydantic's errors at the places that wrote them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from attrs import define, field, frozen
from pydantic import BaseModel, ValidationError

from victor_dsl.language.config import Secret
from victor_dsl.source.diagnostic import Diagnostic, suggest
from victor_dsl.source.interpolate import Interpolated
from victor_dsl.source.located import Located, Path
from victor_dsl.source.veil import looks_secret

M = TypeVar("M", bound=BaseModel)


@define
class Plain:
    """A located value as plain Python, and what of it came from `${…}`.

    `interpolated` holds each such leaf by path; `unknown` the paths of those whose value is not known (they are
    left out of `value`, so that defaults stand in).
    """

    value: Any
    interpolated: dict[Path, Interpolated] = field(factory=dict)
    unknown: set[Path] = field(factory=set)


def plain(located: Located) -> Plain:
    """The plain value of a located tree."""
    result = Plain(None)
    result.value = _plain(located, (), result)
    return result


_LEFT_OUT = object()


def _plain(located: Located, path: Path, result: Plain) -> Any:
    value = located.value
    kind = type(value)
    if kind is dict:
        made = {}
        for key, child in value.items():
            leaf = child.value
            simple = type(leaf)
            if simple is str or simple is int or simple is float or simple is bool or leaf is None:
                made[key] = leaf
            elif (converted := _plain(child, (*path, key), result)) is not _LEFT_OUT:
                made[key] = converted
        return made
    if kind is list:
        items = (_plain(child, (*path, i), result) for i, child in enumerate(value))
        return [item for item in items if item is not _LEFT_OUT]
    if kind is Interpolated:
        result.interpolated[path] = value
        if value.value is None:
            result.unknown.add(path)
            return _LEFT_OUT
        return value.value
    return value


def validate(
    model: type[M], located: Located, given: Plain, at: Path, what: str, *, within: str = ""
) -> tuple[M | None, list[Diagnostic]]:
    """The validated model, or None and its faults. `at` is the value's path in the document.

    Messages call the value `what`, and its parts by their path, behind `within`.

    Text that came from `${…}` is coerced to the type that the schema wants; all else is exact. Faults at values
    that are not known are no faults; where one makes the whole unknowable, there is neither a model nor a fault.
    """
    value = given.value if given.value is not _LEFT_OUT else {}
    try:
        return model.model_validate(value), []
    except ValidationError as error:
        errors = error.errors(include_url=False)
    if given.interpolated and _coerce(value, errors, given.interpolated):
        try:
            return model.model_validate(value), []
        except ValidationError as error:
            errors = error.errors(include_url=False)
    found: dict[tuple[Any, ...], Diagnostic] = {}
    for raw in errors:
        path = _real(located, raw["loc"])
        if _unknowable(path, raw["type"], given.unknown):
            continue
        diagnostic = _diagnostic(model, located, given, raw, path, at, _Names(what, within))
        found.setdefault((diagnostic.path, diagnostic.code), diagnostic)
    return None, list(found.values())


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
        converted = _converted(text, error["type"]) if text is not None else None
        if converted is not None:
            holder = value
            for step in path[:-1]:
                holder = holder[step]
            holder[path[-1]] = converted
            turned = True
    return turned


def _converted(text: str, wanted: str) -> Any:
    text = text.strip()
    try:
        if wanted == "int_type":
            return int(text, 10) if text.lstrip("+-").isdigit() else None
        if wanted == "float_type":
            number = float(text)
            return number if math.isfinite(number) and "_" not in text else None
    except ValueError:
        return None
    if wanted == "bool_type":
        return {"true": True, "false": False}.get(text.lower())
    return None


def _real(located: Located, loc: tuple[Any, ...]) -> Path:
    """Pydantic's location without the branches of unions and without `[key]`."""
    path: list[str | int] = []
    here: Located | None = located
    for step in loc:
        value = here.value if here is not None else None
        if (isinstance(value, dict) and step in value) or (
            isinstance(value, list) and isinstance(step, int) and step < len(value)
        ):
            here = value[step]
        elif step is loc[-1] and step != "[key]" and isinstance(value, dict):
            path.append(step)
            break
        else:
            continue
        path.append(step)
    return tuple(path)


def _unknowable(path: Path, error: str, unknown: set[Path]) -> bool:
    if not unknown:
        return False
    if error in ("value_error", "assertion_error"):  # a rule over several fields, of which one is not known
        return any(place[: len(path)] == path for place in unknown)
    return any(path[: len(place)] == place for place in unknown) or (
        error.endswith("too_short") and any(place[: len(path)] == path for place in unknown)
    )


@frozen
class _Names:
    """How messages call a value and its parts."""

    what: str
    within: str

    def of(self, path: Path) -> str:
        steps = [str(step) for step in path]
        return ".".join([self.within, *steps] if self.within else steps) if steps else self.what


def _diagnostic(
    model: type[BaseModel], located: Located, given: Plain, error: Any, path: Path, at: Path, names: _Names
) -> Diagnostic:
    kind, context = error["type"], error.get("ctx", {})
    here = located.at(path)
    name = names.of(path)
    if kind == "extra_forbidden":
        return Diagnostic(
            "unknown-key",
            f"{names.of(path[:-1])} has no '{path[-1]}'",
            here.key_span or here.span,
            (*at, *path),
            suggest(str(path[-1]), field_names(model, path[:-1]), what="keys"),
        )
    if kind == "missing":
        key = error["loc"][-1]
        return Diagnostic(
            "missing-key",
            f"{names.of(path[:-1])} lacks '{key}'",
            located.at(path[:-1]).span,
            (*at, *path[:-1]),
            f"add '{key}'{_about(model, path[:-1], str(key))}",
        )
    if error["loc"] and error["loc"][-1] == "[key]":
        return Diagnostic(
            "bad-name", f"'{path[-1]}' cannot be a name here", here.key_span or here.span, (*at, *path), _NAMES
        )
    source = given.interpolated.get(path)
    message, hint = _wrong(kind, context, error)
    code = "wrong-type" if kind.endswith("_type") or kind in _TYPES else "wrong-value"
    if kind == "string_pattern_mismatch" and "A-Za-z_" in str(context.get("pattern", "")):
        code, hint = "bad-name", _NAMES
    if kind in ("value_error", "assertion_error"):
        return Diagnostic(code, f"{names.what}: {message}", here.span, (*at, *path), hint)
    if kind == "literal_error" and isinstance(here.value, str):
        options = [option.strip("'\" ") for option in str(context.get("expected", "")).replace(" or ", ",").split(",")]
        hint = suggest(here.value, options, what="values")
    shown = f"the value of {source.text}" if source else _shown(here.value)
    return Diagnostic(code, f"{name} {message}, not {shown}", here.span, (*at, *path), hint)


_NAMES = "a name starts with a letter or '_' and has letters, digits, '_', '-' and '.', at most 64"

_TYPES: Mapping[str, str] = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "list_type": "must be a list",
    "dict_type": "must be a map",
    "model_type": "must be a map",
    "model_attributes_type": "must be a map",
    "is_instance_of": "must be a secret",
    "finite_number": "must be a finite number",
}


def _wrong(kind: str, context: Mapping[str, Any], error: Mapping[str, Any]) -> tuple[str, str | None]:
    if kind in _TYPES:
        hint = (
            "leave out the quotes" if kind in ("int_type", "float_type", "bool_type") and _quoted(kind, error) else None
        )
        return _TYPES[kind], hint
    match kind:
        case "greater_than_equal":
            return f"must be at least {context['ge']:g}", None
        case "greater_than":
            return f"must be more than {context['gt']:g}", None
        case "less_than_equal":
            return f"must be at most {context['le']:g}", None
        case "less_than":
            return f"must be less than {context['lt']:g}", None
        case "literal_error":
            return f"must be {context['expected']}", None
        case "string_too_short" | "too_short":
            return "must not be empty", None
        case "string_too_long" | "too_long":
            return f"must have at most {context['max_length']}", None
        case "string_pattern_mismatch":
            return f"must match {context['pattern']}", None
        case "value_error" | "assertion_error":
            return str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, "), None
    return f"is wrong ({error['msg']})", None


def _quoted(kind: str, error: Mapping[str, Any]) -> bool:
    return isinstance(error.get("input"), str) and _converted(error["input"], kind) is not None


def _shown(value: Any) -> str:
    """A value as a message shows it: its kind, and a bounded piece of it."""
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


def model_at(model: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """The model that stands at a path below another."""
    here: Any = model
    for step in path:
        if isinstance(here, type) and issubclass(here, BaseModel):
            fields = {field.alias or name: field for name, field in here.model_fields.items()}
            if step not in fields:
                return None
            here = fields[step].annotation
        else:
            arguments = [a for a in _arms(here) if a is not type(None)]
            here = next((get_args(a)[-1] for a in arguments if get_args(a)), None)
        here = next((a for a in _arms(here) if _is_model(a)), here)
    return here if _is_model(here) else None


def field_names(model: type[BaseModel], path: Path) -> list[str]:
    """The keys that a map at a path below a model may have."""
    found = model_at(model, path)
    return [field.alias or name for name, field in found.model_fields.items()] if found else []


def _about(model: type[BaseModel], path: Path, key: str) -> str:
    found = model_at(model, path)
    for name, described in (found.model_fields if found else {}).items():
        if (described.alias or name) == key and described.description:
            return f": {described.description}"
    return ""


def _arms(annotation: Any) -> tuple[Any, ...]:
    origin = getattr(annotation, "__origin__", None)
    if origin is None and get_args(annotation):
        return get_args(annotation)
    return (annotation,)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def secret_of(value: Any) -> Secret | None:
    """The secret that a leaf refers to, where it is exactly one reference without a default."""
    if isinstance(value, Interpolated) and len(value.references) == 1:
        reference = value.references[0]
        if reference.default is None and value.text == f"${{{reference.source}:{reference.name}}}":
            return Secret(reference.source, reference.name)
    return None
