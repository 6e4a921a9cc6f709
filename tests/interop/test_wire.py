"""What real servers send, as rows: each row's bytes are played back to the adapter of their format."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.components.models.asking import HELLO, MODULES, Listener, asking
from tests.components.models.playback import Answer, Playback, events, streamed, whole
from tests.components.models.recorded import (
    ANTHROPIC_START,
    OPENAI_LAST,
    TEXT,
    anthropic_end,
    anthropic_whole,
    block,
    called,
    openai_chunk,
    openai_whole,
    reasoned,
    response,
    responses_stream,
    said,
    spoken,
    wrote,
)
from tests.components.models.test_failures import GOOD, failing
from tests.interop.refusals import IN_A_STREAM, REFUSALS, TOO_LONG, Refusal
from victor_dsl.components.models.openai import _short_id
from victor_dsl.errors import ModelError, RequestError
from victor_dsl.values.chat_format import message_from_json, restore_message
from victor_dsl.values.message import Message, Reply, ToolCall
from victor_dsl.values.settings import Settings, Thinking
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

TYPES = pytest.mark.parametrize("type", list(MODULES))


def _id(row: Any) -> str:
    return f"{row.kind}: {row.server}"


@TYPES
@pytest.mark.parametrize("row", REFUSALS, ids=_id)
async def test_a_refusal_has_its_kind_whatever_its_shape(type: str, row: Refusal) -> None:
    body = row.body if isinstance(row.body, bytes) else json.dumps(row.body).encode()
    error = await failing(type, whole(body, f"{row.status} Refused"))
    _check(error, row)
    assert error.status == row.status
    if row.body and not isinstance(row.body, bytes | list):
        _check(await failing(type, whole(json.dumps([row.body]).encode(), f"{row.status} Refused")), row)


@TYPES
@pytest.mark.parametrize("form", ["data", "event: error", "error:", "after text", "no event", "whole"])
@pytest.mark.parametrize("row", [*IN_A_STREAM, *TOO_LONG[:4]], ids=_id)
async def test_an_error_in_a_stream_has_its_kind_whatever_its_form(type: str, row: Refusal, form: str) -> None:
    body = json.dumps(row.body).encode()
    if form == "whole":
        answer = whole(body)
    else:
        written = {
            "data": b"data: %s\n\ndata: [DONE]\n\n",
            "event: error": b"event: error\ndata: %s\n\n",
            "error:": b"error: %s\n\ndata: [DONE]\n\n",
            "after text": b": comment\n\ndata: ping\n\n" + _begun(type) + b"data: %s\n\n",
            "no event": b"%s\n",
        }
        answer = streamed(written[form] % body, "end")
    _check(await failing(type, answer, streaming=True), row)


def _begun(type: str) -> bytes:
    stream = TEXT[type]
    return stream[: stream.index(b"\n\n", stream.index(b"content")) + 2].replace(b"%", b"%%")


@TYPES
async def test_a_stream_without_events_is_quoted(type: str) -> None:
    error = await failing(type, streamed(b"upstream connect error or disconnect", "end"), streaming=True)
    assert error.kind == "bad_response"
    assert "upstream connect error" in error.message


@TYPES
async def test_events_without_an_empty_line_between_them_are_read(type: str) -> None:
    stream = re.sub(rb"event: .*\n", b"", TEXT[type]).replace(b"\n\n", b"\n")
    listener = Listener()
    reply = await _answered(type, streamed(stream, "end"), turn=listener.to(HELLO))
    assert reply.message.text() == listener.text == "Grüß dich, 🌍!"


@TYPES
@pytest.mark.parametrize("media_type", ["text/plain", "text/event-stream", "application/octet-stream"])
async def test_a_whole_answer_is_read_whatever_its_media_type(type: str, media_type: str) -> None:
    listener = Listener()
    body = GOOD[type][0]
    assert isinstance(body, bytes)
    reply = await _answered(type, whole(body.partition(b"\r\n\r\n")[2], type=media_type), turn=listener.to(HELLO))
    assert reply.message.text() == listener.text == "Hi."


async def test_control_characters_in_a_text_are_read() -> None:
    stream = events(openai_chunk({"content": "a~b"}, "stop"), "[DONE]").replace(b"~", b"\x01")
    assert (await _answered("openai", streamed(stream, "end"), streaming=True)).message.text() == "a\x01b"


@pytest.mark.parametrize("late", ['{"error": {"message": "late"}}', '{"choi'])
async def test_what_goes_wrong_after_the_answer_is_complete_is_no_error(late: str) -> None:
    stream = events(openai_chunk({"content": "Hi."}), openai_chunk({}, "stop"), late)
    assert (await _answered("openai", streamed(stream, "end"), streaming=True)).message.text() == "Hi."


@TYPES
@pytest.mark.parametrize(
    "noise", [b"data:\n\n", b"data: ping\n\n", b"data\n\n", b"event: ping\ndata: ok\n\n", b": x\n\n"]
)
async def test_noise_in_a_stream_is_skipped(type: str, noise: bytes) -> None:
    stream = TEXT[type].replace(b"\n\n", b"\n\n" + noise)
    reply = await _answered(type, streamed(stream, "end"), streaming=True)
    assert reply.message.text() == "Grüß dich, 🌍!"


def _call(id: str | None, name: str | None, arguments: str, index: Any = 0, **more: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments} if name is not None else {"arguments": arguments}
    call = {"index": index, "id": id, "type": "function", "function": function, **more}
    return {key: value for key, value in call.items() if value is not None}


PARALLEL = {
    "two chunks": [[_call("a", "weather", '{"a": 1}')], [_call("b", "weather", '{"b": 2}')]],
    "one chunk": [[_call("a", "weather", '{"a": 1}'), _call("b", "weather", '{"b": 2}')]],
    "two names": [[_call("a", "weather", '{"a": 1}')], [_call("b", "time", '{"b": 2}')]],
    "in pieces": [
        [_call("a", "weather", "")],
        [_call(None, None, '{"a"')],
        [_call(None, None, ": 1}")],
        [_call("b", "weather", "")],
        [_call(None, None, '{"b": 2}')],
    ],
    "id in every piece": [
        [_call("a", "weather", '{"a"')],
        [_call("a", "weather", ": 1}")],
        [_call("b", "weather", '{"b"')],
        [_call("b", "weather", ": 2}")],
    ],
    "in turns": [
        [_call("a", "weather", '{"a"')],
        [_call("b", "weather", '{"b"')],
        [_call("a", None, ": 1}")],
        [_call("b", None, ": 2}")],
    ],
    "no ids": [[_call("", "weather", '{"a": 1}')], [_call("", "weather", '{"b": 2}')]],
    "no ids, two names": [[_call(None, "weather", '{"a": 1}')], [_call(None, "time", '{"b": 2}')]],
    "no index": [[_call("a", "weather", '{"a": 1}', None)], [_call("b", "weather", '{"b": 2}', None)]],
    "no index, no ids": [[_call(None, "weather", '{"a": 1}', None)], [_call(None, "weather", '{"b": 2}', None)]],
    "two indices": [[_call("a", "weather", '{"a": 1}', 0)], [_call("b", "weather", '{"b": 2}', 1)]],
    "one id": [[_call("a", "weather", '{"a": 1}', 0)], [_call("a", "weather", '{"b": 2}', 1)]],
    "one id, one index": [[_call("a", "weather", '{"a": 1}')], [_call("a", "weather", '{"b": 2}')]],
    "one id, no index": [[_call("a", "weather", '{"a": 1}', None)], [_call("a", "weather", '{"b": 2}', None)]],
    "the id in the last piece": [
        [_call(None, "weather", '{"a"')],
        [_call("a", None, ": 1}")],
        [_call(None, "weather", '{"b"')],
        [_call("b", None, ": 2}")],
    ],
    "an index that is text": [
        [_call("a", "weather", '{"a"', "0"), _call("b", "weather", '{"b"', "1")],
        [_call(None, None, ": 1}", "0"), _call(None, None, ": 2}", "1")],
    ],
    "an index with a fraction": [
        [_call("a", "weather", '{"a"', 0.0), _call("b", "weather", '{"b"', 1.0)],
        [_call(None, None, ": 1}", 0.0), _call(None, None, ": 2}", 1.0)],
    ],
    "the last index first": [[_call("b", "weather", '{"b": 2}', 1)], [_call("a", "weather", '{"a": 1}', 0)]],
    "from index 1": [[_call("a", "weather", '{"a": 1}', 1)], [_call("b", "weather", '{"b": 2}', 2)]],
}


@pytest.mark.parametrize("deltas", PARALLEL.values(), ids=PARALLEL.keys())
async def test_parallel_calls_stay_apart(deltas: list[list[dict[str, Any]]]) -> None:
    chunks = [openai_chunk({"tool_calls": calls}) for calls in deltas]
    stream = events(*chunks, openai_chunk({}, "tool_calls"), OPENAI_LAST, "[DONE]")
    reply = await _answered("openai", streamed(stream, "end"), streaming=True)
    assert [json.loads(call.arguments) for call in reply.message.tool_calls] == [{"a": 1}, {"b": 2}]
    assert len({call.id for call in reply.message.tool_calls}) == 2


ONE: dict[str, list[dict[str, Any] | None]] = {
    "id in the last piece": [_call(None, "weather", '{"a"'), _call("a", None, ": 1}")],
    "name in the last piece": [_call("a", None, '{"a": 1}'), _call("a", "weather", "")],
    "name in each piece": [_call("a", "weather", '{"a"'), _call(None, "weather", ": 1}")],
    "name in each piece, no id": [_call(None, "weather", '{"a"'), _call(None, "weather", ": 1}")],
    "name in pieces": [_call("a", "wea", ""), _call(None, "ther", ""), _call(None, None, '{"a": 1}')],
    "all of the name so far": [_call("a", "wea", ""), _call("a", "weather", ""), _call("a", None, '{"a": 1}')],
    "another id in each piece": [_call("a", "weather", '{"a"'), _call("b", None, ": "), _call("c", None, "1}")],
    "another id, and the name": [_call("a", "weather", '{"a"'), _call("b", "weather", ": 1}")],
    "another index in each piece": [_call("a", "weather", "", 0), _call("a", None, '{"a"', 1), _call("a", None, ": 1}", 2)],
    "an index in the first piece": [_call("a", "weather", '{"a"', 0), _call(None, None, ": 1}", None)],
    "a number as id": [_call(7, "weather", '{"a": 1}')],  # type: ignore[arg-type]
    "arguments as an object": [_call("a", "weather", {"a": 1})],  # type: ignore[arg-type]
    "an empty object, then the arguments": [_call("a", "weather", "{}"), _call(None, None, '{"a"'), _call(None, None, ": 1}")],
    "an empty object, then an object": [_call("a", "weather", {}), _call("a", None, {"a": 1})],  # type: ignore[arg-type]
    "arguments so far": [_call("a", "weather", '{"a"'), _call("a", "weather", '{"a": '), _call("a", "weather", '{"a": 1}')],
    "arguments once more": [_call("a", "weather", '{"a"'), _call(None, None, ": 1}"), _call("a", "weather", '{"a": 1}')],
    "arguments encoded twice": [_call("a", "weather", '"{\\"a\\": 1}"')],
    "arguments under another name": [{"index": 0, "id": "a", "function": {"name": "weather", "parameters": {"a": 1}}}],
    "no function": [{"index": 0, "id": "a", "name": "weather", "arguments": '{"a": 1}'}],
    "a null call": [None, _call("a", "weather", '{"a": 1}'), None],
    "a null function": [{"index": 0, "id": "a", "function": None}, _call(None, "weather", '{"a": 1}')],
    "null arguments": [
        {"index": 0, "id": "a", "function": {"name": "weather", "arguments": None}},
        {"index": 0, "id": None, "function": {"name": None, "arguments": '{"a": 1}'}},
    ],
}  # fmt: skip


@pytest.mark.parametrize("pieces", ONE.values(), ids=ONE.keys())
async def test_a_call_is_whole_however_its_pieces_come(pieces: list[dict[str, Any] | None]) -> None:
    chunks = [openai_chunk({"tool_calls": [piece]}) for piece in pieces]
    stream = events(*chunks, openai_chunk({}, "tool_calls"), OPENAI_LAST, "[DONE]")
    turn = HELLO.replace(tools=(Tool("weather", "", {}),))
    calls = (await _answered("openai", streamed(stream, "end"), streaming=True, turn=turn)).message.tool_calls
    assert [(call.name, json.loads(call.arguments)) for call in calls] == [("weather", {"a": 1})]


async def test_a_call_that_was_cut_off_within_an_object_is_not_repaired() -> None:
    pieces = [_call("a", "weather", "{"), _call(None, None, '"list": ['), _call(None, None, '{"a": 1}')]
    chunks = [openai_chunk({"tool_calls": [piece]}) for piece in pieces]
    for reason in ("length", "tool_calls"):
        stream = events(*chunks, openai_chunk({}, reason), "[DONE]")
        calls = (await _answered("openai", streamed(stream, "end"), streaming=True)).message.tool_calls
        assert [call.arguments for call in calls] == ['{"list": [{"a": 1}']


def _choice(index: Any, text: str | None, finish: str | None = None) -> dict[str, Any]:
    return {"index": index, "delta": {"content": text}, "finish_reason": finish}


CHOICES: dict[str, list[Any]] = {
    "another choice in chunks of its own": [
        *({"choices": [choice]} for choice in (_choice(1, "No"), _choice(1, None, "stop"), _choice(0, "Hi"))),
        {"choices": [_choice(0, ".", "stop")]},
    ],
    "another choice first": [{"choices": [_choice(1, "No", "stop"), _choice(0, "Hi.", "stop")]}],
    "an index that is text": [{"choices": [_choice("1", "No"), _choice("0", "Hi.", "stop")]}],
    "null deltas": [
        {"choices": [{"index": 0, "delta": None}]},
        {"choices": None},
        {"choices": [_choice(0, "Hi.")]},
        {"choices": [{"index": 0, "delta": None, "finish_reason": "stop"}]},
    ],
    "the form of completions": [{"choices": [{"text": "Hi."}]}, {"choices": [{"text": "", "finish_reason": "stop"}]}],
    "reasons of null as text": [{"choices": [_choice(0, "Hi", "null")]}, {"choices": [_choice(0, ".", "None")]}],
    "a reason that is an object": [{"choices": [{**_choice(0, "Hi."), "finish_reason": {"type": "stop"}}]}],
    "text as a part": [{"choices": [{"delta": {"content": {"type": "text", "text": "Hi."}}}]}],
    "parts of other types": [{"choices": [{"delta": {"content": ["H", {"type": "output_text", "text": "i"}, {"text": "."}]}}]}],
    "false as content": [{"choices": [{"delta": {"content": False, "tool_calls": ""}}]}, {"choices": [_choice(0, "Hi.")]}],
    "an error of nothing": [{"choices": [_choice(0, "Hi.")], "error": {"code": 0, "message": ""}}],
    "success as a code": [{"choices": [_choice(0, "Hi.")], "code": 0}, {"code": 0, "message": "success"}],
    "keep-alives": [{"type": "ping"}, {}, {"choices": [_choice(0, "Hi.")]}, {"type": "keepalive"}],
}  # fmt: skip


@pytest.mark.parametrize("done", ["[DONE]", " [DONE] ", "[done]"])
@pytest.mark.parametrize("chunks", CHOICES.values(), ids=CHOICES.keys())
async def test_the_first_choice_is_read_whatever_its_form(chunks: list[Any], done: str) -> None:
    listener = Listener()
    async with (
        Playback(streamed(events(*chunks, done), "end")) as server,
        asking("openai", server.url) as model,
    ):
        reply = await model.answer(listener.to(HELLO))
    assert (reply.message.text(), listener.text, reply.stop_reason) == ("Hi.", "Hi.", "stop")


DETAILS = [{"type": "reasoning.text", "text": "Let me see.", "signature": "s1", "index": 0}]
SIGNED = {"extra_content": {"google": {"thought_signature": "sig=="}}}
STATE: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "Gemini": ([{"tool_calls": [_call("a", "weather", "{}", **SIGNED)]}], {"tool_calls": [SIGNED]}),
    "Gemini, later": (
        [{"tool_calls": [_call("a", "weather", "")]}, {"tool_calls": [_call(None, None, "{}", **SIGNED)]}],
        {"tool_calls": [SIGNED]},
    ),
    "LiteLLM": (
        [{"tool_calls": [_call("a", "weather", "{}", provider_specific_fields={"thought_signature": "s"})]}],
        {"tool_calls": [{"provider_specific_fields": {"thought_signature": "s"}}]},
    ),
    "DeepSeek, Kimi": (
        [
            {"reasoning_content": "Let me"},
            {"reasoning_content": " see."},
            {"tool_calls": [_call("a", "weather", "{}")]},
        ],
        {"reasoning_content": "Let me see."},
    ),
    "vLLM": (
        [{"reasoning": "Let me"}, {"reasoning": " see."}, {"tool_calls": [_call("a", "weather", "{}")]}],
        {"reasoning": "Let me see."},
    ),
    "OpenRouter": (
        [
            {"reasoning_details": [{"type": "reasoning.text", "text": "Let me", "index": 0}]},
            {"reasoning_details": [{"type": "reasoning.text", "text": " see.", "signature": None, "index": 0}]},
            {"reasoning_details": [{"type": "reasoning.text", "signature": "s1", "index": 0}]},
            {"tool_calls": [_call("a", "weather", "{}")]},
        ],
        {"reasoning_details": DETAILS},
    ),
}


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("deltas", "expected"), STATE.values(), ids=STATE.keys())
async def test_what_a_provider_needs_back_is_sent_back_to_it_alone(
    deltas: list[dict[str, Any]], expected: dict[str, Any], streaming: bool
) -> None:
    if streaming:
        chunks = [openai_chunk(delta) for delta in deltas]
        answer = streamed(events(*chunks, openai_chunk({}, "tool_calls"), OPENAI_LAST, "[DONE]"), "end")
    else:
        calls = {"tool_calls": [_call("a", "weather", "{}", **(expected.get("tool_calls") or [{}])[0])]}
        answer = whole(openai_whole({"content": None, **expected, **calls}, "tool_calls"))
    reply = await _answered("openai", answer, streaming=streaming)
    stored = restore_message(json.loads(json.dumps(reply.message.as_json())))
    assert stored == reply.message
    result = Message("tool", "Rain.", tool_call_id="a")
    turn = HELLO.replace(messages=(*HELLO.messages, stored, result))
    sent = (await _sent("openai", turn))["messages"][1]
    for key, value in expected.items():
        if key == "tool_calls":
            assert sent[key][0].items() >= value[0].items()
        else:
            assert sent[key] == value
    other = (await _sent("openai", turn, model="another"))["messages"][1]
    assert other.keys() == {"role", "content", "tool_calls"}
    assert other["tool_calls"][0].keys() == {"id", "type", "function"}


SKIPPED = {"google": {"thought_signature": "skip_thought_signature_validator"}}


@pytest.mark.parametrize(
    ("model", "beside", "in_call"),
    [
        ("gemini-3-pro-preview", {}, {"extra_content": SKIPPED}),
        ("google/gemini-3.5-flash", {}, {"extra_content": SKIPPED}),
        ("gemini-2.5-flash", {}, {}),
        ("deepseek-v4-pro", {"reasoning_content": " "}, {}),
        ("moonshotai/Kimi-K2-Thinking", {"reasoning_content": " "}, {}),
        ("gpt-4.1", {}, {}),
    ],
)
async def test_a_model_that_needs_its_thoughts_gets_a_stand_in_beside_calls_of_another_model(
    model: str, beside: dict[str, Any], in_call: dict[str, Any]
) -> None:
    """As a fallback within an exchange, it would refuse the request."""
    calls = (ToolCall("a", "weather", "{}"), ToolCall("b", "weather", "{}"))
    results = (Message("tool", "Rain.", tool_call_id="a"), Message("tool", "Sun.", tool_call_id="b"))
    turn = HELLO.replace(messages=(*HELLO.messages, Message("assistant", None, calls, written_by="gpt-4.1"), *results))
    sent = (await _sent("openai", turn, model=model, context_window=1000))["messages"][1]
    first, second = sent.pop("tool_calls")
    assert sent == {"role": "assistant", "content": None, **beside}
    plain = {"id", "type", "function"}
    assert {key: value for key, value in first.items() if key not in plain} == in_call
    assert second.keys() == plain
    if beside or in_call:
        own = Message(
            "assistant",
            None,
            (ToolCall("a", "weather", "{}", SIGNED),),
            written_by=model,
            extra={"reasoning_content": "Hm."},
        )
        sent = (await _sent("openai", HELLO.replace(messages=(*HELLO.messages, own, results[0])), model=model))[
            "messages"
        ][1]
        assert sent["reasoning_content"] == "Hm."
        assert sent["tool_calls"][0]["extra_content"] == SIGNED["extra_content"]


async def test_a_callers_own_signature_is_sent_on() -> None:
    written = {"role": "assistant", "content": None, "tool_calls": [_call("a", "weather", "{}", None, **SIGNED)]}
    messages = (*HELLO.messages, message_from_json(written), Message("tool", "Rain.", tool_call_id="a"))
    sent = await _sent("openai", HELLO.replace(messages=messages))
    assert sent["messages"][1]["tool_calls"][0]["extra_content"] == SIGNED["extra_content"]


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ("STOP", "stop"),
        ("Stop", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("sensitive", "content_filter"),
        ("content_filtered", "content_filter"),
        ("guardrail_policy", "content_filter"),
        ("error", "overloaded"),
        ("abort", "overloaded"),
        ("network_error", "overloaded"),
        ("insufficient_system_resource", "overloaded"),
        ("engine_overloaded", "overloaded"),
        ("MALFORMED_FUNCTION_CALL", "bad_response"),
        ("COMPLETE", "stop"),
        ("STOP_SEQUENCE", "stop"),
        ("stop_str", "stop"),
        ("eosFound", "stop"),
        ("endoftext", "stop"),
        ("finished", "stop"),
        ("tool_calls", "stop"),
        ("toolCalls", "stop"),
        ("TOKEN_LIMIT", "length"),
        ("maxPredictedTokensReached", "length"),
        ("contextLengthReached", "length"),
        ("max_output_tokens", "length"),
        ("ERROR_TOXIC", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
        ("refusal", "content_filter"),
        ("TIME_LIMIT", "overloaded"),
        ("NOT_FINISHED", "overloaded"),
        ("USER_CANCEL", "overloaded"),
        ("stop_error", "overloaded"),
        ("UNEXPECTED_TOOL_CALL", "bad_response"),
        ("OTHER", "bad_response"),
        ("whatever", "bad_response"),
    ],
)
@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
async def test_a_finish_reason_has_its_meaning(reason: str, outcome: str, streaming: bool) -> None:
    answer = whole(openai_whole({"content": "Hi."}, reason))
    if streaming:
        answer = streamed(events(openai_chunk({"content": "Hi."}), openai_chunk({}, reason), "[DONE]"), "end")
    if outcome in ("stop", "length", "content_filter"):
        assert (await _answered("openai", answer, streaming=streaming)).stop_reason == outcome
        return
    error = await failing("openai", answer, streaming=streaming)
    assert error.kind == outcome
    assert error.transient
    assert f"'{reason}'" in error.message


async def test_a_stream_that_is_done_without_a_reason_has_stopped() -> None:
    text = streamed(events(openai_chunk({"content": "Hi."}), "[DONE]"), "end")
    assert (await _answered("openai", text, streaming=True)).stop_reason == "stop"
    calls = streamed(events(openai_chunk({"tool_calls": [_call("a", "weather", "{}")]}), "[DONE]"), "end")
    assert (await _answered("openai", calls, streaming=True)).stop_reason == "tool_calls"
    cut = streamed(events(openai_chunk({"tool_calls": [_call("a", "weather", '{"a')]}), "[DONE]"), "end")
    assert (await failing("openai", cut, streaming=True)).kind == "bad_response"


@TYPES
@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
async def test_an_answer_without_a_word_says_that_max_tokens_was_used_up(type: str, streaming: bool) -> None:
    if type == "openai":
        body = {**openai_whole({"content": ""}, "length"), "usage": {"prompt_tokens": 9, "completion_tokens": 500}}
        last = {"choices": [], "usage": body["usage"]}
        stream = events(openai_chunk({"content": ""}), openai_chunk({}, "length"), last, "[DONE]")
    elif type == "responses":
        cut = {
            "incomplete_details": {"reason": "max_output_tokens"},
            "usage": {"input_tokens": 9, "output_tokens": 500},
        }
        body = response([reasoned()], "incomplete", **cut)
        stream = events(*responses_stream([reasoned()], body, end="response.incomplete"))
    else:
        body = {**anthropic_whole([], "max_tokens"), "usage": {"input_tokens": 9, "output_tokens": 500}}
        end = {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": 500}}
        stream = events(ANTHROPIC_START, end, {"type": "message_stop"})
    answer = streamed(stream, "end") if streaming else whole(body)
    error = await failing(type, answer, streaming=streaming, turn=HELLO.replace(settings=Settings(max_tokens=500)))
    assert "used all 500 of max_tokens before it wrote anything" in error.message
    assert not error.transient


PAIR = "\ud83c\udf0d"
CUT = [["hi \ud83d"], ["hi ", "\ud83d", "\ude00 bye"], ["\ude00 bye"], ["a\ud83d", "b"], ["hi \ud83d\ude00"]]
JOINED = ["hi \ufffd", "hi 😀 bye", "\ufffd bye", "a\ufffdb", "hi 😀"]


@TYPES
@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("pieces", "text"), list(zip(CUT, JOINED, strict=True)))
async def test_halves_of_surrogate_pairs_are_joined_or_replaced(
    type: str, pieces: list[str], text: str, streaming: bool
) -> None:
    if type == "openai":
        body = openai_whole({"content": "".join(pieces)})
        stream = events(*(openai_chunk({"content": piece}) for piece in pieces), openai_chunk({}, "stop"), "[DONE]")
    elif type == "responses":
        body = response([spoken("".join(pieces))])
        delta = {"type": "response.output_text.delta", "output_index": 0}
        stream = events(
            *({**delta, "delta": piece} for piece in pieces), {"type": "response.completed", "response": body}
        )
    else:
        body = anthropic_whole([{"type": "text", "text": "".join(pieces)}])
        deltas = block(0, {"type": "text", "text": ""}, *map(said, pieces))
        stream = events(ANTHROPIC_START, *deltas, *anthropic_end("end_turn"))
    listener = Listener()
    answer = streamed(stream, "end") if streaming else whole(body)
    reply = await _answered(type, answer, turn=listener.to(HELLO) if streaming else HELLO)
    assert reply.message.text() == text
    assert not streaming or listener.text == text


@TYPES
async def test_halves_of_surrogate_pairs_are_not_sent(type: str) -> None:
    messages = (
        Message("user", "cut \ud83d here, whole \ud83d\ude00"),
        Message("assistant", None, (ToolCall("a", "weather", '{"city": "\ud83d"}'),)),
        Message("tool", "bad \ud83d thing", tool_call_id="a"),
    )
    sent = json.dumps(await _sent(type, HELLO.replace(messages=messages)), ensure_ascii=False)
    assert "cut \ufffd here, whole 😀" in sent
    assert "bad \ufffd thing" in sent
    sent.encode()


@pytest.mark.parametrize("arguments", ['{"amount": 5', "[1]", "5", "null", "", "  ", "{'a': 1}", '"text"'])
@TYPES
async def test_arguments_that_are_no_object_are_sent_as_one(type: str, arguments: str) -> None:
    call = Message("assistant", None, (ToolCall("a", "weather", arguments),))
    turn = HELLO.replace(messages=(*HELLO.messages, call, Message("tool", "Error", tool_call_id="a")))
    sent = await _sent(type, turn)
    match type:
        case "openai":
            written = json.loads(sent["messages"][1]["tool_calls"][0]["function"]["arguments"])
        case "responses":
            written = json.loads(sent["input"][1]["arguments"])
        case _:
            written = sent["messages"][1]["content"][0]["input"]
    assert isinstance(written, dict)


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


SHOTS = HELLO.replace(
    messages=(
        *HELLO.messages,
        Message("assistant", None, (ToolCall("a", "shot", "{}"), ToolCall("b", "shot", "{}"))),
        Message("tool", ({"type": "text", "text": "Seen:"}, IMAGE), tool_call_id="a"),
        Message("tool", (IMAGE,), tool_call_id="b"),
    )
)


async def test_an_image_of_a_tool_is_part_of_its_result_where_the_api_has_that() -> None:
    results = (await _sent("anthropic", SHOTS))["messages"][2]["content"]
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    assert [result["content"] for result in results] == [
        [{"type": "text", "text": "Seen:"}, image],
        [image],
    ]
    outputs = (await _sent("responses", SHOTS))["input"][3:]
    image = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"}
    assert [output["output"] for output in outputs] == [[{"type": "input_text", "text": "Seen:"}, image], [image]]


@TYPES
async def test_a_model_that_cannot_see_gets_a_note_for_each_image(type: str) -> None:
    turn = SHOTS.replace(messages=(*SHOTS.messages, Message("user", (IMAGE,))))
    sent = json.dumps(await _sent(type, turn, images=False))
    assert "AAAA" not in sent
    assert sent.count("an image, which this model cannot see") == 3


@pytest.mark.parametrize(("model", "sees"), [("gpt-3.5-turbo", False), ("gpt-4.1", True), ("unknown", True)])
async def test_images_go_to_every_model_except_those_known_not_to_see_them(model: str, sees: bool) -> None:
    assert ("AAAA" in json.dumps(await _sent("openai", SHOTS, model=model))) is sees
    assert "AAAA" in json.dumps(await _sent("openai", SHOTS, model=model, images=True))


async def test_an_image_of_a_tool_goes_to_the_user_after_all_results() -> None:
    turn = SHOTS
    sent = (await _sent("openai", turn))["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool", "tool", "user"]
    assert sent[2]["content"] == "Seen:"
    assert isinstance(sent[3]["content"], str)
    assert sent[4]["content"] == [IMAGE, IMAGE]


@TYPES
async def test_two_calls_with_one_id_have_a_result_each(type: str) -> None:
    calls = (ToolCall("a", "weather", '{"n": 1}'), ToolCall("a", "weather", '{"n": 2}'))
    results = (Message("tool", "one", tool_call_id="a"), Message("tool", "two", tool_call_id="a"))
    turn = HELLO.replace(messages=(*HELLO.messages, Message("assistant", None, calls), *results))
    sent = await _sent(type, turn)
    match type:
        case "openai":
            ids = [call["id"] for call in sent["messages"][1]["tool_calls"]]
            answered = [message["tool_call_id"] for message in sent["messages"][2:]]
        case "responses":
            ids = [item["call_id"] for item in sent["input"][1:3]]
            answered = [item["call_id"] for item in sent["input"][3:]]
        case _:
            ids = [call["id"] for call in sent["messages"][1]["content"]]
            answered = [result["tool_use_id"] for result in sent["messages"][2]["content"]]
    assert len(set(ids)) == 2
    assert answered == ids


@TYPES
@pytest.mark.parametrize("parameters", [{}, {"type": "object"}, {"properties": {"a": {"type": "string"}}}])
async def test_parameters_are_sent_as_a_schema_of_an_object(type: str, parameters: dict[str, Any]) -> None:
    sent = await _sent(type, HELLO.replace(tools=(Tool("ping", "", parameters),)))
    tool = sent["tools"][0]
    schema = tool["input_schema"] if type == "anthropic" else tool.get("function", tool)["parameters"]
    assert schema == {"type": "object", "properties": parameters.get("properties", {})}


@TYPES
@pytest.mark.parametrize(
    "parameters",
    [{"type": ["object", "null"]}, {"type": "string"}, {"type": None, "properties": None, "required": None}],
)
async def test_parameters_of_another_type_are_sent_as_an_object(type: str, parameters: dict[str, Any]) -> None:
    tool = (await _sent(type, HELLO.replace(tools=(Tool("ping", "", parameters),))))["tools"][0]
    schema = tool["input_schema"] if type == "anthropic" else tool.get("function", tool)["parameters"]
    assert schema == {"type": "object", "properties": {}}


async def test_a_pdf_and_a_text_are_documents_for_anthropic() -> None:
    pdf = {"type": "image_url", "image_url": {"url": "data:application/pdf;base64,AAAA"}}
    text = {"type": "file", "file": {"file_data": "data:text/plain;base64,SGk="}}
    content = (await _sent("anthropic", HELLO.replace(messages=(Message("user", (pdf, text)),))))["messages"][0][
        "content"
    ]
    assert content == [
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Hi"}},
    ]


LONG_ID = "call_1__thought__" + "x" * 500


@pytest.mark.parametrize(
    ("model", "id", "sent"),
    [
        ("mistral-large-latest", "call_1", r"[a-zA-Z0-9]{9}"),
        ("mistralai/devstral-2", LONG_ID, r"[a-zA-Z0-9]{9}"),
        ("magistral-medium", "Ab3dEf9hI", "Ab3dEf9hI"),
        ("gpt-4.1", LONG_ID, LONG_ID),  # a gateway needs it back as it was
    ],
)
async def test_the_id_of_a_call_has_the_form_that_the_model_accepts(model: str, id: str, sent: str) -> None:
    call = Message("assistant", None, (ToolCall(id, "weather", "{}"),))
    turn = HELLO.replace(messages=(*HELLO.messages, call, Message("tool", "Rain.", tool_call_id=id)))
    messages = (await _sent("openai", turn, model=model))["messages"]
    assert re.fullmatch(sent, messages[1]["tool_calls"][0]["id"])
    assert messages[2]["tool_call_id"] == messages[1]["tool_calls"][0]["id"]


def test_openai_itself_gets_short_ids() -> None:
    assert _short_id("call_1") == "call_1"
    assert len(_short_id(LONG_ID)) <= 40
    assert _short_id(LONG_ID) == _short_id(LONG_ID) != _short_id(LONG_ID + "x")


async def test_blank_stop_texts_are_not_sent_to_anthropic() -> None:
    sent = await _sent("anthropic", HELLO.replace(settings=Settings(stop=("END", "\n"))))
    assert sent["stop_sequences"] == ["END"]
    assert "stop_sequences" not in await _sent("anthropic", HELLO.replace(settings=Settings(stop=(" ",))))


async def test_a_system_prompt_alone_is_not_sent() -> None:
    async with Playback(whole(b"{}")) as server, asking("anthropic", server.url) as model:
        with pytest.raises(RequestError):
            await model.answer(HELLO.replace(messages=(), system="Be kind."))
        assert not server.asked


@pytest.mark.parametrize(("model", "sent"), [("o3", False), ("o4-mini", False), ("gpt-5", False), ("gpt-4.1", True)])
async def test_stop_goes_only_to_models_that_accept_it(model: str, sent: bool) -> None:
    body = await _sent("openai", HELLO.replace(settings=Settings(stop=("END",))), model=model)
    assert ("stop" in body) is sent


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("reason", ["pause_turn", "compaction"])
async def test_a_paused_answer_is_continued(reason: str, streaming: bool) -> None:
    search: dict[str, Any] = {
        "type": "server_tool_use",
        "id": "srv_1",
        "name": "web_search",
        "input": {"query": "rain"},
    }
    first: list[dict[str, Any]] = [{"type": "text", "text": "I look. "}, search]
    last = [{"type": "text", "text": "Rain."}]
    answers = [whole(anthropic_whole(first, reason)), whole(anthropic_whole(last))]
    if streaming:
        begun = [
            *block(0, {"type": "text", "text": ""}, said("I look. ")),
            *block(1, {**search, "input": {}}, {"type": "input_json_delta", "partial_json": '{"query": "rain"}'}),
        ]
        end = block(0, {"type": "text", "text": ""}, said("Rain."))
        answers = [
            streamed(events(ANTHROPIC_START, *begun, *anthropic_end(reason)), "end"),
            streamed(events(ANTHROPIC_START, *end, *anthropic_end("end_turn")), "end"),
        ]
    listener = Listener()
    async with Playback(*answers) as server, asking("anthropic", server.url) as model:
        reply = await model.answer(listener.to(HELLO) if streaming else HELLO)
        assert len(server.asked) == 2
        assert server.asked[1].body["messages"] == [
            *server.asked[0].body["messages"],
            {"role": "assistant", "content": first},
        ]
    assert reply.message.text() == "I look. Rain."
    assert not streaming or listener.text == "I look. Rain."
    assert reply.stop_reason == "stop"
    assert reply.usage.output_tokens == 24


def _anthropic(*written: dict[str, Any], end: str = "end_turn") -> Answer:
    return streamed(events(ANTHROPIC_START, *written, *anthropic_end(end)), "end")


def _tool(id: str | None = "a", input: Any = None, name: str = "weather") -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": name, "input": {} if input is None else input}


def _bare(events: list[dict[str, Any]], index: Any = None) -> list[dict[str, Any]]:
    """The events without an index, or with another one."""
    return [
        {
            **{key: value for key, value in event.items() if key != "index"},
            **({} if index is None else {"index": index}),
        }
        for event in events
    ]


HI = block(0, {"type": "text", "text": ""}, said("Hi."))
ROME = wrote('{"a": 1}')
MESSAGES: dict[str, tuple[Answer, str, list[dict[str, int]]]] = {
    "a block that does not begin": (_anthropic(*HI[1:]), "Hi.", []),
    "no index": (_anthropic(*_bare(HI)), "Hi.", []),
    "an index that is text": (_anthropic(*_bare(HI, "0")), "Hi.", []),
    "a null delta": (_anthropic(HI[0], {**HI[1], "delta": None}, *HI[1:]), "Hi.", []),
    "no reason": (streamed(events(ANTHROPIC_START, *HI, {"type": "message_stop"}), "end"), "Hi.", []),
    "no end but `[DONE]`": (streamed(events(ANTHROPIC_START, *HI, "[DONE]"), "end"), "Hi.", []),
    "no start": (streamed(events(*HI, *anthropic_end("end_turn")), "end"), "Hi.", []),
    "text as content": (whole({**anthropic_whole([]), "content": "Hi."}), "Hi.", []),
    "OpenAI's reason": (_anthropic(*HI, end="stop"), "Hi.", []),
    "a reason of calls without calls": (_anthropic(*HI, end="tool_use"), "Hi.", []),
    "a call, and the reason of an end": (_anthropic(*block(0, _tool(), ROME)), "", [{"a": 1}]),
    "a call, and OpenAI's reason": (_anthropic(*block(0, _tool(), ROME), end="tool_calls"), "", [{"a": 1}]),
    "input as text": (_anthropic(*block(0, _tool(input='{"a": 1}')), end="tool_use"), "", [{"a": 1}]),
    "input twice": (_anthropic(*block(0, _tool(input={"a": 1}), ROME), end="tool_use"), "", [{"a": 1}]),
    "input as a piece": (
        _anthropic(*block(0, _tool(), {"type": "input_json_delta", "partial_json": {"a": 1}}), end="tool_use"),
        "",
        [{"a": 1}],
    ),
    "no ids": (
        _anthropic(*block(0, _tool(""), ROME), *block(1, _tool(None), wrote('{"b": 2}')), end="tool_use"),
        "",
        [{"a": 1}, {"b": 2}],
    ),
    "one id": (
        _anthropic(*block(0, _tool(), ROME), *block(1, _tool(), wrote('{"b": 2}')), end="tool_use"),
        "",
        [{"a": 1}, {"b": 2}],
    ),
    "one index": (
        _anthropic(*HI, *block(0, _tool(), ROME), *block(0, _tool("b"), wrote('{"b": 2}')), end="tool_use"),
        "Hi.",
        [{"a": 1}, {"b": 2}],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "text", "inputs"), MESSAGES.values(), ids=MESSAGES.keys())
async def test_a_message_is_read_whatever_its_form(answer: Answer, text: str, inputs: list[dict[str, int]]) -> None:
    reply = await _answered("anthropic", answer, streaming=True)
    calls = reply.message.tool_calls
    assert (reply.message.text(), [json.loads(call.arguments) for call in calls]) == (text, inputs)
    assert len({call.id for call in calls}) == len(calls)
    assert reply.stop_reason == ("tool_calls" if inputs else "stop")


def _said(text: str = "Hi.", index: Any = 0) -> dict[str, Any]:
    where = {} if index is None else {"output_index": index}
    return {"type": "response.output_text.delta", "item_id": "m", "content_index": 0, "delta": text, **where}


def _item(item: dict[str, Any], event: str = "done", index: Any = 0) -> dict[str, Any]:
    where = {} if index is None else {"output_index": index}
    return {"type": f"response.output_item.{event}", "item": item, **where}


def _ended(*items: dict[str, Any], type: str = "response.completed", **fields: Any) -> dict[str, Any]:
    return {"type": type, "response": {**response(list(items)), **fields}}


def _part_of_call(arguments: str, index: Any = 0) -> dict[str, Any]:
    where = {} if index is None else {"output_index": index}
    return {"type": "response.function_call_arguments.delta", "item_id": "fc", "delta": arguments, **where}


CREATED = {"type": "response.created", "response": response([], "in_progress")}
OPEN_CALL = {**called("weather", "", "a"), "id": "fc"}
A_CALL, B_CALL = called("weather", '{"a": 1}', "a"), called("weather", '{"b": 2}', "b")
RESPONSES: dict[str, tuple[list[Any], str, list[dict[str, int]]]] = {
    "no items at the end": ([CREATED, _said("Hi"), _said("."), _ended()], "Hi.", []),
    "an item without text": ([CREATED, _item({**spoken(""), "content": []}, "added"), _said(), _ended()], "Hi.", []),
    "no response at the end": ([CREATED, _said(), {"type": "response.completed"}], "Hi.", []),
    "no pieces": ([CREATED, _ended(spoken("Hi."))], "Hi.", []),
    "another last event": ([CREATED, _said(), _ended(spoken("Hi."), type="response.done")], "Hi.", []),
    "no end but `[DONE]`": ([CREATED, _said(), _item(spoken("Hi.")), "[DONE]"], "Hi.", []),
    "no index": ([CREATED, _said(index=None), _item(spoken("Hi."), index=None), _ended()], "Hi.", []),
    "an index that is text": ([CREATED, _said(index="0"), _item(spoken("Hi."), index="0"), _ended()], "Hi.", []),
    "a status in capitals": ([_said(), _ended(spoken("Hi."), status="COMPLETED")], "Hi.", []),
    "text as content": ([_said(), _ended({"type": "message", "content": "Hi."})], "Hi.", []),
    "another type of part": ([_said(), _ended({"type": "message", "content": [{"type": "text", "text": "Hi."}]})], "Hi.", []),
    "a message without a type": ([_said(), _ended({"role": "assistant", "content": "Hi."})], "Hi.", []),
    "thoughts as text": ([_said(), _ended({"type": "reasoning", "summary": ["Hm"]}, spoken("Hi."))], "Hi.", []),
    "no items, a call": ([_item(OPEN_CALL, "added"), _part_of_call('{"a"'), _part_of_call(": 1}"), _ended()], "", [{"a": 1}]),
    "a call without an index": ([_item(OPEN_CALL, "added", None), _part_of_call('{"a": 1}', None), _ended()], "", [{"a": 1}]),
    "arguments at their end": (
        [_item(OPEN_CALL, "added"), {"type": "response.function_call_arguments.done", "output_index": 0, "arguments": '{"a": 1}'}, _ended()],
        "",
        [{"a": 1}],
    ),
    "arguments as an object": ([_ended({**A_CALL, "arguments": {"a": 1}})], "", [{"a": 1}]),
    "no ids": ([_ended(*({**call, "call_id": None, "id": None} for call in (A_CALL, B_CALL)))], "", [{"a": 1}, {"b": 2}]),
    "one id": ([_ended(A_CALL, {**B_CALL, "call_id": "a"})], "", [{"a": 1}, {"b": 2}]),
    "one index": ([_item(A_CALL), _item(B_CALL), _ended()], "", [{"a": 1}, {"b": 2}]),
}  # fmt: skip


@pytest.mark.parametrize(("written", "text", "inputs"), RESPONSES.values(), ids=RESPONSES.keys())
async def test_a_response_is_read_whatever_its_form(
    written: list[Any], text: str, inputs: list[dict[str, int]]
) -> None:
    listener = Listener()
    reply = await _answered("responses", streamed(events(*written), "end"), turn=listener.to(HELLO))
    calls = reply.message.tool_calls
    assert (reply.message.text(), [json.loads(call.arguments) for call in calls]) == (text, inputs)
    assert listener.text == text
    assert len({call.id for call in calls}) == len(calls)
    assert reply.stop_reason == ("tool_calls" if inputs else "stop")


@pytest.mark.parametrize("body", [{"status": "completed"}, {}, {"object": "response"}])
async def test_a_whole_response_needs_no_status(body: dict[str, Any]) -> None:
    reply = await _answered("responses", whole({"output": [spoken("Hi.")], **body}), streaming=True)
    assert reply.message.text() == "Hi."


async def test_a_response_without_an_end_is_no_answer_where_its_call_is_not_whole() -> None:
    stream = events(_item(OPEN_CALL, "added"), _part_of_call('{"a"'), "[DONE]")
    assert (await failing("responses", streamed(stream, "end"), streaming=True)).kind == "bad_response"


async def test_a_message_without_a_reason_is_no_answer_where_its_call_is_not_whole() -> None:
    begun = block(0, _tool(), wrote('{"a": '))
    answer = streamed(events(ANTHROPIC_START, *begun, {"type": "message_stop"}), "end")
    assert (await failing("anthropic", answer, streaming=True)).kind == "bad_response"


async def test_a_later_count_of_zero_does_not_replace_what_was_counted() -> None:
    end = {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {"input_tokens": 0, "output_tokens": 3},
    }
    answer = streamed(events(ANTHROPIC_START, *HI, end, {"type": "message_stop"}), "end")
    usage = (await _answered("anthropic", answer, streaming=True)).usage
    assert (usage.input_tokens, usage.output_tokens) == (1120, 3)


async def test_an_answer_that_pauses_for_ever_is_given_up() -> None:
    answer = whole(anthropic_whole([{"type": "text", "text": "…"}], "pause_turn"))
    assert "paused" in (await failing("anthropic", answer)).message


@pytest.mark.parametrize(
    ("reason", "stop"), [("refusal", "content_filter"), ("model_context_window_exceeded", "length")]
)
async def test_anthropics_stop_reasons(reason: str, stop: str) -> None:
    answer = whole(anthropic_whole([{"type": "text", "text": "Hi."}], reason))
    assert (await _answered("anthropic", answer)).stop_reason == stop


@pytest.mark.parametrize("thoughts", [False, True])
async def test_thinking_does_not_begin_within_an_exchange(thoughts: bool) -> None:
    parts = ({"type": "thinking", "thinking": "Hm.", "signature": "s"},) if thoughts else None
    call = Message("assistant", parts, (ToolCall("a", "weather", "{}"),))
    thinking = Settings(thinking=Thinking(budget_tokens=2000))
    turn = HELLO.replace(messages=(*HELLO.messages, call, Message("tool", "x", tool_call_id="a")), settings=thinking)
    assert ("thinking" in await _sent("anthropic", turn)) is thoughts
    later = turn.replace(messages=(*turn.messages, Message("assistant", "Rain."), Message("user", "And now?")))
    assert "thinking" in await _sent("anthropic", later)


@TYPES
async def test_a_wrong_path_points_to_base_url(type: str) -> None:
    assert "base_url" in str(await failing(type, whole({"detail": "Not Found"}, "404 Not Found")))


@TYPES
async def test_a_broken_stream_says_what_was_used(type: str) -> None:
    """What was reported before the break; where that is less output than what arrived, an estimate of this."""
    text = "word " * 100
    match type:
        case "openai":
            stream = events(openai_chunk({"content": text}))
        case "responses":
            stream = events(*responses_stream([spoken(text)])[:-2])
        case _:
            stream = events(ANTHROPIC_START, *block(0, {"type": "text", "text": ""}, said(text))[:-1])
    usage = (await failing(type, streamed(stream, "reset"), streaming=True)).usage
    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (
        1120 if type == "anthropic" else None,
        125,
        True,
    )
    assert (await failing(type, whole({"error": {"message": "no"}}, "500 Oops"))).usage is None


async def test_a_pause_counts_in_the_usage_of_a_break() -> None:
    pause = streamed(
        events(ANTHROPIC_START, *block(0, {"type": "text", "text": ""}, said("Hi.")), *anthropic_end("pause_turn")),
        "end",
    )
    half = streamed(events(ANTHROPIC_START, *block(0, {"type": "text", "text": ""}, said("word " * 100))[:-1]), "reset")
    usage = (await failing("anthropic", pause, half, streaming=True, model="claude-sonnet-4-5")).usage
    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (2240, 126, True)
    assert usage.cost_usd is not None


async def _answered(type: str, answer: Answer, *, streaming: bool = False, turn: Turn = HELLO) -> Reply:
    async with Playback(answer) as server, asking(type, server.url) as model:
        return await model.answer(Listener().to(turn) if streaming else turn)


async def _sent(type: str, turn: Turn, **fields: Any) -> dict[str, Any]:
    async with Playback(GOOD[type]) as server, asking(type, server.url, **fields) as model:
        await model.answer(turn)
        body: dict[str, Any] = server.asked[0].body
        return body


def _check(error: ModelError, row: Refusal) -> None:
    assert (error.kind, error.counted, error.window) == (row.kind, row.counted, row.window), error.message
