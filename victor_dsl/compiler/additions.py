"""`+key: [...]` in located values: its items are added to the list of the layer below, or are the list where there is none."""

from __future__ import annotations

from typing import Any

from attrs import define, field

from victor_dsl.language.spec import LISTS, OWN, SECTIONS
from victor_dsl.source.diagnostic import Diagnostic, Related
from victor_dsl.source.interpolate import as_written
from victor_dsl.source.located import Located, Path
from victor_dsl.values.additions import ADDED_TOOLS, ALLOWED_TOOLS, added_to, addition_fault
from victor_dsl.values.faults import kind_of
from victor_dsl.values.settings import Added


def add(merged: dict[str, Located], name: str, over: Located) -> None:
    """Adds the items of `+name` to the list `name` of a map. Where the map has no such list, it gets the key `+name`."""
    key = name if isinstance(getattr(merged.get(name), "value", None), list) else f"+{name}"
    below = merged.get(key)
    if below is not None and isinstance(below.value, list) and isinstance(over.value, list):
        over = Located([*below.value, *over.value], over.span, over.key_span)
    elif key == name:
        key = f"+{name}"  # no list: `settle` reports it
    merged[key] = over


def plain_path(path: Path) -> Path:
    """The path without the `+` of its keys."""
    return tuple(added_to(step) or step if isinstance(step, str) else step for step in path)


@define
class Additions:
    """Replaces each `+key` that is left in a document by `key`, and collects the faults of additions.

    Tenants, arms and the values of providers keep theirs, because they are laid upon other values later. Parts that documents share
    are read once.
    """

    diagnostics: list[Diagnostic] = field(factory=list)
    _settled: dict[tuple[int, bool], tuple[Located, Any]] = field(factory=dict)

    def settle(self, located: Located, path: Path = (), *, later: bool = False) -> Located:
        """The value without faulty additions. If it is laid upon another value `later`, the others stay as `+key`."""
        value = located.value
        if not isinstance(value, dict | list):
            return located
        known = self._settled.get((id(value), later))
        if known is None:
            changed = self._map(value, path, later=later) if isinstance(value, dict) else self._list(value, path, later)
            known = self._settled[id(value), later] = (located, changed)
        return located if known[1] is value else Located(known[1], located.span, located.key_span)

    def _map(self, items: dict[str, Located], path: Path, *, later: bool) -> dict[str, Located]:
        changed: dict[str, Located] = {}
        same = True
        for key, child in items.items():
            name = added_to(key)
            if name is not None and self._is_faulty(key, name, items, path, later=later):
                same = False
                continue
            new = child
            if isinstance(child.value, dict | list) and (path or not key.startswith(OWN)):
                new = self.settle(child, (*path, key), later=later or _is_laid_later(path, key))
            as_key = key if name is None or later else name
            same = same and new is child and as_key is key
            changed[as_key] = new
        return items if same else changed

    def _list(self, items: list[Located], path: Path, later: bool) -> list[Located]:
        new = [self.settle(item, (*path, index), later=later) for index, item in enumerate(items)]
        return items if all(a is b for a, b in zip(items, new, strict=True)) else new

    def _is_faulty(self, key: str, name: str, items: dict[str, Located], path: Path, *, later: bool) -> bool:
        added, below = items[key], items.get(name)
        fault = addition_fault(key, added.value, is_beside=below is not None)
        if later and (*path, name)[-len(ALLOWED_TOOLS) :] == ALLOWED_TOOLS:
            fault = ADDED_TOOLS
        elif not path and name in SECTIONS - LISTS:
            fault = f"'{key}' adds to a list, but {name} is not a list", f"write `{name}`"
        elif below is not None and isinstance(added.value, list) and not isinstance(below.value, list):
            fault = (
                f"'{key}' adds to a list, but '{name}' is {kind_of(as_written(below.value))}",
                f"write `{name}: […]`",
            )
        if fault is not None:
            beside = below if isinstance(added.value, list) else None
            related = () if beside is None else (Related(f"'{name}'", beside.key_span or beside.span),)
            span = added.key_span or added.span
            self.diagnostics.append(Diagnostic("bad-addition", fault[0], span, (*path, key), fault[1], related=related))
        return fault is not None


def take_additions(overlay: Located) -> tuple[Located, Added]:
    """An overlay without additions in its `settings` and `vars`, and the paths of the lists that were additions."""
    added: set[tuple[str, ...]] = set()
    values = {key: _plain(value, (key,), added) for key, value in overlay.value.items() if key in ("settings", "vars")}
    return Located({**overlay.value, **values}, overlay.span, overlay.key_span) if added else overlay, frozenset(added)


def _plain(located: Located, path: tuple[str, ...], added: set[tuple[str, ...]]) -> Located:
    if not isinstance(located.value, dict):
        return located
    made = {}
    for key, child in located.value.items():
        if (name := added_to(key)) is not None:
            added.add((*path, name))
        made[name or key] = _plain(child, (*path, name or key), added)
    return Located(made, located.span, located.key_span)


def _is_laid_later(path: Path, key: str) -> bool:
    return (not path and key in ("tenants", "variants")) or (
        len(path) == 2 and path[0] == "providers" and key == "values"
    )
