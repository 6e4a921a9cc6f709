"""Values from outside: everything that is sound is read as it was meant, everything else is told with its path."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from victor_dsl.errors import RequestError
from victor_dsl.values.codec import read_request, read_settings, read_vars
from victor_dsl.values.faults import Fault, Faulty, dotted
from victor_dsl.values.message import Message
from victor_dsl.values.settings import Limits, Settings, Thinking, ToolLimits
from victor_dsl.values.tool import Tool

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
KEYS = st.sampled_from([*Settings.model_fields, "allow", "tools", "budget_tokens", "x"])
REQUEST_KEYS = st.sampled_from(
    ["id", "session", "tenant", "user", "message", "messages", "vars", "settings", "tools", "x"]
)


def faults_of(raw: Any) -> list[str]:
    with pytest.raises(Faulty) as raised:
        read_settings(raw)
    return [str(fault) for fault in raised.value.faults]


def test_settings_are_read_as_they_are_written() -> None:
    raw = {
        "model": "main",
        "temperature": 1,
        "stop": ["a", "b"],
        "thinking": {"budget_tokens": 5},
        "limits": {"concurrency": 2, "tools": {"deny": ["x*"]}},
        "response_format": {"type": "json_object"},
        "seed": None,
    }
    assert read_settings(raw) == Settings(
        model="main",
        temperature=1.0,
        stop=("a", "b"),
        thinking=Thinking(budget_tokens=5),
        limits=Limits(concurrency=2, tools=ToolLimits(deny=("x*",))),
        response_format={"type": "json_object"},
    )
    assert read_settings({}) == Settings()


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        ({"k": True}, "settings.k must be a whole number, not true or false"),
        ({"k": 0}, "settings.k must be at least 1"),
        ({"top_p": 0}, "settings.top_p must be more than 0"),
        ({"alpha": 1.01}, "settings.alpha must be at most 1"),
        ({"model": ""}, "settings.model must not be empty"),
        ({"temperature": 10**400}, "settings.temperature must be a finite number"),
        ({"temperature": -math.inf}, "settings.temperature must be a finite number"),
        ({"stop": {"a": 1}}, "settings.stop must be a list, not a map"),
        ({"limits": [1]}, "settings.limits must be a map, not a list"),
        ({"response_format": "json"}, "settings.response_format must be a map, not text"),
        (
            {"limits": {"tools": {"alow": []}}},
            "settings.limits.tools has no 'alow'; did you mean 'allow'? keys: allow, deny",
        ),
    ],
)
def test_a_fault_of_a_setting_names_its_path_and_not_its_value(raw: Any, fault: str) -> None:
    assert faults_of(raw) == [fault]


def test_every_fault_is_told_at_once() -> None:
    assert len(faults_of({"k": 0, "alpha": "x", "limits": {"concurrency": 0, "x": 1}, "y": 1})) == 5


@given(st.dictionaries(KEYS, JSON, max_size=4))
def test_whatever_is_given_is_settings_or_faults(raw: dict[str, Any]) -> None:
    faults: tuple[Fault, ...] = ()
    settings = Settings()
    try:
        settings = read_settings(raw)
    except Faulty as error:
        faults = error.faults or (Fault((), "a Faulty without a fault"),)
    assert all(fault.path[:1] == ("settings",) for fault in faults)
    assert settings.temperature is None or 0 <= settings.temperature <= 2
    assert settings.max_tokens is None or type(settings.max_tokens) is int


@given(JSON)
def test_vars_are_a_map_that_json_can_write(raw: Any) -> None:
    try:
        assert read_vars(raw) is raw
    except Faulty:
        assert not isinstance(raw, dict) or "inf" in repr(raw) or "nan" in repr(raw)


def test_vars_that_nest_without_end_are_refused() -> None:
    raw: Any = {}
    raw["a"] = raw
    with pytest.raises(Faulty, match="nests deeper than 64 levels"):
        read_vars(raw)


def test_a_request_line_is_read() -> None:
    line = {
        "id": 7,
        "session": "s",
        "tenant": None,
        "messages": [{"role": "developer", "content": "Be kind."}, {"role": "user", "content": "hi"}],
        "vars": {"a": [1, None]},
        "settings": {"temperature": None, "seed": 3},
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": True}}],
    }
    request = read_request(line)
    assert (request.id, request.session, request.tenant, request.message) == (7, "s", None, None)
    assert request.messages == (Message("system", "Be kind."), Message("user", "hi"))
    assert request.vars == {"a": [1, None]}
    assert request.tools == (Tool("f", "", {"type": "object"}),)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ([], "the request must be a map, not a list"),
        (None, "the request must be a map, not null"),
        ({}, "a request has either 'message' or 'messages'"),
        ({"message": "a", "messages": [{"role": "user", "content": "b"}]}, "'message' or 'messages', not both"),
        ({"mesage": "a"}, "the request has no 'mesage'; did you mean 'message'?"),
        (
            {"message": "a", "temperature": 1},
            "the request has no 'temperature'; it is a setting: write it under 'settings'",
        ),
        ({"message": 3}, "message must be text, not a number"),
        ({"message": "a", "id": True}, "id must be text or a whole number, not true or false"),
        ({"message": "a", "session": ""}, "session must not be empty"),
        ({"message": "a", "arms": {"tone": "warm"}}, "the request has no 'arms'"),
        ({"messages": []}, "messages must not be empty"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "boss"}]}, "messages[1].role: must be one of"),
        ({"message": "a", "vars": {"x": math.nan}}, "vars.x must be a finite number"),
        ({"message": "a", "settings": []}, "settings must be a map, not a list"),
        ({"message": "a", "tools": [{"function": {}}]}, "tools[0].function lacks 'name'"),
        ({"message": "a", "tools": [{"type": "x", "function": {"name": "f"}}]}, "tools[0].type must be 'function'"),
        (
            {"message": "a", "tools": [{"function": {"name": "f"}}] * 2},
            "tools[1].function.name: an earlier tool is named 'f' too",
        ),
    ],
)
def test_a_fault_of_a_request_line_names_its_path(line: Any, told: str) -> None:
    with pytest.raises(RequestError) as raised:
        read_request(line)
    assert told in str(raised.value)


def test_the_faults_of_all_messages_are_told_at_once() -> None:
    with pytest.raises(RequestError) as raised:
        read_request({"messages": [{"role": "x"}, {"role": "user", "content": 3}]})
    assert "messages[0].role" in str(raised.value)
    assert "messages[1].content" in str(raised.value)


@given(st.dictionaries(REQUEST_KEYS, JSON, max_size=5) | JSON)
def test_whatever_a_line_holds_is_a_request_or_a_request_error(line: Any) -> None:
    with contextlib.suppress(RequestError):
        request = read_request(line)
        assert (request.message is None) != (request.messages is None)


def test_a_path_is_written_as_people_write_it() -> None:
    assert dotted(("settings", "stop", 0, "x")) == "settings.stop[0].x"
    assert str(Fault((), "the request is bad", "mend it")) == "the request is bad; mend it"


@pytest.mark.parametrize(
    "message",
    [{"role": "user", "content": [{"type": "x", "deep": None}]}, {"role": "user", "content": "x", "deep": None}],
)
def test_messages_that_nest_too_deeply_are_refused(message: dict[str, Any]) -> None:
    text = json.dumps({"messages": [message]}).replace("null", "[" * 300 + "]" * 300)
    with pytest.raises(RequestError, match=r"messages\[0\]\.[a-z.0\[\]]+ nests deeper than 64 levels"):
        read_request(json.loads(text))
