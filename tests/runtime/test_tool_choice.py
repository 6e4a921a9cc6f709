"""`settings.tool_choice`: it holds for a turn's first answer, whichever model gives it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.runtime.stage import Says, Stage, Toolbox, call
from victor_dsl.errors import ModelError
from victor_dsl.values.message import Message
from victor_dsl.values.request import Request
from victor_dsl.values.tool import Tool

ONE = """
models: {main: {type: given}}
tools: [given]
"""
POOL = """
models: {main: {type: pool, members: [eu]}, eu: {type: given, settings: {tool_choice: required}}}
settings: {model: main}
tools: [given]
"""
TWO = """
models: {main: {type: given}, eu: {type: given, settings: {tool_choice: required}}}
settings: {model: main, fallbacks: [eu]}
tools: [given]
"""


def set_up(stage: Stage, name: str, *replies: Any) -> Says:
    async def good(vars: Mapping[str, Any]) -> str:
        return "result"

    model = Says(list(replies))
    stage.objects |= {f"models/{name}": model, "tools/given": Toolbox({"good": good})}
    return model


def choices(model: Says) -> list[str | None]:
    return [turn.settings.tool_choice for turn in model.turns]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("{tool_choice: required}", ["required", None, None]),
        ("{tool_choice: good, max_tool_rounds: 2}", ["good", None, "none"]),
        ("{max_tool_rounds: 1}", [None, "none", "none"]),
        ("{max_tool_rounds: 0}", ["none", "none"]),
        ("{tool_choice: required, max_tool_rounds: 0}", ["required", "none"]),
    ],
)
async def test_the_choice_of_tools_holds_for_the_first_answer_and_none_follows_the_last_round(
    stage: Stage, settings: str, expected: list[str | None]
) -> None:
    model = set_up(stage, "main", *[[call("good")]] * (len(expected) - 1), "done")
    async with stage.orchestrator(ONE + f"settings: {settings}") as orchestrator:
        assert (await orchestrator.chat("go")).message.text() == "done"
    assert choices(model) == expected


async def test_the_callers_tools_may_be_called_after_the_last_round(stage: Stage) -> None:
    model = set_up(stage, "main", [call("good")], [call("theirs")])
    async with stage.orchestrator(ONE + "settings: {max_tool_rounds: 1}") as orchestrator:
        answer = await orchestrator.answer(Request(message="go", tools=(Tool("theirs"),)))
    assert answer.stop_reason == "tool_calls"
    assert choices(model) == [None, None]


async def test_a_pools_member_has_its_own_choice_for_the_first_answer_only(stage: Stage) -> None:
    member = set_up(stage, "eu", [call("good")], [call("good")], "done")
    async with stage.orchestrator(POOL) as orchestrator:
        await orchestrator.chat("go")
    assert choices(member) == ["required", None, None]


@pytest.mark.parametrize(
    ("first", "expected"), [([], ["required", None]), ([[call("good")]], [None, None])], ids=["at once", "later"]
)
async def test_a_fallback_has_its_own_choice_for_the_first_answer_only(
    stage: Stage, first: list[Any], expected: list[str | None]
) -> None:
    set_up(stage, "main", *first, ModelError("no", kind="overloaded"))
    spare = set_up(stage, "eu", [call("good")], "done")
    async with stage.orchestrator(TWO) as orchestrator:
        await orchestrator.chat("go")
    assert choices(spare) == expected


@pytest.mark.parametrize(("requested", "expected"), [({}, None), ({"tool_choice": "required"}, "required")])
async def test_the_answer_to_the_results_of_the_callers_tools_is_free(
    stage: Stage, requested: Mapping[str, str], expected: str | None
) -> None:
    model = set_up(stage, "main", "done")
    result = Message("tool", "sunny", tool_call_id="c1", name="theirs")
    messages = (Message("user", "go"), Message("assistant", None, (call("theirs"),)), result)
    spec = ONE + "settings: {tool_choice: required}\nrequest: [tool_choice]"
    async with stage.orchestrator(spec) as orchestrator:
        answer = await orchestrator.answer(Request(messages=messages, tools=(Tool("theirs"),), settings=requested))
    assert answer.error is None
    assert choices(model) == [expected]
