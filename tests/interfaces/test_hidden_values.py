"""No value of `${env:…}` or `${file:…}` is in any diagnostic or drawing: every field of the language, in every format."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.components.example import item_of
from victor_dsl.compiler import compile_spec
from victor_dsl.graph.drawing import DRAWINGS
from victor_dsl.interfaces.cli.diagnostics import FORMATS, Found
from victor_dsl.interfaces.cli.options import Reading
from victor_dsl.language.kinds import KINDS
from victor_dsl.language.registry import Registry
from victor_dsl.language.schema import schema

SECRET = re.compile(r"hunter2|7,?654,?321|\b73\b")
SHAPES = (
    "hunter2secret",
    "hunter2 secret's `hunter2more`\nhunter2line",
    "{{ hunter2name | hunter2filter }}{{ hunter2name.hunter2key }}",
    "{% hunter2tag %}",
    "http://hunter2host:bad/{hunter2gap}?q={hunter2gap}",
    "hunter2module:hunter2function",
    "(?P<hunter2group>[",
    '["hunter2item", {"hunter2key": 1}]',
    '{"hunter2key": "hunter2item", "type": "hunter2type"}',
    "hunter2" + "x" * 90,
    "/hunter2/path",
    "7654321",
    "-7654321",
    "73",
)
REGISTRY = Registry(entry_points=False)
BASE = {"victor": 1, "name": "demo", "models": {"main": {"type": "echo"}}}
EXAMPLES: dict[str, Any] = {
    "inputs": {"who": {"type": "text", "description": "Who asks."}},
    "prompt": {"max_tokens": 4000},
    "settings": {"model": "main", "temperature": 0.5},
    "variants": {"tone": {"arms": {"control": {}, "warm": {"with": {"settings": {"temperature": 0.9}}}}}},
    "tenants": {"acme": {"with": {"vars": {"a": "b"}}}},
    "vars": {"a": "b"},
}

Place = tuple[str | int, ...]


@cache
def _schema() -> dict[str, Any]:
    return schema(REGISTRY)


def places(described: Any, at: Place = (), seen: tuple[str, ...] = ()) -> Iterator[Place]:
    """Where the schema allows a single value, below maps and lists of any names and lengths."""
    if not isinstance(described, dict):
        return
    if "$ref" in described:
        name = described["$ref"].removeprefix("#/$defs/")
        if name not in seen:
            yield from places(_schema()["$defs"][name], at, (*seen, name))
        return
    for group in ("anyOf", "oneOf"):
        for arm in described.get(group, ()):
            yield from places(arm, at, seen)
    for name, inner in described.get("properties", {}).items():
        yield from places(inner, (*at, name), seen)
    if isinstance(described.get("additionalProperties"), dict):
        yield from places(described["additionalProperties"], (*at, "some"), seen)
    if "items" in described:
        yield from places(described["items"], (*at, 0), seen)
    if not {"$ref", "anyOf", "oneOf", "properties"} & described.keys() and described.get("type") != "array":
        yield at


def put(holder: Any, place: Place, value: Any) -> Any:
    """The holder with a value at a place; maps and lists on the way are made."""
    if not place:
        return value
    step, *rest = place
    if isinstance(step, int):
        return [put(holder[0] if isinstance(holder, list) and holder else None, tuple(rest), value)]
    below = dict(holder) if isinstance(holder, dict) else {}
    return {**below, step: put(below.get(step), tuple(rest), value)}


def sections() -> Iterator[tuple[str, list[tuple[str, Any, Place]]]]:
    """Every section and component by name, with what to write where: section, example and place in it."""
    for kind in KINDS.values():
        for type in REGISTRY.types(kind.name):
            component = REGISTRY.find(kind.name, type)
            assert component is not None
            wraps: dict[str, Place] = {"map": ("some",), "list": (0,), "one": ()}
            wrap = wraps[kind.shape]
            example = put(None, wrap, item_of(component))
            found = dict.fromkeys(places(_schema()["$defs"][f"{kind.name}.{type}"]))
            yield f"{kind.name}.{type}", [(kind.name, example, (*wrap, *place)) for place in found]
    for name, described in _schema()["properties"].items():
        if name not in KINDS and name not in ("victor", "extends", "tenants"):
            found = dict.fromkeys(places(described))
            yield name, [(name, EXAMPLES.get(name), place) for place in found]


SECTIONS = dict(sections())


def outputs(folder: Path, spec: Any, environment: dict[str, str]) -> Iterator[tuple[str, str]]:
    """What commands print of a spec, by format."""
    (folder / "victor.yml").write_text(json.dumps(spec, indent=1))
    with contextlib.chdir(folder):
        compiled = compile_spec(
            "victor.yml", environment=environment, registry=REGISTRY, require_environment=True, require_secrets=True
        )
        found = Found.of(["victor.yml"], compiled.diagnostics, compiled.files, Reading())
        for name, (show, most) in FORMATS.items():
            yield name, show(found, False, most)
        if compiled.program is not None:
            plan = compiled.program.plan_for(None, {})
            for name, draw in DRAWINGS.items():
                yield f"graph {name}", draw(plan)


@pytest.mark.parametrize("section", SECTIONS)
def test_no_value_from_outside_is_in_any_output(section: str, tmp_path: Path) -> None:
    shown = []
    for name, example, place in SECTIONS[section]:
        for number, shape in enumerate(SHAPES):
            (tmp_path / "x.txt").write_text(shape)
            reference = "${env:X}" if number % 2 else "${file:x.txt}"
            text = f"a {reference}" if number % 3 == 2 else reference
            spec = {**BASE, name: put(example if example is not None else BASE.get(name), place, text)}
            for form, output in outputs(tmp_path, spec, {"X": shape}):
                if SECRET.search(output):
                    line = next(line for line in output.splitlines() if SECRET.search(line))
                    shown.append(f"{name} {place} = {shape!r} as {form}: {line.strip()[:300]}")
                    break
    assert shown == []
