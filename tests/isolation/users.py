"""Whether a user's history reaches another: two users of two tenants, all with the same session ids, at once on each session store.

    python -m tests.isolation.users --sessions 1000

Every message has a mark of its user and session. The model refuses a conversation with a foreign mark, or without one of the
session's earlier messages.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

from attrs import define, field

from tests.components.middleware.harness import hashed
from tests.runtime.stage import Stage
from tests.services import PostgresServer, RedisServer
from victor_dsl.storage.migrations import migrate
from victor_dsl.storage.postgres_pool import PostgresPool
from victor_dsl.values.message import Message, Reply
from victor_dsl.values.request import API_KEY, Request
from victor_dsl.values.turn import Turn

STORES = {
    "memory": "memory",
    "sqlite": "sqlite",
    "postgres": "{type: postgres, database: app}",
    "redis": "{type: redis, database: cache}",
}
SPEC = """
models: {main: {type: given, context_window: 1000000}}
databases:
  app: {type: postgres, dsn: "${env:DSN}"}
  cache: {type: redis, url: "${env:REDIS}"}
middleware: [{type: auth, keys: keys.json}]
sessions: STORE
"""
CALLERS = tuple(product(("acme", "globex"), ("ann", "bob")))
TURNS = 3
AT_ONCE = 100
"""How many sessions run at once."""


@define
class Reader:
    """A model that looks at each conversation, and counts them. `faults` are those with too much or too little in them."""

    answered: int = 0
    faults: list[str] = field(factory=list)

    async def answer(self, turn: Turn) -> Reply:
        self.answered += 1
        mark, number = turn.latest_user_text().rsplit(" ", 1)
        expected = [text for past in range(int(number)) for text in (f"{mark} {past}", f"reply to {mark}")]
        sent = [message.text() for message in turn.messages[:-1]]
        if sent != expected:
            self.faults.append(f"{mark}, turn {number}: {sent}")
        return Reply(Message("assistant", f"reply to {mark}"))


async def separate(folder: Path, store: str, environment: dict[str, str], *, sessions: int) -> Reader:
    """Runs all sessions of all callers at once. `store` is the spec's `sessions`."""
    entries = ", ".join(
        f'{{"key_hash": "{hashed(_key(tenant, user))}", "tenant_id": "{tenant}", "user_id": "{user}"}}'
        for tenant, user in CALLERS
    )
    (folder / "keys.json").write_text(f'{{"keys": [{entries}]}}')
    (folder / "keys.json").chmod(0o600)
    reader = Reader()
    stage = Stage(folder, {"models/main": reader})
    places = asyncio.Semaphore(AT_ONCE)
    async with stage.orchestrator(SPEC.replace("STORE", store), environment) as orchestrator:

        async def session(tenant: str, user: str, id: str) -> None:
            async with places:
                for number in range(TURNS):
                    text = f"{tenant}/{user}/{id} {number}"
                    request = Request(message=text, session=id, metadata={API_KEY: _key(tenant, user)})
                    answer = await orchestrator.answer(request)
                    assert answer.error is None, answer.error

        async with asyncio.TaskGroup() as group:
            for number in range(sessions):
                for caller in CALLERS:
                    group.create_task(session(*caller, f"s{number}"))
    return reader


def _key(tenant: str, user: str) -> str:
    return f"vk_{tenant}_{user}_0123456789abcdef"


@contextmanager
def _servers() -> Iterator[dict[str, str]]:
    """The environment of the spec."""
    with tempfile.TemporaryDirectory() as data, tempfile.TemporaryDirectory() as cache:
        postgres, redis = PostgresServer(Path(data)), RedisServer(Path(cache))
        postgres.start()
        redis.start()
        try:
            yield {"DSN": postgres.dsn(postgres.create()), "REDIS": redis.url}
        finally:
            postgres.stop()
            redis.stop()


async def prepared(dsn: str) -> None:
    """Creates the tables."""
    async with PostgresPool(lambda: dsn, "databases/app") as database:
        await migrate(database)


def main() -> int:
    """Runs the search on every store; exits 1 where a user's message reached another, or was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=1000, help="of each user")
    options = parser.parse_args()
    faults: list[str] = []
    with _servers() as environment:
        asyncio.run(prepared(environment["DSN"]))
        for name, store in STORES.items():
            with tempfile.TemporaryDirectory() as folder:
                started = time.monotonic()
                reader = asyncio.run(separate(Path(folder), store, environment, sessions=options.sessions))
            seconds = time.monotonic() - started
            sys.stdout.write(f"{name:<10}{reader.answered:>8} turns{seconds:>8.1f} s{len(reader.faults):>6} faults\n")
            faults += reader.faults
    sys.stdout.write("".join(f"{fault}\n" for fault in faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
