"""Maps and lists that turns share, and that cannot be changed."""

from __future__ import annotations

from typing import Any, NoReturn


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
