"""Limits hold to the turn and to the token, in memory; `test_rate_limit_redis` holds them over processes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.components.context import StillClock
from tests.components.middleware.harness import Heard, a_reply, a_turn, harness, passed
from victor_dsl.components.usage_buckets import SWEEP_AFTER, Demand, MemoryBuckets, SubjectUsage
from victor_dsl.errors import ComponentError, LimitReached, ModelError, Refused, StoreError
from victor_dsl.values.message import Delta, Message, Reply, Usage
from victor_dsl.values.settings import Limits, Settings
from victor_dsl.values.turn import Turn

ONE_A_SECOND = Limits(requests_per_minute=60)


async def test_one_minutes_worth_may_be_used_at_once_and_comes_back_evenly(tmp_path: Path) -> None:
    async with harness("rate_limit", tmp_path) as guard:
        turn = a_turn(limits=ONE_A_SECOND, tenant="acme")
        assert await passed(guard, turn, 100) == 60
        guard.clock.time += 10
        assert await passed(guard, turn, 100) == 10
        guard.clock.time += 3600
        assert await passed(guard, turn, 100) == 60


async def test_a_refusal_says_correctly_when_to_try_again(tmp_path: Path) -> None:
    async with harness("rate_limit", tmp_path) as guard:
        turn = a_turn(limits=Limits(requests_per_minute=2), tenant="acme")
        assert await passed(guard, turn, 2) == 2
        with pytest.raises(LimitReached) as caught:
            await guard(turn)
        assert caught.value.retry_after_s == pytest.approx(30)
        assert str(caught.value) == (
            "middleware/rate_limit: this tenant has reached its limit requests_per_minute: 2; try again in 30.0 s"
        )
        assert caught.value.to_dict()["retry_after_s"] == 30
        guard.clock.time += 29.9
        assert await passed(guard, turn, 1) == 0
        guard.clock.time += 0.1
        assert await passed(guard, turn, 1) == 1


async def test_without_limits_nothing_is_counted(tmp_path: Path) -> None:
    memory: dict[str, Any] = {}
    async with harness("rate_limit", tmp_path, memory=memory) as guard:
        assert await passed(guard, a_turn(), 1000) == 1000
        assert memory == {"subjects": {}}


@pytest.mark.parametrize(
    ("per", "mine", "others"),
    [
        ("tenant", {"tenant": "acme"}, [{"tenant": "globex"}, {"tenant": None}]),
        ("user", {"tenant": "acme", "user": "ann"}, [{"tenant": "acme", "user": "bob"}, {"tenant": "globex", "user": "ann"}]),
        ("session", {"tenant": "acme", "session": "1"}, [{"tenant": "globex", "session": "1"}]),
        ("key", {"metadata": {"key_id": "a"}}, [{"metadata": {"key_id": "b"}}, {"metadata": {}}]),
    ],
)  # fmt: skip
async def test_each_subject_has_its_own_limits(
    tmp_path: Path, per: str, mine: dict[str, Any], others: list[dict[str, Any]]
) -> None:
    async with harness("rate_limit", tmp_path, per=per) as guard:
        turn = a_turn(limits=Limits(requests_per_minute=1))
        assert await passed(guard, turn.replace(**mine), 5) == 1
        for other in others:
            assert await passed(guard, turn.replace(**other), 5) == 1


async def test_a_changed_limit_applies_to_the_same_usage(tmp_path: Path) -> None:
    async with harness("rate_limit", tmp_path) as guard:
        assert await passed(guard, a_turn(limits=Limits(requests_per_minute=60)), 30) == 30
        assert await passed(guard, a_turn(limits=Limits(requests_per_minute=10)), 5) == 0
        assert await passed(guard, a_turn(limits=Limits(requests_per_minute=100)), 100) == 70


async def test_usage_outlives_the_live_object(tmp_path: Path) -> None:
    memory: dict[str, Any] = {}
    turn = a_turn(limits=Limits(requests_per_minute=5))
    async with harness("rate_limit", tmp_path, memory=memory) as guard:
        assert await passed(guard, turn, 3) == 3
    async with harness("rate_limit", tmp_path, memory=memory, when_unavailable="allow") as guard:
        assert await passed(guard, turn, 5) == 2


async def test_tokens_are_reserved_before_and_settled_after(tmp_path: Path) -> None:
    async def answer(turn: Turn) -> Reply:
        return a_reply(usage=Usage(80, 20))

    limits = Limits(tokens_per_minute=1000)
    async with harness("rate_limit", tmp_path, answer) as guard:
        turn = a_turn(limits=limits, tenant="acme")
        turn = turn.replace(settings=Settings(model="main", limits=limits, max_tokens=300))
        # Each reserves 305 and uses 100: at 700 used a further 305 do not fit.
        assert await passed(guard, turn, 20) == 7
        guard.clock.time += 6.0
        assert await passed(guard, turn, 20) == 1


async def test_over_time_exactly_the_tokens_of_the_limit_are_used(tmp_path: Path) -> None:
    used = 0

    async def answer(turn: Turn) -> Reply:
        nonlocal used
        used += 180  # far more than the reservation
        return a_reply(usage=Usage(80, 100))

    limits = Limits(tokens_per_minute=600)
    turn = a_turn().replace(settings=Settings(model="main", limits=limits, max_tokens=10))
    async with harness("rate_limit", tmp_path, answer) as guard:
        for _ in range(6000):
            await passed(guard, turn, 1)
            guard.clock.time += 0.1
    assert used == pytest.approx(600 + 600 * 10, rel=0.03)


async def test_a_turn_over_the_whole_limit_is_always_refused_and_a_long_answer_is_not(tmp_path: Path) -> None:
    limits = Limits(tokens_per_minute=100)
    async with harness("rate_limit", tmp_path) as guard:
        with pytest.raises(LimitReached, match=r"104 tokens, more than tokens_per_minute \(100\) ever allows"):
            await guard(a_turn("x" * 400, limits=limits))
        turn = a_turn().replace(settings=Settings(model="main", limits=limits, max_tokens=100_000))
        assert await passed(guard, turn, 1) == 1


async def test_a_reply_without_usage_is_settled_by_its_text(tmp_path: Path) -> None:
    async def silent(turn: Turn) -> Reply:
        return Reply(Message("assistant", "x" * 400))

    async with harness("rate_limit", tmp_path, silent) as guard:
        assert await passed(guard, a_turn(limits=Limits(tokens_per_minute=1000)), 20) == 5


@pytest.mark.parametrize(
    ("recorded", "streamed", "spent"),
    [
        (Usage(40, 10), "", 50),
        (Usage(40, 10), "x" * 400, 50),
        (Usage(), "x" * 400, 105),
        (Usage(), "", 0),
    ],
)
async def test_a_turn_that_fails_costs_what_its_events_say_or_what_was_streamed(
    tmp_path: Path, recorded: Usage, streamed: str, spent: int
) -> None:
    async def fails(turn: Turn) -> Reply:
        turn.trace.usage += recorded
        if streamed:
            await turn.emit(Delta(streamed))
        raise ModelError("broken", kind="overloaded")

    memory: dict[str, Any] = {}
    async with harness("rate_limit", tmp_path, fails, memory=memory) as guard:
        with pytest.raises(ModelError):
            await guard(a_turn(limits=Limits(tokens_per_minute=1000), emit=Heard().emit, streaming=True))
        (state,) = memory["subjects"].values()
        assert state.tokens.used == spent


async def test_a_streamed_answer_costs_what_the_model_reports_not_what_its_text_may_be(tmp_path: Path) -> None:
    async def answers(turn: Turn) -> Reply:
        await turn.emit(Delta("x" * 4000))
        turn.trace.usage += Usage(40, 10)
        return Reply(Message("assistant", "x" * 4000), Usage(40, 10))

    memory: dict[str, Any] = {}
    async with harness("rate_limit", tmp_path, answers, memory=memory) as guard:
        await guard(a_turn(limits=Limits(tokens_per_minute=5000), emit=Heard().emit, streaming=True))
        (state,) = memory["subjects"].values()
        assert state.tokens.used == 50


async def test_a_turn_whose_client_disconnects_in_mid_stream_is_settled(tmp_path: Path) -> None:
    began = asyncio.Event()

    async def streams(turn: Turn) -> Reply:
        await turn.emit(Delta("x" * 40))
        began.set()
        await asyncio.Event().wait()
        return a_reply()

    memory: dict[str, Any] = {}
    async with harness("rate_limit", tmp_path, streams, memory=memory) as guard:
        limits = Limits(tokens_per_minute=1000, concurrency=1)
        task = asyncio.ensure_future(guard(a_turn(limits=limits, emit=Heard().emit, streaming=True)))
        await began.wait()
        with pytest.raises(LimitReached, match="concurrency: 1"):
            await guard(a_turn(limits=limits))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (state,) = memory["subjects"].values()
        assert (state.tokens.used, state.leases) == (5 + 10, set())


async def test_a_turn_that_is_cancelled_before_it_answers_is_charged_for_its_input(tmp_path: Path) -> None:
    began = asyncio.Event()

    async def hangs(turn: Turn) -> Reply:
        began.set()
        await asyncio.Event().wait()
        return a_reply()

    memory: dict[str, Any] = {}
    async with harness("rate_limit", tmp_path, hangs, memory=memory) as guard:
        task = asyncio.ensure_future(guard(a_turn("x" * 400, limits=Limits(tokens_per_minute=1000))))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (usage,) = memory["subjects"].values()
        assert usage.tokens.used == 104


async def test_no_more_turns_run_at_a_time_than_the_limit_allows(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def waits(turn: Turn) -> Reply:
        await go.wait()
        return a_reply()

    async with harness("rate_limit", tmp_path, waits) as guard:
        turn = a_turn(limits=Limits(concurrency=3), tenant="acme")
        tasks = [asyncio.ensure_future(guard(turn)) for _ in range(5)]
        await asyncio.sleep(0)
        assert len(guard.reached) == 3
        go.set()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert [str(error).split("limit ")[1] for error in done if isinstance(error, LimitReached)] == [
            "concurrency: 3; try again when another turn has ended"
        ] * 2
        assert (await guard(turn)).message.text() == "hello"


async def test_a_clock_that_jumps_grants_nothing_extra(tmp_path: Path) -> None:
    async with harness("rate_limit", tmp_path) as guard:
        turn = a_turn(limits=Limits(requests_per_minute=5))
        assert await passed(guard, turn, 9) == 5
        guard.clock.time -= 1e6
        assert await passed(guard, turn, 9) == 0
        guard.clock.time += 12
        assert await passed(guard, turn, 9) == 1


async def test_a_turn_that_was_not_admitted_is_refused(tmp_path: Path) -> None:
    async with harness("rate_limit", tmp_path) as guard:
        with pytest.raises(Refused, match="known only after auth"):
            await guard(a_turn().replace(layers=()))
        assert guard.reached == []


class Away:
    """A Redis that is not there."""

    dialect = "redis"

    async def command(self, *words: Any) -> Any:
        raise AssertionError

    async def run_script(self, script: str, keys: Any, arguments: Any) -> Any:
        raise StoreError("Redis is away")


@pytest.mark.parametrize(("rule", "through"), [("refuse", 0), ("allow", 3)])
async def test_without_its_database_turns_are_refused_or_allowed_as_the_spec_says(
    tmp_path: Path, rule: str, through: int
) -> None:
    async with harness(
        "rate_limit", tmp_path, database="databases/c", needs={"databases/c": Away()}, when_unavailable=rule
    ) as guard:
        for _ in range(3):
            if rule == "allow":
                await guard(a_turn(limits=Limits(requests_per_minute=1)))
                continue
            with pytest.raises(Refused, match="cannot be checked at the moment") as caught:
                await guard(a_turn(limits=Limits(requests_per_minute=1)))
            assert caught.value.retry_after_s
        assert len(guard.reached) == through
        assert rule in guard.reports[0][0].replace("allowed", "allow").replace("refused", "refuse")


async def test_a_database_that_is_not_redis_is_an_error_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match="databases/c is not Redis"):
        async with harness("rate_limit", tmp_path, database="databases/c", needs={"databases/c": object()}):
            pass


async def test_subjects_with_empty_buckets_are_removed() -> None:
    subjects: dict[str, SubjectUsage] = {}
    clock = StillClock()
    buckets = MemoryBuckets(subjects, clock)
    for number in range(5 * SWEEP_AFTER):
        await buckets.take(str(number), Demand("l", requests_per_minute=60))
        clock.time += 0.01
    assert len(subjects) < 1.1 * SWEEP_AFTER


@given(
    st.lists(st.tuples(st.floats(0, 20), st.floats(1, 100), st.floats(0, 1.5)), min_size=1, max_size=60),
    st.floats(10, 1000),
)
async def test_no_sequence_of_demands_is_granted_more_than_the_limit(
    asks: list[tuple[float, float, float]], limit: float
) -> None:
    clock = StillClock(0.0)
    buckets = MemoryBuckets({}, clock)
    used = 0.0
    over = 0.0
    for pause, amount, share in asks:
        clock.time += pause
        demand = Demand("l", tokens_per_minute=limit, tokens=amount)
        permitted = limit + clock.time * limit / 60
        verdict = await buckets.take("s", demand)
        if verdict.broken is None:
            assert used + amount <= permitted + over + 1e-6
            await buckets.settle("s", demand, amount * share)
            used += amount * share
            over = max(over, amount * share - amount)
        else:
            assert verdict.retry_after_s is not None
            assert verdict.retry_after_s > 0
