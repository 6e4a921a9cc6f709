"""The JSON Schema, as an editor or another validator uses it, says what the compiler says."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from victor_dsl.language.codes import CODES, explain
from victor_dsl.language.kinds import KINDS
from victor_dsl.language.registry import Registry
from victor_dsl.language.schema import schema
from victor_dsl.source.located import Located
from victor_dsl.source.reader import Files

SCHEMA = schema(Registry(entry_points=False))
VALIDATOR = Draft202012Validator(SCHEMA)
STRUCTURAL = (
    *("unknown-key", "missing-key", "wrong-type", "wrong-value", "bad-name", "unknown-component", "unknown-version"),
    *("literal-secret", "untouchable"),
)
"""Codes whose faults a schema can see."""


def document(text: str, name: str = "victor.yml") -> Any:
    """A spec as plain values, read as the compiler reads it."""
    read = Files().parse(text.encode(), name).document
    assert read is not None
    return _plain(read)


def _plain(value: Located) -> Any:
    if isinstance(value.value, dict):
        return {key: _plain(child) for key, child in value.value.items()}
    if isinstance(value.value, list):
        return [_plain(child) for child in value.value]
    return value.value


def branches(item: Any) -> set[str]:
    """The types of the components that an item may be."""
    if "$ref" in item:
        return {item["$ref"].rpartition(".")[2]}
    below = [*item.get("anyOf", ()), item["then"]] if "then" in item else item.get("anyOf", ())
    return set[str]().union(*map(branches, below))


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("code", CODES)
def test_every_right_example_is_valid(code: str) -> None:
    page = explain(code)
    assert [error.message for error in VALIDATOR.iter_errors(document(page.right, page.file))] == []


@pytest.mark.parametrize("code", STRUCTURAL)
def test_a_wrong_example_of_structure_is_not(code: str) -> None:
    assert not VALIDATOR.is_valid(document(explain(code).wrong))


@pytest.mark.parametrize("kind", KINDS)
def test_editors_are_told_every_component_and_what_each_field_means(kind: str) -> None:
    types = Registry(entry_points=False).types(kind)
    assert branches(SCHEMA["$defs"][kind]) == set(types)
    for type in types:
        for name, field in SCHEMA["$defs"][f"{kind}.{type}"]["properties"].items():
            assert field.get("description"), f"{kind}/{type}: {name}"


@pytest.mark.parametrize(
    "more",
    [
        {"middleware": [{"type": "logging", "level": "${env:LEVEL:-info}"}]},
        {"middleware": [{"type": "rate_limit", "per": "${env:PER:-tenant}"}]},
        {"prompt": {"overflow": "${env:OVERFLOW:-drop}"}},
        {"variants": {"x": {"status": "${env:STATUS:-running}", "unit": "${env:UNIT:-user}", "arms": {"a": {}}}}},
        {"settings": {"stop": "${env:STOP}", "limits": {"tools": {"deny": "${env:DENY}"}}}},
        {"contributors": [{"type": "tech_stack", "stack": "${env:STACK}"}]},
        {"middleware": [{"type": "redact", "patterns": "${env:PATTERNS:-email}"}]},
        {"tools": [{"type": "mcp", "name": "m", "url": "http://x/", "allow": "${env:A}", "headers": "${env:H}"}]},
        {"inputs": {"age": {"type": "${env:TYPE:-integer}", "min": "${env:LEAST:-1}", "default": "${env:AGE:-3}"}}},
    ],
)
def test_a_reference_may_stand_where_a_word_or_a_list_of_a_setting_does(more: dict[str, Any]) -> None:
    spec = {"victor": 1, "name": "support", "models": {"main": {"type": "echo"}}, **more}
    assert [error.message for error in VALIDATOR.iter_errors(spec)] == []


def test_a_reference_may_stand_where_a_number_or_a_truth_value_does() -> None:
    spec = document(explain("unused-name").right)
    spec["settings"] = {"model": "main", "max_tokens": "${env:MAX}", "temperature": "${env:T:-0.5}"}
    assert VALIDATOR.is_valid(spec)
    spec["settings"] = {"max_tokens": "many"}
    assert not VALIDATOR.is_valid(spec)


def test_keys_of_ones_own_may_hold_anchors() -> None:
    spec = document(explain("unused-name").right)
    spec["x-common"] = {"anything": [1]}
    assert VALIDATOR.is_valid(spec)
    spec["y-common"] = {}
    assert not VALIDATOR.is_valid(spec)


@pytest.mark.parametrize(
    ("section", "own", "type", "other"),
    [
        ("compaction", {"recent": 0.1}, "keywords", {"oldest": 0.1}),
        ("tool_selection", {"alpha": 0.5}, "domain", {"max_domains": 2}),
        ("sessions", {"max_messages": 10}, "sqlite", {"path": "sessions.db"}),
    ],
)
def test_where_no_type_is_written_the_default_is_meant(
    section: str, own: dict[str, Any], type: str, other: dict[str, Any]
) -> None:
    spec = document(explain("unused-name").right)
    assert VALIDATOR.is_valid({**spec, section: own})
    assert not VALIDATOR.is_valid({**spec, section: other})
    assert VALIDATOR.is_valid({**spec, section: {"type": type, **other}})


def test_an_item_without_a_default_needs_its_type() -> None:
    spec = document(explain("unused-name").right)
    assert not VALIDATOR.is_valid({**spec, "models": {"main": {"context_window": 8000}}})
    assert not VALIDATOR.is_valid({**spec, "exporters": [{"path": "events.jsonl"}]})


@pytest.mark.parametrize(
    "overlay",
    [
        {"+contributors": [{"type": "text", "text": "Hi."}], "+middleware": ["logging"], "vars": {"+tags": ["a"]}},
        {"settings": {"+stop": ["a"], "limits": {"tools": {"+deny": ["x"]}}}, "+tools": []},
        {"contributors": {"stack": {"+stack": ["rust"]}}},
        {"+providers": [{"type": "inline", "values": {"settings": {"+stop": ["a"]}, "vars": {"+tags": ["a"]}}}]},
    ],
)
def test_lists_may_be_added_to_in_specs_and_overlays(overlay: dict[str, Any]) -> None:
    spec = document(explain("unused-name").right)
    assert VALIDATOR.is_valid({**spec, **overlay})
    assert VALIDATOR.is_valid({**spec, "tenants": {"acme": {"with": overlay}}})


@pytest.mark.parametrize(
    "overlay",
    [
        {"+contributers": []},
        {"+prompt": []},
        {"settings": {"+stop": "a"}},
        {"settings": {"+seed": [1]}},
        {"+extends": []},
    ],
)
def test_only_lists_may_be_added_to(overlay: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid({**document(explain("unused-name").right), **overlay})
