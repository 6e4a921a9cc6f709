"""A component's EXAMPLE made into what `build` is given, as the compiler and the runtime would make it."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from attrs import frozen

from tests.components.context import surroundings
from victor_dsl.language.annotations import FilePath, FunctionName, Nested, Ref, Secret, annotated_fields
from victor_dsl.language.component import Component, Context
from victor_dsl.language.config import Config
from victor_dsl.language.registry import Registry
from victor_dsl.language.values_file import to_python
from victor_dsl.source.reader import Files

STAND_INS = {"databases": "sqlite", "embedders": "hashing", "models": "echo"}
"""Whom a reference in an example is taken to mean, unless it is the database of the component's own type."""
SERVICES = {"postgres": ("DATABASE_URL", "migrated_dsn"), "redis": ("REDIS_URL", "redis_url")}
"""The variable that examples name a service's address by, and the fixture that gives it."""
FILES = {".json": "{}", ".jsonl": "", ".yml": "settings: {}", ".yaml": "settings: {}", "keys.yml": "keys: []"}


@frozen
class Node:
    """One component with its config, and the nodes that it refers to, by id."""

    component: Component
    config: Config
    context: Context
    needs: dict[str, Node]

    def build(self) -> Any:
        """What `build` gives: the live object, or its context manager."""
        return self.component.build(self.config, self.context)

    async def open(self, stack: AsyncExitStack) -> Any:
        """The live object; what it needs is opened first."""
        for id, node in self.needs.items():
            self.context.needs[id] = await node.open(stack)  # type: ignore[index]
        built = self.build()
        return await stack.enter_async_context(built) if hasattr(built, "__aenter__") else built


def item_of(component: Component) -> dict[str, Any]:
    """The EXAMPLE as a map; a bare word is `{type: word}`."""
    text = textwrap.dedent(component.example).strip()
    if text.isidentifier():
        return {"type": text}
    result = Files().parse(text.encode(), "EXAMPLE")
    assert result.document is not None, f"its EXAMPLE is not YAML: {[d.message for d in result.diagnostics]}"
    assert not result.diagnostics, f"its EXAMPLE has faults: {[d.message for d in result.diagnostics]}"
    item: dict[str, Any] = to_python(result.document)
    return item


def node_of(
    component: Component,
    folder: Path,
    item: dict[str, Any] | None = None,
    id: str = "",
    secrets: Mapping[str, str] | None = None,
) -> Node:
    """The component in a spec of that folder, made from an item (the EXAMPLE, where none is given).

    `secrets` are what the environment has; a secret that it has not is made up.
    """
    values = dict(item_of(component) if item is None else item)
    values.pop("type", None)
    if "port" in values:
        values["port"] = 0  # a free one: tests run side by side
    id = id or f"{component.kind.name}/{component.type}"
    needs: dict[str, Node] = {}
    environment = dict(secrets or {})
    for name, annotation in annotated_fields(component.config).items():
        if values.get(name) is not None:
            values[name] = _each(
                values[name],
                lambda value, annotation=annotation: _meant(value, annotation, id, folder, needs, environment),
            )
    config = component.config.model_validate(values)
    configs = {id: node.config for id, node in needs.items()}
    made = surroundings(folder, id, place="victor.yml:1", environment=environment, needs={}, configs=configs)
    return Node(component, config, made.context, needs)


def _each(value: Any, change: Any) -> Any:
    """A marked field is one value, a list of them, or a map of secrets."""
    if isinstance(value, dict) and "type" not in value:
        return {key: change(inner) for key, inner in value.items()}
    return [change(inner) for inner in value] if isinstance(value, list) else change(value)


def _meant(
    value: Any, annotation: Any, id: str, folder: Path, needs: dict[str, Node], environment: dict[str, str]
) -> Any:
    if annotation is Secret:
        source, _, name = value.removeprefix("${").removesuffix("}").partition(":")
        environment.setdefault(name, "a secret")
        return Secret(source, name)
    if isinstance(annotation, FilePath):
        return _path(folder / value, annotation)
    if isinstance(annotation, FunctionName):
        _module(folder, value, id)
    if isinstance(annotation, Ref):
        own = id.rpartition("/")[2]
        type = own if annotation.kind == "databases" and own in SERVICES else STAND_INS[annotation.kind]
        return _need(
            f"{annotation.kind}/{value}", annotation.kind, {"type": type}, folder, needs, environment, own=True
        )
    if isinstance(annotation, Nested):
        item = {"type": value} if isinstance(value, str) else value
        return _need(f"{id}.{len(needs)}", annotation.kind, item, folder, needs, environment)
    return value


def _need(
    id: str,
    kind: str,
    item: dict[str, Any],
    folder: Path,
    needs: dict[str, Node],
    environment: dict[str, str],
    *,
    own: bool = False,
) -> str:
    component = Registry(entry_points=False).find(kind, item["type"])
    assert component is not None, f"its EXAMPLE names {kind} '{item['type']}', which there is not"
    needs[id] = node_of(component, folder, None if own else item, id, environment)
    return id


def _path(path: Path, annotation: FilePath) -> str:
    """The path; what must be there is there."""
    if annotation.included or annotation.exists:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(FILES.get(path.name) or FILES.get(path.suffix, "Be kind.\n"), encoding="utf-8")
    return str(path)


def _module(folder: Path, function: str, id: str) -> None:
    """Writes the module that a function's name points to."""
    module, _, name = function.partition(":")
    path = folder.joinpath(*module.split(".")).with_suffix(".py")
    path.parent.mkdir(parents=True, exist_ok=True)
    if id.startswith("middleware/"):
        path.write_text(f"async def {name}(turn, handler):\n    return await handler(turn)\n")
    else:
        path.write_text(f'def {name}(number: int) -> str:\n    """Looks something up."""\n    return str(number)\n')
