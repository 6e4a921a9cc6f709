"""Values that cannot be changed: classes, and the maps and lists that turns share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from attrs import define

__all__ = ["FrozenList", "FrozenMap", "freeze", "value"]

if TYPE_CHECKING:
    from attrs import frozen as value
else:

    def value(cls: type | None = None, *, eq: bool = True, kw_only: bool = False) -> Any:
        """`attrs.frozen` to the type checker alone, for small values that every turn makes anew.

        A class that is frozen at run time, too, sets each field by `object.__setattr__`, which makes its constructor three
        times as slow. Equality and hash are those of `frozen`. What several turns share, such as a Message, is really frozen.
        """
        return define(cls, eq=eq, unsafe_hash=eq, kw_only=kw_only)


def freeze(value: Any) -> Any:
    """The value with all its maps and lists unchangeable. They still are a `dict` and a `list`, for JSON and templates."""
    if isinstance(value, FrozenMap | FrozenList):
        return value
    if isinstance(value, dict):
        return FrozenMap({key: freeze(inner) for key, inner in value.items()})
    if isinstance(value, list):
        return FrozenList([freeze(inner) for inner in value])
    if isinstance(value, tuple):
        return tuple([freeze(inner) for inner in value])
    return value


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise TypeError("turns share these values, so they cannot be changed; change a copy")


class FrozenMap(dict[str, Any]):
    """A map that cannot be changed; its copies, pickled ones too, are plain dicts."""

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return dict, (dict(self),)


class FrozenList(list[Any]):
    """A list that cannot be changed; its copies, pickled ones too, are plain lists."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return list, (list(self),)
