"""Inputs: their declarations, and what a request gives."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from victor_dsl.values.faults import Faulty
from victor_dsl.values.inputs import Input, read_inputs

DECLARED = {
    "customer": Input.model_validate({"required": True, "max_length": 5, "description": "Its name."}),
    "plan": Input.model_validate({"enum": ["free", "pro"], "default": "free"}),
    "items": Input.model_validate({"type": "list", "items": {"type": "integer", "min": 1}, "max_length": 3}),
    "share": Input.model_validate({"type": "number", "min": 0, "max": 1}),
    "level": Input.model_validate({"type": "integer", "enum": [1, 2]}),
    "order": Input.model_validate({"type": "map", "max_length": 2}),
    "vip": Input.model_validate({"type": "boolean", "default": False}),
    "table": Input.model_validate({"type": "list", "items": {"type": "list", "items": {"enum": ["x"]}}}),
    "note": Input.model_validate({}),
}


def read(**values: Any) -> Any:
    return read_inputs({"customer": "Ada", **values}, DECLARED, ["product"])


def test_defaults_stand_in_and_what_is_not_set_is_none() -> None:
    assert read() == {
        **dict.fromkeys(DECLARED),
        "customer": "Ada",
        "plan": "free",
        "vip": False,
    }
    assert read(plan=None)["plan"] == "free"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("customer", "12", "12"),
        ("customer", "<b>", "<b>"),
        ("items", "1, 2", [1, 2]),
        ("items", [1, "2", 3.0], [1, 2, 3]),
        ("items", [], []),
        ("share", "0.5", 0.5),
        ("share", 1, 1),
        ("level", "2", 2),
        ("order", '{"id": 7}', {"id": 7}),
        ("order", {"deep": [{"a": None}]}, {"deep": [{"a": None}]}),
        ("vip", "true", True),
        ("table", [["x"], []], [["x"], []]),
        ("note", "", ""),
    ],
)
def test_a_value_is_read_as_its_type(name: str, value: Any, expected: Any) -> None:
    found = read(**{name: value})[name]
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"customer": None}, "inputs.customer is required; add 'customer' to 'inputs': Its name."),
        ({"customer": 5}, "inputs.customer must be text, not a number; put it in quotes"),
        ({"customer": ["Ada"]}, "inputs.customer must be text, not a list"),
        ({"level": 10**30}, "inputs.level has more than 64 bits, the most of a whole number"),
        ({"customer": "secret"}, "inputs.customer has 6 characters, and may have 5"),
        ({"plan": "prp"}, "inputs.plan must be one of its 2 values; did you mean 'pro'? values: free, pro"),
        ({"plan": "x" * 1_000_000}, "inputs.plan must be one of its 2 values; values: free, pro"),
        ({"items": [1, True]}, "inputs.items[1] must be a whole number, not true or false"),
        ({"items": [0]}, "inputs.items[0] must be at least 1"),
        ({"items": [1, 2, 3, 4]}, "inputs.items has 4 items, and may have 3"),
        ({"items": "1, x"}, "inputs.items[1] must be a whole number"),
        ({"share": math.nan}, "inputs.share must be a finite number"),
        ({"share": "inf"}, "inputs.share must be a number"),
        ({"share": 1.5}, "inputs.share must be at most 1"),
        ({"level": 1.5}, "inputs.level must be a whole number, not a fraction"),
        ({"level": True}, "inputs.level must be a whole number, not true or false"),
        ({"level": 3}, "inputs.level must be one of its 2 values"),
        ({"order": []}, "inputs.order must be a map, not a list"),
        ({"order": {"a": 1, "b": 1, "c": 1}}, "inputs.order has 3 keys, and may have 2"),
        ({"vip": 1}, "inputs.vip must be true or false, not a number"),
        ({"table": [["x", "y"]]}, "inputs.table[0][1] must be one of its 1 values"),
        ({"note": "x" * 100_001}, "inputs.note has 100,001 characters, and may have 100,000"),
        ({"custmer": "Ada"}, "inputs.custmer is not declared; did you mean 'customer'?"),
        (
            {"product": "x"},
            "inputs.product is not declared; it is a var: write it under 'vars' (`--var` on the command line)",
        ),
        ({"z" * 1_000_000: "x"}, "is not declared"),
    ],
)
def test_what_does_not_fit_is_refused_without_the_value(values: dict[str, Any], fault: str) -> None:
    with pytest.raises(Faulty) as caught:
        read(**values)
    assert fault in str(caught.value)
    assert "secret" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_misspelt_name_is_not_also_missing() -> None:
    with pytest.raises(Faulty) as caught:
        read_inputs({"custmer": "Ada"}, DECLARED, ())
    assert [fault.path for fault in caught.value.faults] == [("inputs", "custmer")]


@pytest.mark.parametrize(
    "values", [{f"n{i}": 1 for i in range(10_000)}, {"items": ["x"] * 3, "table": [[1] * 9_000] * 9_000}]
)
def test_many_faults_are_a_short_message(values: dict[str, Any]) -> None:
    with pytest.raises(Faulty) as caught:
        read(**values)
    assert len(str(caught.value)) < 5_000


@pytest.mark.parametrize(
    ("declared", "fault"),
    [
        ({"type": "integer", "max_length": 3}, "max_length is for texts, lists and maps, and the type is integer"),
        ({"min": 3}, "min is for numbers, and the type is string"),
        ({"items": {}}, "items is for lists, and the type is string"),
        ({"type": "number", "min": 3, "max": 2}, "max allows no value that is at least `min`"),
        ({"type": "integer", "min": 1.2, "max": 1.8}, "max allows no value that is at least `min`"),
        ({"enum": [1]}, r"enum\[0\] must be text, not a number; or write `type: integer`"),
        ({"type": "integer", "enum": [True]}, r"enum\[0\] must be a whole number, not true or false"),
        ({"type": "integer", "enum": [5], "max": 3}, r"enum\[0\] must be at most 3"),
        ({"enum": []}, "at least 1"),
        ({"enum": ["a"], "default": "b"}, "default must be one of its 1 values"),
        ({"type": "integer", "default": "x"}, "default must be a whole number"),
        ({"type": "list", "items": {"type": "integer"}, "default": ["x"]}, r"default\[0\] must be a whole number"),
        ({"required": True, "default": "x"}, "default is for optional inputs"),
        ({"type": "list", "items": {"min": 1}}, "min is for numbers"),
        ({"type": "integer", "default": 2_000_000, "max": 1_500_000}, "default must be at most 1500000"),
        ({"max_length": 0}, "greater than or equal to 1"),
        ({"type": "text"}, "Input should be 'string'"),
        ({"default": math.nan, "type": "number"}, "must be a finite number"),
    ],
)
def test_a_declaration_must_fit_itself(declared: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        Input.model_validate(declared)


BOUNDS = st.none() | st.integers(-5, 5) | st.floats(-5, 5)


@given(st.sampled_from(["integer", "number"]), BOUNDS, BOUNDS)
def test_an_example_is_valid(type: str, least: Any, most: Any) -> None:
    try:
        declared = Input.model_validate({"type": type, "min": least, "max": most})
    except ValidationError:
        return
    example = declared.example("n")
    assert declared.read(example, ()) == example
    Draft202012Validator(declared.json_schema()).validate(example)


@pytest.mark.parametrize("name", DECLARED)
def test_every_example_is_valid_for_the_schema_too(name: str) -> None:
    example = DECLARED[name].example(name)
    assert read(**{name: example})[name] == example
    Draft202012Validator(DECLARED[name].json_schema()).validate(example)
