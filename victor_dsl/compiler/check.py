"""Checks every item of every section against its component's Config, and the rest against the grammar."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from attrs import define, evolve, field
from pydantic import ValidationError

from victor_dsl.compiler.annotated_values import annotated_values, put, secret_of, text_of
from victor_dsl.compiler.checked import Checked, Item
from victor_dsl.compiler.hints import (
    model_type_hint,
    shape_hint,
    type_meant,
    variable_meant,
    with_item_hint,
    with_message_hint,
    with_section_hint,
)
from victor_dsl.compiler.overlays import name_of
from victor_dsl.compiler.validate import PythonValue, to_python, validate
from victor_dsl.errors import BrokenComponent
from victor_dsl.language.annotations import FilePath, Nested, Ref, Secret
from victor_dsl.language.component import Component
from victor_dsl.language.config import TemplateConfig
from victor_dsl.language.kinds import KINDS, MESSAGES, Kind
from victor_dsl.language.registry import Registry
from victor_dsl.language.spec import OWN, VERSION, ExampleMessage, MessageTemplate, Spec
from victor_dsl.nearest import nearest, suggest
from victor_dsl.source.diagnostic import Diagnostic, Related
from victor_dsl.source.interpolate import Interpolated
from victor_dsl.source.located import NOWHERE, Located, Path, Span
from victor_dsl.source.reader import resolve
from victor_dsl.values.faults import dotted

_CHECKED_ELSEWHERE = frozenset({*KINDS, *MESSAGES, "settings"})
"""Sections that are no part of `Checked.spec`: items, and settings, which are checked layer by layer (`layers`)."""


@define
class Checker:
    """Checks documents that share parts. Each part is checked once, by identity.

    `secrets` are the identities of the leaves of secret fields.
    """

    registry: Registry
    diagnostics: list[Diagnostic] = field(factory=list)
    secrets: set[int] = field(factory=set)
    _documents: dict[int, Checked] = field(factory=dict)
    _sections: dict[int | str, tuple[tuple[Item, ...], Located]] = field(factory=dict)
    _listings: dict[int, tuple[str, Item | None, Located]] = field(factory=dict)
    _items: dict[tuple[int, str], tuple[Item | None, Located]] = field(factory=dict)
    _specs: dict[tuple[int, ...], tuple[Spec | None, Any]] = field(factory=dict)
    _base: tuple[Spec, Mapping[str, Located]] | None = None

    def check(self, document: Located) -> Checked:
        """Every section of a merged document. Sections that documents share are one object."""
        if id(document) not in self._documents:
            sections = {kind.name: self._shared(kind, document) for kind in KINDS.values()}
            sections |= {name: self._messages(name, document) for name in MESSAGES}
            self._documents[id(document)] = Checked(document, sections, self._rest(document))
        return self._documents[id(document)]

    def _rest(self, document: Located) -> Spec | None:
        written = document.value.items()
        rest = {key: value for key, value in written if key not in _CHECKED_ELSEWHERE and not key.startswith(OWN)}
        identity = tuple(map(id, rest.values()))
        if identity not in self._specs:
            below, base = self._base or (None, {})
            changed = _changed(rest, base)
            located = Located(changed, document.span)
            spec, faults = validate(Spec, located, to_python(located), (), "the spec")
            self.diagnostics += [with_section_hint(fault) for fault in faults]
            if spec is None:
                spec = _sound(changed, faults)
            if spec is not None and below is None:
                self._base = (spec, rest)
            elif spec is not None and below is not None:
                spec = _upon(below, spec, changed, rest)
            self._specs[identity] = (spec, rest)
        return self._specs[identity][0]

    def _shared(self, kind: Kind, document: Located) -> tuple[Item, ...]:
        section = document.get(kind.name)
        if section is None or section.value is None:
            key: int | str = kind.name
            section = Located({}, document.span)
            absent = kind.default is None
        else:
            key, absent = id(section), False
        if key not in self._sections:
            self._sections[key] = (() if absent else self._section(kind, section), section)
        return self._sections[key][0]

    def _section(self, kind: Kind, section: Located) -> tuple[Item, ...]:
        if kind.shape == "one":
            found = self._item(kind, section, (kind.name,), None)
            return (found,) if found else ()
        if kind.shape == "map":
            if not isinstance(section.value, dict):
                self._shape(kind, section, "a map of named items")
                return ()
            made = [self._item(kind, item, (kind.name, name), name) for name, item in section.value.items()]
        else:
            if not isinstance(section.value, list):
                self._shape(kind, section, "a list")
                return ()
            made = self._listed(kind, section)
        return tuple(item for item in made if item is not None)

    def _listed(self, kind: Kind, section: Located) -> list[Item | None]:
        taken: dict[str, Located] = {}
        numbers: dict[str, int] = {}
        made: list[Item | None] = []
        for i, item in enumerate(section.value):
            listed = self._listings.get(id(item))
            if listed is not None and listed[0] not in taken:  # unchanged, as in nearly every variation
                taken[listed[0]] = item
                made.append(listed[1])
                continue
            name = name_of(kind, item) or str(i)
            written = item.get("name")
            if name in taken and (written is not None or kind.name == "tools"):
                self.diagnostics.append(
                    Diagnostic(
                        "duplicate-name",
                        f"{kind.name} has two items named '{name}'",
                        (written or item).span,
                        (kind.name, i, *(("name",) if written is not None else ())),
                        "give one of them another `name`",
                        related=(Related("the first one", (taken[name].get("name") or taken[name]).span),),
                    )
                )
            unique = name
            while unique in taken:
                numbers[name] = numbers.get(name, 1) + 1
                unique = f"{name}#{numbers[name]}"
            taken[unique] = item
            made.append(self._item(kind, item, (kind.name, i), unique))
            if unique == name_of(kind, item):
                self._listings[id(item)] = (unique, made[-1], item)
        return made

    def _shape(self, kind: Kind, section: Located, wanted: str) -> None:
        message = f"{kind.name} must be {wanted}"
        self._fault("wrong-type", message, section.span, (kind.name,), shape_hint(kind, section.value, wanted))

    def _item(self, kind: Kind, located: Located, path: Path, name: str | None) -> Item | None:
        node = f"{kind.name}/{name if name is not None else name_of(kind, located)}"
        key = (id(located), node)
        if key not in self._items:
            self._items[key] = (self._checked(kind, located, path, node, implied=name is None), located)
        return self._items[key][0]

    def _checked(self, kind: Kind, located: Located, path: Path, node: str, *, implied: bool) -> Item | None:
        component, body = self._component(kind, located, path, implied=implied)
        if component is None:
            return None
        body = Located({k: v for k, v in body.value.items() if k != "type"}, body.span, body.key_span)
        fallback = None
        if kind.fallback and implied and component.type != kind.fallback and "fallback" not in body.value:
            fallback = self._child(Nested(kind.name), Located(kind.fallback, located.span), path, f"{node}.fallback")
        item, faults = self._configured(component, body, path, node, _called(node, component.type), fallback)
        self.diagnostics += [with_item_hint(fault, kind) for fault in faults]
        return item

    def _configured(
        self, component: Component, body: Located, path: Path, node: str, what: str, fallback: Item | None = None
    ) -> tuple[Item, list[Diagnostic]]:
        """The item of a component with its Config, and the faults of it. `fallback` is its child where none is written."""
        given = to_python(body)
        children = self._mark(component, body, given, path, node)
        if fallback is not None:
            children.append(fallback)
            given.value["fallback"] = fallback.id
        config, faults = validate(component.config, body, given, path, what)
        found = tuple(child for child in children if child)
        return Item(node, component, config, body, path, found, frozenset(given.unknown)), faults

    def _messages(self, name: str, document: Located) -> tuple[Item, ...]:
        """The items of `messages` or `message`: contributors, with Configs of the grammar."""
        section = document.get(name)
        if section is None or section.value is None:
            return ()
        if id(section) not in self._sections:
            made: list[Item | None] = []
            if name == "message":
                made.append(self._message(section, ("message",), "message/template", MessageTemplate))
            elif isinstance(section.value, list):
                made += [
                    self._message(item, ("messages", i), f"messages/{i}", ExampleMessage)
                    for i, item in enumerate(section.value)
                ]
            else:
                hint = "write each message as `- {role: user, text: …}`"
                if isinstance(section.value, str | dict):
                    hint += "; a template around what the user says is `message`"
                self._fault("wrong-type", "messages must be a list", section.span, ("messages",), hint)
            self._sections[id(section)] = (tuple(item for item in made if item is not None), section)
        return self._sections[id(section)][0]

    def _message(self, located: Located, path: Path, node: str, config: type[TemplateConfig]) -> Item | None:
        key = (id(located), node)
        if key in self._items:
            return self._items[key][0]
        what = dotted(path)
        if not isinstance(located.value, dict):
            hint = "write `{template: …}`" if config is MessageTemplate else "write `{role: user, text: …}`"
            self._fault("wrong-type", f"{what} must be a map", located.span, path, hint)
            return None
        text = located.get("text")
        writer = self.registry.find("contributors", "template" if text is None or text.value is None else "text")
        assert writer is not None, "both are built in"
        item, faults = self._configured(evolve(writer, config=config), located, path, node, what)
        self.diagnostics += map(with_message_hint, faults)
        self._items[key] = (item, located)
        return item

    def _component(
        self, kind: Kind, located: Located, path: Path, *, implied: bool
    ) -> tuple[Component | None, Located]:
        """The component that an item names, and the item as a map."""
        if isinstance(located.value, str):
            body = Located({}, located.span, located.key_span)
            return self._named(kind, located.value, located.span, path), body
        if not isinstance(located.value, dict):
            hint = "write a map with a `type`, or the type alone as a word"
            self._fault("wrong-type", f"a {kind.name} item must be a map or a word", located.span, path, hint)
            return None, located
        written = located.get("type")
        if written is None:
            if kind.default is not None and implied:
                return self._named(kind, kind.default, located.span, path), located
            hint = suggest("", self.registry.types(kind.name), what="types")
            self._fault("missing-key", f"this {kind.name} item lacks 'type'", located.span, path, hint)
            return None, located
        if not isinstance(written.value, str):
            hint = "the type is a plain word" + (", without `${…}`" if isinstance(written.value, Interpolated) else "")
            self._fault("wrong-type", "a type must be a word", written.span, (*path, "type"), hint)
            return None, located
        return self._named(kind, written.value, written.span, (*path, "type")), located

    def _named(self, kind: Kind, type: str, span: Span, path: Path) -> Component | None:
        try:
            found = self.registry.find(kind.name, type)
        except BrokenComponent as error:
            self._fault("unknown-component", error.message, span, path, error.hint or "")
            return None
        if found is None:
            types = self.registry.types(kind.name)
            hint = suggest(type, types, what="types", most=len(types))
            elsewhere = next((k for k in KINDS if k != kind.name and type in self.registry.types(k)), None)
            if meant := type_meant(kind, type):
                hint = f"{meant} {hint}"
            elif elsewhere and not nearest(type, types):
                hint += f" ('{type}' belongs under {elsewhere})"
            elif kind.name == "models" and not nearest(type, types):
                hint = f"{model_type_hint(type)}; {hint}"
            self._fault("unknown-component", f"{kind.name} has no type '{type}'", span, path, hint)
        return found

    def _fault(self, code: str, message: str, span: Span, path: Path, hint: str) -> None:
        self.diagnostics.append(Diagnostic(code, message, span, path, hint))

    def _mark(
        self, component: Component, body: Located, given: PythonValue, path: Path, node: str
    ) -> list[Item | None]:
        """Replaces the values of annotated fields by node ids, secrets and absolute paths. Returns the nested items."""
        children: list[Item | None] = []
        for annotation, place, leaf in annotated_values(component.config, body):
            if isinstance(annotation, Nested):
                child_id = f"{node}.{'.'.join(map(str, place))}"
                children.append(self._child(annotation, leaf, (*path, *place), child_id))
                put(given.value, place, child_id)
            elif (meant := self._meant(annotation, leaf, (*path, *place))) is not None:
                put(given.value, place, meant)
                if annotation is Secret:
                    given.unknown.discard(place)
                    given.interpolated.pop(place, None)
        return children

    def _meant(self, annotation: Any, leaf: Located, path: Path) -> Secret | str | None:
        """What a leaf of a marked field stands for; None where it says that by itself, or is not known."""
        if annotation is Secret:
            self.secrets.add(id(leaf))
            return self._secret(leaf, path)
        text = text_of(leaf)
        if text is not None and isinstance(annotation, Ref):
            return f"{annotation.kind}/{text}"
        if text is not None and isinstance(annotation, FilePath) and text != ":memory:":
            return os.path.abspath(resolve(leaf.span.file, text))
        return None

    def _child(self, annotation: Nested, located: Located, path: Path, node: str) -> Item | None:
        key = (id(located), node)
        if key not in self._items:
            self._items[key] = (self._checked(KINDS[annotation.kind], located, path, node, implied=False), located)
            self._without(annotation, located, path)
        return self._items[key][0]

    def _without(self, annotation: Nested, child: Located, path: Path) -> None:
        for name in annotation.without if isinstance(child.value, dict) else ():
            written = child.get(name)
            if written is not None and written.value is not None:
                place = ".".join(map(str, path[1:]))
                message = f"{place} has no '{name}' of its own"
                hint = f"write it on {path[0]} itself, or leave it out"
                self._fault("unknown-key", message, written.key_span or written.span, (*path, name), hint)

    def _secret(self, value: Located, path: Path) -> Secret:
        secret = secret_of(value.value)
        if secret is None:
            written = isinstance(value.value, Interpolated)
            message = (
                f"{path[-1]} must be exactly one reference, without a default or any other text"
                if written
                else f"{path[-1]} is a secret and may not be written in the spec"
            )
            if meant := variable_meant(value.value):
                hint = f"did you mean the variable? write `{path[-1]}: {meant}`"
            else:
                hint = f'put it in the environment and write `{path[-1]}: "${{env:NAME}}"`, or in a file: `"${{file:path}}"`'
            if not written or value.value.references:  # else the reference itself is at fault
                self._fault("literal-secret", message, value.span, path, hint)
            return Secret("env", "")
        return secret


def _changed(rest: Mapping[str, Located], base: Mapping[str, Located]) -> dict[str, Located]:
    """The sections that are not those of the base, of `inputs` the inputs; and those that a spec must have."""
    changed = {key: value for key, value in rest.items() if value is not base.get(key) or key in ("victor", "name")}
    if "inputs" in changed and isinstance(changed["inputs"].value, dict) and "inputs" in base:
        inputs, before = changed["inputs"], base["inputs"]
        own = {name: value for name, value in inputs.value.items() if value is not before.get(name)}
        changed["inputs"] = Located(own, inputs.span, inputs.key_span)
    return changed


def _upon(base: Spec, spec: Spec, changed: Mapping[str, Located], rest: Mapping[str, Located]) -> Spec:
    """The base with the sections that were changed, and without those that were removed."""
    update = {key: getattr(spec, key, None) for key in changed}
    update |= dict.fromkeys(base.model_fields_set - rest.keys())
    if spec.inputs is not None and isinstance(rest["inputs"].value, dict):
        known = {**(base.inputs or {}), **spec.inputs}
        update["inputs"] = {name: known[name] for name in rest["inputs"].value if name in known}
    return base.model_copy(update=update)


def _sound(rest: Mapping[str, Located], faults: list[Diagnostic]) -> Spec | None:
    """The sections without faults of a faulty spec, for the checks that follow."""
    faulty = {fault.path[0] for fault in faults if fault.path}
    sound = {key: value for key, value in rest.items() if key not in faulty}
    value = {"victor": VERSION, "name": "unknown", **to_python(Located(sound, NOWHERE)).value}
    if "inputs" in faulty:
        value["inputs"] = _known_inputs(rest["inputs"], faults)
    try:
        return Spec.model_validate(value)
    except ValidationError:
        return None


def _known_inputs(written: Located, faults: list[Diagnostic]) -> dict[str, Any]:
    """The inputs without faults, and of each other one its name: templates may use it."""
    inputs = to_python(written).value
    if not isinstance(inputs, dict):
        return {}
    for fault in faults:
        if fault.path[:1] == ("inputs",):
            name = str(fault.path[1])
            inputs.pop(name, None)
            if fault.code != "bad-name":
                inputs[name] = {"type": "map", "required": True}
    return inputs


def _called(node: str, type: str) -> str:
    """How messages call an item: `models.main (openai)`, `compaction (recent)`."""
    kind, _, name = node.partition("/")
    if name != type:
        return f"{kind}.{name} ({type})"
    return f"{kind} ({type})" if KINDS[kind].shape == "one" else f"{kind}.{name}"
