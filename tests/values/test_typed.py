"""Values from outside are read as their declaration says, never by guess."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from victor_dsl.values.faults import Faulty
from victor_dsl.values.typed import Type, default_type, read_as, read_like


@pytest.mark.parametrize(
    ("declared", "value", "read"),
    [
        (False, "true", True),
        (True, " False ", False),
        (False, True, True),
        (3, "12", 12),
        (3, "-0", 0),
        (3, 5.0, 5),
        (3, 7, 7),
        (0.5, "3", 3),
        (0.5, ".25", 0.25),
        (0.5, 2, 2),
        ("x", "12", "12"),
        ("x", "null", "null"),
        ("x", "", ""),
        ([], "a, b", ["a", "b"]),
        (["a"], '["a, b", "c"]', ["a, b", "c"]),
        ([80], "1, 2", [1, 2]),
        ([80], "[1, 2]", [1, 2]),
        ([False], "true,false", [True, False]),
        ([80, "a"], "1, 2", ["1", "2"]),
        (["a"], "", []),
        ({}, '{"a": "1"}', {"a": "1"}),
        ({"year": 1}, '{"year": "7", "other": "7"}', {"year": 7, "other": "7"}),
        ({"deep": {"on": False}}, {"deep": {"on": "true"}}, {"deep": {"on": True}}),
        (None, "12", "12"),
        (None, [1, {"a": None}], [1, {"a": None}]),
        (3, None, None),
        (3, "null", None),
    ],
)
def test_a_value_is_read_as_its_declaration(declared: Any, value: Any, read: Any) -> None:
    found = read_like({"v": declared}, {"v": value}, ("vars",))["v"]
    assert found == read
    assert type(found) is type(read)


@pytest.mark.parametrize(
    ("declared", "value", "fault"),
    [
        (False, "yes", "vars.v must be true or false, as the spec declares it; write `true` or `false`"),
        (False, "1", "must be true or false"),
        (False, 1, "must be true or false, not a number"),
        (3, "5.5", "must be a whole number, as"),
        (3, 5.5, "must be a whole number, not a fraction"),
        (3, "1_000", "must be a whole number"),
        (3, True, "must be a whole number, not true or false"),
        (3, "", "must be a whole number, but is empty"),
        (3, "9" * 30, "has more than 64 bits"),
        (3, "9" * 5000, "must be a whole number"),
        (0.5, "nan", "must be a number"),
        (0.5, math.inf, "must be a finite number"),
        (0.5, "1e999", "must be a number"),
        ("x", 7, "must be text, not a number, as the spec declares it; put it in quotes"),
        ("x", [], "must be text, not a list"),
        (["a"], {"a": 1}, "must be a list, not a map"),
        (["a"], "[broken", "must be a list"),
        (["a"], '{"a": 1}', "vars.v"),
        ([80], "1, x", "vars.v[1] must be a whole number"),
        ({}, "a, b", "must be a map, as"),
        ({}, "[1]", "must be a map"),
        ({"year": 1}, {"year": "x"}, "vars.v.year must be a whole number"),
        ({"deep": {"on": False}}, '{"deep": {"on": 2}}', "vars.v.deep.on must be true or false, not a number"),
        ({"deep": {"on": False}}, {"deep": "x"}, "vars.v.deep must be a map"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_path(declared: Any, value: Any, fault: str) -> None:
    with pytest.raises(Faulty) as caught:
        read_like({"v": declared}, {"v": value}, ("vars",))
    assert fault in str(caught.value)
    assert "9999" not in str(caught.value)


def test_every_fault_is_reported() -> None:
    with pytest.raises(Faulty) as caught:
        read_like({"a": 1, "b": {"c": False}}, {"a": "x", "b": {"c": "x"}}, ("vars",))
    assert [fault.path for fault in caught.value.faults] == [("vars", "a"), ("vars", "b", "c")]


@given(
    st.dictionaries(
        st.text(), st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text() | st.lists(st.text())
    )
)
def test_values_of_their_own_types_stay_the_same_object(values: dict[str, Any]) -> None:
    assert read_like(values, values, ("vars",)) is values


OF_TYPE: dict[Type, Any] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "list": Sequence,
    "map": Mapping,
}


@given(
    st.sampled_from(list(OF_TYPE)),
    st.text() | st.from_regex(r"-?\d{1,3}(\.\d)?|true|false|\[1?\]|\{\}|a, b", fullmatch=True),
)
def test_a_text_is_read_or_refused(type: Type, text: str) -> None:
    with suppress(Faulty):
        assert isinstance(read_as(type, text, ("v",)), OF_TYPE[type])


@pytest.mark.parametrize(
    ("text", "type"),
    [
        *(("false", "boolean"), ("true", "boolean"), ("False", "string"), ("yes", "string"), ("", "string")),
        *(
            ("3", "integer"),
            ("-3", "integer"),
            ("007", "string"),
            ("+3", "string"),
            ("1_0", "string"),
            ("\u0663", "string"),
        ),
        *(("0.5", "number"), ("1.10", "string"), ("1.2.3", "string"), ("nan", "string"), ("inf", "string")),
        *(('["a"]', "list"), ("[a]", "string"), ("a, b", "string"), ("null", "string")),
    ],
)
def test_a_default_declares_what_it_is_in_yaml(text: str, type: Type) -> None:
    assert default_type(text) == type


@pytest.mark.parametrize(
    ("declared", "given", "read"),
    [
        ([1, 2], ["3", 4], [3, 4]),
        ([1, 2], '["3"]', [3]),
        ([1, 0.5], ["2", "0.25"], [2, 0.25]),
        ([True], "true, false", [True, False]),
        (["a"], '["1"]', ["1"]),
        ([[1]], [["2"], "3, 4"], [[2], [3, 4]]),
        ([{"id": 1}, {"id": 2, "on": False}], [{"id": "3", "on": "true"}], [{"id": 3, "on": True}]),
        ([{"id": 1}, {"id": "x"}], [{"id": "3"}, {"id": 4}], [{"id": "3"}, {"id": 4}]),
        ({"a": [{"b": [1]}]}, {"a": [{"b": "2, 3"}]}, {"a": [{"b": [2, 3]}]}),
        ([1, "a"], ["2", True], ["2", True]),
        ([], [1, "a"], [1, "a"]),
        ([None], ["a"], ["a"]),
        ([1], [None], [None]),
    ],
)
def test_items_of_lists_are_read_as_the_items_of_the_declared_list(declared: Any, given: Any, read: Any) -> None:
    assert read_like({"x": declared}, {"x": given}, ("vars",)) == {"x": read}


@pytest.mark.parametrize(
    ("declared", "given", "place"),
    [
        ([1], ["a"], "vars.x[0]"),
        (["a"], ["b", 1], "vars.x[1]"),
        ([[1]], [[2], ["b"]], "vars.x[1][0]"),
        ([{"on": False}], [{"on": "yes"}], "vars.x[0].on"),
        ([{"id": 1}], ["a"], "vars.x[0]"),
    ],
)
def test_items_that_do_not_fit_the_declared_list_are_refused(declared: Any, given: Any, place: str) -> None:
    with pytest.raises(Faulty) as caught:
        read_like({"x": declared}, {"x": given}, ("vars",))
    assert [fault.message.split(" must ")[0] for fault in caught.value.faults] == [place]
