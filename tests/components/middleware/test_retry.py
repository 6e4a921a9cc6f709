"""What may pass by itself is tried again, and nothing else."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest

from tests.components.middleware.harness import Answer, Heard, a_reply, a_turn, harness
from victor_dsl.errors import ModelError, ModelErrorKind, Refused
from victor_dsl.values.message import Delta, Message, Reply
from victor_dsl.values.turn import Trace, Turn


def failing(*errors: BaseException) -> Answer:
    """Fails with one after the other, then answers."""
    left = list(errors)

    async def answer(turn: Turn) -> Reply:
        if left:
            raise left.pop(0)
        return a_reply()

    return answer


def overloaded(**more: Any) -> ModelError:
    return ModelError("busy", kind="overloaded", **more)


async def test_a_transient_failure_is_retried(tmp_path: Path) -> None:
    async with harness("retry", tmp_path, failing(overloaded(), overloaded())) as guard:
        assert (await guard(a_turn())).message.text() == "hello"
        assert len(guard.reached) == 3


async def test_after_all_attempts_the_last_failure_is_raised(tmp_path: Path) -> None:
    errors = [overloaded() for _ in range(4)]
    async with harness("retry", tmp_path, failing(*errors), attempts=4) as guard:
        with pytest.raises(ModelError) as caught:
            await guard(a_turn())
        assert caught.value is errors[-1]


@pytest.mark.parametrize("kind", get_args(ModelErrorKind))
async def test_only_transient_failures_of_models_are_retried(tmp_path: Path, kind: ModelErrorKind) -> None:
    error = ModelError("no", kind=kind)
    async with harness("retry", tmp_path, failing(error)) as guard:
        if error.transient:
            await guard(a_turn())
        else:
            with pytest.raises(ModelError):
                await guard(a_turn())
        assert len(guard.reached) == (2 if error.transient else 1)


@pytest.mark.parametrize("error", [Refused("no"), KeyError("x"), asyncio.CancelledError()])
async def test_refusals_bugs_and_cancellation_are_not_retried(tmp_path: Path, error: BaseException) -> None:
    async with harness("retry", tmp_path, failing(error)) as guard:
        with pytest.raises(type(error)):
            await guard(a_turn())
        assert len(guard.reached) == 1


async def test_pauses_grow_within_their_bound_and_are_at_least_what_the_service_asks(tmp_path: Path) -> None:
    errors = [overloaded(), overloaded(), overloaded(retry_after_s=7.0), overloaded(), overloaded()]
    began: list[float] = []
    answer = failing(*errors)
    async with harness("retry", tmp_path, attempts=6, initial_seconds=1, max_seconds=8) as guard:

        async def noting(turn: Turn) -> Reply:
            began.append(guard.clock.time)
            return await answer(turn)

        guard.answer = noting
        await guard(a_turn())
    pauses = [after - before for before, after in pairwise(began)]
    for pause, longest in zip(pauses, (1, 2, 8, 8, 8), strict=True):
        assert 0 <= pause <= longest
    assert pauses[2] >= 7
    assert len(set(pauses)) == len(pauses), "jitter"


async def test_a_service_that_asks_for_too_long_a_pause_is_left_to_the_fallbacks(tmp_path: Path) -> None:
    async with harness("retry", tmp_path, failing(overloaded(retry_after_s=60.0))) as guard:
        with pytest.raises(ModelError):
            await guard(a_turn())
        assert len(guard.reached) == 1


async def test_a_call_is_not_retried_after_its_first_text(tmp_path: Path) -> None:
    heard = Heard()

    async def breaks(turn: Turn) -> Reply:
        await turn.emit(Delta("Hel"))
        raise overloaded()

    async with harness("retry", tmp_path, breaks) as guard:
        with pytest.raises(ModelError):
            await guard(a_turn(emit=heard.emit, streaming=True))
        assert (len(guard.reached), heard.pieces) == (1, ["Hel"])


@pytest.mark.parametrize(
    ("limit", "fallback_left", "attempts"),
    [("silence", True, 1), ("silence", False, 2), ("first_token", False, 1), (None, True, 2)],
)
async def test_a_time_limit_of_our_own_is_left_to_the_fallbacks(
    tmp_path: Path, limit: Any, fallback_left: bool, attempts: int
) -> None:
    error = ModelError("slow", kind="timeout", limit=limit)
    async with harness("retry", tmp_path, failing(error)) as guard:
        turn = a_turn().replace(fallback_left=fallback_left)
        if attempts == 1:
            with pytest.raises(ModelError):
                await guard(turn)
        else:
            await guard(turn)
        assert len(guard.reached) == attempts


async def test_a_turn_is_not_retried_after_a_tool_call(tmp_path: Path) -> None:
    called = Trace("s1", exchange=(Message("user", "hi"), Message("assistant", None), Message("tool", "done")))
    async with harness("retry", tmp_path, failing(overloaded()), around="turn") as guard:
        with pytest.raises(ModelError):
            await guard(a_turn(trace=called))
        assert len(guard.reached) == 1
    async with harness("retry", tmp_path, failing(overloaded()), around="turn") as guard:
        await guard(a_turn(trace=Trace("s1", exchange=(Message("user", "hi"),))))
        assert len(guard.reached) == 2


async def test_no_pause_outlasts_the_turns_deadline(tmp_path: Path) -> None:
    soon = asyncio.get_running_loop().time() + 0.001
    async with harness("retry", tmp_path, failing(overloaded(retry_after_s=1.0))) as guard:
        with pytest.raises(ModelError):
            await guard(a_turn(deadline=soon))
        assert len(guard.reached) == 1
