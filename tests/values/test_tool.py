"""The definitions of tools, and their parameters as model APIs accept them."""

from __future__ import annotations

from typing import Any

import pytest

from victor_dsl.values.tool import api_tool_name, flat_schema

ID = {"properties": {"id": {"type": "integer"}}, "required": ["id"]}
NAME = {"properties": {"name": {"type": "string"}}, "required": ["name"]}
FULL = {"properties": {"full": {}}, "required": ["full"]}
PLAIN = {"type": "object", "properties": {"a": {"anyOf": [{}, {}]}}, "additionalProperties": False}
BOTH = {"id": {"type": "integer"}, "name": {"type": "string"}}
CASES = "Give the arguments of one of these cases: id | name."

FLAT: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("not combined at its top", PLAIN, PLAIN),
    ("any of", {"type": "object", **FULL, "anyOf": [ID, NAME]}, {"type": "object", "properties": {**BOTH, "full": {}}, "required": ["full"], "description": CASES}),
    ("one of, with a description", {"description": "Finds.", "oneOf": [ID, NAME]}, {"properties": BOTH, "description": f"Finds. {CASES}"}),
    ("all of", {"allOf": [ID, NAME]}, {"properties": BOTH, "required": ["id", "name"]}),
    ("requirements alone", {**PLAIN, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, {**PLAIN, "description": CASES.replace("id | name", "a | b")}),
    ("what all cases require", {"anyOf": [{"required": ["a", "b"]}, {"required": ["b"]}]}, {"properties": {}, "required": ["b"], "description": CASES.replace("id | name", "a | none")}),
    ("a reference", {"$ref": "#/$defs/Id", "$defs": {"Id": ID}}, {"$defs": {"Id": ID}, **ID}),
    ("references in cases", {"oneOf": [{"$ref": "#/definitions/Id"}, NAME], "definitions": {"Id": ID}}, {"definitions": {"Id": ID}, "properties": BOTH, "description": CASES}),
    ("cases inside of all", {"allOf": [FULL, {"anyOf": [ID, NAME]}]}, {"properties": {"full": {}, **BOTH}, "required": ["full"], "description": CASES}),
    ("conditions", {**ID, "if": NAME, "then": FULL, "else": {}, "not": {}}, ID),
    ("a reference to itself", {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}, {"$defs": {"A": {"$ref": "#/$defs/A"}}, "properties": {}}),
    ("nonsense", {"anyOf": 3, "oneOf": ["x"], "allOf": None, "$ref": "https://example.com/schema", "properties": 3}, {"properties": {}}),
]  # fmt: skip
"""A tool's parameters, and what is sent of them."""


@pytest.mark.parametrize(("schema", "flat"), [row[1:] for row in FLAT], ids=[row[0] for row in FLAT])
def test_parameters_that_are_combined_at_their_top_become_flat(schema: dict[str, Any], flat: dict[str, Any]) -> None:
    assert flat_schema(schema) == flat


@pytest.mark.parametrize("name", ["a", "shop__look-up", "x" * 64])
def test_a_name_that_apis_accept_stays(name: str) -> None:
    assert api_tool_name(name) == name


@pytest.mark.parametrize("name", ["", "a b", "shop.look", "x" * 65, "caf\u00e9"])
def test_another_name_is_replaced_by_one_of_its_own(name: str) -> None:
    assert api_tool_name(api_tool_name(name)) == api_tool_name(name) == api_tool_name(name) != name
