"""The log's lines, and what is not in them."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from tests.components.context import Surroundings, surroundings
from victor_dsl.components.middleware.logging import Config, build
from victor_dsl.errors import ModelError
from victor_dsl.values.message import Delta, Message, Reply, ToolCall, Usage
from victor_dsl.values.turn import Handler, Turn

TURN = Turn(id="t1", session="s1", tenant="acme", messages=(Message("user", "my card is 4111"),))
REPLY = Reply(Message("assistant", "the secret is 42"), Usage(310, 42, 0.01), model="main")


@pytest.fixture
def around(tmp_path: Path) -> Surroundings:
    return surroundings(tmp_path, "middleware/audit")


def wrapped(around: Surroundings, outcome: Any, /, **config: Any) -> Handler:
    async def handler(turn: Turn) -> Reply:
        around.clock.time += 0.8124
        await turn.emit(Delta("the"))
        if isinstance(outcome, BaseException):
            raise outcome
        assert isinstance(outcome, Reply)
        return outcome

    return build(Config.model_validate(config), around.context).wrap(handler)


async def test_a_turn_is_one_line_without_its_contents(around: Surroundings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert await wrapped(around, REPLY)(TURN) is REPLY
    line = "turn session=s1 tenant=acme id=t1 ms=812.4 outcome=stop model=main input_tokens=310 output_tokens=42"
    assert caplog.record_tuples == [("victor.audit", logging.INFO, f"{line} cost_usd=0.01")]


async def test_contents_are_logged_only_when_asked_for_and_only_their_beginning(
    around: Surroundings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await wrapped(around, Reply(Message("assistant", "x" * 1000)), contents=True)(TURN)
    (record,) = caplog.records
    assert record.getMessage().endswith(f'answer="{"x" * 200}\\u2026" message="my card is 4111"')


async def test_an_error_is_logged_by_its_kind_and_raised_again(
    around: Surroundings, caplog: pytest.LogCaptureFixture
) -> None:
    error = ModelError("key sk-123 is wrong", kind="authentication")
    with pytest.raises(ModelError) as caught:
        await wrapped(around, error, level="debug")(TURN)
    assert caught.value is error
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().endswith("outcome=error error=model-authentication")
    with pytest.raises(KeyError):
        await wrapped(around, KeyError("sk-123"))(TURN)
    assert "sk-123" not in caplog.text


async def test_a_cancelled_turn_is_logged_and_stays_cancelled(
    around: Surroundings, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(asyncio.CancelledError):
        await wrapped(around, asyncio.CancelledError())(TURN)
    assert "outcome=cancelled" in caplog.text


async def test_a_tool_call_is_logged_without_its_arguments(
    around: Surroundings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    turn = TURN.replace(call=ToolCall("c1", "pay", '{"card": "4111"}'))
    await wrapped(around, REPLY, around="tool")(turn)
    assert caplog.records[0].getMessage().startswith("tool session=s1 tenant=acme id=t1 tool=pay ms=")
    assert "4111" not in caplog.text


async def test_a_caller_cannot_forge_a_line(around: Surroundings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    await wrapped(around, REPLY)(TURN.replace(session='s1\nturn session="s2" \x1b[31m'))
    message = caplog.records[0].getMessage()
    assert message.startswith('turn session="s1\\nturn session=\\"s2\\" \\u001b[31m" tenant=acme')


async def test_streams_pass_untouched(around: Surroundings) -> None:
    heard: list[Delta] = []

    async def emit(delta: Delta) -> None:
        heard.append(delta)

    await wrapped(around, REPLY)(TURN.replace(emit=emit, streaming=True))
    assert heard == [Delta("the")]


async def test_a_disabled_level_logs_nothing(around: Surroundings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    await wrapped(around, REPLY, level="debug")(TURN)
    assert caplog.records == []
