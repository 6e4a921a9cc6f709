"""A damaged row of a session is an error that names the session, whatever was done to it, and no turn trips over one."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.components.context import surroundings
from tests.components.models.asking import HELLO, asking
from tests.runtime.stage import Says, Spy, Stage
from victor_dsl.components.sessions import postgres as postgres_sessions
from victor_dsl.components.sessions import redis, sqlite
from victor_dsl.components.stored_turns import messages_from_text, messages_to_text, read_history
from victor_dsl.errors import ModelError, StoreError, VictorError
from victor_dsl.language.kinds import SessionStore
from victor_dsl.storage.migrations import migrate
from victor_dsl.storage.postgres_pool import PostgresPool
from victor_dsl.storage.redis_client import RedisClient
from victor_dsl.storage.sqlite_file import SqliteFile
from victor_dsl.values.history import group
from victor_dsl.values.mending import mend
from victor_dsl.values.message import Message, ToolCall, messages_size
from victor_dsl.values.request import Request

WHOLE = (
    Message("user", ({"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "data:,"}}), name="a"),
    Message("user", "<q>see</q>", said="see"),
    Message(
        "assistant", None, (ToolCall("c1", "f", '{"a": 1}', {"extra_content": {"x": [1]}}),), extra={"reasoning": "r"}
    ),
    Message("tool", "done", tool_call_id="c1", name="f"),
    Message("assistant", "It is done.", extra={"response_items": [{"type": "message"}]}, written_by="gpt"),
)
TEXT = messages_to_text(WHOLE)
DEEP = "[" * 100_000
WRONG: tuple[Any, ...] = (
    *(None, True, 5, -1, 2**70, 10**400, 1e308, float("nan"), float("inf"), "", "\ud800", "x\0", "tool", "developer"),
    *([], [5], [[]], [None], ["a"], {}, {"a": 1}, {"type": 5}, {"type": "text"}, {"type": "text", "text": 5}),
    *(
        [{"type": []}],
        [{"id": 1}],
        [{"id": "a", "function": 5}],
        [{"id": "a", "function": {"name": 1, "arguments": {}}}],
    ),
    json.loads("[" * 150 + "]" * 150),
    json.loads("[" * 300 + "]" * 300),
)
"""Values of other types, and values that some field could have but not this one."""
KEYS = (
    "role",
    "content",
    "tool_calls",
    "tool_call_id",
    "name",
    "pinned",
    "reasoning",
    "response_items",
    "written_by",
    "said",
    "x",
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in a JSON value, at every depth."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, part in inner for found in places(part, (*path, key)))]


def changed(value: Any, path: tuple[Any, ...], change: Callable[[Any, Any], Any]) -> Any:
    """The value after `change(parent, key)` at a path; what it returns replaces the root."""
    value = deepcopy(value)
    if not path:
        return change(None, None)
    parent = value
    for key in path[:-1]:
        parent = parent[key]
    change(parent, path[-1])
    return value


def put(wrong: Any) -> Callable[[Any, Any], Any]:
    def change(parent: Any, key: Any) -> Any:
        if parent is not None:
            parent[key] = wrong
        return wrong

    return change


def remove(parent: Any, key: Any) -> Any:
    if parent is not None:
        del parent[key]


def mutants(draw: Callable[[int], int]) -> str:
    """A mutated row; `draw` gives a number below its argument."""
    value = json.loads(TEXT)
    paths = places(value)
    for _ in range(1 + draw(2)):
        paths = places(value)
        path = paths[draw(len(paths))]
        match draw(4):
            case 0 | 1:
                value = changed(value, path, put(deepcopy(WRONG[draw(len(WRONG))])))
            case 2:
                value = changed(value, path, remove)
            case _:
                messages = (
                    [message for message in value if isinstance(message, dict)] if isinstance(value, list) else []
                )
                if messages:
                    messages[draw(len(messages))][KEYS[draw(len(KEYS))]] = deepcopy(WRONG[draw(len(WRONG))])
        if not isinstance(value, dict | list):
            break
    text = json.dumps(value)
    match draw(6):
        case 0:
            text = text[: draw(len(text) + 1)]
        case 1:
            cut = draw(len(text) + 1)
            text = text[:cut] + '[{"\\ x,]}0'[draw(10)] + text[cut + 1 :]
    return text


@st.composite
def rows(draw: st.DrawFn) -> str:
    return mutants(lambda below: draw(st.integers(0, below - 1)))


def use(messages: tuple[Message, ...]) -> None:
    """What every turn does with its history."""
    mended = mend(messages)
    for conversation in (messages, messages if mended is None else mended.messages):
        messages_size(conversation)
        messages_size(conversation, len)
        for position, message in enumerate(conversation):
            assert message.tokens > 0, position
            assert isinstance(message.fingerprint, int)
        group(conversation)
    assert messages_from_text(messages_to_text(messages)) == list(messages)


BY_HAND = [
    *(
        "",
        "null",
        "7",
        '"x"',
        "[1]",
        "[null]",
        "[[]]",
        "[{}]",
        DEEP,
        "[" * 1000 + "]" * 1000,
        '{"role": "user"}',
        "[NaN]",
    ),
    *('[{"role": "user", "content": 5}]', '[{"role": "user", "content": [5]}]', '[{"role": 5, "content": "x"}]'),
    *(
        '[{"role": "boss", "content": "x"}]',
        '[{"role": "assistant", "tool_calls": [1]}]',
        '[{"role": [], "content": ""}]',
    ),
    '[{"role": "assistant", "tool_calls": [{"id": null, "function": {"name": "f", "arguments": "{}"}}]}]',
    *('[{"role": "user", "content": "x", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]}]',),
    '[{"role": "user", "content": [{"type": "x", "a": %s}]}]' % ("[" * 900 + "]" * 900),
    '[{"role": "assistant", "content": "x", "reasoning_details": %s}]' % ("[" * 900 + "]" * 900),
    '[{"role": "user", "content": "x", "name": %s}]' % ("9" * 5000),
]


@pytest.mark.parametrize("text", BY_HAND)
def test_a_row_that_this_store_did_not_write_cannot_be_read(text: str) -> None:
    with pytest.raises(StoreError, match='sessions/store: the history of session "s1" cannot be read') as caught:
        read_history([text], "s1", node="sessions/store", hint="look")
    assert not caught.value.transient


@given(rows())
@settings(max_examples=600, deadline=None)
@example(TEXT)
def test_a_mutated_row_is_read_whole_or_refused(text: str) -> None:
    with suppress(StoreError):
        use(read_history([text], "s1", node="sessions/store", hint="look"))


def sample(count: int) -> list[str]:
    random = Random(11)
    return [mutants(random.randrange) for _ in range(count)]


@pytest.mark.parametrize("type", ["openai", "responses", "anthropic"])
async def test_a_request_can_be_written_of_every_row_that_can_be_read(type: str) -> None:
    written = 0
    async with asking(type, "http://127.0.0.1:1") as model:
        for text in sample(300):
            try:
                messages = read_history([text], "s1", node="sessions/store", hint="look")
            except StoreError:
                continue
            with pytest.raises(VictorError) as caught:
                await model.answer(HELLO.replace(messages=(*messages, *HELLO.messages)))
            written += isinstance(caught.value, ModelError) and caught.value.kind == "unreachable"
    assert written > 5


async def test_a_turn_over_a_damaged_row_is_answered_or_says_that_its_history_cannot_be_read(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path)
    stage.objects |= {"models/main": Says(["fine"]), "exporters/given": Spy()}
    spec = "models: {main: {type: given}}\nexporters: [given]\nsessions: {type: sqlite, path: s.db}"
    codes = set()
    async with stage.orchestrator(spec) as orchestrator:
        with closing(sqlite3.connect(tmp_path / "s.db", isolation_level=None)) as other:
            insert = "INSERT INTO victor_turns (tenant, session, turn_id, messages) VALUES ('null', ?, 't', ?)"
            for number, text in enumerate([*BY_HAND, *sample(200)]):
                other.execute(insert, (json.dumps(f"s{number}"), text.encode("utf-8", "replace").decode()))
                answer = await orchestrator.answer(Request(message="hi", session=f"s{number}"))
                codes.add(answer.error and answer.error.code)
                assert answer.error is None or f'the history of session "s{number}" cannot be read' in str(answer.error)
    assert codes == {None, "store"}


def is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=int)
    except (ValueError, RecursionError):
        return False
    return True


Damage = Callable[[Any], Awaitable[None]]


async def check(store: SessionStore, damage: Damage, rows: list[Any]) -> None:
    await store.append(None, "s1", "t1", WHOLE)
    for row in rows:
        await damage(row)
        with pytest.raises(StoreError, match='the history of session "s1" cannot be read') as caught:
            await store.load(None, "s1")
        assert "QUOTED" not in str(caught.value)


async def test_damaged_rows_in_sqlite(tmp_path: Path) -> None:
    async with SqliteFile(tmp_path / "s.db") as database:
        context = surroundings(tmp_path, "sessions/sqlite", needs={"databases/app": database}).context
        async with sqlite.build(sqlite.Config(database="databases/app"), context) as store:

            async def damage(row: Any) -> None:
                with closing(sqlite3.connect(tmp_path / "s.db", isolation_level=None)) as other:
                    value = "CAST(? AS TEXT)" if isinstance(row, bytes) else "?"
                    other.execute(f"UPDATE victor_turns SET messages = {value}", (row,))

            await check(store, damage, [*BY_HAND, b"QUOTED \xff", 5, 1.5])


async def test_damaged_rows_in_postgresql(tmp_path: Path, postgres_dsn: str) -> None:
    async with PostgresPool(lambda: postgres_dsn, "databases/app") as database:
        await migrate(database)
        context = surroundings(tmp_path, "sessions/postgres", needs={"databases/app": database}).context
        store = postgres_sessions.build(postgres_sessions.Config(database="databases/app"), context)

        async def damage(row: Any) -> None:
            await database.for_every_tenant().execute([("UPDATE session_messages SET messages = $1", (row,))])

        await check(store, damage, [text for text in BY_HAND if is_json(text)])  # the column's type is json


async def test_damaged_rows_in_redis(tmp_path: Path, redis_url: str) -> None:
    async with RedisClient(lambda: redis_url, "databases/app", most=10, timeout_s=5) as client:
        context = surroundings(tmp_path, "sessions/redis", needs={"databases/app": client}).context
        store = redis.build(redis.Config(database="databases/app"), context)

        async def damage(row: Any) -> None:
            (key,) = await client.command("KEYS", "victor:sessions:*")
            if row is None:
                await client.command("SET", key, "QUOTED")
            else:
                await client.command("HSET", key, "t1", row)

        texts = [f"0 {text}" for text in BY_HAND]
        await check(store, damage, [*texts, b"\xff", b"0 \xff", "x []", "9" * 5000 + " []", "0", "", None])
