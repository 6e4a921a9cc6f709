from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from tests.components.context import TURN, surroundings
from tests.components.models.asking import Listener
from victor_dsl.components.models import scripted
from victor_dsl.components.models.scripted import Config, Step, build
from victor_dsl.errors import ComponentError, ModelError, ModelErrorKind
from victor_dsl.values.faults import field_names
from victor_dsl.values.message import Message, Reply, ToolCall, Usage
from victor_dsl.values.turn import Turn


def says(text: str, session: str = "s1", tenant: str | None = None) -> Turn:
    return TURN.replace(messages=(Message("user", text),), session=session, tenant=tenant)


async def answers(tmp_path: Path, turns: list[Turn], **fields: Any) -> list[str]:
    """The text of each answer, or the kind of each error."""
    given = []
    files = {str(path): path.read_bytes() for path in tmp_path.iterdir()}
    context = surroundings(tmp_path, "models/main", files=files).context
    async with build(Config.model_validate(fields), context) as model:
        for turn in turns:
            try:
                given.append((await model.answer(turn)).message.text())
            except ModelError as error:
                given.append(error.kind)
    return given


async def one(tmp_path: Path, step: dict[str, Any], turn: Turn = TURN, **fields: Any) -> Reply:
    async with build(Config.model_validate({"replies": [step], **fields}), surroundings(tmp_path).context) as model:
        return await model.answer(turn)


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("repeat", ["a", "b", "b", "b"]),
        ("loop", ["a", "b", "a", "b"]),
        ("fail", ["a", "b", "bad_request", "bad_request"]),
    ],
)
async def test_the_end_of_the_script(tmp_path: Path, end: str, expected: list[str]) -> None:
    assert await answers(tmp_path, [says("x")] * 4, replies=["a", "b"], end=end) == expected


async def test_each_session_of_each_tenant_begins_at_the_beginning(tmp_path: Path) -> None:
    turns = [says("x"), says("x", "s2"), says("x"), says("x", "s1", "acme"), says("x", "s2")]
    assert await answers(tmp_path, turns, replies=["a", "b"]) == ["a", "a", "b", "a", "b"]


async def test_a_session_silent_for_long_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripted, "MAX_SESSIONS", 2)
    turns = [says("x", name) for name in ("s1", "s2", "s1", "s3", "s1", "s2")]
    assert await answers(tmp_path, turns, replies=["a", "b", "c"]) == ["a", "a", "b", "a", "c", "a"]


async def test_a_reply_may_call_tools(tmp_path: Path) -> None:
    calls = [{"name": "lookup", "arguments": {"id": 7}}, {"name": "b", "arguments": "{broken", "id": "mine"}]
    reply = await one(tmp_path, {"tool_calls": calls})
    expected = (ToolCall("call_0_0", "lookup", '{"id":7}'), ToolCall("mine", "b", "{broken"))
    assert reply.message == Message("assistant", None, expected)
    assert reply.stop_reason == "tool_calls"


@pytest.mark.parametrize("kind", get_args(ModelErrorKind))
async def test_every_kind_of_error_can_be_played(tmp_path: Path, kind: ModelErrorKind) -> None:
    with pytest.raises(ModelError) as raised:
        await one(tmp_path, {"error": kind})
    assert raised.value.kind == kind
    assert raised.value.node == "section/name"


async def test_an_error_in_full_after_some_text_is_half_a_stream(tmp_path: Path) -> None:
    listener = Listener()
    error = {"kind": "rate_limited", "message": "slow down", "status": 429, "retry_after_seconds": 2}
    with pytest.raises(ModelError, match="slow down") as raised:
        await one(tmp_path, {"content": "Half an", "error": error}, listener.to(TURN))
    assert (raised.value.status, raised.value.retry_after_s) == (429, 2.0)
    assert listener.pieces == ["Half ", "an"]


async def test_a_delay_is_waited_for_on_the_clock(tmp_path: Path) -> None:
    around = surroundings(tmp_path)
    config = Config.model_validate({"replies": [{"content": "a", "delay_seconds": 3600}]})
    async with build(config, around.context) as model:
        before = around.clock.time
        await model.answer(TURN)
        assert around.clock.time - before == 3600


async def test_usage_and_stop_reason_are_as_written(tmp_path: Path) -> None:
    step = {"content": "a", "stop_reason": "length", "usage": {"input_tokens": 1000, "output_tokens": 100}}
    reply = await one(tmp_path, step, input_usd_per_million=1.0, output_usd_per_million=10.0)
    assert reply.usage == Usage(1000, 100, 0.002)
    assert reply.stop_reason == "length"
    assert (await one(tmp_path, {"content": "a", "usage": {}})).usage == Usage()


async def test_an_answer_may_be_for_one_request_alone(tmp_path: Path) -> None:
    replies = [{"request": "hi", "content": "a"}, "else", {"request": "hi", "content": "b"}]
    turns = [says("hi"), says("what?"), says("hi"), says("hi")]
    assert await answers(tmp_path, turns, replies=replies) == ["a", "else", "b", "b"]
    assert await answers(tmp_path, [says("what?")], replies=replies[::2]) == ["bad_request"]


async def test_a_recording_is_played_back(tmp_path: Path) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "lookup", "arguments": '{"id": 7}'}}
    lines: list[Any] = [
        {"role": "assistant", "content": None, "tool_calls": [call], "refusal": None},
        {"role": "assistant", "content": "Done."},
        {"request": "hi", "reply": {"role": "assistant", "content": "Hello!"}},
        {"error": "overloaded"},
    ]
    path = tmp_path / "recording.jsonl"
    path.write_text("\n\n".join(map(json.dumps, lines)) + "\n")
    config = Config.model_validate({"path": str(path)})
    async with build(config, surroundings(tmp_path, files={str(path): path.read_bytes()}).context) as model:
        assert (await model.answer(TURN)).message == Message(
            "assistant", None, (ToolCall("c1", "lookup", '{"id": 7}'),)
        )
    turns = [says("x"), says("hi"), says("x"), says("x")]
    assert await answers(tmp_path, turns, path=str(path)) == ["", "Hello!", "Done.", "overloaded"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"content": "a"}\n{"content"', ":2: not JSON"),
        ("[1]", ":1: neither an assistant's message"),
        ("7", ":1: neither an assistant's message"),
        ('{"reply": null}', ":1: neither an assistant's message"),
        ('{"content": "a", "colour": "red"}', ":1: colour: Extra inputs"),
        ('{"tool_calls": [7]}', ":1: "),
        ('{"tool_calls": 7}', ":1: "),
        ("", "is empty"),
    ],
)
async def test_a_recording_that_is_none_says_where(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "recording.jsonl"
    path.write_text(text)
    with pytest.raises(ComponentError, match=why):
        await answers(tmp_path, [TURN], path=str(path))


@pytest.mark.parametrize("fields", [{}, {"replies": ["a"], "path": "x"}, {"replies": []}])
def test_a_script_is_a_list_or_a_recording(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Config.model_validate(fields)


def test_a_slip_in_a_reply_is_one_fault() -> None:
    with pytest.raises(ValidationError) as raised:
        Config.model_validate({"replies": ["a", {"tool_cals": []}, {"error": "rate_limitd"}]})
    assert [error["loc"] for error in raised.value.errors()] == [
        ("replies", 1, "tool_cals"),
        ("replies", 2, "error", "kind"),
    ]
    assert field_names(Config, ("replies", 1)) == list(Step.model_fields)
