"""Maps and lists that turns share, and that nobody may change."""

from __future__ import annotations

from typing import Any, NoReturn


def freeze(value: Any) -> Any:
    """The value with all its maps and lists made unchangeable. They remain a `dict` and a `list`, for JSON and templates."""
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
    raise TypeError("these values are shared by turns and may not be changed; change a copy")


class FrozenMap(dict[str, Any]):
    """A map that refuses to be changed; copies of it, pickled ones too, are plain and do not."""

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return dict, (dict(self),)


class FrozenList(list[Any]):
    """A list that refuses to be changed; copies of it, pickled ones too, are plain and do not."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return list, (list(self),)
