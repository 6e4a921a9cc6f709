"""`victor components`, `schema` and `explain`: what a spec can be made of, in words."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from tests.interfaces.conftest import Victor
from victor_dsl.interfaces.cli.reference import type_words
from victor_dsl.language.codes import CODES
from victor_dsl.language.kinds import KINDS
from victor_dsl.language.registry import Registry

NAMES = [f"{kind}/{type}" for kind in KINDS for type in Registry(entry_points=False).types(kind)]


def test_components_alone_lists_them(victor: Victor) -> None:
    assert victor("components").out == victor("components", "list").out


def test_the_list_has_every_component_with_its_summary(victor: Victor) -> None:
    listed = victor("components", "list", "--json").json
    assert sorted(f"{one['kind']}/{one['type']}" for one in listed) == sorted(NAMES)
    assert all(one["summary"] for one in listed)


def test_one_kind_can_be_listed(victor: Victor) -> None:
    listed = victor("components", "list", "--kind", "models", "--json").json
    assert {one["kind"] for one in listed} == {"models"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_alone_lists_that_kind(victor: Victor, kind: str) -> None:
    assert victor("components", kind) == victor("components", "list", "--kind", kind)
    assert victor("components", kind, "--json").json == victor("components", "list", "--kind", kind, "--json").json


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("midleware", "there is no command or kind 'midleware'; did you mean 'middleware'?"),
        ("lst", "there is no command or kind 'lst'; did you mean 'list'?"),
        ("models/opnai", "models has no 'opnai'; did you mean 'openai'?"),
        ("zzz", "commands and kinds: compaction, contributors,"),
    ],
)
def test_what_is_neither_a_command_nor_a_kind_is_met_with_the_nearest(victor: Victor, word: str, told: str) -> None:
    done = victor("components", word)
    assert (done.code, done.out) == (2, "")
    assert told in done.err


@pytest.mark.parametrize("name", NAMES)
def test_every_component_can_be_shown(victor: Victor, name: str) -> None:
    done = victor("components", "show", name)
    assert done.code == 0
    component = Registry(entry_points=False).find(*name.split("/"))
    assert component is not None
    assert component.example.strip().splitlines()[0] in done.out
    for field in component.config.model_fields:
        assert f"\n  {field}  " in done.out


def test_a_shown_component_as_json_has_its_schema(victor: Victor) -> None:
    shown = victor("components", "show", "models/echo", "--json").json
    assert list(shown) == ["kind", "type", "summary", "example", "schema"]
    assert shown["schema"]["additionalProperties"] is False


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("models/ecko", "models has no 'ecko'; did you mean 'echo'?"),
        ("modles/echo", "there is no kind 'modles'; did you mean 'models'?"),
        ("echo", "did you mean 'models/echo'?"),
        ("nothing", "'nothing' is not of the form KIND/TYPE"),
        ("models/", "models has no ''"),
        ("models/../x", "models has no '../x'"),
    ],
)
def test_a_component_that_is_not_there_is_met_with_the_nearest(victor: Victor, name: str, told: str) -> None:
    done = victor("components", "show", name)
    assert done.code == 2
    assert told in done.err


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "minimum": 1}, "whole number ≥ 1"),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 1}, "number > 0, ≤ 1"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "text"),
        ({"anyOf": [{"type": "string"}, {"type": "object"}]}, "text or map"),
        ({"enum": ["a", "b"]}, "one of a, b"),
        ({"type": "array", "items": {"type": "string"}}, "list of text"),
        ({"$ref": "#/$defs/X"}, "true or false"),
        ({"type": "string", "pattern": r"^\$\{(env|file):[^}]+\}$"}, "secret"),
    ],
)
def test_types_are_said_in_words(schema: dict[str, Any], words: str) -> None:
    assert type_words(schema, {"X": {"type": "boolean"}}) == words


def test_the_schema_is_a_json_schema(victor: Victor) -> None:
    jsonschema.Draft202012Validator.check_schema(victor("schema").json)


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_is_explained(victor: Victor, code: str) -> None:
    done = victor("explain", code)
    assert done.code == 0
    assert done.out.startswith(f"{code}: ")
    assert "Wrong" in done.out
    assert "Right" in done.out


def test_explain_alone_lists_all_codes(victor: Victor) -> None:
    assert len(victor("explain").out.splitlines()) == len(CODES)


def test_a_code_that_is_not_there_is_met_with_the_nearest(victor: Victor) -> None:
    done = victor("explain", "unknown-componnt")
    assert done.code == 2
    assert "did you mean 'unknown-component'?" in done.err
