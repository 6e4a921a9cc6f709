"""Limits over processes that share a Redis."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.components.middleware.harness import Guard, a_reply, a_turn, harness, passed
from tests.services import RedisServer
from victor_dsl.components.middleware.rate_limit.redis_buckets import RedisBuckets
from victor_dsl.components.usage_buckets import Demand
from victor_dsl.errors import LimitReached, Refused
from victor_dsl.storage.redis_client import RedisClient
from victor_dsl.values.message import Reply, Usage
from victor_dsl.values.settings import Limits, Settings
from victor_dsl.values.turn import Turn

ROOT = Path(__file__).parents[3]

WORKER = """
import asyncio, json, sys
from pathlib import Path
from tests.components.middleware.harness import a_reply, a_turn, harness
from victor_dsl.errors import LimitReached
from victor_dsl.storage.redis_client import RedisClient
from victor_dsl.values.message import Usage
from victor_dsl.values.settings import Limits, Settings

async def answer(turn):
    return a_reply(usage=Usage(40, 10))

async def main(url, asks, limits):
    limits = Limits(**limits)
    turn = a_turn(tenant="acme", pipeline="p").replace(settings=Settings(model="main", limits=limits, max_tokens=20))
    through = 0
    async with RedisClient(lambda: url, "databases/c", most=8, timeout_s=5) as client:
        async with harness("rate_limit", Path("."), answer, database="databases/c", needs={"databases/c": client}) as guard:
            print("ready", flush=True)
            sys.stdin.readline()
            async def caller():
                for _ in range(asks):
                    try:
                        await guard(turn)
                    except LimitReached:
                        pass
            loop = asyncio.get_running_loop()
            began = loop.time()
            await asyncio.gather(*(caller() for _ in range(4)))
            print(json.dumps({"through": len(guard.reached), "seconds": loop.time() - began}))

asyncio.run(main(sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])))
"""


@asynccontextmanager
async def shared(folder: Path, url: str, answer: Any = None, **config: Any) -> AsyncIterator[Guard]:
    async with (
        RedisClient(lambda: url, "databases/c", most=8, timeout_s=5.0) as client,
        harness("rate_limit", folder, answer, database="databases/c", needs={"databases/c": client}, **config) as guard,
    ):
        yield guard


async def test_two_instances_share_their_usage_and_say_when_to_try_again(tmp_path: Path, redis_url: str) -> None:
    turn = a_turn(limits=Limits(requests_per_minute=6), tenant="acme", pipeline="p")
    async with shared(tmp_path, redis_url) as one, shared(tmp_path, redis_url) as other:
        assert await passed(one, turn, 4) == 4
        assert await passed(other, turn, 4) == 2
        with pytest.raises(LimitReached) as caught:
            await one(turn)
        assert 0 < (caught.value.retry_after_s or 0) <= 10  # Redis's clock goes on meanwhile
        assert await passed(one, turn.replace(tenant="globex"), 4) == 4
        assert await passed(one, turn.replace(pipeline="q"), 4) == 4


async def test_a_changed_limit_applies_to_the_same_usage(tmp_path: Path, redis_url: str) -> None:
    async with shared(tmp_path, redis_url) as guard:
        assert await passed(guard, a_turn(limits=Limits(requests_per_minute=60)), 30) == 30
        assert await passed(guard, a_turn(limits=Limits(requests_per_minute=10)), 5) == 0
        assert 70 <= await passed(guard, a_turn(limits=Limits(requests_per_minute=100)), 100) < 100


async def test_tokens_are_settled_and_leases_released(tmp_path: Path, redis_url: str) -> None:
    async def answer(turn: Turn) -> Reply:
        return a_reply(usage=Usage(80, 20))

    limits = Limits(tokens_per_minute=1000, concurrency=1)
    # Each turn reserves 400 and uses 100: the eighth would fit only six seconds later.
    turn = a_turn().replace(settings=Settings(model="main", limits=limits, max_tokens=395))
    async with shared(tmp_path, redis_url, answer) as guard:
        assert await passed(guard, turn, 20) == 7
        gate, began = asyncio.Event(), asyncio.Event()

        async def waits(turn: Turn) -> Reply:
            began.set()
            await gate.wait()
            return a_reply()

        guard.answer = waits
        small = turn.replace(settings=Settings(model="main", limits=limits, max_tokens=1))
        first = asyncio.ensure_future(guard(small))
        await began.wait()
        with pytest.raises(LimitReached, match="concurrency"):
            await guard(small)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        gate.set()
        await guard(small)


async def test_empty_buckets_expire_in_redis(redis_server: RedisServer, redis_url: str) -> None:
    async with RedisClient(lambda: redis_url, "databases/c", most=2, timeout_s=5.0) as client:
        buckets = RedisBuckets(client, "victor:p:middleware/rate_limit")
        for subject in ("a", "\0\ud800", "x" * 10_000, "}{", "a b"):
            demand = Demand("l", requests_per_minute=1e9, tokens_per_minute=1e9, concurrency=1, tokens=5.0)
            await buckets.take(subject, demand)
            await buckets.settle(subject, demand, 7.0)
    names = redis_server.command("KEYS", "*").split()
    assert names
    for name in names:
        assert len(name) < 100
        assert 0 < int(redis_server.command("PTTL", name)) <= 1001


@pytest.mark.parametrize("steps", range(1, 12))
async def test_a_turn_that_is_cancelled_while_redis_answers_takes_nothing(
    tmp_path: Path, redis_url: str, steps: int
) -> None:
    async with shared(tmp_path, redis_url) as guard:
        turn = a_turn(limits=Limits(concurrency=1, tokens_per_minute=1000))
        asking = asyncio.ensure_future(guard(turn))
        for _ in range(steps):
            await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await guard(turn)


async def test_an_outage_of_redis_refuses_turns_until_its_return(
    tmp_path: Path, redis_url: str, redis_server: RedisServer
) -> None:
    turn = a_turn(limits=Limits(requests_per_minute=100))
    async with shared(tmp_path, redis_url) as closed, shared(tmp_path, redis_url, when_unavailable="allow") as open_:
        await closed(turn)
        redis_server.stop()
        with pytest.raises(Refused, match="cannot be checked at the moment"):
            await closed(turn)
        await open_(turn)
        redis_server.start()
        await closed(turn)
        for guard in (closed, open_):
            assert "open-sesame" not in str(guard.reports)


@pytest.mark.parametrize(
    ("limits", "cost", "permitted"),
    [({"requests_per_minute": 300}, 1, 300), ({"tokens_per_minute": 9000}, 50, 9000)],
    ids=["requests", "tokens"],
)
def test_two_processes_together_stay_within_the_limit(
    redis_url: str, limits: dict[str, float], cost: int, permitted: int
) -> None:
    command = [sys.executable, "-c", WORKER, redis_url, "100", json.dumps(limits)]
    workers = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    results = []
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        out, _ = worker.communicate(timeout=60)
        assert worker.returncode == 0
        results.append(json.loads(out))
    used = cost * sum(result["through"] for result in results)
    longest = max(result["seconds"] for result in results)
    most = permitted * (1 + (longest + 1) / 60)  # a second for the way from process to process
    assert permitted * 0.98 <= used <= most + cost
