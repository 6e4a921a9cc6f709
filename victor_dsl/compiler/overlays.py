"""Lays one spec upon another: for `extends`, for tenants and for arms. Located in, Located out, spans kept."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from attrs import define, field

from victor_dsl.compiler.additions import add
from victor_dsl.language.kinds import KINDS, Kind
from victor_dsl.language.spec import LISTS, SECTIONS, UNTOUCHABLE
from victor_dsl.nearest import Choices, suggest
from victor_dsl.source.diagnostic import Diagnostic, Related
from victor_dsl.source.located import Located, Path
from victor_dsl.values.additions import added_to

AUTH = "auth"
"""The middleware that ends admission."""

WHOLE = ("message",)
"""Maps at the top of a spec that an overlay replaces: their fields exclude each other."""

VALUES = ("settings", "vars", "inputs")
"""Sections in which `type` is a key like any other. Elsewhere it is a component's, and says what other fields there are."""


@define
class Overlay:
    """Lays `over` on `base`, collecting faults. `guarded` enforces the rules of tenants and arms."""

    guarded: bool = False
    diagnostics: list[Diagnostic] = field(factory=list)
    _named: dict[int, tuple[dict[str, list[int]], list[Located]]] = field(factory=dict)
    _choices: Choices = field(factory=Choices)

    def lay(self, base: Located, over: Located, at: Path) -> Located:
        """The merged spec. `at` is the overlay's path in its document."""
        if not isinstance(base.value, dict) or not isinstance(over.value, dict):
            return base
        merged = dict(base.value)
        for written, value in over.value.items():
            where, name = (*at, written), added_to(written)
            key = name or written
            if self.guarded and key in UNTOUCHABLE:
                if key != "variants" or at[0] != "tenants" or not _stays_out(value):
                    self._fault(
                        "untouchable", f"a tenant or an arm may not change {key}", value, where, _untouchable_hint(key)
                    )
            elif self.guarded and key == "inputs" and at[0] == "variants":
                hint = "a request must fit every arm; a tenant may change them"
                self._fault("untouchable", "an arm may not change inputs", value, where, hint)
            elif self.guarded and key not in SECTIONS:
                hint = suggest(key, SECTIONS - UNTOUCHABLE, what="sections of an overlay")
                self._fault("unknown-key", f"an overlay has no '{written}'", value, where, hint)
            elif name is not None:
                self._add(merged, name, value, where, is_beside=name in over.value)
            elif value.value is None:
                merged.pop(key, None)
            elif key in KINDS:
                merged[key] = self._section(KINDS[key], merged.get(key), value, where)
            elif key in WHOLE:
                merged[key] = value
            else:
                merged[key] = deep(merged.get(key), value, typed=key not in VALUES)
        return Located(merged, base.span, base.key_span)

    def _add(self, merged: dict[str, Located], name: str, over: Located, at: Path, *, is_beside: bool) -> None:
        """Adds to a section that is a list."""
        if is_beside or name not in LISTS or not isinstance(over.value, list):
            merged[f"+{name}"] = over  # `Additions` reports it
            return
        below = merged.setdefault(name, Located([], over.span, over.key_span))
        if self.guarded and name == "middleware" and isinstance(below.value, list):
            over = self._outside_admission(KINDS[name], below.value[: _admission(below.value)], over, at)
        add(merged, name, over)

    def _section(self, kind: Kind, base: Located | None, over: Located, at: Path) -> Located:
        if kind.shape == "one":
            return _item(kind, base, over)
        if kind.shape == "list":
            return self._list(kind, base, over, at)
        if not isinstance(over.value, dict):
            return over  # check reports the wrong shape
        below = base.value if base is not None and isinstance(base.value, dict) else {}
        items = dict(below)
        for name, value in over.value.items():
            if value.value is not None:
                items[name] = _item(kind, items.get(name), value)
            elif items.pop(name, None) is None:
                self._unknown(kind, name, value, below, (*at, name))
        return Located(items, base.span if base else over.span, base.key_span if base else over.key_span)

    def _list(self, kind: Kind, base: Located | None, over: Located, at: Path) -> Located:
        items: list[Located] = base.value if base is not None and isinstance(base.value, list) else []
        admission = 0
        if self.guarded and kind.name == "middleware":
            admission = _admission(items)
            over = self._outside_admission(kind, items[:admission], over, at)
        if isinstance(over.value, list):
            return Located([*items[:admission], *over.value], over.span, over.key_span)
        if not isinstance(over.value, dict):
            return over  # check reports the wrong shape
        merged = self._by_name(kind, items, over, at)
        return Located(merged, base.span if base else over.span, base.key_span if base else over.key_span)

    def _by_name(self, kind: Kind, items: list[Located], over: Located, at: Path) -> list[Located]:
        """The items with those that `over` names changed, removed or added at the end."""
        places = self._places(kind, items)
        merged: list[Located | None] = list(items)
        for name, value in over.value.items():
            where = (*at, name)
            found = places.get(name, [])
            if len(found) > 1:
                message = f"{kind.name} has {len(found)} items named '{name}'"
                related = tuple(Related("one of them", items[i].span) for i in found)
                self._fault("ambiguous-name", message, value, where, "give each a `name` of its own", related)
            elif found:
                merged[found[0]] = None if value.value is None else _item(kind, items[found[0]], value)
            elif isinstance(value.value, dict) and "type" in value.value:
                merged.append(_named(value, name))
            else:
                self._unknown(kind, name, value, places, where)
        return [item for item in merged if item is not None]

    def _places(self, kind: Kind, items: list[Located]) -> dict[str, list[int]]:
        """Where the items of each name stand. Many overlays are laid on one list."""
        if id(items) not in self._named:
            places: dict[str, list[int]] = {}
            for i, item in enumerate(items):
                places.setdefault(name_of(kind, item), []).append(i)
            self._named[id(items)] = (places, items)
        return self._named[id(items)][0]

    def _outside_admission(self, kind: Kind, admission: list[Located], over: Located, at: Path) -> Located:
        """`over` without what would change admission, which is a fault."""
        names = {name_of(kind, item) for item in admission}
        hint = _untouchable_hint(kind.name)
        if isinstance(over.value, list):
            added = [item for item in over.value if type_of(kind, item) == AUTH]
            for item in added:
                self._fault("untouchable", "a tenant or an arm may not add auth", item, at, hint)
            if added:
                return Located([item for item in over.value if item not in added], over.span, over.key_span)
        elif isinstance(over.value, dict):
            allowed = dict(over.value)
            for name, value in over.value.items():
                if name in names:
                    message = f"a tenant or an arm may not change '{name}': it runs before the tenant is known"
                    self._fault("untouchable", message, allowed.pop(name), (*at, name), hint)
                elif type_of(kind, value) == AUTH:
                    message = "a tenant or an arm may not add auth"
                    self._fault("untouchable", message, allowed.pop(name), (*at, name), hint)
            return Located(allowed, over.span, over.key_span)
        return over

    def _unknown(self, kind: Kind, name: str, value: Located, names: Collection[str], at: Path) -> None:
        hint = suggest(name, self._choices.of(names), what=f"names in {kind.name}")
        if value.value is not None:
            hint += "; to add an item, give it a `type`"
        self._fault("unknown-name", f"{kind.name} has no '{name}'", value, at, hint)

    def _fault(
        self, code: str, message: str, value: Located, at: Path, hint: str, related: tuple[Related, ...] = ()
    ) -> None:
        self.diagnostics.append(Diagnostic(code, message, value.key_span or value.span, at, hint, related=related))


def name_of(kind: Kind, item: Located) -> str:
    """The name that an overlay calls an item of a list section by: its `name`, else its type."""
    name = item.get("name")
    return name.value if name is not None and isinstance(name.value, str) else type_of(kind, item) or ""


def type_of(kind: Kind, item: Located) -> str | None:
    """An item's type: a bare word, or its `type`, or the kind's default."""
    if isinstance(item.value, str):
        return item.value
    written = item.get("type")
    return written.value if written is not None and isinstance(written.value, str) else kind.default


def deep(base: Located | None, over: Located, *, typed: bool = True) -> Located:
    """Maps merge deep, null removes, `+key` adds to a list, anything else replaces; so does a map with another `type`, if `typed`."""
    if base is None or not isinstance(base.value, dict) or not isinstance(over.value, dict):
        return over
    before, after = base.value.get("type"), over.value.get("type") if typed else None
    if after is not None and not isinstance(after.value, dict) and (before is None or before.value != after.value):
        return over
    merged = dict(base.value)
    for key, value in over.value.items():
        if (name := added_to(key)) is not None and name not in over.value:
            add(merged, name, value)
            continue
        if (addition := f"+{key}") in merged and addition not in over.value:
            del merged[addition]
        if value.value is None and key in merged:
            del merged[key]
        else:
            merged[key] = deep(merged.get(key), value, typed=typed and key not in VALUES)
    return Located(merged, base.span, base.key_span)


def leaves(overlay: Located, path: Path = ()) -> Iterator[tuple[Path, Located]]:
    """What an overlay sets: every path that is not a map (or is an empty one), or is replaced as a whole, with its value."""
    for key, value in (overlay.value or {}).items():
        if isinstance(value.value, dict) and value.value and (path or key not in WHOLE):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def same(a: Located, b: Located) -> bool:
    """Whether two located values mean the same, wherever they were written."""
    if a is b:
        return True
    if isinstance(a.value, dict) and isinstance(b.value, dict):
        return a.value.keys() == b.value.keys() and all(same(v, b.value[k]) for k, v in a.value.items())
    if isinstance(a.value, list) and isinstance(b.value, list):
        return len(a.value) == len(b.value) and all(map(same, a.value, b.value))
    left, right = getattr(a.value, "text", a.value), getattr(b.value, "text", b.value)
    return type(left) is type(right) and left == right


def _item(kind: Kind, base: Located | None, over: Located) -> Located:
    """An overlay upon one item. A changed type drops the old type's own fields and keeps the kind's."""
    if base is None or base.value is None or over.value is None:
        return over
    before = as_map(base)
    if isinstance(over.value, str):
        changed = as_map(over)
    elif isinstance(over.value, dict):
        changed = over
    else:
        return over
    if not isinstance(before.value, dict):
        return over
    after = changed.value.get("type")
    if after is None or after.value == type_of(kind, base):
        return deep(before, Located({k: v for k, v in changed.value.items() if k != "type"}, over.span))
    kept = {key: value for key, value in before.value.items() if key in kind.own}
    if kind.shape == "list" and "name" not in kept and (name := name_of(kind, base)):
        kept["name"] = Located(name, base.span)
    merged = deep(Located(kept, over.span), Located({k: v for k, v in changed.value.items() if k != "type"}, over.span))
    return Located({"type": after, **merged.value}, over.span, over.key_span or base.key_span)


def as_map(item: Located) -> Located:
    """An item with a bare word written out."""
    if isinstance(item.value, str):
        return Located({"type": Located(item.value, item.span)}, item.span, item.key_span)
    return item


def _named(item: Located, name: str) -> Located:
    if "name" in item.value:
        return item
    return Located({**item.value, "name": Located(name, item.key_span or item.span)}, item.span, item.key_span)


def _stays_out(variants: Located) -> bool:
    return isinstance(variants.value, dict) and all(value.value is None for value in variants.value.values())


def _admission(items: list[Located]) -> int:
    """How many items of the middleware list are admission: those up to and including auth."""
    last = max((i for i, item in enumerate(items) if type_of(KINDS["middleware"], item) == AUTH), default=-1)
    return last + 1


def _untouchable_hint(key: str) -> str:
    if key == "middleware":
        return "middleware up to and including `auth` is one list for everybody; change what comes after it"
    if key == "variants":
        return "a tenant may only stay out of an experiment: `variants: {NAME: null}`"
    return f"`{key}` applies to the whole spec; write it at the top level"
