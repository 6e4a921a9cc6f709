"""The schema in a real editor's server: wherever one may write, it offers what may stand there, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.editor import Editor, editing
from victor_dsl.language.kinds import KINDS, Kind
from victor_dsl.language.registry import Registry
from victor_dsl.language.schema import schema
from victor_dsl.values.settings import SETTING_NAMES

REGISTRY = Registry(entry_points=False)
HEAD = "victor: 1\nname: shop\n"
TAIL = "settings: {model: main}\n"
ITEM = {
    "map": "{kind}:\n  first:\n    type: {type}\n  second:\n    {rest}\n  third:\n    type: {type}\n",
    "list": "{kind}:\n  - type: {type}\n  - {rest}\n  - type: {type}\n",
    "one": "{kind}:\n  {rest}\n",
}
"""A section of each shape with an item that is being written, in the middle where there may be several."""
INDENT = {"map": 4, "list": 4, "one": 2}


@pytest.fixture
async def editor(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Editor]:
    async with editing(tmp_path_factory.mktemp("specs"), schema(REGISTRY)) as editor:
        yield editor


def written(kind: Kind, type: str, *lines: str) -> str:
    """A spec with an item of that kind of which only these lines are written; `^` is where the cursor stands."""
    rest = ("\n" + " " * INDENT[kind.shape]).join(lines)
    return HEAD + ITEM[kind.shape].format(kind=kind.name, type=type, rest=rest) + TAIL


def fields(kind: str, type: str) -> set[str]:
    component = REGISTRY.find(kind, type)
    assert component is not None
    return set(component.config.model_fields)


async def test_a_type_brings_its_fields_before_any_is_written(editor: Editor) -> None:
    for kind in KINDS.values():
        for type in REGISTRY.types(kind.name):
            wanted = fields(kind.name, type)
            assert await editor.fields(written(kind, type, f"type: {type}", "^")) == wanted, f"{kind.name}/{type}"
            begun = f"{min(wanted)[0]}^"
            assert await editor.fields(written(kind, type, f"type: {type}", begun)) == wanted, f"{kind.name}/{type}"


async def test_every_type_is_offered_and_says_what_it_does(editor: Editor) -> None:
    for kind in KINDS.values():
        types = REGISTRY.types(kind.name)
        offered = await editor.offers(written(kind, types[0], "type: ^"))
        assert {item["label"] for item in offered} == set(types)
        assert all(item["documentation"] for item in offered)


async def test_without_a_type_the_fields_of_the_default_are_offered_alone(editor: Editor) -> None:
    for kind in KINDS.values():
        if kind.default is not None:
            wanted = {"type", *fields(kind.name, kind.default)}
            assert await editor.fields(written(kind, kind.default, "^")) == wanted, kind.name
            assert await editor.fields(written(kind, kind.default, f"{min(wanted)[0]}^")) == wanted, kind.name


async def test_settings_and_what_an_overlay_changes_are_offered(editor: Editor) -> None:
    assert await editor.fields(f"{HEAD}settings:\n  ^\n") == SETTING_NAMES
    overlay = f"{HEAD}tenants:\n  acme:\n    with:\n      "
    assert await editor.fields(f"{overlay}settings:\n        ^\n") == SETTING_NAMES
    assert await editor.fields(f"{overlay}^\n") >= {"models", "settings", "contributors", "tools", "compaction"}
    of_models = {"type"}.union(*(fields("models", type) for type in REGISTRY.types("models")))
    assert await editor.fields(f"{overlay}models:\n        main:\n          ^\n") == of_models
    assert await editor.fields(f"{overlay}tools:\n        - type: python\n          ^\n") == fields("tools", "python")


async def test_items_inside_an_item_are_offered_theirs(editor: Editor) -> None:
    steps = f"{HEAD}compaction:\n  type: chain\n  steps:\n    - "
    assert await editor.fields(f"{steps}type: summarize\n      ^\n") == fields("compaction", "summarize")
    assert {"recent", "salience"} <= {item["label"] for item in await editor.offers(f"{steps}^\n")}


async def test_words_that_stand_for_an_item_are_offered(editor: Editor) -> None:
    offered = {item["label"] for item in await editor.offers(f"{HEAD}compaction: ^\n")}
    assert offered >= {"recent", "salience"}
    assert "summarize" not in offered, "which needs a model"


async def test_a_field_says_what_it_means(editor: Editor) -> None:
    assert "at which compaction begins" in await editor.says(f"{HEAD}compaction:\n  thres^hold: 0.5\n")


async def test_faults_are_those_of_the_component_that_is_meant(editor: Editor) -> None:
    assert await editor.faults(f"{HEAD}models:\n  main: {{type: echo}}\n{TAIL}") == []
    assert await editor.faults(f"{HEAD}compaction:\n  recnt: 0.5\n") == ["4: Property recnt is not allowed."]
    assert await editor.faults(f"{HEAD}tools:\n  - type: python\n") == ['4: Missing property "function".']
    [first, *_] = await editor.faults(f"{HEAD}sessions: {{type: sqlit}}\n")
    assert first == '3: Value is not accepted. Valid values: "memory", "postgres", "redis", "sqlite".'
