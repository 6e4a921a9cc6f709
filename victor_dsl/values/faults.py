"""What is wrong with a value from outside: pydantic's errors as faults with a path, in words for the person who wrote it.

Specs and the values that a running spec reads are worded alike. Only specs show the value itself; at run time it may be
a tenant's own data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, get_args

from attrs import evolve, frozen
from pydantic import BaseModel

from victor_dsl.nearest import nearest, suggest
from victor_dsl.values.from_text import SCALARS, from_text
from victor_dsl.values.model import NAME_RULES

Path = tuple[str | int, ...]

MANY_OPTIONS = 12
"""With more allowed values than this, a message gives their number and the hint the nearest."""

_TYPES: Mapping[str, str] = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a map",
    "model_type": "a map",
    "model_attributes_type": "a map",
    "is_instance_of": "a secret",
}
_YAML_1_1 = frozenset({"yes", "no", "on", "off", "y", "n"})
"""Truth values of YAML 1.1 that are text in YAML 1.2."""
RULES = frozenset({"value_error", "assertion_error"})
"""Kinds of faults that a model's own validators report."""


@frozen
class Fault:
    """One fault of the value at `path`: `message` is a sentence, `hint` says what to do.

    `code` is its diagnostic code in a spec and `kind` pydantic's type of error; `at_key` says that the key itself is at
    fault and not the value under it.
    """

    path: Path
    message: str
    hint: str | None = None
    code: str = "wrong-value"
    kind: str = ""
    at_key: bool = False

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class Faulty(ValueError):
    """A value has faults; every one of them is listed.

    A validator of a model raises it for parts of the model: their paths begin there, and each message begins with its path.
    A validator of a field raises it with an empty path, for a fault with a hint.
    """

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(map(str, self.faults)))


def dotted(path: Path) -> str:
    """A path as people write it: `settings.stop[0]`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def number(value: float) -> str:
    """A number as people write it: `1500000`, `0.5`."""
    return str(int(value)) if abs(value) < 1e18 and value == int(value) else repr(value)


def kind_of(value: Any) -> str:
    """The name of a value's type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a map" if isinstance(value, Mapping) else "a list" if isinstance(value, list | tuple) else "something else"


@frozen
class Subject:
    """The checked value, as messages call it: the whole is `name`, a part its path below `within`.

    `show` gives what a message shows of the value at a path; without it, only the kind of the value is shown, and that
    only where the kind is at fault.
    """

    name: str
    within: Path = ()
    show: Callable[[Path], str] | None = None

    def part(self, path: Path) -> str:
        """How messages call the part at a path."""
        return dotted((*self.within, *path)) if path else self.name

    def must(self, path: Path, wanted: str, value: Any) -> str:
        """The message that a part is not what it must be: `wanted` begins with `be` or `have`."""
        return f"{self.part(path)} must {wanted}" + ("" if wanted == NOT_EMPTY else self._but_is(path, wanted, value))

    def _but_is(self, path: Path, wanted: str, value: Any) -> str:
        if self.show is not None:
            return f", not {self.show(path)}"
        if wanted.removeprefix("be ").partition(" or ")[0] not in _TYPES.values():
            return ""
        fraction = isinstance(value, float) and wanted == "be a whole number"
        return f", not {'a fraction' if fraction else kind_of(value)}"


def faults_of(model: type[BaseModel], value: Any, errors: Sequence[Any], subject: Subject) -> list[Fault]:
    """Pydantic's errors about a value: one fault for each path and code. A misspelt key is not also reported as missing."""
    found: dict[tuple[Path, str], Fault] = {}
    wanted: dict[Path, list[str]] = {}
    misspelt: set[tuple[Path, str | None]] = set()
    for error in errors:
        path, kind = path_of(value, error), error["type"]
        if isinstance(raised := error.get("ctx", {}).get("error"), Faulty):
            for inner in raised.faults:
                fault = _below(inner, path, kind, subject)
                found.setdefault((fault.path, fault.code), fault)
            continue
        fault = _fault(model, error, path, subject)
        found.setdefault((path, fault.code), fault)
        if kind in _TYPES:
            wanted.setdefault(path, []).append(_TYPES[kind])
        elif kind == "extra_forbidden":
            misspelt.add((path[:-1], nearest(str(path[-1]), field_names(model, path[:-1]))))
    for path, types in wanted.items():
        within = (other for (other, _), fault in found.items() if len(other) > len(path) or fault.kind in RULES)
        if any(other[: len(path)] == path for other in within):
            del found[path, "wrong-type"]  # the other type of a union was meant, and has a fault within
        elif len(set(types)) > 1:  # a union: pydantic has an error for each of its types
            message = subject.must(path, f"be {' or '.join(dict.fromkeys(types))}", value_at(value, path))
            found[path, "wrong-type"] = evolve(found[path, "wrong-type"], message=message, hint=None)
    return [
        fault
        for (path, code), fault in found.items()
        if not (code == "missing-key" and (path[:-1], path[-1]) in misspelt)
    ]


def _below(fault: Fault, path: Path, kind: str, subject: Subject) -> Fault:
    """A fault that a model's own validator reports of a part of it, as one of the whole value."""
    part = subject.part(path)
    between = "." if fault.path else ": "
    message = f"{part}{between}{fault.message}" if part else fault.message
    return evolve(fault, path=(*path, *fault.path), message=message, kind=kind)


def path_of(value: Any, error: Any) -> Path:
    """The path of an error: pydantic's location without the branches of unions and `[key]`, but with a missing key."""
    path: list[str | int] = []
    for step in error["loc"]:
        for written in (step, f"+{step}"):
            if _has(value, written):
                value = value[written]
                path.append(written)
                break
    return (*path, error["loc"][-1]) if error["type"] == "missing" else tuple(path)


def value_at(value: Any, path: Path) -> Any:
    """The value at a path."""
    for step in path:
        value = value[step]
    return value


def _has(value: Any, step: Any) -> bool:
    if isinstance(value, Mapping):
        return step in value
    return isinstance(value, list | tuple) and isinstance(step, int) and step < len(value)


def _fault(model: type[BaseModel], error: Any, path: Path, subject: Subject) -> Fault:
    kind, context, written = error["type"], error.get("ctx", {}), error["input"]
    if kind == "extra_forbidden":
        hint = suggest(str(path[-1]), field_names(model, path[:-1]), what="keys")
        return Fault(path, f"{subject.part(path[:-1])} has no '{path[-1]}'", hint, "unknown-key", kind, at_key=True)
    if kind == "missing":
        key = str(path[-1])
        hint = f"add '{key}'{_described(model, path[:-1], key)}"
        return Fault(path[:-1], f"{subject.part(path[:-1])} lacks '{key}'", hint, "missing-key", kind)
    is_key = error["loc"][-1:] == ("[key]",)
    if kind == "string_pattern_mismatch" and (rule := NAME_RULES.get(str(context.get("pattern")))):
        return Fault(path, f"'{str(written)[:80]}' cannot be a name here", rule, "bad-name", kind, at_key=is_key)
    if is_key:
        return Fault(
            path, f"{subject.part(path[:-1])} has a key that is not text", None, "wrong-type", kind, at_key=True
        )
    if kind in RULES:
        message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
        part = subject.part(path)
        return Fault(path, f"{part}: {message}" if part else message, kind=kind)
    if kind == "float_type" and isinstance(written, int) and not isinstance(written, bool):
        kind = "finite_number"  # too large to be one
    if kind in _TYPES:
        message = subject.must(path, f"be {_TYPES[kind]}", written)
        return Fault(path, message, _repair(path, kind, written, message), "wrong-type", kind)
    if kind == "literal_error" and isinstance(written, str):
        options = [option.strip("'\" ") for option in context["expected"].replace(" or ", ",").split(",")]
        many = len(options) > MANY_OPTIONS
        wanted = f"be one of its {len(options)} values" if many else f"be {context['expected']}"
        return Fault(path, subject.must(path, wanted, written), suggest(written, options, what="values"), kind=kind)
    code = "wrong-type" if kind == "finite_number" else "wrong-value"
    return Fault(path, subject.must(path, _wanted(kind, context, error), written), None, code, kind)


NOT_EMPTY = "not be empty"


def _wanted(kind: str, context: Mapping[str, Any], error: Any) -> str:
    """What the value must be or have."""
    match kind:
        case "greater_than_equal":
            return f"be at least {number(context['ge'])}"
        case "greater_than":
            return f"be more than {number(context['gt'])}"
        case "less_than_equal":
            return f"be at most {number(context['le'])}"
        case "less_than":
            return f"be less than {number(context['lt'])}"
        case "finite_number":
            return "be a finite number"
        case "literal_error":
            return f"be {context['expected']}"
        case "string_too_short" | "too_short":
            least = context["min_length"]
            return NOT_EMPTY if least == 1 else f"have at least {least}"
        case "string_too_long" | "too_long":
            return f"have at most {context['max_length']}"
        case "string_pattern_mismatch":
            return f"match {context['pattern']}"
    return f"be valid ({error['msg']})"


def _repair(path: Path, kind: str, written: Any, message: str) -> str | None:
    """What to write instead, where one thing is likely meant."""
    if isinstance(written, str) and kind in SCALARS and from_text(written, kind) is not None:
        return "leave out the quotes"
    if _TYPES[kind] == "a list" and f"'{written}'" in message:  # or it is private
        words = _words(written) if path[-1:] == ("command",) else written
        return f"write it as a list: `[{words}]`"
    if kind == "bool_type" and str(written).lower() in _YAML_1_1 and f"'{written}'" in message:
        return f"write `true` or `false`; YAML 1.2 reads {written} as text"
    if kind == "string_type" and isinstance(written, bool | int | float):
        return "put it in quotes"
    return None


def _words(command: str) -> str:
    """The words of a command line as the items of a list in YAML."""
    return ", ".join(word if re.fullmatch(r"[\w./-]+", word) else f'"{word}"' for word in command.split())


def field_names(model: type[BaseModel], path: Path) -> list[str]:
    """The keys that a map at a path below a model may have."""
    found = _model_at(model, path)
    return [field.alias or name for name, field in found.model_fields.items()] if found else []


def _described(model: type[BaseModel], path: Path, key: str) -> str:
    """The description of a field, as the end of a hint."""
    found = _model_at(model, path)
    for name, field in (found.model_fields if found else {}).items():
        if (field.alias or name) == key and field.description:
            return f": {field.description}"
    return ""


def _model_at(model: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """The model that stands at a path below another."""
    here: Any = model
    for step in path:
        if _is_model(here):
            fields = {field.alias or name: field for name, field in here.model_fields.items()}
            if step not in fields:
                return None
            here = fields[step].annotation
        else:
            here = next((get_args(arm)[-1] for arm in _arms(here) if get_args(arm)), None)
        here = next((arm for arm in _arms(here) if _is_model(arm)), here)
    return here if _is_model(here) else None


def _arms(annotation: Any) -> tuple[Any, ...]:
    """The types of a union but None; any other type alone. `Annotated` is looked through."""
    if hasattr(annotation, "__metadata__"):
        return _arms(annotation.__origin__)
    origin = getattr(annotation, "__origin__", None)
    if origin is None and get_args(annotation):
        return tuple(inner for arm in get_args(annotation) if arm is not type(None) for inner in _arms(arm))
    return (annotation,)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
