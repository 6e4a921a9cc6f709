"""The one cattrs converter. Types are exact: true is no number, NaN is none, a text is no list."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, TypeVar, get_args, get_origin

import attrs
from annotated_types import Ge, Gt, Le, MinLen
from cattrs import (
    AttributeValidationNote,
    ClassValidationError,
    Converter,
    ForbiddenExtraKeysError,
    IterableValidationError,
    IterableValidationNote,
)

from victor_dsl.nearest import suggest
from victor_dsl.values.faults import Fault, Faulty, Path, kind_of

T = TypeVar("T")
Json = Mapping[str, Any]


def convert(value: Any, type: type[T], path: Path) -> T:
    """The value as the type, an attrs class. Raises Faulty with every fault, each with its path below `path`."""
    try:
        return CONVERTER.structure(value, type)
    except (ClassValidationError, IterableValidationError, ValueError, TypeError) as error:
        raise Faulty(_faults(error, path)) from error


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
            yield Fault(path, f"there is no '{key}'; {suggest(str(key), names)}", key=str(key))
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
