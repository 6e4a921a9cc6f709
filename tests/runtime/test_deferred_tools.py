"""Deferred tools: the model searches for definitions, and everything but the wire sees the real tool's name and arguments."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.components.models.playback import Playback, whole
from tests.components.models.recorded import anthropic_whole
from tests.components.models.test_tool_search import SEARCHED
from tests.runtime.stage import Says, Spy, Stage, Toolbox
from victor_dsl.compiler import compile_spec
from victor_dsl.runtime.deferred_tools import CALL_TOOL, FIND_TOOLS
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.values.message import Message, Reply, ToolCall, Usage
from victor_dsl.values.request import Request
from victor_dsl.values.tool import Tool

SPEC = """
models: {main: {type: given}}
tools: [{type: given, name: box}]
exporters: [{type: given}]
sessions: {type: sqlite, path: sessions.db}
tool_selection: {type: deferred, k: 2}
"""
SUBJECTS = ("weather", "invoice", "parcel", "flight")


def find(query: str, id: str = "f") -> ToolCall:
    return ToolCall(id, "find_tools", json.dumps({"query": query}))


def call(name: str, arguments: Any = None, id: str = "c") -> ToolCall:
    return ToolCall(id, "call_tool", json.dumps({"name": name, "arguments": {} if arguments is None else arguments}))


def stage_of(folder: Path, *replies: Any) -> tuple[Stage, Says, Spy, Toolbox]:
    async def found(arguments: Mapping[str, Any]) -> str:
        return f"found {json.dumps(arguments)}"

    box = Toolbox({f"look_up_{subject}": found for subject in SUBJECTS}, "tools/box")
    box.listed = [Tool(f"look_up_{subject}", f"Looks up the {subject}.", source="tools/box") for subject in SUBJECTS]
    model, spy = Says([*replies, "done"]), Spy()
    return Stage(folder, {"models/main": model, "tools/box": box, "exporters/given": spy}), model, spy, box


async def run(stage: Stage, *messages: str, spec: str = SPEC, **fields: Any) -> list[Any]:
    async with stage.orchestrator(spec) as orchestrator:
        return [await orchestrator.answer(Request(message=text, session="s", **fields)) for text in messages]


def results(model: Says, nth: int) -> list[str]:
    return [message.text() for message in model.turns[nth].messages if message.role == "tool"]


async def test_a_model_finds_a_tool_and_calls_it_and_all_else_sees_the_tool(tmp_path: Path) -> None:
    stage, model, spy, box = stage_of(tmp_path, [find("weather forecast")], [call("look_up_weather", {"in": "Rome"})])
    (answer,) = await run(stage, "hi")
    assert answer.text == "done"
    assert [(c.name, c.arguments) for c in box.called] == [("look_up_weather", '{"in":"Rome"}')]
    (definitions,) = results(model, 1)
    assert '"name":"look_up_weather"' in definitions.splitlines()[1]
    assert [event["tool"] for event in spy.data("tool_call")] == ["find_tools", "look_up_weather"]
    assert spy.data("turn")[0]["tools"]["used"] == ["look_up_weather"]


async def test_every_request_has_the_same_two_tools_and_begins_as_the_one_before(tmp_path: Path) -> None:
    replies = ([find("weather")], [call("look_up_weather")], "fine", [call("look_up_weather")], [find("parcel")])
    stage, model, _, _ = stage_of(tmp_path, *replies)
    await run(stage, "one", "two")
    assert {turn.tools for turn in model.turns} == {(FIND_TOOLS, CALL_TOOL)}
    for before, after in zip(model.turns, model.turns[1:], strict=False):
        assert after.messages[: len(before.messages)] == before.messages
    sent = [call for message in model.turns[-1].messages for call in message.tool_calls]
    assert {call.name for call in sent} == {"find_tools", "call_tool"}
    assert json.loads(sent[1].arguments) == {"name": "look_up_weather", "arguments": {}}


async def test_the_session_has_the_real_calls(tmp_path: Path) -> None:
    stage, _, _, _ = stage_of(tmp_path, [find("weather")], [call("look_up_weather", {"in": "Rome"})])
    await run(stage, "one")
    async with stage.orchestrator(SPEC) as orchestrator:
        rendered = await orchestrator.render(Request(message="two", session="s"))
    calls = [(c.name, c.arguments) for message in rendered.messages for c in message.tool_calls]
    assert calls == [("find_tools", '{"query": "weather"}'), ("look_up_weather", '{"in":"Rome"}')]
    assert rendered.sent_tools == tuple(f"look_up_{subject}" for subject in SUBJECTS)
    assert len(rendered.tools) == 2
    assert rendered.tokens.tools == FIND_TOOLS.tokens + CALL_TOOL.tokens


async def test_what_was_found_stays_found_in_another_process(tmp_path: Path) -> None:
    await run(stage_of(tmp_path, [find("weather")])[0], "one")
    stage, _, _, box = stage_of(tmp_path, [call("look_up_weather")])
    await run(stage, "two")
    assert len(box.called) == 1


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        (call("look_up_parcel"), "the tool 'look_up_parcel' was not found in this conversation yet; search"),
        (ToolCall("c", "look_up_parcel", "{}"), "was not found in this conversation yet"),
        (call("look_up_parsel"), "there is no tool 'look_up_parsel'"),
        (call("secret"), "the tool 'secret' is not allowed"),
        (ToolCall("c", "call_tool", '{"arguments": {}}'), "call_tool needs the `name` of a tool"),
        (ToolCall("c", "call_tool", "[]"), "call_tool needs the `name` of a tool"),
        (ToolCall("c", "call_tool", '{"name": 5}'), "call_tool needs the `name` of a tool"),
        (ToolCall("c", "call_tool", '{"name": "call_tool"}'), "call_tool needs the `name` of a tool"),
        (ToolCall("c", "call_tool", '{"name": "look_up_wea'), "call_tool needs the `name` of a tool"),
        (ToolCall("c", "find_tools", "{}"), "find_tools needs a `query`"),
        (ToolCall("c", "find_tools", '{"query": " "}'), "find_tools needs a `query`"),
        (call("look_up_weather", [1]), "the arguments of 'look_up_weather' are not a JSON object"),
        (call("look_up_weather", "{oops"), "the arguments of 'look_up_weather' are not JSON"),
    ],
)
async def test_a_wrong_call_is_refused_in_words_that_help(tmp_path: Path, asked: ToolCall, error: str) -> None:
    stage, model, spy, box = stage_of(tmp_path, [find("weather")], [asked])
    await run(
        stage, "hi", spec=f"{SPEC}settings: {{k: 1, limits: {{tools: {{deny: [secret]}}}}}}".replace(", k: 2", "")
    )
    assert results(model, 2)[1].startswith("Error: ")
    assert error in results(model, 2)[1]
    assert not box.called
    assert spy.data("tool_call")[1]["ok"] is False


async def test_a_call_that_was_refused_finds_nothing_for_the_turns_after_it(tmp_path: Path) -> None:
    wrong = ToolCall("w", "call_tool", '{"arguments": {}}')
    stage, model, _, box = stage_of(tmp_path, [call("look_up_parcel"), wrong], "no", [call("look_up_parcel")])
    await run(stage, "one", "two")
    assert "was not found in this conversation yet" in results(model, 3)[-1]
    assert not box.called
    assert wrong in [call for message in model.turns[3].messages for call in message.tool_calls]


@pytest.mark.parametrize("arguments", ['{"in": "Rome"}', {"in": "Rome"}])
async def test_arguments_may_be_an_object_or_its_text(tmp_path: Path, arguments: Any) -> None:
    stage, _, _, box = stage_of(tmp_path, [find("weather")], [call("look_up_weather", arguments)])
    await run(stage, "hi")
    assert json.loads(box.called[0].arguments) == {"in": "Rome"}


async def test_a_denied_tool_is_neither_found_nor_called(tmp_path: Path) -> None:
    stage, model, _, box = stage_of(tmp_path, [find("look up weather")], [call("look_up_weather")])
    await run(stage, "hi", spec=f"{SPEC}settings: {{limits: {{tools: {{deny: [look_up_weather]}}}}}}")
    assert "look_up_weather" not in results(model, 1)[0]
    assert "is not allowed" in results(model, 2)[1]
    assert not box.called


async def test_allowed_globs_are_about_the_real_tools(tmp_path: Path) -> None:
    stage, _, _, box = stage_of(tmp_path, [find("weather")], [call("look_up_weather")])
    await run(stage, "hi", spec=f"{SPEC}settings: {{limits: {{tools: {{allow: [look_up_weather]}}}}}}")
    assert len(box.called) == 1


async def test_a_call_that_was_cut_off_is_not_made(tmp_path: Path) -> None:
    cut = Message("assistant", None, (ToolCall("c", "call_tool", '{"name": "look_up_weather"}'),))
    stage, model, _, box = stage_of(tmp_path, [find("weather")], Reply(cut, Usage(1, 1), "length"))
    await run(stage, "hi")
    assert "was cut off" in results(model, 2)[1]
    assert not box.called


async def test_a_search_that_finds_nothing_names_some_tools(tmp_path: Path) -> None:
    stage, model, _, _ = stage_of(tmp_path, [find("xyzzy qwrt")])
    await run(stage, "hi")
    assert results(model, 1)[0].startswith("No tool matches. Search in other words; some of the tools are: look_up_w")


async def test_the_callers_own_tools_come_back_under_their_names(tmp_path: Path) -> None:
    stage, _, _, _ = stage_of(tmp_path, [find("open door")], [call("open_door", {"nr": 7})])
    (answer,) = await run(stage, "hi", tools=(Tool("open_door", "Opens a door."),))
    assert answer.stop_reason == "tool_calls"
    assert [(c.name, c.arguments) for c in answer.message.tool_calls] == [("open_door", '{"nr":7}')]


async def test_a_reserved_name_is_refused(tmp_path: Path) -> None:
    stage, _, _, _ = stage_of(tmp_path)
    (answer,) = await run(stage, "hi", tools=(Tool("find_tools"),))
    assert answer.error is not None
    assert "no tool can have the name 'find_tools'" in answer.error.message


async def test_a_tool_that_must_be_called_has_to_be_found_first(tmp_path: Path) -> None:
    stage, model, _, _ = stage_of(tmp_path, [find("weather")])
    await run(stage, "hi", spec=f"{SPEC}settings: {{tool_choice: look_up_weather}}")
    assert model.turns[0].settings.tool_choice == "required"
    assert model.turns[1].settings.tool_choice is None


async def test_another_strategy_may_search(tmp_path: Path) -> None:
    stage, model, _, _ = stage_of(tmp_path, [find("weather")])
    spec = SPEC.replace("{type: deferred, k: 2}", "{type: deferred, search: {type: given}}")

    class Last:
        async def select(self, tools: Sequence[Tool], turn: Any) -> Sequence[Tool]:
            assert turn.settings.k == 5
            return tools[-1:]

    stage.objects["tool_selection/deferred.search"] = Last()
    await run(stage, "hi", spec=spec)
    assert "look_up_flight" in results(model, 1)[0]


DESK = """
def weather(city: str) -> str:
    \"\"\"The weather of a city.\"\"\"
    return f"Rain in {city}."
"""


async def test_a_provider_that_loads_tools_searches_itself(tmp_path: Path) -> None:
    stage, _, spy, _ = stage_of(tmp_path)
    (tmp_path / "deferred_desk.py").write_text(DESK, encoding="utf-8")
    answers = anthropic_whole(SEARCHED, "tool_use"), anthropic_whole([{"type": "text", "text": "It rains."}])
    async with Playback(*map(whole, answers)) as server:
        spec = f"""
        models: {{main: {{type: anthropic, model: m, base_url: "{server.url}", api_key: "${{env:KEY}}", tool_search: true, stream: false}}}}
        tools: [{{type: python, name: weather, function: "deferred_desk:weather"}}]
        exporters: [{{type: given}}]
        tool_selection: deferred
        sessions: memory
        """
        path = tmp_path / "victor.yml"
        path.write_text("victor: 1\nname: loads\n" + textwrap.dedent(spec), encoding="utf-8")
        program = compile_spec(str(path), environment={"KEY": "k"}, registry=stage.registry).program
        assert program is not None
        async with Orchestrator(program, registry=stage.registry) as orchestrator:
            answer = await orchestrator.answer(Request(message="Rome?", session="s"))
    assert answer.text == "It rains."
    assert server.asked[0].body["tools"][0]["defer_loading"] is True
    assert server.asked[1].body["messages"][1]["content"] == SEARCHED
    assert server.asked[1].body["messages"][2]["content"][0]["content"][0]["text"] == "Rain in Rome."
    (event,) = spy.data("tool_call")
    assert (event["tool"], event["ok"]) == ("weather", True)


@pytest.mark.parametrize("count", [128, 129])
async def test_more_tools_than_a_model_accepts_are_an_error_before_the_call(tmp_path: Path, count: int) -> None:
    path = tmp_path / "victor.yml"
    path.write_text(
        "victor: 1\nname: many\nmodels: {main: {type: openai, model: gpt-6-luna, api_key: '${env:KEY}', timeout_seconds: 0.000001}}\n"
        "tool_selection: all\nsessions: memory\n",
        encoding="utf-8",
    )
    program = compile_spec(str(path), environment={"KEY": "k"}).program
    assert program is not None
    async with Orchestrator(program) as orchestrator:
        tools = tuple(Tool(f"tool_{nth}") for nth in range(count))
        answer = await orchestrator.answer(Request(message="hi", tools=tools))
    assert answer.error is not None
    said = str(answer.error)
    assert ("129 tools are offered, but the model accepts 128" in said) is (count == 129)
    assert ("tool_selection" in said) is (count == 129)
