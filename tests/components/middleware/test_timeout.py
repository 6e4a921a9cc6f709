"""What takes too long ends, as the place that is wrapped understands it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.components.middleware.harness import a_turn, harness
from victor_dsl.errors import ComponentError, ModelError, TimedOut, ToolError
from victor_dsl.values.message import Reply, ToolCall
from victor_dsl.values.turn import Turn


async def hang(turn: Turn) -> Reply:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize(
    ("around", "error", "message"),
    [
        (None, TimedOut, "middleware/timeout: the turn did not end within 0.001 s"),
        ("model", ModelError, "models/main: did not answer within 0.001 s"),
        ("tool", ToolError, "middleware/timeout: the tool 'pay' gave no result within 0.001 s"),
    ],
)
async def test_a_recipe_5_guard_that_hangs_is_ended(
    tmp_path: Path, around: str | None, error: type[ComponentError], message: str
) -> None:
    config: dict[str, Any] = {"around": around} if around else {}
    async with harness("timeout", tmp_path, hang, seconds=0.001, **config) as guard:
        with pytest.raises(error) as caught:
            await guard(a_turn(call=ToolCall("c1", "pay", "{}") if around == "tool" else None))
        assert str(caught.value) == message
        if isinstance(caught.value, ModelError):
            assert caught.value.transient


async def test_a_call_within_the_limit_is_unchanged_and_has_a_deadline(tmp_path: Path) -> None:
    async with harness("timeout", tmp_path) as guard:
        reply = await guard(a_turn())
        assert reply.message.text() == "hello"
        assert guard.reached[0].deadline is not None
        await guard(a_turn(deadline=1.0))
        assert guard.reached[1].deadline == 1.0


async def test_an_inner_timeout_error_is_passed_on(tmp_path: Path) -> None:
    async def own(turn: Turn) -> Reply:
        raise TimeoutError("mine")

    async with harness("timeout", tmp_path, own) as guard:
        with pytest.raises(TimeoutError, match="mine"):
            await guard(a_turn())


async def test_cancellation_passes_through(tmp_path: Path) -> None:
    async with harness("timeout", tmp_path, hang) as guard:
        task = asyncio.ensure_future(guard(a_turn()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
