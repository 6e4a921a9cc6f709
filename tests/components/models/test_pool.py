"""Several models under one name: who is called, who is called next, and what is counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import pytest
from attrs import define, evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.components.context import StillClock, surroundings
from tests.components.models.playback import Playback, streamed, whole
from tests.components.models.recorded import OPENAI_TEXT, openai_whole
from tests.runtime.stage import Gate, Says, Spy, Stage, settle
from victor_dsl.compiler import compile_spec
from victor_dsl.components.models import pool
from victor_dsl.components.models.pool.pool import MAX_SESSIONS
from victor_dsl.errors import ModelError, ModelErrorKind
from victor_dsl.language.kinds import Model
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.values.message import Delta, Message, Reply, Usage
from victor_dsl.values.request import Request
from victor_dsl.values.turn import Turn

NAMES = ("eu", "us", "asia")


@define
class Endpoint:
    """A member that answers with its name, or fails with `error` while there is one."""

    name: str
    error: BaseException | None = None
    usage: Usage = Usage(10, 5, 0.5)
    gate: Gate | None = None
    first_piece: str | None = None
    calls: int = 0

    async def answer(self, turn: Turn) -> Reply:
        self.calls += 1
        if self.gate is not None:
            await self.gate.pass_through()
        if self.first_piece is not None:
            await turn.emit(Delta(self.first_piece))
        if self.error is not None:
            raise self.error
        return Reply(Message("assistant", self.name), self.usage)


@define
class Bench:
    """A pool of endpoints, outside of a pipeline."""

    endpoints: dict[str, Endpoint]
    live: Model
    clock: StillClock
    memory: dict[str, Any]

    async def ask(self, session: str = "s1", **changes: Any) -> str:
        """The name of the member that answers, or the kind of the pool's error."""
        try:
            return (await self.live.answer(a_turn(session, **changes))).message.text()
        except ModelError as error:
            return error.kind

    def calls(self) -> dict[str, int]:
        return {name: endpoint.calls for name, endpoint in self.endpoints.items()}


def a_turn(session: str = "s1", **changes: Any) -> Turn:
    values = {"request": Request(message="hi", session=session), **changes}
    return Turn("t", session, (Message("user", "hi"),), **values)


def bench(*names: str, memory: dict[str, Any] | None = None, **fields: Any) -> Bench:
    names = names or NAMES
    endpoints = {name: Endpoint(name) for name in names}
    around = surroundings(
        Path("/nowhere"), "models/main", needs={f"models/{name}": endpoint for name, endpoint in endpoints.items()}
    )
    memory = {} if memory is None else memory
    config = pool.Config.model_validate({"members": [f"models/{name}" for name in names], **fields})
    return Bench(endpoints, pool.build(config, evolve(around.context, memory=memory)), around.clock, memory)


def failure(kind: Any = "overloaded", **more: Any) -> ModelError:
    return ModelError("busy", kind=kind, **more)


async def test_the_first_member_answers_while_it_is_well() -> None:
    made = bench()
    assert {await made.ask(f"s{number}") for number in range(20)} == {"eu"}


async def test_a_failed_call_goes_on_to_the_next_member_and_back_when_the_first_is_well() -> None:
    made = bench()
    made.endpoints["eu"].error = failure()
    assert [await made.ask() for _ in range(5)] == ["us"] * 5
    assert made.calls() == {"eu": 3, "us": 5, "asia": 0}
    made.endpoints["eu"].error = None
    assert await made.ask() == "us"
    made.clock.time += 10
    assert [await made.ask() for _ in range(2)] == ["eu", "eu"]


@pytest.mark.parametrize("kind", get_args(ModelErrorKind))
async def test_only_a_failure_that_another_member_may_not_have_goes_on(kind: ModelErrorKind) -> None:
    made = bench("eu", "us")
    made.endpoints["eu"].error = failure(kind)
    goes_on = kind in ModelError.STAND_IN
    assert await made.ask() == ("us" if goes_on else kind)
    assert made.calls() == {"eu": 1, "us": int(goes_on)}


async def test_nothing_goes_on_after_the_first_piece() -> None:
    made = bench("eu", "us")
    made.endpoints["eu"].error, made.endpoints["eu"].first_piece = failure("bad_response"), "half"
    pieces: list[str] = []

    async def emit(delta: Delta) -> None:
        pieces.append(delta.text)

    assert await made.ask(emit=emit, streaming=True) == "bad_response"
    assert (pieces, made.endpoints["us"].calls) == (["half"], 0)


async def test_a_member_that_failed_in_a_turn_is_tried_last_in_its_later_calls() -> None:
    made = bench("eu", "us")
    made.endpoints["eu"].error = failure()
    turn = a_turn()
    await made.live.answer(turn)
    await made.live.answer(turn)
    assert made.calls() == {"eu": 1, "us": 2}
    assert turn.trace.failed == {"models/eu"}


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (("overloaded", "timeout"), "overloaded"),
        (("authentication", "timeout"), "timeout"),
        (("authentication", "model_not_found"), "authentication"),
    ],
)
async def test_where_all_fail_the_error_names_them_and_is_transient_if_one_is(
    kinds: tuple[str, str], expected: str
) -> None:
    made = bench("eu", "us")
    for name, kind in zip(("eu", "us"), kinds, strict=True):
        made.endpoints[name].error = ModelError(f"{name} is {kind}", kind=kind)  # type: ignore[arg-type]
    with pytest.raises(ModelError) as caught:
        await made.live.answer(a_turn())
    assert caught.value.kind == expected
    shown = f"models/main: no member answered: models/eu: eu is {kinds[0]}; models/us: us is {kinds[1]}"
    assert str(caught.value) == shown


async def test_where_no_member_may_be_called_nothing_is_called_and_the_error_says_when() -> None:
    made = bench("eu", "us", circuit={"failures": 1, "open_seconds": 8})
    for endpoint in made.endpoints.values():
        endpoint.error = failure()
    await made.ask()
    made.clock.time += 3
    with pytest.raises(ModelError) as caught:
        await made.live.answer(a_turn())
    assert (caught.value.kind, caught.value.retry_after_s) == ("circuit_open", 5.0)
    assert made.calls() == {"eu": 1, "us": 1}


sessions = st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=40, unique=True)


@given(sessions=sessions, weights=st.fixed_dictionaries({name: st.floats(0.1, 10) for name in NAMES}))
def test_a_session_keeps_its_member_and_removing_one_moves_only_its_sessions(
    sessions: list[str], weights: dict[str, float]
) -> None:
    async def members(*names: str) -> dict[str, str]:
        shares = {name: weights[name] for name in names}
        made = bench(*names, by="weight", weights=shares)
        first = {session: await made.ask(session) for session in sessions}
        made = bench(*reversed(names), by="weight", weights=shares)
        assert {session: await made.ask(session) for session in sessions} == first
        return first

    async def check() -> None:
        before, after = await members("eu", "us", "asia"), await members("eu", "us")
        assert {s: m for s, m in before.items() if m != "asia"} == {
            s: m for s, m in after.items() if before[s] != "asia"
        }

    asyncio.run(check())


async def test_sessions_are_shared_out_by_weight() -> None:
    made = bench("eu", "us", by="weight", weights={"eu": 3})
    counts = Counter([await made.ask(f"session {number}") for number in range(2_000)])
    assert 0.72 < counts["eu"] / 2_000 < 0.78


async def test_equal_sessions_of_two_tenants_are_two_sessions() -> None:
    made = bench(by="weight")
    assert len({await made.ask("s", tenant=f"tenant {number}") for number in range(50)}) == 3


async def test_a_session_returns_to_its_member_when_that_is_well_again() -> None:
    made = bench(by="weight", circuit={"failures": 1})
    own = await made.ask()
    made.endpoints[own].error = failure()
    others = {await made.ask() for _ in range(5)}
    assert len(others) == 1
    assert own not in others
    made.endpoints[own].error = None
    made.clock.time += 10
    assert await made.ask() == own


async def test_a_conversation_without_a_session_stays_with_one_member() -> None:
    made = bench(by="weight")
    messages = [Message("user" if number % 2 == 0 else "assistant", f"{number}") for number in range(21)]
    found = set()
    for length in range(3, 21, 2):
        said = tuple(messages[:length])
        turn = Turn(f"t{length}", f"random {length}", said, request=Request(messages=said))
        found.add((await made.live.answer(turn)).message.text())
    assert len(found) == 1


async def test_new_sessions_go_to_the_least_busy_member_and_stay_there() -> None:
    made = bench("eu", "us", by="least_busy", weights={"us": 2})
    gate = Gate()
    for endpoint in made.endpoints.values():
        endpoint.gate = gate
    calls = [asyncio.create_task(made.ask(f"s{number}")) for number in range(9)]
    await settle()
    assert made.calls() == {"eu": 3, "us": 6}
    gate.opened.set()
    first = await asyncio.gather(*calls)
    again = [await made.ask(f"s{number}") for number in reversed(range(9))]
    assert again == first[::-1]
    assert all(state.running == 0 for state in made.memory["members"].values())


async def test_a_least_busy_session_that_had_to_move_stays_with_its_new_member() -> None:
    made = bench("eu", "us", by="least_busy", circuit={"failures": 1})
    own = await made.ask()
    made.endpoints[own].error = failure()
    moved = await made.ask()
    made.endpoints[own].error = None
    made.clock.time += 60
    assert [own != moved, await made.ask()] == [True, moved]


async def test_the_sessions_that_are_remembered_are_bounded() -> None:
    made = bench("eu", "us", by="least_busy")
    for number in range(MAX_SESSIONS + 5):
        await made.ask(f"s{number}")
    assert len(made.memory["sessions"]) == MAX_SESSIONS


async def test_a_member_at_its_limit_of_requests_is_passed_over_until_it_may_be_called() -> None:
    made = bench("eu", "us", limits={"eu": {"requests_per_minute": 2}})
    assert [await made.ask() for _ in range(4)] == ["eu", "eu", "us", "us"]
    made.clock.time += 30
    assert [await made.ask() for _ in range(2)] == ["eu", "us"]


async def test_a_member_at_its_limit_of_tokens_is_passed_over() -> None:
    made = bench("eu", "us", limits={"eu": {"tokens_per_minute": 1000}})
    made.endpoints["eu"].usage = Usage(900, 60)
    assert [await made.ask() for _ in range(2)] == ["eu", "us"]
    made.clock.time += 40
    assert await made.ask() == "eu"


async def test_a_failed_calls_tokens_count() -> None:
    made = bench("eu", "us", limits={"eu": {"tokens_per_minute": 1000}})
    made.endpoints["eu"].error = failure(usage=Usage(950, 0))
    assert await made.ask() == "us"
    made.endpoints["eu"].error = None
    assert await made.ask() == "us"


async def test_a_member_has_only_so_many_calls_at_a_time() -> None:
    made = bench("eu", "us", limits={"eu": {"concurrency": 2}, "us": {"concurrency": 1}})
    gate = Gate()
    for endpoint in made.endpoints.values():
        endpoint.gate = gate
    calls = [asyncio.create_task(made.ask(f"s{number}")) for number in range(4)]
    await settle()
    assert made.calls() == {"eu": 2, "us": 1}
    assert await calls[3] == "rate_limited"
    gate.opened.set()
    assert await asyncio.gather(*calls[:3]) == ["eu", "eu", "us"]
    assert await made.ask() == "eu"


async def test_all_members_at_their_limits_is_a_rate_limit_that_says_when_the_first_may_be_called() -> None:
    made = bench("eu", "us", limits={"eu": {"requests_per_minute": 1}, "us": {"requests_per_minute": 2}})
    assert [await made.ask() for _ in range(3)] == ["eu", "us", "us"]
    with pytest.raises(ModelError) as caught:
        await made.live.answer(a_turn())
    assert (caught.value.kind, caught.value.retry_after_s) == ("rate_limited", 30.0)
    assert "models/eu: it is at its limit requests_per_minute" in str(caught.value)


async def test_a_cancelled_call_gives_its_place_back() -> None:
    made = bench("eu", limits={"eu": {"concurrency": 1}})
    made.endpoints["eu"].gate = Gate()
    call = asyncio.create_task(made.ask())
    await settle()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    made.endpoints["eu"].gate = None
    assert await made.ask() == "eu"


async def test_circuits_and_counters_survive_a_reload() -> None:
    made = bench("eu", "us", circuit={"failures": 1}, limits={"us": {"requests_per_minute": 1}})
    made.endpoints["eu"].error = failure()
    assert await made.ask() == "us"
    again = bench("eu", "us", memory=made.memory, circuit={"failures": 1}, limits={"us": {"requests_per_minute": 1}})
    assert await again.ask() == "rate_limited"
    assert again.calls() == {"eu": 0, "us": 0}


POOL = """
models:
  main: {type: pool, members: [eu, us], circuit: {failures: 2}, settings: {temperature: 0.5, seed: 3}}
  eu: {type: given, context_window: 8000}
  us: {type: given, context_window: 4000, settings: {temperature: 0.9}}
  spare: {type: given}
settings: {model: main, fallbacks: [spare]}
exporters: [given]
"""


def staged(stage: Stage, eu: Any, us: Any) -> Spy:
    spy = Spy()
    stage.objects |= {"models/eu": eu, "models/us": us, "models/spare": Says(["spare"]), "exporters/given": spy}
    return spy


async def test_each_members_try_is_an_event_and_the_reply_names_the_pool(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    eu, us = Says([failure(status=503)]), Says(["from us"])
    spy = staged(stage, eu, us)
    async with stage.orchestrator(POOL) as orchestrator:
        assert (await orchestrator.chat("hi")).message.text() == "from us"
    tries = [(d["model"], d["member"], d["error"], d.get("cost_usd")) for d in spy.data("model_call")]
    assert tries == [("main", "eu", "overloaded", None), ("main", "us", None, 0.5)]
    assert [(d["model"], d["cost_usd"]) for d in spy.data("turn")] == [("main", 0.5)]
    assert [(d["code"], d["node"]) for d in spy.data("error")] == [("model-overloaded", "models/eu")]


async def test_a_member_answers_with_its_own_settings_above_the_pools(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    eu, us = Says([failure()]), Says(["from us"])
    staged(stage, eu, us)
    async with stage.orchestrator(POOL) as orchestrator:
        await orchestrator.chat("hi")
    found = [(m.turns[0].settings.model, m.turns[0].settings.temperature, m.turns[0].settings.seed) for m in (eu, us)]
    assert found == [("main", 0.5, 3), ("main", 0.9, 3)]


async def test_the_fallbacks_come_after_the_members_and_at_once_while_all_circuits_are_open(tmp_path: Path) -> None:
    stage, clock = Stage(tmp_path), StillClock()
    eu, us = Says([failure()]), Says([failure()])
    spy = staged(stage, eu, us)
    spec = POOL + "middleware: [{type: retry, attempts: 2, initial_seconds: 0}]\n"
    async with stage.orchestrator(spec, clock=clock) as orchestrator:
        assert [(await orchestrator.chat("hi")).message.text() for _ in range(3)] == ["spare"] * 3
    assert (len(eu.turns), len(us.turns)) == (2, 2)
    assert [d["model"] for d in spy.data("turn")] == ["spare"] * 3


async def test_the_window_is_the_smallest_of_the_members(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    eu, us = Says(["eu"]), Says(["us"])
    staged(stage, eu, us)
    async with stage.orchestrator(POOL + "compaction: recent\n") as orchestrator:
        messages = tuple(Message("user" if i % 2 == 0 else "assistant", "x" * 1200) for i in range(15))
        rendered = await orchestrator.render(Request(messages=messages))
        await orchestrator.answer(Request(messages=messages))
    assert rendered.tokens.limit == 4000
    assert len(eu.turns[0].messages) < 15


async def test_a_pool_is_the_model_where_no_setting_names_one(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.objects |= {"models/eu": Says(["eu"]), "models/us": Says(["us"])}
    spec = "models: {eu: {type: given}, main: {type: pool, members: [eu, us]}, us: {type: given}}\n"
    async with stage.orchestrator(spec) as orchestrator:
        assert (await orchestrator.chat("hi")).message.text() == "eu"


def http_pool(folder: Path, eu: Playback, us: Playback, clock: StillClock | None = None) -> Orchestrator:
    """A pool of two servers."""
    spec = f"""\
victor: 1
name: pool
models:
  main: {{type: pool, members: [eu, us], circuit: {{failures: 2, open_seconds: 10}}}}
  eu: {{type: openai, model: m, base_url: "{eu.url}/v1", context_window: 8000, input_usd_per_million: 2, output_usd_per_million: 8}}
  us: {{type: openai, model: m, base_url: "{us.url}/v1", context_window: 8000, input_usd_per_million: 4, output_usd_per_million: 16}}
"""
    path = folder / "victor.yml"
    path.write_text(spec, encoding="utf-8")
    program = compile_spec(str(path), environment={}).program
    assert program is not None
    return Orchestrator(program, clock=clock or StillClock())


DOWN = whole({"error": {"message": "no capacity"}}, "503 Service Unavailable")


async def test_two_servers_one_of_which_goes_down_and_comes_back(tmp_path: Path) -> None:
    fine = whole(openai_whole({"content": "Hi."}))
    clock = StillClock()
    async with Playback(fine, DOWN, DOWN, fine) as eu, Playback(fine) as us, http_pool(tmp_path, eu, us, clock) as app:
        for _ in range(6):
            assert (await app.chat("hi", session_id="s")).message.text() == "Hi."
        assert (len(eu.asked), len(us.asked)) == (3, 5)
        clock.time += 10
        await app.chat("hi", session_id="s")
    assert (len(eu.asked), len(us.asked)) == (4, 5)


async def test_the_price_is_that_of_the_member_that_answered(tmp_path: Path) -> None:
    fine = whole(openai_whole({"content": "Hi."}))
    async with Playback(DOWN) as eu, Playback(fine) as us, http_pool(tmp_path, eu, us) as orchestrator:
        answer = await orchestrator.chat("hi")
    usage = answer.usage
    assert (usage.input_tokens, usage.output_tokens) == (1200, 10)
    assert usage.cost_usd == pytest.approx((1200 * 4 + 10 * 16) / 1e6)


async def test_a_stream_that_breaks_before_its_first_piece_comes_from_the_other_server(tmp_path: Path) -> None:
    pieces: list[str] = []

    async def emit(delta: Delta) -> None:
        pieces.append(delta.text)

    async with (
        Playback(streamed("reset")) as eu,
        Playback(streamed(OPENAI_TEXT, "end")) as us,
        http_pool(tmp_path, eu, us) as orchestrator,
    ):
        await orchestrator.chat("hi", emit=emit)
    assert "".join(pieces) == "Grüß dich, 🌍!"
    assert (len(eu.asked), len(us.asked)) == (1, 1)


@pytest.mark.parametrize(
    ("broken_stream", "shown", "text"),
    [
        ("error", "half", None),
        ("hold", "whole", "whole"),
        ("restart", "half|whole", "whole"),
        ("continue", "half and whole", "half and whole"),
    ],
)
async def test_a_broken_answer_goes_on_with_another_member_where_broken_stream_allows_it(
    tmp_path: Path, broken_stream: str, shown: str, text: str | None
) -> None:
    stage, pieces = Stage(tmp_path), []
    answer = "half and whole" if broken_stream == "continue" else "whole"
    staged(stage, Endpoint("eu", failure("bad_response"), first_piece="half"), Endpoint(answer, first_piece=answer))

    async def emit(delta: Delta) -> None:
        pieces.append("|" if delta.restart else delta.text)

    spec = POOL.replace("fallbacks: [spare]", f"broken_stream: {broken_stream}").replace("  spare: {type: given}\n", "")
    async with stage.orchestrator(spec) as orchestrator:
        if text is None:
            with pytest.raises(ModelError, match="busy"):
                await orchestrator.chat("hi", emit=emit)
        else:
            assert (await orchestrator.chat("hi", emit=emit)).message.text() == text
    assert "".join(pieces) == shown
