"""What a turn that fails or is cancelled leaves behind: in its session, and in its events."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from tests.runtime.stage import Gate, Says, Spy, Stage, Toolbox, call
from victor_dsl.errors import ModelError
from victor_dsl.values.message import Delta, Reply, Usage
from victor_dsl.values.request import Request
from victor_dsl.values.turn import Turn

ONE = """
models: {main: {type: given, input_usd_per_million: 1, output_usd_per_million: 10}}
tools: [given]
exporters: [given]
"""
DOWN = ModelError("down", kind="overloaded", status=500)


def set_up(stage: Stage, *replies: Any, gate: Gate | None = None) -> tuple[Says, Toolbox, Spy]:
    async def charge(vars: Mapping[str, Any]) -> str:
        if gate is not None:
            await gate.pass_through()
        return "charged"

    model, tools, spy = Says(list(replies)), Toolbox({"charge": charge}), Spy()
    stage.objects |= {"models/main": model, "tools/given": tools, "exporters/given": spy}
    return model, tools, spy


def said(turn: Turn) -> list[tuple[str, str]]:
    return [(message.role, message.text()) for message in turn.messages]


CHARGED = [("user", "charge 5"), ("assistant", ""), ("tool", "charged"), ("assistant", "[the turn failed here]")]


@pytest.mark.parametrize("store", ["{type: memory}", "{type: sqlite}"])
async def test_what_a_failed_turn_did_is_remembered(stage: Stage, store: str) -> None:
    model, _, _ = set_up(stage, [call("charge")], DOWN, "yes")
    async with stage.orchestrator(ONE + f"sessions: {store}") as orchestrator:
        with pytest.raises(ModelError):
            await orchestrator.chat("charge 5", session_id="s")
        await orchestrator.chat("did you charge?", session_id="s")
    assert said(model.turns[-1]) == [*CHARGED, ("user", "did you charge?")]


async def test_a_failed_turn_that_called_no_tool_leaves_nothing(stage: Stage) -> None:
    model, _, _ = set_up(stage, DOWN, "yes")
    async with stage.orchestrator(ONE) as orchestrator:
        with pytest.raises(ModelError):
            await orchestrator.chat("hello", session_id="s")
        await orchestrator.chat("again", session_id="s")
    assert said(model.turns[-1]) == [("user", "again")]


@pytest.mark.parametrize("store", ["{type: memory}", "{type: sqlite}"])
async def test_another_try_of_the_same_turn_sees_what_was_done_and_is_stored(stage: Stage, store: str) -> None:
    model, tools, _ = set_up(stage, [call("charge")], DOWN, [call("charge")], DOWN, "it is charged", "yes")
    request = Request(message="charge 5", session="s", turn_id="t1")
    async with stage.orchestrator(ONE + f"sessions: {store}") as orchestrator:
        for _ in range(2):
            assert (await orchestrator.answer(request)).error is not None
        assert (await orchestrator.answer(request)).text == "it is charged"
        assert said(model.turns[-1]) == [*CHARGED, *CHARGED, ("user", "charge 5")]
        await orchestrator.answer(request)  # its place in the history stays the same
        assert said(model.turns[-1]) == [*CHARGED, *CHARGED, ("user", "charge 5")]
        await orchestrator.chat("and now?", session_id="s")
    assert said(model.turns[-1])[8:] == [("user", "charge 5"), ("assistant", "it is charged"), ("user", "and now?")]
    assert len(tools.called) == 2


async def test_a_cancelled_turn_that_called_a_tool_is_remembered(stage: Stage) -> None:
    gate = Gate()
    model, _, spy = set_up(stage, [call("charge")], "yes", gate=gate)
    async with stage.orchestrator(ONE) as orchestrator:
        task = asyncio.create_task(orchestrator.chat("charge 5", session_id="s"))
        await gate.reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await orchestrator.chat("did you?", session_id="s")
    result = ("tool", "Error: the turn failed before this tool's result was known.")
    assert said(model.turns[-1]) == [*CHARGED[:2], result, CHARGED[3], ("user", "did you?")]
    assert spy.data("turn")[0]["stop_reason"] == "cancelled"
    assert spy.data("turn")[0]["output_tokens"] == 5


async def test_a_redacted_failed_turn_is_stored_redacted(stage: Stage) -> None:
    model, _, _ = set_up(stage, [call("charge", '{"to": "ann@example.org"}')], DOWN, "yes")
    async with stage.orchestrator(ONE + "middleware: [redact]") as orchestrator:
        with pytest.raises(ModelError):
            await orchestrator.chat("charge ann@example.org", session_id="s")
        await orchestrator.chat("did you?", session_id="s")
    first = model.turns[-1].messages[0].text()
    assert "ann" not in first


async def failed(stage: Stage, *replies: Any) -> tuple[Reply, Spy]:
    async def ignore(delta: Delta) -> None:
        """Nobody looks."""

    _, _, spy = set_up(stage, *replies)
    async with stage.orchestrator(ONE) as orchestrator:
        return await orchestrator.answer(Request(message="go " * 40), ignore), spy


async def test_a_failed_call_records_the_usage_that_was_reported(stage: Stage) -> None:
    error = ModelError("down", kind="overloaded", usage=Usage(2500, 40, 0.003))
    answer, spy = await failed(stage, error)
    assert (answer.usage, answer.model) == (Usage(2500, 40, 0.003), "main")
    for type in ("model_call", "token_usage"):
        [data] = spy.data(type)
        assert (data["input_tokens"], data["output_tokens"]) == (2500, 40)
        assert "estimated" not in data
    assert spy.data("model_call")[0]["cost_usd"] == 0.003


async def test_a_failed_call_that_streamed_text_has_an_estimate(stage: Stage) -> None:
    async def torn(turn: Turn) -> Any:
        await turn.emit(Delta("word " * 40))
        return DOWN

    answer, spy = await failed(stage, torn)
    [data] = spy.data("model_call")
    assert (data["estimated"], data["output_tokens"]) == (True, 50)
    assert data["input_tokens"] > 30
    assert data["cost_usd"] == pytest.approx((data["input_tokens"] + 500) / 1e6)
    assert answer.usage.estimated
    [turn] = spy.data("turn")
    assert (turn["model"], turn["output_tokens"]) == ("main", 50)


async def test_a_refused_call_used_nothing(stage: Stage) -> None:
    answer, spy = await failed(stage, DOWN)
    assert answer.usage == Usage()
    assert spy.data("token_usage") == []


async def test_a_cancelled_call_is_a_model_call_and_a_turn(stage: Stage) -> None:
    gate = Gate()

    async def slow(turn: Turn) -> Any:
        await turn.emit(Delta("word " * 40))
        await gate.pass_through()

    _, _, spy = set_up(stage, slow)
    async with stage.orchestrator(ONE) as orchestrator:
        task = asyncio.create_task(orchestrator.chat("go " * 40))
        await gate.reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    [data], [turn] = spy.data("model_call"), spy.data("turn")
    assert (data["error"], data["output_tokens"], data["estimated"]) == ("cancelled", 50, True)
    assert (turn["stop_reason"], turn["model"], turn["output_tokens"]) == ("cancelled", "main", 50)
