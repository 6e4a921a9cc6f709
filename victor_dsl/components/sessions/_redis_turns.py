"""Histories in Redis: one hash for each session, with a field for each turn."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from victor_dsl.components.sessions._text import UNREADABLE, from_text, session_key, shown, to_text
from victor_dsl.errors import StoreError
from victor_dsl.language.kinds import RedisDatabase
from victor_dsl.storage.tenant_key import storable
from victor_dsl.values.message import Message

APPEND = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
    redis.call('HSET', KEYS[1], ARGV[1], redis.call('HLEN', KEYS[1]) .. ' ' .. ARGV[2])
end
if ARGV[3] ~= '' then
    redis.call('EXPIRE', KEYS[1], ARGV[3])
end
"""
"""A turn's number goes before its messages: a hash has no order."""


class RedisTurns:
    """The store. Raises StoreError for a database of another type."""

    def __init__(self, database: Any, node: str, *, prefix: str, ttl_s: int | None) -> None:
        if getattr(database, "dialect", None) != "redis":
            raise StoreError("keeps sessions in a database of type redis only", node=node)
        self._redis: RedisDatabase = database
        self._node = node
        self._prefix = prefix
        self._ttl_s = "" if ttl_s is None else str(ttl_s)

    async def load(self, tenant: str | None, session: str, before: str | None = None) -> tuple[Message, ...]:
        found = await self._redis.command("HGETALL", self._key(tenant, session))
        fields = found if isinstance(found, dict) else dict(zip(found[::2], found[1::2], strict=True))
        asking = None if before is None else storable(before).encode()
        try:
            turns = sorted((_numbered(value), id) for id, value in fields.items())
            earlier = takewhile(lambda turn: turn[1] != asking, turns)
            return tuple([message for (_, text), _ in earlier for message in from_text(text)])
        except UNREADABLE as error:
            raise StoreError(
                f"the history of session {shown(session)} cannot be read",
                node=self._node,
                hint=f"its key, which begins with '{self._prefix}', was not written by this store",
            ) from error

    async def append(self, tenant: str | None, session: str, turn_id: str, messages: Sequence[Message]) -> None:
        arguments = (storable(turn_id), to_text(messages), self._ttl_s)
        await self._redis.run_script(APPEND, [self._key(tenant, session)], arguments)

    def _key(self, tenant: str | None, session: str) -> str:
        return self._prefix + session_key(tenant, session).hex()


def _numbered(value: bytes) -> tuple[int, bytes]:
    number, _, text = value.partition(b" ")
    return int(number), text
