"""The history of a variation: what each file of `extends`, the tenant and the arms write, and which of it is in force.

It follows the rules of `overlays` without merging anything: what that pass keeps is in force here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

from attrs import evolve, field, frozen

from victor_dsl.compiler.overlays import AUTH, VALUES, WHOLE, as_map, name_of
from victor_dsl.graph.written import Deed, Key, Writers, Written
from victor_dsl.language.kinds import KINDS, Kind
from victor_dsl.language.spec import OWN
from victor_dsl.source.located import Located
from victor_dsl.values.additions import added_to
from victor_dsl.values.settings import Origin, joined

SPEC = "spec"
"""The layer of the spec itself and of the files that it extends."""

_ELSEWHERE = ("extends", "tenants", "variants")
_NAMED = ("inputs", "messages")
"""Sections outside the kinds that have named items; `messages` has them by number."""


@frozen(slots=False)
class _Item:
    """What is in force of one item: the layers that had a say in it, and what they wrote of each field."""

    say: tuple[Written, ...] = ()
    fields: Mapping[Key, tuple[Written, ...]] = field(factory=dict)

    @cached_property
    def writers(self) -> Writers:
        """The origins of the item and of its fields."""
        say: dict[tuple[str, str], Written] = {}
        for one in self.say:
            say.setdefault(one.layer_key, one)
        fields = {".".join(key): _origin(found) for key, found in self.fields.items()}
        return {**fields, "": _origin(say.values())}


def _origin(written: Iterable[Written]) -> Origin:
    """One origin of what these wrote, the lowest first."""
    return joined([one.origin for one in written][::-1])


@frozen(eq=False, slots=False)
class History:
    """Histories of the variations of one spec. `files` are its documents, each after those that it extends."""

    files: tuple[Located, ...]

    @cached_property
    def _spec(self) -> _Fold:
        fold = _Fold()
        for document in self.files:
            fold.add(SPEC, document)
        return fold

    def writers(self, overlays: Iterable[tuple[str, Located]]) -> Mapping[Key, Writers]:
        """Who wrote each item. `overlays` are those of the variation, each with its layer's name, the lowest first."""
        return {key: item.writers for key, item in self._fold(overlays).items.items()}

    def written(self, overlays: Iterable[tuple[str, Located]]) -> list[Written]:
        """All that the layers write, the lowest first."""
        fold = self._fold(overlays)
        holds = {id(one) for item in fold.items.values() for found in item.fields.values() for one in found}
        return [evolve(one, key=fold.key_of(index), holds=id(one) in holds) for index, one in enumerate(fold.written)]

    def _fold(self, overlays: Iterable[tuple[str, Located]]) -> _Fold:
        fold = _Fold(dict(self._spec.items), [*self._spec.written], [*self._spec.renamed])
        for layer, overlay in overlays:
            fold.add(layer, overlay)
        return fold


@frozen
class _Fold:
    """Lays what layers write on what lower layers wrote."""

    items: dict[Key, _Item] = field(factory=dict)
    written: list[Written] = field(factory=list)
    renamed: list[tuple[int, Key, Key]] = field(factory=list)
    """The items that got another name: how much was written by then, the old key and the new one."""

    def key_of(self, index: int) -> Key:
        """The key of what was written, by the last name of its item."""
        key = self.written[index].key
        for count, old, new in self.renamed:
            if index < count and key[: len(old)] == old:
                key = new + key[len(old) :]
        return key

    def add(self, layer: str, document: Located) -> None:
        """Lays a layer on the others."""
        called: dict[Key, Key] = {}
        for found in _written(layer, document):
            at = _item_key(found.key)
            if found.deed == "adds" and found.key == at and len(at) > 1:
                called[at] = self._free(at)
            one = found if (name := called.get(at, at)) == at else evolve(found, key=name + found.key[len(at) :])
            self.written.append(one)
            if len(at) < _depth(at[0]):
                self._drop_section(one)
            elif one.key == name:
                self._whole(name, one)
            else:
                called[at] = self._field(name, one)

    def _free(self, key: Key) -> Key:
        """The name of an item that a list adds, as `check` gives it; a message's is its number."""
        if key[0] == "messages":
            return (key[0], str(sum(other[0] == key[0] for other in self.items)))
        free, number = key, 1
        while free in self.items:
            number += 1
            free = (key[0], f"{key[1]}#{number}")
        return free

    def _drop_section(self, one: Written) -> None:
        keys = [key for key in self.items if key[0] == one.key[0]]
        if one.key[0] == "middleware" and one.layer != SPEC:  # admission stays
            auth = [n for n, key in enumerate(keys) if _type(self.items[key]) == AUTH]
            keys = keys[auth[-1] + 1 :] if auth else keys
        for key in keys:
            del self.items[key]

    def _whole(self, key: Key, one: Written) -> None:
        item = self.items.get(key, _Item())
        if one.deed == "removes":
            self.items.pop(key, None)
        elif one.deed == "sets" or (one.deed == "adds" and len(key) == 1):
            before = item.fields.get((), ()) if one.deed == "adds" else ()
            self.items[key] = _Item((*item.say, one), {**item.fields, (): (*before, one)})
        else:
            self.items[key] = _Item((one,))

    def _field(self, key: Key, one: Written) -> Key:
        """Lays a field on an item; the item's key, which a name may change."""
        item = self.items.get(key, _Item())
        fields, path = dict(item.fields), one.key[len(key) :]
        before = fields.get(path, ())
        if one.deed == "adds":
            fields[path] = (*before, one)
        else:
            if path[-1] == "type" and key[0] not in VALUES and _is_other_type(key, before, one):
                kind = KINDS.get(key[0])
                kept = kind.own if kind is not None and len(path) == 1 else frozenset()
                _drop(fields, path[:-1], kept)
            there = _drop(fields, path)
            for length in range(1, len(path)):
                fields.pop(path[:length], None)
            if one.deed == "sets" or not there:
                fields[path] = (one,)
        self.items[key] = _Item((*item.say, one), fields)
        kind = KINDS.get(key[0])
        if kind is not None and kind.shape == "list" and path == ("name",) and isinstance(one.leaf.value, str):
            new = (key[0], one.leaf.value)
            if new != key:
                self.renamed.append((len(self.written), key, new))
                self.items[new] = self.items.pop(key)
            return new
        return key


def _drop(fields: dict[Key, tuple[Written, ...]], path: Key, kept: frozenset[str] = frozenset()) -> bool:
    """Removes the fields at and below a path, except some of those just below; whether there were any."""
    found = [key for key in fields if key[: len(path)] == path and not kept.intersection(key[len(path) :][:1])]
    for key in found:
        del fields[key]
    return bool(found)


def _is_other_type(key: Key, before: tuple[Written, ...], one: Written) -> bool:
    if before:
        return bool(before[-1].leaf.value != one.leaf.value)
    kind = KINDS.get(key[0])
    return kind is None or kind.default != one.leaf.value


def _type(item: _Item) -> object:
    found = item.fields.get(("type",))
    return found[-1].leaf.value if found else None


def _depth(section: str) -> int:
    """How many steps lead to an item."""
    kind = KINDS.get(section)
    return 2 if section in _NAMED or (kind is not None and kind.shape != "one") else 1


def _item_key(key: Key) -> Key:
    return key[: _depth(key[0])]


def _written(layer: str, document: Located) -> Iterator[Written]:
    """What a file or an overlay writes, in order; the type of an item before its other fields."""
    for written, section in document.value.items() if isinstance(document.value, dict) else ():
        key = added_to(written) or written
        if key in _ELSEWHERE or key.startswith(OWN):
            continue
        if section.value is None:
            yield Written(layer, (key,), "removes", section)
        elif isinstance(section.value, list) and _depth(key) > 1:
            if key == written:
                yield Written(layer, (key,), "replaces", section)
            yield from _listed(layer, key, section.value)
        elif (kind := KINDS.get(key)) is not None and kind.shape != "one" and isinstance(section.value, dict):
            for name, item in section.value.items():
                yield from _fields(layer, (key, name), as_map(item))
        else:
            if key in WHOLE:
                yield Written(layer, (key,), "replaces", section)
            yield from _fields(layer, (key,), as_map(section) if kind is not None else section, written != key)


def _listed(layer: str, section: str, items: list[Located]) -> Iterator[Written]:
    kind: Kind | None = KINDS.get(section)
    for index, item in enumerate(items):
        name = (kind and name_of(kind, item)) or str(index)
        yield Written(layer, (section, name), "adds", item)
        yield from _fields(layer, (section, name), as_map(item))


def _fields(layer: str, key: Key, here: Located, adds: bool = False) -> Iterator[Written]:
    if isinstance(here.value, dict) and here.value:
        for name in sorted(here.value, key=lambda name: name != "type"):
            plain = added_to(name)
            yield from _fields(layer, (*key, plain or name), here.value[name], plain is not None)
    else:
        deed: Deed = "adds" if adds else "removes" if here.value is None else "sets"
        yield Written(layer, key, deed, here)
