"""A short outage of the session store is no failed turn, and a turn is stored once whatever the store answered."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from signal import SIGQUIT

from attrs import define

from tests.components.context import StillClock
from tests.runtime.stage import Spy, Stage
from tests.services import PostgresServer, RedisServer
from victor_dsl.errors import StoreError
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.values.message import Message, Reply
from victor_dsl.values.request import Request
from victor_dsl.values.turn import Turn

SPEC = "models: {main: {type: given}}\nexporters: [{type: given, flush_seconds: 0.001}]\n"


@define
class ClockOf(StillClock):
    """A clock whose first pause calls a function: the store comes back while the turn waits."""

    back: Callable[[], object] = lambda: None
    pauses: int = 0

    async def sleep(self, seconds: float) -> None:
        await StillClock.sleep(self, seconds)
        self.pauses += 1
        if self.pauses == 1:
            self.back()


@define
class Model:
    """Echoes; `while_answering` is called first."""

    while_answering: Callable[[], object] = lambda: None

    async def answer(self, turn: Turn) -> Reply:
        self.while_answering()
        return Reply(Message("assistant", f"{len(turn.messages)} messages"))


@define
class LosesAnswers:
    """A store in memory. Each turn is stored, and then the connection is lost, for the first so many times."""

    lost: int
    turns: dict[str, tuple[Message, ...]]
    appended: int = 0

    async def load(self, tenant: str | None, session: str, before: str | None = None) -> tuple[Message, ...]:
        return tuple(message for id, turn in self.turns.items() if id != before for message in turn)

    async def append(self, tenant: str | None, session: str, turn_id: str, messages: Sequence[Message]) -> None:
        self.appended += 1
        self.turns.setdefault(turn_id, tuple(messages))
        if self.appended <= self.lost:
            raise StoreError("the connection was closed", transient=True)


async def test_a_turn_whose_stored_answer_was_lost_is_answered_and_stored_once(stage: Stage) -> None:
    store, spy = LosesAnswers(3, {}), Spy()
    stage.objects |= {"models/main": Model(), "sessions/given": store, "exporters/given": spy}
    async with stage.orchestrator(SPEC + "sessions: {type: given}", clock=StillClock()) as orchestrator:
        for number in (1, 3):
            reply = await orchestrator.chat("hello", session_id="s")
            assert reply.message.content == f"{number} messages"
    assert store.appended == 5
    assert len(store.turns) == 2
    assert [data["message"] for data in spy.data("error")] == [
        "the session store is called again: the connection was closed"
    ]


async def test_an_outage_longer_than_retry_seconds_fails_the_turn(stage: Stage) -> None:
    store = LosesAnswers(10_000, {})
    stage.objects |= {"models/main": Model(), "sessions/given": store, "exporters/given": Spy()}
    clock = StillClock()
    spec = SPEC + "sessions: {type: given, retry_seconds: 4}"
    async with stage.orchestrator(spec, clock=clock) as orchestrator:
        began = clock.time
        answer = await orchestrator.answer(Request(message="hello", session="s"))
    assert isinstance(answer.error, StoreError)
    assert 4 <= clock.time - began < 5
    assert store.appended > 4


async def check(orchestrator: Orchestrator, model: Model, clock: ClockOf, cut: Callable[[], object]) -> None:
    """Two turns, the store cut during the first, and before the second."""
    model.while_answering = cut
    first = await orchestrator.answer(Request(message="one", session="s", turn_id="t1"))
    assert first.error is None
    assert clock.pauses > 0
    model.while_answering = lambda: None
    clock.pauses = 0
    cut()
    second = await orchestrator.answer(Request(message="two", session="s", turn_id="t2"))
    assert (second.error, second.text) == (None, "3 messages")
    assert clock.pauses > 0


async def test_a_crash_of_postgresql_is_no_failed_turn(
    stage: Stage, postgres: PostgresServer, migrated_dsn: str
) -> None:
    model, clock = Model(), ClockOf(back=postgres.start)
    stage.objects |= {"models/main": model, "exporters/given": Spy()}
    spec = SPEC + 'databases: {app: {type: postgres, dsn: "${env:DSN}"}}\nsessions: {type: postgres, database: app}'
    async with stage.orchestrator(spec, {"DSN": migrated_dsn}, clock=clock) as orchestrator:
        await check(orchestrator, model, clock, lambda: postgres.stop(SIGQUIT))


async def test_an_outage_of_redis_is_no_failed_turn(stage: Stage, redis_server: RedisServer) -> None:
    model, clock = Model(), ClockOf(back=redis_server.start)
    stage.objects |= {"models/main": model, "exporters/given": Spy()}
    spec = SPEC + 'databases: {app: {type: redis, url: "${env:URL}"}}\nsessions: {type: redis, database: app}'
    async with stage.orchestrator(spec, {"URL": redis_server.url}, clock=clock) as orchestrator:
        model.while_answering = redis_server.stop  # a restart loses its data, so that there is no history to see
        assert (await orchestrator.answer(Request(message="one", session="s"))).error is None
    assert clock.pauses > 0


async def test_a_locked_sqlite_file_is_no_failed_turn(stage: Stage, tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        model, clock = Model(), ClockOf(back=lambda: other.execute("ROLLBACK"))
        stage.objects |= {"models/main": model, "exporters/given": Spy()}
        database = "databases: {app: {type: sqlite, path: app.db, busy_timeout_seconds: 0.01}}\n"
        spec = SPEC + database + "sessions: {type: sqlite, database: app}"
        async with stage.orchestrator(spec, clock=clock) as orchestrator:
            model.while_answering = lambda: other.execute("BEGIN IMMEDIATE")
            assert (await orchestrator.answer(Request(message="one", session="s"))).error is None
    assert clock.pauses > 0
