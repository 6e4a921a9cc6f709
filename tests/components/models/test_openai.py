from __future__ import annotations

import re
from typing import Any

import pytest

from tests.components.models.asking import ASKED_WEATHER, HELLO, KEY, MODULES, WEATHER, Listener, asking
from tests.components.models.playback import Playback, events, streamed, whole
from tests.components.models.recorded import (
    OPENAI_LAST,
    OPENAI_TEXT,
    OPENAI_TOOLS,
    OPENAI_USAGE,
    openai_chunk,
    openai_whole,
)
from victor_dsl.components.api_tools import TOOL_CHOICES
from victor_dsl.components.models.openai import EXAMPLE, Config
from victor_dsl.errors import ModelError, RequestError
from victor_dsl.language.config import Secret
from victor_dsl.values.message import Message, Reply, ToolCall, Usage
from victor_dsl.values.request import Request
from victor_dsl.values.settings import Settings, Thinking
from victor_dsl.values.tool import Tool, api_tool_name
from victor_dsl.values.turn import Turn

HI = whole(openai_whole({"content": "Hi."}))


async def sent(turn: Turn, **fields: Any) -> dict[str, Any]:
    """The body of the request that a turn leads to."""
    fields = {"stream": turn.streaming, **fields}
    async with Playback(HI) as server, asking("openai", server.url, **fields) as model:
        await model.answer(turn)
        body: dict[str, Any] = server.asked[0].body
        return body


async def answered(body: dict[str, Any], turn: Turn = HELLO, **fields: Any) -> Reply:
    async with Playback(whole(body)) as server, asking("openai", server.url, **fields) as model:
        return await model.answer(turn)


async def heard(stream: bytes, turn: Turn = HELLO, **fields: Any) -> tuple[Reply, list[str]]:
    listener = Listener()
    async with Playback(streamed(stream, "end")) as server, asking("openai", server.url, **fields) as model:
        return await model.answer(listener.to(turn)), listener.pieces


async def test_a_plain_answer() -> None:
    reply = await answered(openai_whole({"content": "Hi.", "refusal": None, "annotations": []}))
    assert reply == Reply(
        Message("assistant", "Hi."), Usage(1200, 10, None, 1024, None, 0), "stop", "gpt-4.1-mini-2025-04-14"
    )


async def test_a_streamed_answer_is_the_pieces_that_were_heard() -> None:
    reply, pieces = await heard(OPENAI_TEXT)
    assert reply == Reply(
        Message("assistant", "Grüß dich, 🌍!"), Usage(1200, 10, None, 1024, None, 0), "stop", "gpt-4.1-mini-2025-04-14"
    )
    assert pieces == ["Grüß", " dich, 🌍!"]


async def test_a_stream_of_single_bytes_is_the_same_answer() -> None:
    async with (
        Playback(streamed(*(OPENAI_TOOLS[i : i + 1] for i in range(len(OPENAI_TOOLS))), "end")) as server,
        asking("openai", server.url) as model,
    ):
        reply = await model.answer(Listener().to(HELLO))
    assert [call.arguments for call in reply.message.tool_calls] == ['{"city": "Paris"}', '{"city": "Rome"}']


async def test_tool_calls_are_put_together_from_their_pieces() -> None:
    reply, pieces = await heard(OPENAI_TOOLS)
    calls = (ToolCall("call_1", "weather", '{"city": "Paris"}'), ToolCall("call_2", "weather", '{"city": "Rome"}'))
    assert reply.message == Message("assistant", None, calls)
    assert reply.stop_reason == "tool_calls"
    assert pieces == []


async def test_servers_that_number_no_pieces_are_understood() -> None:
    pieces = [
        {"id": "a", "function": {"name": "one", "arguments": "{"}},
        {"function": {"arguments": "}"}},
        {"id": "b", "function": {"name": "two", "arguments": {"x": 1}}},
    ]
    stream = events(*(openai_chunk({"tool_calls": [piece]}) for piece in pieces), openai_chunk({}, "stop"))
    reply, _ = await heard(stream)
    assert reply.message.tool_calls == (ToolCall("a", "one", "{}"), ToolCall("b", "two", '{"x":1}'))
    assert reply.stop_reason == "tool_calls"


async def test_calls_without_an_id_or_arguments_get_them() -> None:
    calls = [
        {"type": "function", "function": {"name": name, "arguments": text}} for name, text in (("a", ""), ("b", None))
    ]
    reply = await answered(openai_whole({"content": None, "tool_calls": calls}, "tool_calls"))
    assert reply.message.tool_calls == (ToolCall("call_1_0", "a", "{}"), ToolCall("call_1_1", "b", "{}"))


async def test_arguments_that_are_no_json_are_handed_on_as_written() -> None:
    call = {"id": "x", "function": {"name": "a", "arguments": "{city: Paris"}}
    reply = await answered(openai_whole({"content": "Well.", "tool_calls": [call]}, "tool_calls"))
    assert reply.message == Message("assistant", "Well.", (ToolCall("x", "a", "{city: Paris"),))


async def test_a_call_without_a_name_is_no_answer() -> None:
    with pytest.raises(ModelError, match="no name") as raised:
        await answered(openai_whole({"tool_calls": [{"id": "x", "function": {"arguments": "{}"}}]}, "tool_calls"))
    assert raised.value.kind == "bad_response"


@pytest.mark.parametrize(
    ("finish", "stop"),
    [("stop", "stop"), ("length", "length"), ("content_filter", "content_filter"), ("eos_token", "stop")],
)
async def test_the_stop_reason_is_what_the_server_said(finish: str, stop: str) -> None:
    assert (await answered(openai_whole({"content": "a"}, finish))).stop_reason == stop


@pytest.mark.parametrize("finish", [None, "", "whatever"])
async def test_an_unknown_end_is_no_stop(finish: str | None) -> None:
    with pytest.raises(ModelError) as raised:
        await answered(openai_whole({"content": "a"}, finish))
    assert raised.value.kind == "bad_response"


@pytest.mark.parametrize("arguments", ['{"ci', ""])
async def test_a_call_that_was_cut_off_is_not_made_whole(arguments: str) -> None:
    call = {"id": "x", "function": {"name": "a", "arguments": arguments}}
    reply = await answered(openai_whole({"tool_calls": [call]}, "length"))
    assert (reply.stop_reason, reply.message.tool_calls) == ("length", (ToolCall("x", "a", arguments),))


async def test_a_refusal_is_told_and_streamed_as_such() -> None:
    reply = await answered(openai_whole({"content": None, "refusal": "I won't."}))
    assert (reply.message.text(), reply.stop_reason) == ("I won't.", "content_filter")
    reply, pieces = await heard(events(openai_chunk({"refusal": "No."}), openai_chunk({}, "stop"), "[DONE]"))
    assert (reply.message.text(), reply.stop_reason, pieces) == ("No.", "content_filter", ["No."])


async def test_content_in_parts_is_joined() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "thinking", "thinking": []}, {"type": "text", "text": "b"}]
    assert (await answered(openai_whole({"content": parts}))).message == Message("assistant", "ab")


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, Usage()),
        ({}, Usage()),
        ({"prompt_tokens": 5}, Usage(5)),
        ({"prompt_tokens": -5, "completion_tokens": "7", "prompt_tokens_details": 3}, Usage()),
        ({"prompt_tokens": True, "completion_tokens": 2.5}, Usage()),
        ({"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": None}, Usage(5, 2)),
    ],
)
async def test_usage_is_what_the_server_said_or_unknown(usage: Any, expected: Usage) -> None:
    assert (await answered({**openai_whole({"content": "a"}), "usage": usage})).usage == expected


async def test_a_stream_without_usage_and_done_is_whole_once_it_is_finished() -> None:
    reply, pieces = await heard(events(openai_chunk({"content": "a"}), openai_chunk({}, "stop")))
    assert (reply.message.text(), reply.usage, pieces) == ("a", Usage(), ["a"])


async def test_a_server_that_does_not_stream_is_heard_at_once() -> None:
    listener = Listener()
    async with Playback(HI) as server, asking("openai", server.url) as model:
        reply = await model.answer(listener.to(HELLO))
    assert (reply.message.text(), listener.pieces) == ("Hi.", ["Hi."])


async def test_the_cost_counts_cached_input_at_its_own_rate() -> None:
    reply = await answered(openai_whole({"content": "a"}), model="gpt-4.1")
    assert reply.usage.cost_usd == pytest.approx((176 * 2.0 + 1024 * 0.5 + 10 * 8.0) / 1e6)
    reply, _ = await heard(OPENAI_TEXT, input_usd_per_million=1.0, output_usd_per_million=0.0)
    assert reply.usage.cost_usd == pytest.approx(0.0012)


async def test_more_cached_than_sent_never_lowers_the_cost_below_zero() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 0, "prompt_tokens_details": {"cached_tokens": 1000}}
    reply = await answered({**openai_whole({"content": "a"}), "usage": usage}, model="gpt-4.1")
    assert reply.usage.cost_usd == pytest.approx(10 * 0.5 / 1e6)


async def test_the_request_of_a_turn() -> None:
    turn = HELLO.replace(system="Be kind.", messages=ASKED_WEATHER, tools=(WEATHER,))
    assert await sent(turn) == {
        "model": "test-model",
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "weather",
                    "description": "The weather of a city.",
                    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
                },
            }
        ],
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "How is the weather in Paris?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "weather", "arguments": '{"city": "Paris"}'},
                    }
                ],
            },
            {"role": "tool", "content": "Rain.", "tool_call_id": "call_1"},
        ],
    }


async def test_every_setting_is_sent_and_none_that_is_not_set() -> None:
    shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}
    settings = Settings(
        temperature=0.0,
        top_p=0.5,
        max_tokens=9,
        stop=("a", "b"),
        seed=0,
        response_format=shape,
        thinking=Thinking(budget_tokens=2000),
    )
    body = await sent(HELLO.replace(settings=settings), prompt_cache_key="support")
    del body["model"], body["messages"]
    assert body == {
        "temperature": 0.0, "top_p": 0.5, "max_tokens": 9, "stop": ["a", "b"], "seed": 0, "response_format": shape,
        "prompt_cache_key": "support",
    }  # fmt: skip
    assert set(await sent(HELLO)) == {"model", "messages"}


CHOOSING = HELLO.replace(tools=(WEATHER, Tool("files.read")))


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ("weather", {"type": "function", "function": {"name": "weather"}}),
        ("files.read", {"type": "function", "function": {"name": api_tool_name("files.read")}}),
    ],
)
async def test_the_choice_of_a_tool_is_sent_with_tools(choice: str, written: Any) -> None:
    settings = Settings(tool_choice=choice, parallel_tool_calls=False)
    body = await sent(CHOOSING.replace(settings=settings))
    assert (body["tool_choice"], body["parallel_tool_calls"]) == (written, False)
    if choice in TOOL_CHOICES:
        assert not {"tool_choice", "parallel_tool_calls"} & set(await sent(HELLO.replace(settings=settings)))


@pytest.mark.parametrize(("choice", "is_sent"), [("auto", False), ("none", False), ("required", True)])
async def test_models_that_refuse_a_choice_while_they_think_get_one_only_where_it_matters(
    choice: str, is_sent: bool
) -> None:
    body = await sent(CHOOSING.replace(settings=Settings(tool_choice=choice)), model="deepseek-v4-pro")
    assert ("tool_choice" in body) is is_sent


@pytest.mark.parametrize("turn", [HELLO, CHOOSING], ids=["no tools", "tools"])
async def test_a_chosen_tool_that_is_not_offered_is_an_error_of_the_request(turn: Turn) -> None:
    for type in MODULES:
        async with asking(type, "http://127.0.0.1:1") as model:
            with pytest.raises(RequestError, match="no tool named 'wether' is offered"):
                await model.answer(turn.replace(settings=Settings(tool_choice="wether")))


async def test_penalties_and_effort_are_sent_where_the_model_accepts_them() -> None:
    settings = Settings(frequency_penalty=0.5, presence_penalty=-1.0, reasoning_effort="low")
    body = await sent(HELLO.replace(settings=settings))
    assert (body["frequency_penalty"], body["presence_penalty"], body["reasoning_effort"]) == (0.5, -1.0, "low")
    body = await sent(HELLO.replace(settings=settings), model="gpt-5-mini")
    assert set(body) == {"model", "messages", "reasoning_effort"}


IN_A_SESSION = HELLO.replace(session="s", plan="p", request=Request(session="s"))


async def test_a_session_has_a_cache_key_of_its_own_that_does_not_reveal_it() -> None:
    async def key(turn: Turn, **fields: Any) -> Any:
        return (await sent(turn, **{"prompt_cache": True, **fields})).get("prompt_cache_key")

    first = await key(IN_A_SESSION)
    assert re.fullmatch("[0-9a-f]{32}", first)
    assert await key(IN_A_SESSION.replace(messages=ASKED_WEATHER)) == first
    others = [IN_A_SESSION.replace(session="t"), IN_A_SESSION.replace(plan="q"), IN_A_SESSION.replace(tenant="t")]
    assert len({first, *[await key(turn) for turn in others]}) == 4
    assert await key(HELLO) is None
    assert await key(IN_A_SESSION, prompt_cache_key="support") == "support"
    assert await key(IN_A_SESSION, prompt_cache=False) is None


async def test_other_servers_than_openai_get_a_cache_key_only_where_the_spec_asks_for_it() -> None:
    assert set(await sent(IN_A_SESSION)) == {"model", "messages"}
    long = await sent(IN_A_SESSION, prompt_cache={"ttl": "1h"})
    assert set(long) == {"model", "messages", "prompt_cache_key", "prompt_cache_retention"}
    assert long["prompt_cache_retention"] == "24h"
    config = Config.model_validate({"model": "m", "api_key": Secret("env", "KEY")})
    assert (config.prompt_cache, config.is_openai) == (True, True)


async def test_azure_is_asked_with_its_version_and_its_key() -> None:
    fields = {"api_key_header": "api-key", "query": {"api-version": "2025-04-01-preview", "x": "a b&c"}}
    async with Playback(HI) as server, asking("openai", server.url, **fields) as model:
        await model.answer(HELLO)
    asked = server.asked[0]
    assert asked.path == "/v1/chat/completions?api-version=2025-04-01-preview&x=a+b%26c"
    assert asked.headers["api-key"] == KEY
    assert "authorization" not in asked.headers


async def test_a_callers_mark_for_another_cache_is_not_sent() -> None:
    part = {"type": "text", "text": "Hi."}
    marked = {**part, "cache_control": {"type": "ephemeral"}}
    body = await sent(HELLO.replace(messages=(Message("user", (marked, part)),)))
    assert body["messages"] == [{"role": "user", "content": [part, part]}]


async def test_a_message_without_parts_is_sent_as_empty_text() -> None:
    assert (await sent(HELLO.replace(messages=(Message("user", ()),))))["messages"] == [{"role": "user", "content": ""}]


async def test_older_forms_of_an_answer_are_read() -> None:
    reply = await answered(openai_whole({"content": None, "audio": {"id": "a", "transcript": "Hi there."}}))
    assert reply.message.text() == "Hi there."
    call = {"name": "weather", "arguments": '{"city": "Rome"}'}
    reply = await answered(openai_whole({"content": None, "function_call": call}, "function_call"))
    assert [(one.name, one.arguments) for one in reply.message.tool_calls] == [("weather", '{"city": "Rome"}')]
    deltas = [{"function_call": {"name": "weather", "arguments": ""}}, {"function_call": {"arguments": '{"a": 1}'}}]
    reply, _ = await heard(events(*map(openai_chunk, deltas), openai_chunk({}, "function_call"), "[DONE]"))
    assert [(one.name, one.arguments) for one in reply.message.tool_calls] == [("weather", '{"a": 1}')]


async def test_reasoning_models_are_asked_in_their_way() -> None:
    turn = HELLO.replace(settings=Settings(temperature=0.5, top_p=0.5, max_tokens=9))
    body = await sent(turn, model="gpt-5-mini")
    assert body.get("max_completion_tokens") == 9
    assert not {"max_tokens", "temperature", "top_p"} & set(body)
    body = await sent(turn, model="gpt-5-mini", sampling=True, max_tokens_field="max_tokens")
    assert (body["temperature"], body["max_tokens"]) == (0.5, 9)
    assert "temperature" not in await sent(turn, sampling=False)


async def test_a_stream_asks_for_its_usage_unless_told_not_to() -> None:
    for stream_usage, options in ((True, {"include_usage": True}), (False, None)):
        async with (
            Playback(streamed(OPENAI_TEXT, "end")) as server,
            asking("openai", server.url, stream_usage=stream_usage) as model,
        ):
            await model.answer(Listener().to(HELLO))
            assert server.asked[0].body["stream"] is True
            assert server.asked[0].body.get("stream_options") == options


async def test_images_pass_through_and_other_providers_thoughts_do_not() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}
    text = {"type": "text", "text": "What is it?"}
    thought = {"type": "thinking", "thinking": "hm", "signature": "x"}
    messages = (
        Message("user", (text, image)),
        Message("assistant", (thought, {"type": "text", "text": "A dog."})),
        Message("tool", ({"type": "text", "text": "a"}, {"type": "text", "text": "b"}), tool_call_id="x"),
        Message("assistant", None),
        Message("user", "and?", name="Ann"),
    )
    body = await sent(HELLO.replace(messages=messages))
    assert body["messages"] == [
        {"role": "user", "content": [text, image]},
        {"role": "assistant", "content": "A dog."},
        {"role": "tool", "content": "a\nb", "tool_call_id": "x"},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "and?", "name": "Ann"},
    ]


async def test_names_that_the_api_refuses_are_changed_and_changed_back() -> None:
    names = ("files.read", "grüße an alle", "x" * 70, "files:read", "fine_name-1")
    turn = HELLO.replace(
        tools=tuple(Tool(name) for name in names),
        messages=(Message("user", "x"), Message("assistant", None, (ToolCall("1", "files.read", "{}"),))),
    )
    body = await sent(turn)
    changed = [tool["function"]["name"] for tool in body["tools"]]
    assert len(set(changed)) == len(names)
    assert all(len(name) <= 64 and name.isascii() for name in changed)
    assert changed[-1] == "fine_name-1"
    assert body["messages"][-1]["tool_calls"][0]["function"]["name"] == changed[0]
    calls = [{"id": str(i), "function": {"name": name, "arguments": "{}"}} for i, name in enumerate(changed)]
    reply = await answered(openai_whole({"tool_calls": calls}, "tool_calls"), turn)
    assert [call.name for call in reply.message.tool_calls] == list(names)


async def test_the_headers_of_a_request() -> None:
    async with (
        Playback(HI) as server,
        asking("openai", server.url, organization="org-1", headers={"X-Team": "support"}) as model,
    ):
        await model.answer(HELLO)
    asked = server.asked[0]
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert (asked.headers["openai-organization"], asked.headers["x-team"]) == ("org-1", "support")


async def test_a_key_may_go_into_another_header_or_be_left_out() -> None:
    async with Playback(HI) as server, asking("openai", server.url, api_key_header="api-key") as model:
        await model.answer(HELLO)
        assert server.asked[0].headers["api-key"] == KEY
        assert "authorization" not in server.asked[0].headers
    async with Playback(HI) as server, asking("openai", server.url, api_key=None) as model:
        await model.answer(HELLO)
        assert "authorization" not in server.asked[0].headers


async def test_the_body_can_be_extended() -> None:
    body = await sent(HELLO, extra_body={"reasoning_effort": "low", "top_k": 5, "seed": 3})
    assert (body["reasoning_effort"], body["top_k"], body["seed"]) == ("low", 5, 3)


async def test_usage_that_grows_with_the_stream_counts_once() -> None:
    chunk = {**openai_chunk({"content": "a"}), "usage": {"prompt_tokens": 5, "completion_tokens": 1}}
    last = {**openai_chunk({}, "stop"), "usage": {"prompt_tokens": 5, "completion_tokens": 2}}
    reply, _ = await heard(events(chunk, last, "[DONE]"))
    assert reply.usage == Usage(5, 2)


def test_the_recorded_stream_ends_with_its_usage() -> None:
    assert OPENAI_LAST["usage"] == OPENAI_USAGE


def test_the_example_names_only_fields_that_there_are() -> None:
    assert "gpt-6-luna" in EXAMPLE
    assert {"model", "api_key", "base_url", "context_window"} <= set(Config.model_fields)
