"""Lowers a checked variation to a Plan: nodes, roles, layers, fingerprints and the digest. The last pass."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from graphlib import TopologicalSorter
from typing import Any

from attrs import define, evolve, field

from victor_dsl.compiler.checked import Checked, Item
from victor_dsl.compiler.link import references
from victor_dsl.compiler.overlays import AUTH
from victor_dsl.compiler.stability import Stability
from victor_dsl.compiler.templates.sources import sources
from victor_dsl.compiler.variations import Variation
from victor_dsl.graph.plan import Node, Plan, PromptPolicy, Roles
from victor_dsl.graph.written import Key, Writers, nearest_origin
from victor_dsl.language.annotations import FilePath, FunctionName, Secret, annotated_fields, nested_secrets
from victor_dsl.language.component import TextPlace
from victor_dsl.language.config import Around, Config, ModelConfig
from victor_dsl.language.kinds import KINDS
from victor_dsl.language.spec import VERSION
from victor_dsl.source.interpolate import Interpolated, as_written
from victor_dsl.source.reader import Included
from victor_dsl.values.additions import with_additions
from victor_dsl.values.settings import DEFAULT, Layer, joined, lifted_fields

ASIDE = ("databases", "exporters", "sessions")
"""Sections that are no part of the request path, and so of the digest, unless a node of it needs theirs."""


@define
class Lowering:
    """Makes plans; nodes of items that plans share are made once. `tenants` are those of the spec; for `code` see `Files`."""

    included: Included
    stability: Stability
    tenants: frozenset[str]
    code: int = 0
    _nodes: dict[int, tuple[Node, str]] = field(factory=dict)

    def plan(self, name: str, variation: Variation) -> Plan:
        """The plan of a variation without faults."""
        checked = variation.checked
        items = {item.id: item for item in checked.items()}
        needs = {id: _needs(item) for id, item in items.items()}
        nodes: dict[str, Node] = {}
        meanings: dict[str, str] = {}
        for id in _dependency_order(needs):
            nodes[id], meanings[id] = self._node(items[id], needs[id], nodes, meanings)
        roles = _roles(checked, self.stability.sent(variation))
        writers = _writers(checked, variation.writers())
        prompt = checked.spec.prompt if checked.spec and checked.spec.prompt else None
        policy = PromptPolicy(prompt.max_tokens, prompt.overflow) if prompt else PromptPolicy()
        return Plan(
            name=name,
            tenant=variation.tenant,
            arms=dict(variation.arms),
            nodes=tuple([_with_origin(node, writers) for node in nodes.values()]),
            roles=roles,
            spec=variation.spec,
            overlays=variation.overlays,
            written_name=str(as_written(variation.source.at(("name",)).value)),
            models=variation.models,
            inputs=variation.inputs,
            writers=writers,
            locked=_locked(checked),
            tenants=self.tenants if checked.spec is not None and checked.spec.unknown_tenants == "refuse" else None,
            prompt=policy,
            request=frozenset(checked.spec.request or ()) if checked.spec else frozenset(),
            digest=_digest(roles, meanings, needs, policy, variation),
        )

    def _node(
        self, item: Item, needs: tuple[str, ...], nodes: Mapping[str, Node], meanings: Mapping[str, str]
    ) -> tuple[Node, str]:
        made = self._nodes.get(id(item))
        below = [nodes[need].fingerprint for need in needs]
        if made is not None and made[0].fingerprint == self._fingerprint(item, made[0].config, below):
            return made
        assert item.config is not None, "lower comes after the faults are reported"
        config = _without_lifted(item)
        node = Node(
            id=item.id,
            type=item.component.type,
            config=config,
            needs=needs,
            span=item.located.span,
            fingerprint=self._fingerprint(item, config, below),
            references={
                key: leaf.value.text for key, leaf in item.located.value.items() if isinstance(leaf.value, Interpolated)
            },
            texts=self._texts(item),
            files=self._files(config),
        )
        self._nodes[id(item)] = (node, self._meaning(item, config, [meanings[need] for need in needs]))
        return self._nodes[id(item)]

    def _texts(self, item: Item) -> dict[str, TextPlace]:
        """Where the templates of an item begin that stand in the spec."""
        written = (
            source for source in sources(item, self.stability.templates.files, self.included) if source.path is None
        )
        return {
            str(source.field[-1]): TextPlace(source.file, source.line, exact=True)
            if source.written is None
            else TextPlace(source.file, source.place.line, exact=False)
            for source in written
        }

    def _files(self, config: Config) -> dict[str, bytes]:
        contents: dict[str, bytes] = {}
        for path in _paths(config):
            contents |= self.included.contents(path)
        return contents

    def _fingerprint(self, item: Item, config: Config, below: list[str]) -> str:
        content = [self.included.hash(path) for path in _paths(config)]
        fields = [config.model_dump(mode="json"), _secret_paths(config)]
        code = [self.code] if self.code and _names_a_function(config) else []
        return _sha256([item.component.type, item.component.version, fields, content, below, *code])

    def _meaning(self, item: Item, config: Config, below: list[str]) -> str:
        """Like the fingerprint, but the same on every machine: files count by their content, not by their path.

        A default counts as left out, so that a field which a component gains changes no digest; a default that
        changes is a new `version` of the component.
        """
        fields = config.model_dump(
            mode="json", exclude={*_path_fields(config), "name", "required"}, exclude_defaults=True
        )
        content = [self.included.hash(path) for path in _paths(config)]
        return _sha256([item.component.type, item.component.version, fields, content, below])


def _dependency_order(needs: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """The ids in topological order, otherwise in the order of the spec."""
    sorter = TopologicalSorter(needs)
    sorter.prepare()
    position = {id: place for place, id in enumerate(needs)}
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=position.__getitem__)
        yield from ready
        sorter.done(*ready)


def _needs(item: Item) -> tuple[str, ...]:
    named = [f"{ref.kind}/{name}" for ref, name, _, _ in references(item)]
    return tuple(dict.fromkeys([*named, *(child.id for child in item.children)]))


def _without_lifted(item: Item) -> Config:
    """The config without the values that are settings: those are in the layers, not in the structure."""
    section, _, name = item.id.partition("/")
    assert item.config is not None
    if isinstance(item.config, ModelConfig):
        return item.config if item.config.settings is None else item.config.model_copy(update={"settings": None})
    if "." in name and KINDS[section].shape == "one":
        return item.config  # a nested one's are its own
    fields = lifted_fields(section, item.component.type)
    lifted = {key: None for key in fields if getattr(item.config, key, None) is not None}
    return item.config.model_copy(update=lifted) if lifted else item.config


def _roles(checked: Checked, contributors: Sequence[Item]) -> Roles:
    sections = checked.sections

    def ids(kind: str) -> tuple[str, ...]:
        return tuple(item.id for item in sections[kind])

    providers = sorted(sections["providers"], key=_priority)
    middleware = sections["middleware"]
    admission = max((i + 1 for i, item in enumerate(middleware) if item.component.type == AUTH), default=0)
    placed = [(item.id, around, i < admission) for i, item in enumerate(middleware) for around in _around(item)]
    return Roles(
        models={item.id.split("/", 1)[1]: item.id for item in sections["models"]},
        providers=tuple(item.id for item in providers),
        contributors=tuple(item.id for item in contributors),
        tools=ids("tools"),
        tool_selection=ids("tool_selection")[0],
        compaction=ids("compaction")[0],
        admission=tuple(id for id, around, before in placed if before and around == "turn"),
        middleware=tuple((id, around) for id, around, before in placed if not before or around != "turn"),
        exporters=ids("exporters"),
        sessions=ids("sessions")[0],
        messages=ids("messages"),
        message=next(iter(ids("message")), None),
    )


def _writers(checked: Checked, written: Mapping[Key, Writers]) -> dict[str, Writers]:
    """Who wrote each node, and each input."""
    found: dict[str, Writers] = {}
    for section, items in checked.sections.items():
        is_named = section != "message" and (section not in KINDS or KINDS[section].shape != "one")
        for top in items:
            key = (section, top.id.partition("/")[2]) if is_named else (section,)
            if key not in written:  # nobody wrote it: the default
                continue
            writers = written[key]
            for item in top.family():
                found[item.id] = writers if item is top else _below(writers, item.id[len(top.id) + 1 :])
    inputs = {"/".join(key): writers for key, writers in written.items() if key[0] == "inputs"}
    return found | inputs


def _with_origin(node: Node, writers: Mapping[str, Writers]) -> Node:
    """The node with its layers, where there are several."""
    origin = writers.get(node.id, {}).get("", DEFAULT)
    return evolve(node, origin=origin) if origin.layers else node


def _below(writers: Writers, path: str) -> Writers:
    """Who wrote a nested item: its fields, or the whole that it is a part of, such as a list."""
    fields = {field[len(path) + 1 :]: origin for field, origin in writers.items() if field.startswith(f"{path}.")}
    if not fields:
        return {"": nearest_origin(writers, path)}
    say = dict.fromkeys(one for origin in fields.values() for one in (origin.layers or (origin,)))
    return {"": joined([*say][::-1]), **fields}


def _locked(checked: Checked) -> dict[str, str]:
    """The locked globs, each with its place."""
    section = checked.document.get("locked")
    globs = (checked.spec.locked if checked.spec is not None else None) or ()
    places = section.value if section is not None and isinstance(section.value, list) else ()
    return {glob: f"{place.span.file}:{place.span.line}" for glob, place in zip(globs, places, strict=True)}


def _around(item: Item) -> tuple[Around, ...]:
    written: Around | None = getattr(item.config, "around", None)
    return (written,) if written else item.component.around


def _priority(item: Item) -> int:
    return int(getattr(item.config, "priority", 50))


def _digest(
    roles: Roles,
    meanings: Mapping[str, str],
    needs: Mapping[str, tuple[str, ...]],
    prompt: PromptPolicy,
    variation: Variation,
) -> str:
    path = [id for id in meanings if id.split("/", 1)[0] not in ASIDE]
    reached: set[str] = set()
    while path:
        if (id := path.pop()) not in reached:
            reached.add(id)
            path += needs[id]
    layers = (variation.spec, *variation.overlays)
    of_models = {name: layer.settings for name, layer in variation.models.items() if layer.settings}
    of_inputs = {
        name: declared.model_dump(mode="json", exclude_unset=True, exclude={"description"})
        for name, declared in variation.inputs.items()
    }
    return _sha256(
        {
            "victor": VERSION,
            "nodes": {id: meanings[id] for id in sorted(reached)},
            "order": [roles.providers, roles.contributors, roles.tools, roles.admission, roles.middleware],
            "prompt": [prompt.max_tokens, prompt.overflow],
            "layers": [_values(layer) for layer in layers if layer.settings or layer.vars],
            **({"models": of_models} if of_models else {}),
            **({"inputs": of_inputs} if of_inputs else {}),
        }
    )


def _values(layer: Layer) -> list[Any]:
    """The values of a layer as they are written."""
    values = with_additions({"settings": layer.settings, "vars": layer.vars}, layer.added)
    return [values["settings"], values["vars"]]


def _paths(config: Config) -> list[str]:
    """The files whose content the plan holds."""
    found: list[str] = []
    for name, annotation in annotated_fields(type(config)).items():
        if isinstance(annotation, FilePath) and annotation.included:
            value = getattr(config, name)
            found += value if isinstance(value, list) else [value] if value is not None else []
    return found


def _names_a_function(config: Config) -> bool:
    return any(isinstance(annotation, FunctionName) for annotation in annotated_fields(type(config)).values())


def _secret_paths(config: Config) -> list[str]:
    """Where the secrets lie that are files: what was written does not tell two files apart."""
    found: list[str] = []
    for name, annotation in annotated_fields(type(config)).items():
        if annotation is Secret:
            value = getattr(config, name)
            secrets = value.values() if isinstance(value, dict) else [value]
            found += [secret.path for secret in secrets if secret is not None]
    for name, inner in nested_secrets(type(config)):
        secret = getattr(getattr(config, name), inner, None)
        found += [secret.path] if secret is not None else []
    return found


def _path_fields(config: Config) -> set[str]:
    return {name for name, annotation in annotated_fields(type(config)).items() if isinstance(annotation, FilePath)}


def _sha256(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
