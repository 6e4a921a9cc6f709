"""What pydantic finds wrong, at the place that wrote it and in words for the person who did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from attrs import evolve, frozen
from pydantic import BaseModel

from victor_dsl.compiler.plain import Plain, converted
from victor_dsl.language.config import NAME_PATTERN, Config, FunctionName
from victor_dsl.language.marks import marks
from victor_dsl.language.spec import VAR_PATTERN
from victor_dsl.nearest import nearest, suggest
from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.interpolate import as_written
from victor_dsl.source.located import Located, Path
from victor_dsl.source.veil import looks_secret

MOST_OPTIONS = 12
"""Of more values than this a message gives the number, and the hint the nearest."""


def faults(
    model: type[BaseModel], located: Located, given: Plain, errors: Sequence[Any], at: Path, what: str, within: str
) -> list[Diagnostic]:
    """The errors as diagnostics, one for each place and code; see `validate.validate` for the arguments."""
    names = _Names(what, within)
    found: dict[tuple[Path, str], Diagnostic] = {}
    types: dict[Path, list[str]] = {}
    misspelt: set[tuple[Path, str | None]] = set()
    for raw in errors:
        path = _real(located, raw)
        if _unknowable(path, raw["type"], given.unknown) or (
            raw["type"] == "string_pattern_mismatch" and path and _is_function(model, path[0])
        ):
            continue
        diagnostic = _diagnostic(model, located, given, raw, path, at, names)
        found.setdefault((path, diagnostic.code), diagnostic)
        if raw["type"] in _TYPES:
            types.setdefault(path, []).append(_TYPES[raw["type"]])
        elif diagnostic.code == "unknown-key":
            misspelt.add((path[:-1], nearest(str(path[-1]), field_names(model, path[:-1]))))
    for path, wanted in types.items():
        if len(set(wanted)) > 1:  # of a union; pydantic says what each of its types has against the value
            message = (
                f"{names.of(path)} must be {' or '.join(dict.fromkeys(wanted))}, not {_given(located, given, path)}"
            )
            found[path, "wrong-type"] = evolve(found[path, "wrong-type"], message=message, hint=None)
    return [
        diagnostic
        for (path, code), diagnostic in found.items()
        if not (code == "missing-key" and (path[:-1], path[-1]) in misspelt)
    ]


def _as_referred(message: str, given: Plain) -> str:
    """A message of a component's own rule, with references where it shows what they come to."""
    for leaf in given.interpolated.values():
        if leaf.value:
            message = message.replace(leaf.value, leaf.text)
    return message


def _is_function(model: type[BaseModel], name: str | int) -> bool:
    """Whether a field names a function, which has a rule of its own."""
    return issubclass(model, Config) and isinstance(marks(model).get(str(name)), FunctionName)


def _real(located: Located, error: Any) -> Path:
    """Pydantic's location without the branches of unions and without `[key]`; with the key that is missing."""
    path: list[str | int] = []
    here = located
    for step in error["loc"]:
        value = here.value
        if (isinstance(value, dict) and step in value) or (
            isinstance(value, list) and isinstance(step, int) and step < len(value)
        ):
            here = value[step]
            path.append(step)
    return (*path, error["loc"][-1]) if error["type"] == "missing" else tuple(path)


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
    if kind == "string_pattern_mismatch" and (rule := _NAMES.get(str(context.get("pattern")))):
        span = (here.key_span or here.span) if error["loc"][-1] == "[key]" else here.span
        bad = str(path[-1]) if error["loc"][-1] == "[key]" else str(as_written(here.value))
        return Diagnostic("bad-name", f"'{bad[:80]}' cannot be a name here", span, (*at, *path), rule)
    message, hint = _wrong(kind, context, error)
    hint = None if path in given.interpolated else hint  # it may hold the value
    code = "wrong-type" if kind in _TYPES else "wrong-value"
    if kind in ("value_error", "assertion_error"):
        return Diagnostic(code, f"{names.what}: {_as_referred(message, given)}", here.span, (*at, *path), hint)
    if kind == "literal_error" and isinstance(here.value, str):
        options = [option.strip("'\" ") for option in str(context.get("expected", "")).replace(" or ", ",").split(",")]
        hint = suggest(here.value, options, what="values")
        if len(options) > MOST_OPTIONS:
            message = f"be one of its {len(options)} values"
    message = f"{names.of(path)} must {message}"
    if not message.endswith(NOT_EMPTY) or path in given.interpolated:
        message += f", not {_given(located, given, path)}"
    return Diagnostic(code, message, here.span, (*at, *path), hint)


NOT_EMPTY = "not be empty"
_NAMES: Mapping[str, str] = {
    NAME_PATTERN: "a name starts with a letter or '_' and has letters, digits, '_', '-' and '.', at most 64",
    VAR_PATTERN: "templates use it as a word: letters, digits and '_', not starting with a digit",
}

_TYPES: Mapping[str, str] = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "a map",
    "model_type": "a map",
    "model_attributes_type": "a map",
    "is_instance_of": "a secret",
    "finite_number": "a finite number",
}


def _wrong(kind: str, context: Mapping[str, Any], error: Any) -> tuple[str, str | None]:
    """What the value must be or have, and a hint."""
    if kind in _TYPES:
        return f"be {_TYPES[kind]}", _repair(kind, error["input"])
    match kind:
        case "greater_than_equal":
            return f"be at least {context['ge']:g}", None
        case "greater_than":
            return f"be more than {context['gt']:g}", None
        case "less_than_equal":
            return f"be at most {context['le']:g}", None
        case "less_than":
            return f"be less than {context['lt']:g}", None
        case "literal_error":
            return f"be {context['expected']}", None
        case "string_too_short" | "too_short":
            least = context["min_length"]
            return NOT_EMPTY if least == 1 else f"have at least {least}", None
        case "string_too_long" | "too_long":
            return f"have at most {context['max_length']}", None
        case "string_pattern_mismatch":
            return f"match {context['pattern']}", None
        case "value_error" | "assertion_error":
            return str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, "), None
    return f"be otherwise ({error['msg']})", None


def _repair(kind: str, written: Any) -> str | None:
    """What to write instead, where one thing is likely meant."""
    if isinstance(written, str) and converted(written, kind) is not None:
        return "leave out the quotes"
    if kind == "list_type" and isinstance(written, str) and len(written) <= 40 and not looks_secret(written):
        return f"write it as a list: `[{written}]`"
    if kind == "string_type" and isinstance(written, bool | int | float):
        return "put it in quotes"
    return None


def _given(located: Located, given: Plain, path: Path) -> str:
    source = given.interpolated.get(path)
    return f"the value of {source.text}" if source else _shown(located.at(path).value)


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
    if hasattr(annotation, "__metadata__"):  # Annotated: what it marks
        return _arms(annotation.__origin__)
    origin = getattr(annotation, "__origin__", None)
    if origin is None and get_args(annotation):
        return get_args(annotation)
    return (annotation,)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
