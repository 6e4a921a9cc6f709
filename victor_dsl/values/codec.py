"""The one cattrs converter: values that arrive at run time from outside, checked into our own.

Types are exact: true is no number, NaN is none, a text is no list. Every fault says where it is
(`settings.limits.concurrency`) and none shows the value. What a setting may be is read from `values.settings` alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, get_args, get_origin

import attrs
from annotated_types import Ge, Gt, Le, MinLen
from attrs import frozen
from cattrs import (
    AttributeValidationNote,
    ClassValidationError,
    Converter,
    ForbiddenExtraKeysError,
    IterableValidationError,
    IterableValidationNote,
)

from victor_dsl.errors import RequestError
from victor_dsl.values.chat_format import message_from_json
from victor_dsl.values.faults import Fault, Faulty, Path, kind_of, nearest
from victor_dsl.values.message import Message
from victor_dsl.values.request import Request
from victor_dsl.values.settings import Settings
from victor_dsl.values.tool import Tool

DEPTH = 64
"""How deep a map of a request or a provider may nest."""


def read_settings(raw: Mapping[str, Any]) -> Settings:
    """The Settings that a map of values means; what it leaves out, or sets to null, has its default. Raises Faulty."""
    return _read(without_nulls(raw), Settings, ("settings",))  # type: ignore[no-any-return]


def read_vars(raw: Any, path: Path = ("vars",)) -> Mapping[str, Any]:
    """The map itself, if it is one that JSON can write. Raises Faulty."""
    if not isinstance(raw, Mapping):
        raise Faulty([Fault(path, f"must be a map, not {kind_of(raw)}")])
    if faults := list(_check_json(raw, path)):
        raise Faulty(faults)
    return raw


def read_request(data: Any) -> Request:
    """The request that a request line is. Raises RequestError that names every fault.

    What the settings may be is not looked at: that depends on the plan.
    """
    try:
        line: _Line = _read(data, _Line, ())
    except Faulty as error:
        raise RequestError(str(error)) from error
    messages = None if line.messages is None else _read_messages(line.messages)
    return Request(
        id=line.id,
        session=line.session,
        tenant=line.tenant,
        user=line.user,
        message=line.message,
        messages=messages,
        vars=line.vars or {},
        settings=line.settings or {},
        tools=tuple(map(_tool, line.tools or ())),
    )


def without_nulls(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The map without the keys that are null, deep: null means not set."""
    return {
        key: without_nulls(value) if isinstance(value, Mapping) else value
        for key, value in raw.items()
        if value is not None
    }


Text = Annotated[str, MinLen(1)]
Json = Mapping[str, Any]


@frozen
class _Function:
    name: Text
    description: str | None = None
    parameters: Json | None = None
    strict: bool | None = None


@frozen
class _Tool:
    function: _Function
    type: str = "function"


@frozen
class _Line:
    """A request line as it is written."""

    id: Any = None
    session: Text | None = None
    tenant: Text | None = None
    user: Text | None = None
    message: str | None = None
    messages: tuple[Any, ...] | None = None
    vars: Json | None = None
    settings: Json | None = None
    tools: tuple[_Tool, ...] | None = None


def _read(value: Any, type: type[Any], path: Path) -> Any:
    try:
        read = CONVERTER.structure(value, type)
    except (ClassValidationError, IterableValidationError, ValueError, TypeError) as error:
        raise Faulty(_faults(error, path)) from error
    if faults := [*_beyond_types(read)]:
        raise Faulty(faults)
    return read


def _beyond_types(read: Any) -> Iterable[Fault]:
    """What the types of a request line cannot say."""
    if not isinstance(read, _Line):
        return
    if read.id is not None and (isinstance(read.id, bool) or not isinstance(read.id, str | int)):
        yield Fault(("id",), f"must be text or a whole number, not {kind_of(read.id)}")
    if (read.message is None) == (read.messages is None):
        yield Fault((), "a request has either 'message' or 'messages'" + ("" if read.message is None else ", not both"))
    if read.messages is not None and not read.messages:
        yield Fault(("messages",), "is empty")
    for key in ("vars", "settings"):
        yield from _check_json(getattr(read, key), (key,))
    names: set[str] = set()
    for index, tool in enumerate(read.tools or ()):
        if tool.type != "function":
            yield Fault(("tools", index, "type"), "must be 'function'")
        if tool.function.name in names:
            yield Fault(("tools", index, "function", "name"), f"'{tool.function.name}' is an earlier tool's already")
        yield from _check_json(tool.function.parameters, ("tools", index, "function", "parameters"))
        names.add(tool.function.name)


def _read_messages(raw: tuple[Any, ...]) -> tuple[Message, ...]:
    messages, faults = [], []
    for index, value in enumerate(raw):
        try:
            messages.append(message_from_json(value, f"messages[{index}]"))
        except RequestError as error:
            faults.append(error.message)
    if faults:
        raise RequestError("; ".join(faults))
    return tuple(messages)


def _tool(tool: _Tool) -> Tool:
    function = tool.function
    parameters = function.parameters or {"type": "object", "properties": {}}
    return Tool(function.name, function.description or "", parameters)


def _check_json(value: Any, path: Path, depth: int = 0) -> Iterable[Fault]:
    if depth > DEPTH:
        yield Fault(path[:4], f"nests deeper than {DEPTH} levels")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(key, str):
                yield from _check_json(inner, (*path, key), depth + 1)
            else:
                yield Fault(path, f"has a key that is not text but {kind_of(key)}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _check_json(inner, (*path, index), depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        yield Fault(path, "must be finite")
    elif value is not None and not isinstance(value, str | int | float):
        yield Fault(path, "is nothing that JSON can write")


def _faults(error: BaseException, path: Path) -> Iterable[Fault]:
    """cattrs' tree of errors as a flat list."""
    if isinstance(error, ClassValidationError | IterableValidationError):
        for inner in error.exceptions:
            for note in getattr(inner, "__notes__", ()):
                if isinstance(note, AttributeValidationNote):
                    yield from _faults(inner, (*path, note.name))
                    break
                if isinstance(note, IterableValidationNote):
                    yield from _faults(inner, (*path, note.index))
                    break
            else:
                yield from _faults(inner, path)
    elif isinstance(error, ForbiddenExtraKeysError):
        names = [field.name for field in attrs.fields(error.cl)]
        for key in sorted(error.extra_fields, key=str):
            yield Fault(path, f"there is no '{key}'; {nearest(str(key), names)}", key=str(key))
    elif isinstance(error, KeyError):
        yield Fault(path, "is missing")
    else:
        yield Fault(path, str(error))


def _strict(wanted: str, accept: tuple[type, ...], make: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, accept) or (isinstance(value, bool) and bool not in accept):
            raise TypeError(f"must be {wanted}, not {_shown(value, wanted)}")
        return make(value)

    return structure


def _shown(value: Any, wanted: str) -> str:
    return "a fraction" if isinstance(value, float) and wanted == "a whole number" else kind_of(value)


def _finite(value: float) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError("must be a finite number")
    return number


def _constrained(type: Any) -> Callable[[Any, Any], Any]:
    """A hook for `Annotated[T, Ge(0), …]`: T's own hook, then the bounds."""
    inner, *marks = get_args(type)
    structure = CONVERTER.get_structure_hook(inner)
    bounds = [mark for mark in marks if isinstance(mark, Ge | Gt | Le | MinLen)]

    def check(value: Any, _: Any) -> Any:
        checked = structure(value, inner)
        for bound in bounds:
            match bound:
                case Ge(least) if not checked >= least:
                    raise ValueError(f"must be at least {least}")
                case Gt(below) if not checked > below:
                    raise ValueError(f"must be more than {below}")
                case Le(most) if not checked <= most:
                    raise ValueError(f"must be at most {most}")
                case MinLen(length) if len(checked) < length:
                    raise ValueError("must not be empty")
        return checked

    return check


def _listed(type: Any) -> Callable[[Any, Any], Any]:
    """A hook for `tuple[T, ...]`, which takes lists and tuples but no text."""
    item = get_args(type)[0]
    structure = CONVERTER.get_structure_hook(item)

    def read(value: Any, _: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise TypeError(f"must be a list, not {kind_of(value)}")
        read, errors = [], []
        for index, inner in enumerate(value):
            try:
                read.append(structure(inner, item))
            except Exception as error:  # noqa: BLE001 - whatever a hook raises is a fault of this item
                error.add_note(IterableValidationNote(f"item {index}", index, item))
                errors.append(error)
        if errors:
            raise IterableValidationError("list", errors, type)
        return tuple(read)

    return read


def _classed(type: Any) -> Callable[[Any, Any], Any]:
    """A hook for our classes: cattrs' own, for maps only."""
    from_map = CONVERTER.gen_structure_attrs_fromdict(type)

    def read(value: Any, _: Any) -> Any:
        if not isinstance(value, Mapping):
            raise TypeError(f"must be a map, not {kind_of(value)}")
        return from_map(value, type)

    return read


def _mapped(value: Any, _: Any) -> Any:
    if not isinstance(value, Mapping):
        raise TypeError(f"must be a map, not {kind_of(value)}")
    return value


def _is(origin: Any) -> Callable[[Any], bool]:
    return lambda type: get_origin(type) is origin


CONVERTER = Converter(detailed_validation=True, forbid_extra_keys=True)
CONVERTER.register_structure_hook_factory(attrs.has, _classed)
CONVERTER.register_structure_hook_factory(_is(tuple), _listed)
CONVERTER.register_structure_hook_factory(_is(Annotated), _constrained)
CONVERTER.register_structure_hook_func(lambda type: type == Json, _mapped)
CONVERTER.register_structure_hook(bool, _strict("true or false", (bool,), bool))
CONVERTER.register_structure_hook(int, _strict("a whole number", (int,), int))
CONVERTER.register_structure_hook(float, _strict("a number", (int, float), _finite))
CONVERTER.register_structure_hook(str, _strict("text", (str,), str))
