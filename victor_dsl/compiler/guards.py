"""Required middleware: tenants and arms may neither remove nor change nor move it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile

from attrs import frozen

from victor_dsl.compiler.checked import Checked, Item
from victor_dsl.compiler.overlays import AUTH, as_map, name_of, same, type_of
from victor_dsl.language.kinds import KINDS
from victor_dsl.source.diagnostic import Diagnostic, Related
from victor_dsl.source.located import Located, Path
from victor_dsl.values.settings import lifted_fields

Name = tuple[str, int]
"""An item's name, and how many items before it have the same name."""


@frozen(eq=False)
class Guards:
    """The middleware of a spec without overlays, and the required items after `auth`: overlays cannot touch those before it."""

    items: Mapping[Name, Located]
    required: Mapping[Name, Item]

    @classmethod
    def of(cls, base: Checked) -> Guards:
        """The guards of a spec without its overlays."""
        items = _by_name(base.document)
        checked = {int(item.path[1]): item for item in base.sections["middleware"]}
        admission = max((i for i, item in checked.items() if item.component.type == AUTH), default=-1)
        places = {name: checked[i] for i, name in enumerate(items) if i > admission and i in checked}
        return cls(items, {name: item for name, item in places.items() if _is_required(item)})

    def faults(self, over: Located, merged: Located, at: Path) -> Iterator[Diagnostic]:
        """The faults of the overlay at a path. `merged` is the spec with the overlay laid upon it."""
        for key in ("middleware", "+middleware"):
            if (section := over.get(key)) is not None:
                yield from _sets_required(section, (*at, key))
                after = _by_name(merged)
                for name in self.required:
                    yield from self._faults(name, section, after, (*at, key))

    def _faults(self, name: Name, section: Located, after: Mapping[Name, Located], at: Path) -> Iterator[Diagnostic]:
        place, written = _entry(section, name, at)
        if name not in after:
            what = "removed"
        elif (field := self._changed(name, after[name])) is not None:
            what = f"given another '{field}'"
            for key in (field, f"+{field}"):
                if (leaf := written.get(key)) is not None:
                    place, written = (*place, key), leaf
        elif others := _before(after, name) - _before(self.items, name):
            what = "put behind another item"
            place, written = _entry(
                section, next(other for other in after if (other, _type(after[other])) in others), at
            )
        elif any(other in after for other, _ in _before(self.items, name) - _before(after, name)):
            what = "moved"
        else:
            return
        yield Diagnostic(
            "required-guard",
            f"{name[0]} is required and cannot be {what} by a tenant or an arm",
            written.key_span or written.span,
            place,
            _hint(what, name[0]),
            related=(Related("it is required here", self.items[name].span),),
        )

    def _changed(self, name: Name, after: Located) -> str | None:
        """The first field that differs. Fields that are settings may differ: `locked` and `at_most` bound them."""
        before, now = as_map(self.items[name]).value, as_map(after).value
        free = {*lifted_fields("middleware", self.required[name].component.type), "required"}
        for field in dict.fromkeys([*before, *now]):
            if field not in free and not (field in before and field in now and same(before[field], now[field])):
                return str(field)
        return None


def _is_required(item: Item) -> bool:
    written = getattr(item.config, "required", None)
    return item.component.required if written is None else bool(written)


def _by_name(spec: Located) -> dict[Name, Located]:
    """The middleware of a spec, in its order."""
    section = spec.get("middleware")
    return dict(_named(section.value)) if section is not None and isinstance(section.value, list) else {}


def _named(items: Sequence[Located]) -> Iterator[tuple[Name, Located]]:
    counts: Counter[str] = Counter()
    for item in items:
        name = name_of(KINDS["middleware"], item)
        yield (name, counts[name]), item
        counts[name] += 1


def _before(items: Mapping[Name, Located], name: Name) -> set[tuple[Name, str | None]]:
    """The items before one, each with its type, since an item of another type is not the same."""
    return {(other, _type(items[other])) for other in takewhile(lambda other: other != name, items)}


def _type(item: Located) -> str | None:
    return type_of(KINDS["middleware"], item)


def _entry(section: Located, name: Name, at: Path) -> tuple[Path, Located]:
    """The path and value of an item in an overlay's section; those of the section if the item is not there."""
    if isinstance(section.value, dict) and name[0] in section.value:
        return (*at, name[0]), section.value[name[0]]
    if isinstance(section.value, list):
        for i, (other, item) in enumerate(_named(section.value)):
            if other == name:
                return (*at, i), item
    return at, section


def _sets_required(section: Located, at: Path) -> Iterator[Diagnostic]:
    listed = section.value if isinstance(section.value, list) else []
    for place, item in section.value.items() if isinstance(section.value, dict) else enumerate(listed):
        if (leaf := item.get("required")) is not None:
            yield Diagnostic(
                "required-guard",
                "tenants and arms may not write `required`, only the spec itself",
                leaf.key_span or leaf.span,
                (*at, place, "required"),
                "write `required` at the item in the spec's own `middleware`, or leave it out",
            )


def _hint(what: str, name: str) -> str:
    moved = what in ("moved", "put behind another item")
    how = (
        f"leave what is before {name} in its order, and add items after it (`+middleware`)"
        if moved
        else f"leave {name} as it is"
    )
    return f"{how}; or write `required: false` at {name} in the spec's own `middleware`"
