"""Who had a say in a value or an item: each layer, the lowest first, with what it writes, where, and which of it is in force."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from attrs import evolve, frozen

from victor_dsl.errors import UsageError
from victor_dsl.graph.plan import Plan, Program
from victor_dsl.graph.written import Key, Written
from victor_dsl.language.kinds import KINDS
from victor_dsl.nearest import suggest
from victor_dsl.runtime.rendering import origin_of, place_in
from victor_dsl.source.interpolate import as_written
from victor_dsl.source.located import Located
from victor_dsl.source.redaction import redacted
from victor_dsl.values.outcome import Rendered
from victor_dsl.values.path_globs import PathGlobs
from victor_dsl.values.settings import SETTING_NAMES, TOOL_LISTS, Layer, Origin, lifted_fields, setting_paths

VALUES = ("settings", "vars")
OWN_OF_FILES = ("victor", "name", "description")
_NOTES = {"removes": "removes it", "adds": "adds to the list"}
_NAMED = ("inputs", "messages")
"""Sections outside the kinds that have named items."""
NO_VALUE = object()
"""What a key has that is not in force, or that has no value of its own, such as an item."""


@frozen
class Say:
    """What one layer writes: the value, as it stands there, or that it `removes` what is below it.

    `source` is `spec`, `models/main`, `providers/file`, `tenant acme`, `arm tone.warm` or `request`; `note` says more.
    """

    source: str
    value: Any
    file: str | None = None
    line: int | None = None
    in_force: bool = False
    note: str = ""

    @property
    def place(self) -> str:
        """`victor.yml:12`, or nothing."""
        return self.file or "" if self.line is None else f"{self.file}:{self.line}"

    def as_json(self) -> dict[str, Any]:
        """The say as `victor why --json` prints it."""
        return {
            "source": self.source,
            "value": _plain(self.value),
            "file": self.file,
            "line": self.line,
            "in_force": self.in_force,
            "note": self.note,
        }


@frozen
class Why:
    """The answer for one key. `fields` are the values below it, each with what the layers say, the lowest first; a key that is a
    value has one, with the empty path. `notes` say what else decides."""

    key: str
    value: Any
    fields: Mapping[str, Sequence[Say]]
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The answer as `victor why --json` prints it; `value` is absent for an item."""
        value = {} if self.value is NO_VALUE else {"value": _plain(self.value)}
        fields = {path: [say.as_json() for say in says] for path, says in self.fields.items()}
        return {"key": self.key, **value, "fields": fields, "notes": list(self.notes)}


def why(program: Program, rendered: Rendered, key: str) -> Why:
    """Who had a say in a key of a rendered request. Raises UsageError for an unknown key, with the nearest ones.

    A key is a setting (`temperature`, `limits.tools.deny`), a var (`vars.product`), an input (`inputs.plan`), an item
    (`contributors.style`, `models.main`, or the name of a piece of the prompt alone), or a field of one.
    """
    return _Question(program, rendered).answer(key.strip())


class _Question:
    def __init__(self, program: Program, rendered: Rendered) -> None:
        self.rendered = rendered
        self.plan: Plan = program.plan_for(rendered.tenant, rendered.variants)
        self.written = program.all_written(self.plan.tenant, tuple(self.plan.arms.items()))
        self.layers = rendered.layers or (self.plan.spec, *self.plan.overlays)
        self.items = self._items()

    def answer(self, key: str) -> Why:
        if (path := self._value_path(key)) is not None:
            return self._value(path)
        for name in (key, f"contributors.{key}"):
            if (item := self._item_key(name)) is not None:
                return self._item(item, self._below(item, name))
        if (item := self._renamed(key)) is not None:
            return self._item(item, ())
        section = key.rstrip(".")
        if section in KINDS or section in _NAMED:
            return self._section(section)
        known = [*self._values(), *(".".join(item) for item in self.items)]
        raise UsageError(f"nothing here is called '{key[:80]}'; {suggest(key[:80], known, what='keys')}")

    def _renamed(self, key: str) -> Key | None:
        """The item that had this name before an overlay gave it another."""
        name = key.removeprefix("contributors.")
        names = (one for one in self.written if len(one.key) == 3 and one.key[2] == "name" and not one.holds)
        found = (one for one in names if one.leaf.value == name or f"{one.key[0]}.{one.leaf.value}" == key)
        return next((one.key[:2] for one in found if one.key[0] in KINDS), None)

    def _section(self, section: str) -> Why:
        """The answer for a whole section: no layer writes it, or the items are to be named. Raises UsageError for these."""
        names = [".".join(item) for item in self.items if item[0] == section]
        if names:
            raise UsageError(f"'{section}' is a section; {suggest('', names, what='its items')}")
        ids = {"tool_selection": self.plan.roles.tool_selection, "compaction": self.plan.roles.compaction}
        id = ids.get(section, self.plan.roles.sessions)
        default = "it has no items" if _named(section) else f"the default is in force: {self.plan.by_id[id].type}"
        return Why(section, NO_VALUE, {}, (f"no layer writes it: {default}",))

    def _values(self) -> list[str]:
        found = {f"{section}.{name}" for layer in self.layers for section, values in _parts(layer) for name in values}
        return sorted(found | {f"settings.{name}" for name in SETTING_NAMES})

    def _value_path(self, key: str) -> Key | None:
        """The path of a setting or a var; of a field that is a setting, such as `tool_selection.k`, that of the setting."""
        steps = tuple(key.split("."))
        if (setting := self._lifted(steps)) is not None:
            return setting
        if steps[0] in SETTING_NAMES:
            steps = ("settings", *steps)
        known = [*VALUES, *self._values()]
        return steps if steps[0] in VALUES and ".".join(steps[:2]) in known else None

    def _lifted(self, key: Key) -> Key | None:
        """The path of the setting that a field of an item is, or None."""
        section, *item = key[:-1] or ("",)
        node = self.plan.by_id.get("/".join(key[:-1]))
        found = (
            lifted_fields(section, node.type if node is not None else None).get(key[-1]) if section in KINDS else None
        )
        return ("settings", *found) if found is not None and len(item) == _named(section) else None

    def _value(self, path: Key) -> Why:
        fields: dict[str, list[Say]] = {}
        for leaf in dict.fromkeys(leaf for layer in self.layers for leaf in _leaves_at(layer, path)):
            if len(leaf) == 1:
                continue  # a layer without settings, or without vars
            fields[".".join(leaf[len(path) :])] = [*self._says(leaf)]
        if not fields and len(path) > 2:
            self._check_field(path)
        value: Any = {"settings": self.rendered.settings, "vars": self.rendered.vars}
        for step in path:
            value = value.get(step) if isinstance(value, Mapping) else None
        if not self.rendered.layers and any(fields.values()):
            value = NO_VALUE
        return Why(".".join(path), value, fields, tuple(self._value_notes(path, silent=not fields)))

    def _check_field(self, path: Key) -> None:
        """Raises UsageError for a field below a setting or a var that nobody writes, unless it is a field of that setting."""
        *above, name = path
        size = len(above) - 1
        names = {one[size] for one in setting_paths() if list(one[:size]) == above[1:] and len(one) > size}
        if path[0] != "settings":
            parts = (part for layer in self.layers if isinstance(part := _at(layer, path[:-1]), Mapping))
            names = {key for part in parts for key in part}
        if name not in names:
            what = f"'{'.'.join(above)}' has no '{name[:80]}'"
            raise UsageError(f"{what}; {suggest(name[:80], sorted(names), what='fields')}")

    def _says(self, path: Key) -> Iterator[Say]:
        dotted = ".".join(path)
        origin = self.rendered.origins.get(dotted) or origin_of(path, self.layers)
        winners = {(one.source, one.file, one.line) for one in (origin.layers or (origin,))}
        having = [(layer, value) for layer in self.layers if (value := _at(layer, path)) is not NO_VALUE]
        for index, (layer, value) in enumerate(having):
            if isinstance(value, Mapping) and value:
                continue  # each of its fields has a say of its own
            place = place_in(path, layer)
            wins = (place.source, place.file, place.line) in winners or (value is None and layer is having[-1][0])
            note = "removes it" if value is None else _NOTES["adds"] if path in layer.added else ""
            if path in TOOL_LISTS and not note:
                note = "narrows the list" if path[-1] == "allow" else _NOTES["adds"]
            end = self._cut(path, layer) if value is not None and not wins and index == len(having) - 1 else None
            if end is not None:
                note, wins = f"removed at {end.place}", False
            if layer is self.layers[0] and (says := [*self._of_the_spec(path, wins=wins)]):
                if end is not None:
                    says[-1] = evolve(says[-1], note=note)
                yield from says
                continue
            node = self.plan.by_id.get(layer.source)
            if node is not None and node.kind == "providers":
                notes = (f"priority {getattr(node.config, 'priority', 50)}", layer.called.get(dotted), note)
                note = "; ".join(word for word in notes if word)
            yield Say(layer.source, value, place.file, place.line, wins, note)

    def _cut(self, path: Key, below: Layer) -> Origin | None:
        """Where a layer above replaces, by null or another value, a map that has the path in it."""
        above = self.layers[self.layers.index(below) + 1 :]
        around = [path[:size] for size in range(2, len(path))]
        found = ((layer, part) for layer in above for part in around if not isinstance(_at(layer, part), Mapping))
        return next((place_in(part, layer) for layer, part in found if _at(layer, part) is not NO_VALUE), None)

    def _of_the_spec(self, path: Key, *, wins: bool) -> Iterator[Say]:
        """What each file of the spec writes of a value, on a component, too."""
        found = [one for one in self.written if one.layer == "spec" and path in (one.key, self._lifted(one.key))]
        last = max((place for place, one in enumerate(found) if one.deed != "adds"), default=0)
        for place, one in enumerate(found):
            yield _say(one, _NOTES.get(one.deed, ""), wins=wins and place >= last)

    def _value_notes(self, path: Key, *, silent: bool) -> Iterator[str]:
        if silent:
            yield "no layer sets it: the default is in force"
        if (glob := PathGlobs(self.plan.locked).covering(path)) is not None:
            yield f"locked by '{glob}' ({self.plan.locked[glob]}): only the spec and what it extends may set it"
        for id in self.plan.roles.providers:
            rights = getattr(self.plan.by_id[id].config, "may_set", None)
            if rights is not None and PathGlobs(rights).covering(path) is None:
                yield f"{id} may not set it: `may_set` ({self.plan.origin(id, 'may_set')}) does not have it"

    def _items(self) -> dict[Key, None]:
        """The items of all sections that anyone writes."""
        found: dict[Key, None] = {}
        for one in self.written:
            size = 1 + _named(one.key[0])
            if len(one.key) >= size and one.key[0] not in (*VALUES, *OWN_OF_FILES):
                found[one.key[:size]] = None
        return found

    def _item_key(self, key: str) -> Key | None:
        matches = [item for item in self.items if key == (name := ".".join(item)) or key.startswith(f"{name}.")]
        return max(matches, key=lambda item: len(".".join(item)), default=None)

    def _below(self, item: Key, key: str) -> Key:
        rest = key[len(".".join(item)) :].strip(".")
        return tuple(rest.split(".")) if rest else ()

    def _item(self, item: Key, field: Key) -> Why:
        key = (*item, *field)
        fields: dict[str, list[Say]] = {}
        for index, one in enumerate(self.written):
            is_marker = isinstance(one.leaf.value, dict) and bool(one.leaf.value)
            if one.key[: len(key)] == key and not is_marker:
                note = self._end(one, self.written[index + 1 :]) or _NOTES.get(one.deed, "")
                fields.setdefault(".".join(one.key[len(key) :]), []).append(_say(one, note, wins=one.holds))
            elif key[: len(one.key)] == one.key and one.deed in ("removes", "replaces") and len(one.key) < len(key):
                what = "removes" if one.deed == "removes" else "replaces"
                if any(fields.values()):
                    fields.setdefault("", []).append(_say(one, f"{what} all of {'.'.join(one.key)}", wins=False))
        if not fields:
            names = {".".join(one.key[len(item) :]) for one in self.written if one.key[: len(item)] == item}
            names.discard("")
            raise UsageError(f"no layer writes '{'.'.join(key)}'; {suggest('.'.join(field), names, what='fields')}")
        value = NO_VALUE
        if item[0] == "inputs" and not field:
            value = self.rendered.inputs.get(item[1], NO_VALUE)
        return Why(".".join(key), value, fields, tuple(self._item_notes(item)))

    def _end(self, one: Written, later: Iterable[Written]) -> str:
        """What took a value out of force that no other value replaced."""
        if one.holds:
            return ""
        for other in later:
            if other.key == one.key and other.deed in ("sets", "removes"):
                return ""
            if other.key == one.key[: len(other.key)] and other.deed in ("removes", "replaces"):
                return f"{'removed' if other.deed == 'removes' else 'replaced'} at {other.origin.place}"
            if other.key[-1:] == ("type",) and other.key[:-1] == one.key[: len(other.key) - 1]:
                return f"dropped with the old type at {other.origin.place}"
        return ""

    def _item_notes(self, item: Key) -> Iterator[str]:
        section, name = item[0], ".".join(item[1:])
        if section == "inputs":
            declared = self.plan.inputs.get(name)
            if (origin := self.rendered.origins.get(f"inputs.{name}")) is not None:
                yield f"its value is from {origin}"
            elif declared is not None:
                yield "a request must set it" if declared.required else "no request sets it here"
            return
        if section not in KINDS:
            return
        if f"{section}/{name}" not in self.plan.by_id and KINDS[section].shape != "one":
            yield "not in force: this plan has no such item"
        piece = next(
            (one for one in self.rendered.contributors if section == "contributors" and one.name == name), None
        )
        if piece is not None:
            place = self.rendered.contributors.index(piece) + 1
            about = (
                f"piece {place} of {len(self.rendered.contributors)} of the system prompt, priority {piece.priority}"
            )
            if piece.why:
                yield f"{about}; {'dropped' if piece.dropped else 'cut'}: {piece.why}"
            else:
                yield f"{about}, {piece.tokens:,} tokens"


def _named(section: str) -> int:
    """How many steps below a section name an item: 1, or 0 where the section is one item."""
    kind = KINDS.get(section)
    return int(section in _NAMED or (kind is not None and kind.shape != "one"))


def _say(one: Written, note: str, *, wins: bool) -> Say:
    return Say(one.layer, written_value(one.leaf), one.leaf.span.file, one.leaf.span.line, wins, note)


def written_value(located: Located) -> Any:
    """A value as it was written: of references their text, never what they come to."""
    if isinstance(located.value, dict):
        return {key: written_value(child) for key, child in located.value.items()}
    if isinstance(located.value, list):
        return [written_value(child) for child in located.value]
    return as_written(located.value)


def _parts(layer: Layer) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "settings", layer.settings
    yield "vars", layer.vars


def _at(layer: Layer, path: Key) -> Any:
    here: Any = dict(_parts(layer))
    for step in path:
        if not isinstance(here, Mapping) or step not in here:
            return NO_VALUE
        here = here[step]
    return here


def _leaves_at(layer: Layer, path: Key) -> Iterator[Key]:
    """The paths of the values that a layer has at or below a path."""
    value = _at(layer, path)
    if isinstance(value, Mapping) and value:
        for key in value:
            yield from _leaves_at(layer, (*path, key))
    elif value is not NO_VALUE:
        yield path


def _plain(value: Any) -> Any:
    """A value for JSON, without what looks like a secret."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
