"""Deferred tools on the wire of the APIs that load them: what is sent, what comes back, and what goes back next time."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from pydantic import TypeAdapter

from tests.components.models.asking import HELLO, WEATHER, Listener, asking
from tests.components.models.playback import Playback, events, streamed, whole
from tests.components.models.recorded import (
    ANTHROPIC_START,
    anthropic_end,
    anthropic_whole,
    block,
    called,
    reasoned,
    response,
    spoken,
    wrote,
)
from tests.interop.typed import faults
from victor_dsl.components.models import anthropic, openai
from victor_dsl.language.config import Secret
from victor_dsl.values.message import Message, Reply
from victor_dsl.values.settings import Settings
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import DeferredTools, Turn

SPACED = Tool("a tool with spaces", "Does things.")
SEARCH = {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"}
USED = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "tool_search_tool_bm25", "input": {"query": "weather"}}
FOUND = {
    "type": "tool_search_tool_result",
    "tool_use_id": "srvtoolu_1",
    "content": {
        "type": "tool_search_tool_search_result",
        "tool_references": [{"type": "tool_reference", "tool_name": "weather"}],
    },
}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome"}}
SAYS = {"type": "text", "text": "I look."}
SEARCHED: list[dict[str, Any]] = [SAYS, USED, FOUND, CALL]
RESULT = Message("tool", "Rain.", tool_call_id="toolu_1", name="weather")


async def _find(query: str, turn: Turn) -> list[Tool]:
    raise AssertionError(f"the provider searches itself: {query}, {turn.id}")


def deferring(*tools: Tool, **changes: Any) -> Turn:
    return HELLO.replace(tools=(), deferred=DeferredTools(tools or (WEATHER, SPACED), _find)).replace(**changes)


def _faults(values: list[Any], type: Any) -> list[str]:
    return [fault for value in values for fault in faults(value, type)]


async def exchanged(type: str, answer: Any, turn: Turn, **fields: Any) -> tuple[dict[str, Any], Reply]:
    async with Playback(whole(answer)) as server, asking(type, server.url, stream=False, **fields) as model:
        reply = await model.answer(turn)
        return server.asked[0].body, reply


async def test_anthropic_gets_definitions_to_load_later_and_its_search_tool_last() -> None:
    body, _ = await exchanged("anthropic", anthropic_whole([SAYS]), deferring())
    assert [tool.get("defer_loading") for tool in body["tools"]] == [True, True, None]
    assert body["tools"][0]["name"] == "weather"
    assert body["tools"][-1] == {**SEARCH, "cache_control": {"type": "ephemeral"}}
    types: Any = pytest.importorskip("anthropic.types")
    assert not _faults(body["tools"], types.ToolUnionParam)


async def test_an_answer_of_anthropic_with_a_search_goes_back_as_it_was() -> None:
    types: Any = pytest.importorskip("anthropic.types")
    types.Message.model_validate(anthropic_whole(SEARCHED, "tool_use"))
    _, reply = await exchanged("anthropic", anthropic_whole(SEARCHED, "tool_use"), deferring())
    assert [(call.name, call.arguments) for call in reply.message.tool_calls] == [("weather", '{"city":"Rome"}')]
    assert reply.message.text() in ("", "I look.")
    turn = deferring(messages=(*HELLO.messages, reply.message, RESULT))
    body, _ = await exchanged("anthropic", anthropic_whole([SAYS]), turn, prompt_cache=False)
    assert body["messages"][1]["content"] == SEARCHED
    assert body["messages"][2]["content"][0]["tool_use_id"] == "toolu_1"
    assert not _faults(body["messages"], types.MessageParam)


async def test_a_streamed_search_is_put_together() -> None:
    stream = events(
        ANTHROPIC_START,
        *block(0, {**USED, "input": {}}, wrote('{"query": '), wrote('"weather"}')),
        *block(1, FOUND),
        *block(2, {**CALL, "input": {}}, wrote('{"city": "Rome"}')),
        *anthropic_end("tool_use"),
        names=True,
    )
    async with Playback(streamed(stream, "end")) as server, asking("anthropic", server.url) as model:
        reply = await model.answer(Listener().to(deferring()))
    assert reply.message.extra == {"content_blocks": [USED, FOUND, CALL]}
    assert reply.message.written_by == "test-model"


@pytest.mark.parametrize(
    ("change", "turn"),
    [
        ({"written_by": "another-model"}, {}),
        ({"content": "Something else."}, {}),
        ({"tool_calls": ()}, {}),
        ({"extra": {"content_blocks": "oops"}}, {}),
        ({"extra": {"content_blocks": [5]}}, {}),
        ({"extra": {"content_blocks": [{"type": "image"}]}}, {}),
        ({"extra": {"content_blocks": [{"type": "text", "text": 5}]}}, {}),
        ({}, {"deferred": None}),
    ],
)
async def test_what_is_not_this_models_own_search_is_sent_without_it(
    change: dict[str, Any], turn: dict[str, Any]
) -> None:
    _, reply = await exchanged("anthropic", anthropic_whole(SEARCHED, "tool_use"), deferring())
    message = evolve(reply.message, **change)
    messages = (*HELLO.messages, message, *([RESULT] if message.tool_calls else [Message("user", "And?")]))
    body, _ = await exchanged("anthropic", anthropic_whole([SAYS]), deferring(messages=messages, **turn))
    kinds = {part["type"] for sent in body["messages"] for part in sent["content"]}
    assert kinds <= {"text", "tool_use", "tool_result"}


async def test_a_reference_to_a_tool_that_is_gone_is_left_out() -> None:
    _, reply = await exchanged("anthropic", anthropic_whole(SEARCHED, "tool_use"), deferring())
    turn = deferring(SPACED, messages=(*HELLO.messages, reply.message, RESULT))
    body, _ = await exchanged("anthropic", anthropic_whole([SAYS]), turn, prompt_cache=False)
    assert body["messages"][1]["content"][2]["content"]["tool_references"] == []


@pytest.mark.parametrize(("choice", "sent"), [("required", "any"), ("none", "none")])
async def test_a_choice_holds_for_deferred_tools(choice: str, sent: str) -> None:
    body, _ = await exchanged("anthropic", anthropic_whole([SAYS]), deferring(settings=Settings(tool_choice=choice)))
    assert body["tool_choice"]["type"] == sent


async def test_a_name_that_the_api_refuses_comes_back_as_the_specs() -> None:
    body, _ = await exchanged("anthropic", anthropic_whole([SAYS]), deferring())
    call = {**CALL, "name": body["tools"][1]["name"]}
    _, reply = await exchanged("anthropic", anthropic_whole([call], "tool_use"), deferring())
    assert reply.message.tool_calls[0].name == "a tool with spaces"


SEARCH_ITEMS: list[dict[str, Any]] = [
    {
        "type": "tool_search_call",
        "id": "ts_1",
        "arguments": {"query": "w"},
        "execution": "server",
        "status": "completed",
    },
    {
        "type": "tool_search_output",
        "id": "to_1",
        "execution": "server",
        "status": "completed",
        "tools": [{"type": "function", "name": "weather", "parameters": {}, "strict": False, "defer_loading": True}],
    },
]


async def test_the_responses_api_gets_its_search_tool_and_its_items_back() -> None:
    items: list[dict[str, Any]] = [reasoned(), *SEARCH_ITEMS, called("weather", '{"city": "Rome"}', "c")]
    types: Any = pytest.importorskip("openai.types.responses")
    types.Response.model_validate(response(items))
    body, reply = await exchanged("responses", response(items), deferring())
    assert [tool.get("defer_loading") for tool in body["tools"]] == [True, True, None]
    assert body["tools"][-1] == {"type": "tool_search"}
    assert not _faults(body["tools"], types.ToolParam)
    assert reply.message.tool_calls[0].name == "weather"
    messages = (*HELLO.messages, reply.message, Message("tool", "Rain.", tool_call_id="c"))
    body, _ = await exchanged("responses", response([spoken("Hi.")]), deferring(messages=messages))
    assert [item.get("type") for item in body["input"]][1:] == [
        "reasoning",
        "tool_search_call",
        "tool_search_output",
        "function_call",
        "function_call_output",
    ]
    assert not _faults(body["input"], types.ResponseInputItemParam)
    body, _ = await exchanged("responses", response([spoken("Hi.")]), HELLO.replace(messages=messages))
    assert "tool_search_call" not in {item.get("type") for item in body["input"]}


def test_the_catalogue_says_which_models_load_tools() -> None:
    def loads(module: Any, **fields: Any) -> bool:
        return bool(module.Config.model_validate({"api_key": Secret("env", "KEY"), **fields}).loads_tools())

    assert loads(anthropic, model="claude-sonnet-5-5")
    assert not loads(anthropic, model="claude-sonnet-5-5", base_url="http://127.0.0.1:4000")
    assert loads(anthropic, model="claude-sonnet-5-5", base_url="http://127.0.0.1:4000", tool_search=True)
    assert not loads(anthropic, model="claude-sonnet-5-5", tool_search=False)
    assert not loads(openai, model="gpt-5.4")
    assert loads(openai, model="gpt-5.4", api="responses")
    assert not loads(openai, model="gpt-4.1", api="responses")
    with pytest.raises(ValueError, match="needs `api: responses`"):
        loads(openai, model="gpt-5.4", tool_search=True)


def test_the_mocks_are_true() -> None:
    types: Any = pytest.importorskip("anthropic.types")
    adapter: TypeAdapter[Any] = TypeAdapter(types.ContentBlock)
    for one in SEARCHED:
        adapter.validate_python(one)
