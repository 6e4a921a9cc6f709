from __future__ import annotations

from typing import Any

import pytest

from tests.components.models.asking import ASKED_WEATHER, HELLO, KEY, WEATHER, Listener, asking
from tests.components.models.playback import Playback, events, streamed, whole
from tests.components.models.recorded import (
    ANTHROPIC_START,
    ANTHROPIC_TEXT,
    ANTHROPIC_TOOLS,
    anthropic_end,
    anthropic_whole,
    block,
    said,
    wrote,
)
from victor_dsl.errors import ModelError
from victor_dsl.values.message import Message, Reply, ToolCall, Usage
from victor_dsl.values.request import Request
from victor_dsl.values.settings import Settings, Thinking
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

TEXT = {"type": "text", "text": "Hi."}
HI = whole(anthropic_whole([TEXT]))
MARK = {"type": "ephemeral"}
THOUGHT = {"type": "thinking", "thinking": "Paris, then.", "signature": "c2ln"}


async def sent(turn: Turn, **fields: Any) -> dict[str, Any]:
    """The body of the request that a turn leads to."""
    fields = {"stream": turn.streaming, **fields}
    async with Playback(HI) as server, asking("anthropic", server.url, **fields) as model:
        await model.answer(turn)
        body: dict[str, Any] = server.asked[0].body
        return body


async def told(*messages: Message) -> list[Any]:
    """The conversation as it is sent: pairs of role and content."""
    body = await sent(HELLO.replace(messages=messages), prompt_cache=False)
    return [(message["role"], message["content"]) for message in body["messages"]]


async def answered(content: list[dict[str, Any]], stop: str | None = "end_turn", **fields: Any) -> Reply:
    async with (
        Playback(whole(anthropic_whole(content, stop))) as server,
        asking("anthropic", server.url, **fields) as m,
    ):
        return await m.answer(HELLO)


async def heard(stream: bytes) -> tuple[Reply, list[str]]:
    listener = Listener()
    async with Playback(streamed(stream, "end")) as server, asking("anthropic", server.url) as model:
        return await model.answer(listener.to(HELLO)), listener.pieces


async def refused(turn: Turn, **fields: Any) -> ModelError:
    async with asking("anthropic", "http://127.0.0.1:1", **fields) as model:
        with pytest.raises(ModelError) as raised:
            await model.answer(turn)
    assert raised.value.kind == "bad_request"
    return raised.value


async def test_a_plain_answer_counts_all_of_its_input() -> None:
    reply = await answered([TEXT, {"type": "text", "text": " There."}])
    assert reply == Reply(
        Message("assistant", "Hi. There."), Usage(1120, 12, None, 1000, 100), "stop", "claude-sonnet-4-5-20250929"
    )


async def test_a_streamed_answer_is_the_pieces_that_were_heard() -> None:
    reply, pieces = await heard(ANTHROPIC_TEXT)
    assert reply == Reply(
        Message("assistant", "Grüß dich, 🌍!"), Usage(1120, 12, None, 1000, 100), "stop", "claude-sonnet-4-5-20250929"
    )
    assert pieces == ["Grüß", " dich, 🌍!"]


async def test_tool_calls_are_put_together_from_their_pieces() -> None:
    calls = (ToolCall("toolu_1", "weather", '{"city": "Paris"}'), ToolCall("toolu_2", "weather", '{"city": "Rome"}'))
    reply, pieces = await heard(ANTHROPIC_TOOLS)
    assert reply.message == Message("assistant", "I look.", calls)
    assert (reply.stop_reason, pieces) == ("tool_calls", ["I look."])


async def test_a_stream_of_single_bytes_is_the_same_answer() -> None:
    pieces = [ANTHROPIC_TOOLS[i : i + 1] for i in range(len(ANTHROPIC_TOOLS))]
    async with Playback(streamed(*pieces, "end")) as server, asking("anthropic", server.url) as model:
        reply = await model.answer(Listener().to(HELLO))
    assert [call.arguments for call in reply.message.tool_calls] == ['{"city": "Paris"}', '{"city": "Rome"}']


async def test_a_call_in_one_piece_and_a_call_without_arguments() -> None:
    call = {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Oslo"}}
    reply = await answered([call, {**call, "id": "t2", "input": {}}], "tool_use")
    assert reply.message == Message(
        "assistant", None, (ToolCall("t1", "weather", '{"city":"Oslo"}'), ToolCall("t2", "weather", "{}"))
    )
    reply, _ = await heard(
        events(ANTHROPIC_START, *block(0, {**call, "input": {}}, wrote("")), *anthropic_end("tool_use"))
    )
    assert reply.message.tool_calls == (ToolCall("t1", "weather", "{}"),)


async def test_arguments_that_are_no_json_are_handed_on_as_written() -> None:
    call = {"type": "tool_use", "id": "t1", "name": "weather", "input": {}}
    reply, _ = await heard(events(ANTHROPIC_START, *block(0, call, wrote("{city:")), *anthropic_end("tool_use")))
    assert reply.message.tool_calls == (ToolCall("t1", "weather", "{city:"),)


@pytest.mark.parametrize("arguments", ['{"ci', ""])
async def test_a_call_that_was_cut_off_is_not_made_whole(arguments: str) -> None:
    call = {"type": "tool_use", "id": "t1", "name": "weather", "input": {}}
    reply, _ = await heard(events(ANTHROPIC_START, *block(0, call, wrote(arguments)), *anthropic_end("max_tokens")))
    assert (reply.stop_reason, reply.message.tool_calls) == ("length", (ToolCall("t1", "weather", arguments),))


async def test_thoughts_before_a_call_are_kept_as_they_are_and_go_back() -> None:
    start = {"type": "thinking", "thinking": "", "signature": ""}
    hidden = {"type": "redacted_thinking", "data": "abc"}
    call = {"type": "tool_use", "id": "t1", "name": "weather", "input": {}}
    stream = events(
        ANTHROPIC_START,
        *block(
            0,
            start,
            {"type": "thinking_delta", "thinking": "Paris, "},
            {"type": "thinking_delta", "thinking": "then."},
            {"type": "signature_delta", "signature": "c2ln"},
        ),
        *block(1, hidden),
        *block(2, {"type": "text", "text": ""}, said("I look.")),
        *block(3, call, wrote("{}")),
        *anthropic_end("tool_use"),
    )
    listener = Listener()
    async with Playback(streamed(stream, "end")) as server, asking("anthropic", server.url) as model:
        reply = await model.answer(listener.to(HELLO))
    assert (listener.pieces, listener.thoughts) == (["I look."], "Paris, then.")
    assert reply.message.content == (THOUGHT, hidden, {"type": "text", "text": "I look."})
    assert reply.message.text() == "I look."
    back = await told(Message("user", "x"), reply.message, Message("tool", "Rain.", tool_call_id="t1"))
    assert back[1] == ("assistant", [THOUGHT, hidden, {"type": "text", "text": "I look."}, {**call, "input": {}}])


async def test_thoughts_before_an_answer_are_let_go() -> None:
    assert (await answered([THOUGHT, TEXT])).message == Message("assistant", "Hi.")


@pytest.mark.parametrize(
    ("said", "stop"),
    [("end_turn", "stop"), ("stop_sequence", "stop"), ("max_tokens", "length"), ("refusal", "content_filter"),
     ("model_context_window_exceeded", "length")],
)  # fmt: skip
async def test_the_stop_reason_is_what_the_server_said(said: str, stop: str) -> None:
    assert (await answered([TEXT], said)).stop_reason == stop


@pytest.mark.parametrize("said", [None, "", "pause_turn", "whatever"])
async def test_an_unknown_end_is_no_stop(said: str | None) -> None:
    with pytest.raises(ModelError) as raised:
        await answered([TEXT], said)
    assert raised.value.kind == "bad_response"


async def test_an_answer_of_nothing_is_an_empty_answer() -> None:
    assert (await answered([])).message == Message("assistant", "")


@pytest.mark.parametrize("call", [{"id": "t1"}, {"id": "t1", "name": 7}, {"id": 7, "name": "a"}])
async def test_a_call_without_a_name_is_no_answer(call: dict[str, Any]) -> None:
    with pytest.raises(ModelError) as raised:
        await answered([{"type": "tool_use", "input": {}, **call}], "tool_use")
    assert raised.value.kind == "bad_response"


async def test_events_and_blocks_that_are_not_known_are_passed_over() -> None:
    stream = events(
        ANTHROPIC_START,
        {"type": "news", "index": "x"},
        *block(0, {"type": "server_tool_use", "id": "s", "name": "web"}, wrote("{}")),
        *block(1, {"type": "text", "text": "Hi"}, {"type": "citations_delta", "citation": {}}, said(".")),
        *anthropic_end("end_turn"),
    )
    reply, pieces = await heard(stream)
    assert (reply.message, pieces) == (Message("assistant", "Hi."), ["Hi", "."])


async def test_a_server_that_does_not_stream_is_heard_at_once() -> None:
    listener = Listener()
    async with Playback(HI) as server, asking("anthropic", server.url) as model:
        reply = await model.answer(listener.to(HELLO))
    assert (reply.message.text(), listener.pieces) == ("Hi.", ["Hi."])


async def test_the_cost_counts_reading_and_writing_the_cache() -> None:
    reply = await answered([TEXT], model="claude-sonnet-4-5")
    assert reply.usage.cost_usd == pytest.approx((20 * 3.0 + 1000 * 0.3 + 100 * 3.75 + 12 * 15.0) / 1e6)
    assert (await answered([TEXT])).usage.cost_usd is None


async def test_usage_that_is_not_told_is_unknown() -> None:
    body = {**anthropic_whole([TEXT]), "usage": None}
    async with Playback(whole(body)) as server, asking("anthropic", server.url, model="claude-sonnet-4-5") as model:
        assert (await model.answer(HELLO)).usage == Usage()


async def test_the_request_of_a_turn_is_marked_at_the_ends_of_what_stays() -> None:
    turn = HELLO.replace(system="Be kind.", messages=ASKED_WEATHER, tools=(Tool("other"), WEATHER))
    assert await sent(turn) == {
        "model": "test-model",
        "max_tokens": 4096,
        "tools": [
            {"name": "other", "input_schema": {"type": "object", "properties": {}}},
            {
                "name": "weather",
                "description": "The weather of a city.",
                "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
                "cache_control": MARK,
            },
        ],
        "system": [{"type": "text", "text": "Be kind.", "cache_control": MARK}],
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": "How is the weather in Paris?", "cache_control": MARK}],
            },
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Paris"}}],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "call_1",
                        "content": [{"type": "text", "text": "Rain."}],
                        "cache_control": MARK,
                    }
                ],
            },
        ],
    }


async def test_a_single_question_is_not_written_to_the_cache() -> None:
    body = await sent(HELLO.replace(system="Be kind."))
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Hello!"}]}]
    assert body["system"][0]["cache_control"] == MARK
    assert "cache_control" not in str(
        await sent(HELLO.replace(system="Be kind.", tools=(WEATHER,)), prompt_cache=False)
    )


def marks(body: dict[str, Any]) -> list[Any]:
    """The texts, names and results that are marked, in the order of the request."""
    found = [tool["name"] for tool in body.get("tools", ()) if "cache_control" in tool]
    found += [block["text"] for block in body.get("system", ()) if "cache_control" in block]
    for message in body["messages"]:
        for part in message["content"]:
            inner = part.get("content", ()) if part["type"] == "tool_result" else ()
            found += [name_of(block) for block in (*inner, part) if "cache_control" in block]
    return found


def name_of(block: dict[str, Any]) -> str:
    return str(block.get("text") or block.get("tool_use_id"))


CHAT = (
    Message("user", "one"),
    Message("assistant", "two"),
    Message("user", "three"),
    Message("assistant", "four"),
    Message("user", "five"),
)
SESSION = HELLO.replace(request=Request(session="s"), system="Be kind.", tools=(WEATHER,))


@pytest.mark.parametrize(
    ("messages", "marked"),
    [
        (CHAT[:1], ["one"]),
        (CHAT[:3], ["one", "three"]),
        (CHAT, ["three", "five"]),
        (ASKED_WEATHER, ["How is the weather in Paris?", "call_1"]),
    ],
)
async def test_a_session_is_marked_where_the_last_request_ended_and_where_this_one_does(
    messages: tuple[Message, ...], marked: list[str]
) -> None:
    assert marks(await sent(SESSION.replace(messages=messages))) == ["weather", "Be kind.", *marked]


@pytest.mark.parametrize(
    ("turn", "marked"),
    [
        (HELLO.replace(messages=CHAT[4:]), ["weather", "Be kind.", "four"]),
        (SESSION.replace(messages=CHAT[4:]), ["weather", "Be kind.", "four", "five"]),
        (SESSION.replace(messages=(*CHAT[4:], *CHAT[1:3])), ["Be kind.", "four", "five", "three"]),
        (SESSION.replace(messages=(*CHAT[:3], *CHAT[1:2], *CHAT[4:])), ["Be kind.", "four", "three", "five"]),
    ],
)
async def test_the_end_of_examples_is_marked_with_which_every_session_begins(turn: Turn, marked: list[str]) -> None:
    turn = turn.replace(system="Be kind.", tools=(WEATHER,), examples=CHAT[:4])
    assert marks(await sent(turn.with_examples())) == marked


@pytest.mark.parametrize(
    ("stable", "blocks", "marked"),
    [
        (None, ["Be kind.\n\nIt is noon."], "Be kind.\n\nIt is noon."),
        (8, ["Be kind.", "\n\nIt is noon."], "Be kind."),
        (0, ["Be kind.\n\nIt is noon."], "Be kind.\n\nIt is noon."),
        (3, ["Be kind.\n\nIt is noon."], "Be kind.\n\nIt is noon."),
        (99, ["Be kind.\n\nIt is noon."], "Be kind.\n\nIt is noon."),
    ],
)
async def test_the_system_prompt_is_marked_where_it_begins_to_vary(
    stable: int | None, blocks: list[str], marked: str
) -> None:
    turn = HELLO.replace(system="Be kind.\n\nIt is noon.", stable_system=stable)
    body = await sent(turn)
    assert [block["text"] for block in body["system"]] == blocks
    assert marks(body) == [marked]


async def test_a_round_of_many_calls_is_still_marked_where_the_request_before_ended() -> None:
    """More blocks than the API looks back over."""
    calls = tuple(ToolCall(str(number), "weather", "{}") for number in range(30))
    results = tuple(Message("tool", "Rain.", tool_call_id=call.id) for call in calls)
    messages = (*CHAT, Message("assistant", None, calls), *results)
    assert marks(await sent(SESSION.replace(messages=messages))) == ["weather", "Be kind.", "five", "29"]


def marked_by_caller(text: str, **mark: str) -> Message:
    return Message("user", ({"type": "text", "text": text, "cache_control": {"type": "ephemeral", **mark}},))


@pytest.mark.parametrize(
    ("callers", "marked"),
    [
        (["a"], ["Be kind.", "a", "five", "six"]),
        (["a", "b"], ["Be kind.", "a", "b", "six"]),
        (["a", "b", "c"], ["a", "b", "c", "six"]),
        (["a", "b", "c", "d"], ["a", "b", "c", "d"]),
        (["a", "b", "c", "d", "e"], ["b", "c", "d", "e"]),
    ],
)
async def test_a_callers_marks_come_first_and_all_are_at_most_four(callers: list[str], marked: list[str]) -> None:
    messages = (*map(marked_by_caller, callers), *CHAT[3:], Message("assistant", "ok"), Message("user", "six"))
    assert marks(await sent(SESSION.replace(messages=messages))) == marked
    without = await sent(SESSION.replace(messages=messages), prompt_cache=False)
    assert marks(without) == callers[-4:]


@pytest.mark.parametrize(
    ("ours", "callers", "lifetimes"),
    [
        ({}, {"ttl": "1h"}, ["1h", "1h", None, None]),
        ({"ttl": "1h"}, {}, ["1h", None, None, None]),
        ({"ttl": "1h"}, {"ttl": "1h"}, ["1h", "1h", "1h", "1h"]),
        ({}, {}, [None, None, None, None]),
    ],
)
async def test_no_longer_lifetime_follows_a_shorter_one(
    ours: dict[str, str], callers: dict[str, str], lifetimes: list[str | None]
) -> None:
    messages = (marked_by_caller("a", **callers), *CHAT[1:])
    body = await sent(SESSION.replace(messages=messages), prompt_cache=ours or True)
    blocks = [*body["system"], *(block for message in body["messages"] for block in message["content"])]
    assert [block["cache_control"].get("ttl") for block in blocks if "cache_control" in block] == lifetimes


async def test_thoughts_are_never_marked() -> None:
    messages = (Message("user", "x"), Message("assistant", (TEXT, THOUGHT)))
    content = (await sent(HELLO.replace(messages=messages)))["messages"][-1]["content"]
    assert content == [{**TEXT, "cache_control": MARK}, THOUGHT]


async def test_every_setting_that_the_api_has_is_sent() -> None:
    schema = {"type": "object"}
    shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    settings = Settings(temperature=1.5, top_p=0.5, max_tokens=9, stop=("a",), seed=3, response_format=shape)
    body = await sent(HELLO.replace(settings=settings))
    del body["model"], body["messages"]
    assert body == {
        "temperature": 1.0, "top_p": 0.5, "max_tokens": 9, "stop_sequences": ["a"],
        "output_config": {"format": {"type": "json_schema", "schema": schema}},
    }  # fmt: skip
    assert "output_config" not in await sent(HELLO.replace(settings=Settings(response_format={"type": "text"})))


async def test_a_format_that_the_api_does_not_have_is_refused_here() -> None:
    for shape in ({"type": "json_object"}, {"type": "json_schema"}, {"type": "json_schema", "json_schema": {}}):
        assert "response_format" in str(await refused(HELLO.replace(settings=Settings(response_format=shape))))


@pytest.mark.parametrize(
    ("settings", "written"),
    [
        ({"tool_choice": "auto"}, {"type": "auto"}),
        ({"tool_choice": "none", "parallel_tool_calls": False}, {"type": "none"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": "weather"}, {"type": "tool", "name": "weather"}),
        ({"tool_choice": "required", "parallel_tool_calls": False}, {"type": "any", "disable_parallel_tool_use": True}),
        ({"parallel_tool_calls": True}, {"type": "auto", "disable_parallel_tool_use": False}),
        ({}, None),
    ],
)
async def test_the_choice_of_a_tool_is_sent_with_tools(settings: dict[str, Any], written: Any) -> None:
    turn = HELLO.replace(settings=Settings(**settings))
    assert (await sent(turn.replace(tools=(WEATHER,)))).get("tool_choice") == written
    if settings.get("tool_choice") != "weather":
        assert "tool_choice" not in await sent(turn)


@pytest.mark.parametrize("choice", ["required", "weather"])
async def test_thinking_is_left_out_where_a_tool_must_be_called(choice: str) -> None:
    thinking = Thinking(budget_tokens=2000)
    settings = Settings(tool_choice=choice, thinking=thinking, temperature=0.5)
    body = await sent(HELLO.replace(tools=(WEATHER,), settings=settings))
    assert "thinking" not in body
    assert body["temperature"] == 0.5
    body = await sent(HELLO.replace(tools=(WEATHER,), settings=settings.replace(tool_choice="auto")))
    assert "thinking" in body


@pytest.mark.parametrize(
    ("effort", "written"), [("none", None), ("minimal", "low"), ("low", "low"), ("xhigh", "xhigh"), ("max", "max")]
)
async def test_effort_is_sent_beside_the_format(effort: Any, written: str | None) -> None:
    shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}
    body = await sent(HELLO.replace(settings=Settings(reasoning_effort=effort, response_format=shape)))
    shaped = {"format": {"type": "json_schema", "schema": {}}}
    assert body["output_config"] == (shaped if written is None else {"effort": written, **shaped})


async def test_penalties_are_not_sent() -> None:
    body = await sent(HELLO.replace(settings=Settings(frequency_penalty=0.5, presence_penalty=0.5)))
    assert set(body) == {"model", "messages", "max_tokens"}


async def test_thinking_has_at_least_the_smallest_budget() -> None:
    body = await sent(HELLO.replace(settings=Settings(thinking=Thinking(budget_tokens=100))))
    assert (body["thinking"]["budget_tokens"], body["max_tokens"]) == (1024, 4096 + 1024)
    settings = Settings(thinking=Thinking(budget_tokens=100), max_tokens=1024)
    assert "must be less than max_tokens (1024)" in (await refused(HELLO.replace(settings=settings))).message


@pytest.mark.parametrize(
    ("type", "mode", "written"),
    [
        ("adaptive", None, {"type": "adaptive"}),
        ("adaptive", "adaptive", {"type": "adaptive"}),
        ("disabled", None, {"type": "disabled"}),
        ("disabled", "adaptive", {"type": "disabled"}),
        ("disabled", "budget", {"type": "disabled"}),
    ],
)
async def test_thinking_is_sent_as_its_type(type: Any, mode: str | None, written: dict[str, Any]) -> None:
    settings = Settings(thinking=Thinking(type=type), temperature=0.5)
    body = await sent(HELLO.replace(settings=settings), thinking_mode=mode)
    assert body["thinking"] == written
    assert ("temperature" in body) is (type == "disabled")


async def test_adaptive_thinking_is_refused_where_the_spec_says_that_the_model_has_none() -> None:
    turn = HELLO.replace(settings=Settings(thinking=Thinking(type="adaptive")))
    assert "`thinking_mode` is `budget`" in (await refused(turn, thinking_mode="budget")).message


async def test_thinking_by_budget_and_by_its_own_measure() -> None:
    turn = HELLO.replace(settings=Settings(thinking=Thinking(budget_tokens=2000), temperature=0.5, top_p=0.9))
    body = await sent(turn)
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 2000}
    assert body["max_tokens"] == 6096
    assert not {"temperature", "top_p"} & set(body)
    body = await sent(turn, model="claude-opus-5-5")
    assert (body["thinking"], body["max_tokens"]) == ({"type": "adaptive"}, 4096)
    body = await sent(turn, thinking_mode="adaptive", default_max_tokens=7)
    assert (body["thinking"], body["max_tokens"]) == ({"type": "adaptive"}, 7)


async def test_a_thinking_budget_over_max_tokens_is_refused_here() -> None:
    error = await refused(HELLO.replace(settings=Settings(thinking=Thinking(budget_tokens=2000), max_tokens=2000)))
    assert "budget_tokens (2000) must be less than max_tokens (2000)" in error.message


async def test_models_that_refuse_sampling_are_not_sent_it() -> None:
    turn = HELLO.replace(settings=Settings(temperature=0.5, top_p=0.9))
    assert not {"temperature", "top_p"} & set(await sent(turn, model="claude-opus-4-7"))
    assert (await sent(turn, model="claude-opus-4-7", sampling=True))["temperature"] == 0.5


@pytest.mark.parametrize(
    ("settings", "written"),
    [
        ({"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5}),
        ({"temperature": 0.0, "top_p": 0.9}, {"temperature": 0.0}),
        ({"top_p": 0.9}, {"top_p": 0.9}),
    ],
)
async def test_models_that_refuse_both_sampling_settings_together_get_the_temperature(
    settings: dict[str, Any], written: dict[str, float]
) -> None:
    turn = HELLO.replace(settings=Settings(**settings))
    body = await sent(turn, model="claude-sonnet-4-5")
    assert {key: body[key] for key in ("temperature", "top_p") if key in body} == written
    body = await sent(turn, model="an-older-model")
    assert {key: body[key] for key in ("temperature", "top_p") if key in body} == settings


async def test_consecutive_messages_of_one_role_are_one_message() -> None:
    calls = (ToolCall("a", "x", "{}"), ToolCall("b", "x", "{}"))
    messages = (
        Message("user", "one"),
        Message("user", "two"),
        Message("assistant", "I look.", calls),
        Message("tool", "1", tool_call_id="a"),
        Message("tool", None, tool_call_id="b"),
        Message("user", "go on"),
    )
    assert await told(*messages) == [
        ("user", [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]),
        (
            "assistant",
            [
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "a", "name": "x", "input": {}},
                {"type": "tool_use", "id": "b", "name": "x", "input": {}},
            ],
        ),
        (
            "user",
            [
                {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "1"}]},
                {"type": "tool_result", "tool_use_id": "b"},
                {"type": "text", "text": "go on"},
            ],
        ),
    ]


async def test_nothing_empty_is_sent_and_the_user_comes_first() -> None:
    empty = {"type": "text", "text": "(empty)"}
    assert await told(Message("user", "")) == [("user", [empty])]
    assert await told(Message("user", " \n"), Message("assistant", None), Message("user", "a")) == [
        ("user", [empty, {"type": "text", "text": "a"}])
    ]
    assert await told(Message("assistant", "Welcome!"), Message("user", "a")) == [
        ("user", [empty]),
        ("assistant", [{"type": "text", "text": "Welcome!"}]),
        ("user", [{"type": "text", "text": "a"}]),
    ]


async def test_ids_are_made_unique_and_each_result_goes_with_its_call() -> None:
    messages = (
        Message("user", "x"),
        Message("assistant", None, (ToolCall("call.1", "a", "{}"),)),
        Message("tool", "first", tool_call_id="call.1"),
        Message("assistant", None, (ToolCall("call.1", "a", "{}"),)),
        Message("tool", "second", tool_call_id="call.1"),
        Message("tool", "lost", tool_call_id=""),
    )
    ids = [b.get("id") or b.get("tool_use_id") for _, content in await told(*messages) for b in content[:1]]
    assert ids == [None, "call_1", "call_1", "call_1_2", "call_1_2"]


@pytest.mark.parametrize(
    ("arguments", "input"),
    [("", {}), ('{"a": 1}', {"a": 1}), ("{a: 1", {"arguments": "{a: 1"}), ("[1]", {"arguments": [1]})],
)
async def test_arguments_always_go_as_an_object(arguments: str, input: dict[str, Any]) -> None:
    ((_, _), (_, content)) = await told(
        Message("user", "x"), Message("assistant", None, (ToolCall("1", "a", arguments),))
    )
    assert content[0]["input"] == input


async def test_images_and_files_go_as_their_source() -> None:
    document = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}
    parts = (
        {"type": "text", "text": "What is it?"},
        {"type": "text", "text": ""},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,BBBB", "filename": "a.pdf"}},
        document,
    )
    assert await told(Message("user", parts)) == [
        (
            "user",
            [
                {"type": "text", "text": "What is it?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
                {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "BBBB"}},
                document,
            ],
        )
    ]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_audio", "input_audio": {}},
        {"type": "image_url"},
        {"type": "image_url", "image_url": {"url": "data:image/svg+xml,<svg/>"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64"}},
        {"type": "file", "file": {"file_id": "f1"}},
    ],
)
async def test_a_part_that_the_api_cannot_be_sent_is_refused_here(part: dict[str, Any]) -> None:
    await refused(HELLO.replace(messages=(Message("user", (part,)),)))


async def test_names_that_the_api_refuses_are_changed_and_changed_back() -> None:
    turn = HELLO.replace(tools=(Tool("files.read"),))
    name = (await sent(turn))["tools"][0]["name"]
    call = {"type": "tool_use", "id": "t1", "name": name, "input": {}}
    async with Playback(whole(anthropic_whole([call], "tool_use"))) as server, asking("anthropic", server.url) as model:
        reply = await model.answer(turn)
    assert "." not in name
    assert reply.message.tool_calls[0].name == "files.read"


async def test_the_headers_of_a_request() -> None:
    async with Playback(HI) as server:
        async with asking("anthropic", server.url + "/v1/", headers={"anthropic-beta": "x"}) as model:
            await model.answer(HELLO)
        async with asking("anthropic", server.url, api_key_header="Authorization", version="2030-01-01") as model:
            await model.answer(HELLO)
    first, second = server.asked
    assert first.path == second.path == "/v1/messages"
    assert (first.headers["x-api-key"], first.headers["anthropic-version"]) == (KEY, "2023-06-01")
    assert first.headers["anthropic-beta"] == "x"
    assert "authorization" not in first.headers
    assert (second.headers["authorization"], second.headers["anthropic-version"]) == (f"Bearer {KEY}", "2030-01-01")


async def test_the_body_can_be_extended() -> None:
    assert (await sent(HELLO, extra_body={"service_tier": "auto"}))["service_tier"] == "auto"
