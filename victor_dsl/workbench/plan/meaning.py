"""What a spec means, as a tree of values with their places: two specs that mean the same have equal trees.

Items go by their names. What says nothing does not count: defaults that are written out, comments, the order of keys, and which file of
`extends` a value stands in. A text with references counts as it is written, so no value of a variable is in the tree; a file whose
text the plan holds counts as that text.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import evolve, frozen
from pydantic import BaseModel

from victor_dsl.compiler.check import Checker
from victor_dsl.compiler.checked import Item
from victor_dsl.compiler.extends import merge_family, read_family
from victor_dsl.compiler.overlays import name_of
from victor_dsl.language.annotations import FilePath, FunctionName, Secret, annotated_fields
from victor_dsl.language.kinds import KINDS, MESSAGES, Kind
from victor_dsl.language.registry import Registry
from victor_dsl.language.spec import OWN, Arm, Experiment, Journal, Prompt
from victor_dsl.regular_file import read_regular
from victor_dsl.source.interpolate import Interpolated, as_written, interpolate
from victor_dsl.source.located import Located
from victor_dsl.source.reader import MAX_COMPONENT_BYTES, Files, is_inside, resolve
from victor_dsl.source.redaction import is_of_secrets, redacted
from victor_dsl.values.settings import LIFTED, Settings
from victor_dsl.workbench.plan.tree import Branch, Leaf, Tree

Texts = Mapping[str, Mapping[str, bytes]]
"""The contents of the files of each item of the base plan, by its id and the path."""

_ELSEWHERE = frozenset({*KINDS, *MESSAGES, "extends", "tenants", "variants", "tests"})

_PRIORITY = 50


def meaning_of(
    name: str, files: Files, environment: Mapping[str, str], registry: Registry, texts: Texts
) -> Branch | None:
    """The meaning of a spec, faulty or not; None where it cannot be read as a map. `texts` are those of its plan, if it has one."""
    document, _ = merge_family(read_family(files, name, environment))
    if document is None or not isinstance(document.value, dict):
        return None
    document, _ = interpolate(document, environment, files)
    tree = _Reading(os.path.dirname(os.path.abspath(name)), files.root, registry, texts).whole(document)
    _lift(tree)
    _hide(tree)
    return tree


@frozen
class _Reading:
    directory: str
    root: str | None
    registry: Registry
    texts: Texts

    def whole(self, document: Located) -> Branch:
        checker = Checker(self.registry)
        checked = checker.check(document)
        tree = _branch(document)
        for section, items in checked.sections.items():
            if section in KINDS:
                self._section(tree, KINDS[section], items, document)
            elif section == "message":
                _put(tree, section, self._item(items[0]) if items else None)
            elif items:
                tree.children[section] = _branch(
                    document.at((section,)), {str(i): self._item(item) for i, item in enumerate(items)}
                )
        for key, value in document.value.items():
            if key not in _ELSEWHERE and not key.startswith(OWN) and value.value is not None:
                _put(tree, key, _marked(_plain(value), _DEFAULTS.get(key)))
        _put(tree, "tests", self._tests(document.get("tests")))
        _put(tree, "variants", self._experiments(document.get("variants")))
        _put(tree, "tenants", self._tenants(document.get("tenants")))
        return tree

    def _section(self, tree: Branch, kind: Kind, items: tuple[Item, ...], document: Located) -> None:
        if kind.shape == "one":
            _put(tree, kind.name, self._item(items[0]) if items else None)
        elif items:
            made = {item.id.partition("/")[2]: self._item(item) for item in items}
            tree.children[kind.name] = _branch(document.at((kind.name,)), made, order=_order(kind, items))

    def _item(self, item: Item) -> Branch:
        made = _branch(item.located)
        if item.component.config.__name__ not in {"ExampleMessage", "MessageTemplate"}:
            made.children["type"] = Leaf(item.component.type, item.located.span.file, item.located.span.line)
        nested = {child.path[len(item.path) :]: child for child in item.children}
        annotations = annotated_fields(item.component.config)
        for name, value in item.located.value.items():
            if name == "name" or value.value is None:
                continue
            annotation = annotations.get(name)
            if isinstance(annotation, FilePath) and annotation.included:
                continue
            if (name,) in nested:
                made.children[name] = self._item(nested[name,])
            elif isinstance(value.value, list) and any(path[0] == name for path in nested):
                steps = {str(path[1]): self._item(child) for path, child in nested.items() if path[0] == name}
                made.children[name] = _branch(value, steps)
            elif isinstance(annotation, FunctionName):
                self._function(made, name, value)
            elif annotation is Secret:
                made.children[name] = Leaf(_shown(value), *_place(value))
            else:
                plain = _plain(value)
                _put(made, name, _all_marked(plain) if _is_default(item, name) else plain)
        for name, annotation in annotations.items():
            if isinstance(annotation, FilePath) and annotation.included:
                self._contents(item, name, made)
        return made

    def _contents(self, item: Item, name: str, made: Branch) -> None:
        """The texts of a field's files, in the place of their paths."""
        written = item.located.get(name)
        path = getattr(item.config, name, None)
        if not isinstance(path, str):
            if written is not None and written.value is not None:
                _put(made, name, _plain(written))
            return
        place = item.located if written is None or written.value is None else written
        texts = dict(self.texts.get(item.id, {}))
        if path not in texts and (data := self._read(path)) is not None:
            texts[path] = data
        main = texts.pop(path, None)
        if main is not None:
            made.children[name] = Leaf(_text(main), *_place(place), content=True)
        elif written is not None:
            made.children[name] = Leaf(as_written(written.value), *_place(written))
        for further, data in sorted(texts.items()):
            step = os.path.relpath(further, os.path.dirname(path))
            made.children[f"{name}/{step}"] = Leaf(_text(data), *_place(place), content=True)

    def _read(self, path: str) -> bytes | None:
        if self.root is not None and not is_inside(path, self.root):
            return None
        try:
            data, _ = read_regular(path, MAX_COMPONENT_BYTES)
        except (OSError, ValueError):
            return None
        return data

    def _function(self, made: Branch, name: str, value: Located) -> None:
        """A function's name, and beside it its source where that lies in the spec's folder."""
        written = _shown(value)
        made.children[name] = Leaf(written, *_place(value))
        if isinstance(written, str) and (source := self._source(written)) is not None:
            made.children[f"{name}/source"] = Leaf(source, *_place(value), content=True)

    def _source(self, function: str) -> str | None:
        module, _, name = function.partition(":")
        below = os.path.join(self.directory, *module.split("."))
        data = next((data for end in (".py", "/__init__.py") if (data := self._read(below + end)) is not None), None)
        if data is None:
            return None
        text = _text(data)
        try:
            body = ast.parse(text).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
        found = [one for one in body if getattr(one, "name", None) == name]
        return ast.get_source_segment(text, found[-1]) if found else None

    def _overlay(self, overlay: Located | None) -> Branch | None:
        """What a tenant or an arm changes, with items by name."""
        if overlay is None or not isinstance(overlay.value, dict):
            return None
        made = _branch(overlay)
        for key, value in overlay.value.items():
            kind = KINDS.get(key.removeprefix("+"))
            if kind is None or kind.shape == "one" or value.value is None:
                made.children[key] = _plain(value) or Leaf({}, *_place(value))
            elif isinstance(value.value, list):
                items = {name_of(kind, one): self._overlay_item(one) for one in value.value}
                made.children[key] = _branch(value, items, order=list(items))
            elif isinstance(value.value, dict):
                made.children[key] = _branch(
                    value, {name: self._overlay_item(one) for name, one in value.value.items()}
                )
            else:
                made.children[key] = Leaf(_shown(value), *_place(value))
        return made

    def _overlay_item(self, item: Located) -> Tree:
        if isinstance(item.value, str):
            return _branch(item, {"type": Leaf(item.value, *_place(item))})
        made = _plain(item)
        if not isinstance(made, Branch):
            return made or Leaf(None, *_place(item))
        path = item.get("path")
        if path is not None and isinstance(path.value, str) and "path" in made.children:
            data = self._read(resolve(path.span.file, path.value))
            if data is not None:
                made.children["path"] = Leaf(_text(data), *_place(path), content=True)
        made.children.pop("name", None)
        return made

    def _tenants(self, section: Located | None) -> Branch | None:
        if section is None or not isinstance(section.value, dict) or not section.value:
            return None
        made = _branch(section)
        for name, tenant in section.value.items():
            made.children[name] = _branch(tenant)
            _put(made.children[name], "with", self._overlay(tenant.get("with")))
        return made

    def _experiments(self, section: Located | None) -> Branch | None:
        if section is None or not isinstance(section.value, dict) or not section.value:
            return None
        made = _branch(section)
        for name, experiment in section.value.items():
            one = _plain(experiment)
            if not isinstance(one, Branch):
                continue
            arms = one.children.pop("arms", None)
            made.children[name] = _marked(one, _defaults(Experiment)) or _branch(experiment)
            written = experiment.get("arms")
            if arms is None or written is None or not isinstance(written.value, dict):
                continue
            of_arms = _branch(written)
            for arm, body in written.value.items():
                made_arm = _marked(_plain(body), _defaults(Arm))
                of_arms.children[arm] = made_arm if isinstance(made_arm, Branch) else _branch(body)
                _put(of_arms.children[arm], "with", self._overlay(body.get("with")))
            _put(made.children[name], "arms", of_arms)
        return made

    @staticmethod
    def _tests(section: Located | None) -> Tree | None:
        if section is None or not isinstance(section.value, list):
            return None if section is None else _plain(section)
        named: dict[str, Tree | None] = {}
        for i, test in enumerate(section.value):
            name = test.get("name")
            named[name.value if name is not None and isinstance(name.value, str) else str(i)] = _plain(test)
        return _branch(section, {name: made for name, made in named.items() if made is not None})


def _defaults(model: type[BaseModel]) -> dict[str, Any]:
    fields = model.model_fields.items()
    return {name: field.get_default(call_default_factory=True) for name, field in fields if not field.is_required()}


_DEFAULTS: Mapping[str, Any] = {
    "settings": Settings().model_dump(mode="json"),
    "prompt": _defaults(Prompt),
    "unknown_tenants": "base",
    "journal": _defaults(Journal),
}


def _marked(tree: Tree | None, default: Any) -> Tree | None:
    """The tree with the values marked that are its defaults."""
    if isinstance(tree, Leaf):
        return evolve(tree, default=True) if default is not None and tree.value == default else tree
    if tree is not None:
        below = default if isinstance(default, Mapping) else {}
        children = {key: _marked(child, below.get(key)) for key, child in tree.children.items()}
        tree.children = {key: child for key, child in children.items() if child is not None}
    return tree


def _all_marked(tree: Tree | None) -> Tree | None:
    """The tree of a value that is the default, with all that it holds marked."""
    return _marked(tree, None if tree is None else tree.plain())


def _is_default(item: Item, name: str) -> bool:
    if item.config is None:
        return False
    for field_name, described in type(item.config).model_fields.items():
        if name in (field_name, described.alias) and not described.is_required():
            default: object = described.get_default(call_default_factory=True)
            value: object = getattr(item.config, field_name)
            return value == default and not isinstance(item.located.at((name,)).value, Interpolated)
    return False


def _plain(value: Located) -> Tree | None:
    """The tree of a value without a meaning of its own; lists of single values are one value. None for null."""
    inner = value.value
    if isinstance(inner, dict):
        made = _branch(value)
        for key, child in inner.items():
            made.children[key] = _plain(child) or Leaf(None, *_place(child))
        return made if made.children else Leaf({}, *_place(value))
    if isinstance(inner, list):
        if any(isinstance(one.value, dict | list) for one in inner):
            items = ((str(i), _plain(one)) for i, one in enumerate(inner))
            return _branch(value, {key: one for key, one in items if one is not None})
        return Leaf([_shown(one) for one in inner], *_place(value))
    return None if inner is None else Leaf(_shown(value), *_place(value))


def _shown(value: Located) -> Any:
    """A value as written: of what is deeper, and of a text with references, nothing that comes from outside."""
    if isinstance(value.value, dict):
        return {key: _shown(child) for key, child in value.value.items()}
    if isinstance(value.value, list):
        return [_shown(child) for child in value.value]
    return as_written(value.value)


def _order(kind: Kind, items: Iterable[Item]) -> list[str]:
    """The names of a list's items in the order that counts."""
    if kind.shape == "map":
        return []
    ordered = list(items)
    if kind.name in {"contributors", "providers"}:
        ordered.sort(key=lambda item: -int(getattr(item.config, "priority", _PRIORITY)))
    return [item.id.partition("/")[2] for item in ordered] if kind.name != "exporters" else []


def _branch(value: Located, children: Mapping[str, Tree] | None = None, *, order: list[str] | None = None) -> Branch:
    return Branch(*_place(value), dict(children or {}), order or [])


def _lift(tree: Branch) -> None:
    """Moves what is a setting from the component that it is written on to the settings, where it means the same."""
    for (section, type), fields in LIFTED.items():
        component = tree.children.get(section)
        if type is not None and isinstance(component, Branch):
            component = component.children.get(type)
        if not isinstance(component, Branch):
            continue
        for name, (*above, setting) in fields.items():
            if isinstance(value := component.children.get(name), Leaf):
                del component.children[name]
                within = tree
                for step in ("settings", *above):
                    below = within.children.setdefault(step, Branch(value.file, value.line))
                    if not isinstance(below, Branch):
                        below = within.children[step] = Branch(value.file, value.line)
                    within = below
                within.children[setting] = value


def _hide(tree: Branch, *, component: bool = False) -> None:
    """Masks literal secrets: those that look like one, and texts of components under keys that speak of one.

    A mask ends in digits that differ with the secret, and mean nothing outside this comparison.
    """
    for key, child in tree.children.items():
        inside = component or key.removeprefix("+") in KINDS
        if isinstance(child, Branch):
            _hide(child, component=inside)
        elif inside and is_of_secrets(key) and isinstance(child.value, str) and "${" not in child.value:
            tree.children[key] = evolve(child, value=_mask(child.value))
        else:
            tree.children[key] = evolve(child, value=_masked(child.value))


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return redacted(value, _mask)
    if isinstance(value, list):
        return [_masked(one) for one in value]
    return {key: _masked(one) for key, one in value.items()} if isinstance(value, dict) else value


def _mask(secret: str) -> str:
    return f"***{hash(secret) & 0xFFF:03x}"  # both sides have the hash seed of this comparison


def _put(tree: Tree, key: str, child: Tree | None) -> None:
    if isinstance(tree, Branch) and child is not None:
        tree.children[key] = child


def _place(value: Located) -> tuple[str, int]:
    span = value.key_span or value.span
    return span.file, span.line


def _text(data: bytes) -> str:
    return data.decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\r", "\n")
