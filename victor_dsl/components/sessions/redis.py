"""The session store in Redis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

from attrs import frozen
from pydantic import Field

from victor_dsl.components.stored_turns import messages_to_text, read_history, session_key, unreadable
from victor_dsl.errors import StoreError
from victor_dsl.language.component import Context
from victor_dsl.language.config import Ref, SessionConfig
from victor_dsl.language.kinds import RedisDatabase
from victor_dsl.storage.tenant_key import storable
from victor_dsl.values.message import Message

# A session is a hash of turns. Each turn's number is stored before its messages, since a hash has no order.
APPEND = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
    redis.call('HSET', KEYS[1], ARGV[1], redis.call('HLEN', KEYS[1]) .. ' ' .. ARGV[2])
end
if ARGV[3] ~= '' then
    redis.call('EXPIRE', KEYS[1], ARGV[3])
end
"""


class Config(SessionConfig):
    """Stores histories in Redis, so that several processes and machines share them. They can expire after their last turn.

    A turn is stored whole, and only once even if it is retried. Whether histories survive a restart of the server depends
    on its own settings, such as `appendonly`.
    """

    database: Annotated[str, Ref("databases", ("redis",))] = Field(
        description="The database, of type `redis`.", examples=["cache"]
    )
    ttl_seconds: int | None = Field(
        None, ge=1, description="How long a history is stored after its last turn. By default it never expires."
    )
    prefix: str = Field("victor:sessions:", description="The prefix of the keys.")


EXAMPLE = "{type: redis, database: cache, ttl_seconds: 86400}"


def build(config: Config, context: Context) -> RedisSessions:
    """The store; it first connects in the first turn. Raises StoreError for another type of database."""
    database = context.live(config.database)
    if getattr(database, "dialect", None) != "redis":
        raise StoreError("stores sessions in a database of type redis only", node=context.node)
    return RedisSessions(database, context.node, config.prefix, config.ttl_seconds)


@frozen
class RedisSessions:
    """Histories in one hash for each session."""

    database: RedisDatabase
    node: str
    prefix: str
    ttl_s: int | None

    async def load(
        self, tenant: str | None, session: str, before: str | None = None, *, user: str | None = None
    ) -> tuple[Message, ...]:
        hint = f"its key, which begins with '{self.prefix}', was not written by this store"
        try:
            reply = await self.database.command("HGETALL", self._key(tenant, session, user))
        except StoreError as error:
            if error.message.startswith("WRONGTYPE"):
                raise unreadable(session, node=self.node, hint=hint) from error
            raise
        fields = reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))
        end = None if before is None else storable(before).encode()
        return read_history(_turns(fields, end), session, node=self.node, hint=hint)

    async def append(
        self, tenant: str | None, session: str, turn_id: str, messages: Sequence[Message], *, user: str | None = None
    ) -> None:
        ttl = "" if self.ttl_s is None else str(self.ttl_s)
        arguments = (storable(turn_id), messages_to_text(messages), ttl)
        await self.database.run_script(APPEND, [self._key(tenant, session, user)], arguments)

    def _key(self, tenant: str | None, session: str, user: str | None) -> str:
        return self.prefix + session_key(tenant, session, user).hex()


def _turns(fields: Mapping[bytes, bytes], end: bytes | None) -> Iterator[bytes]:
    """The texts of a session's turns in order, up to that turn. Raises ValueError."""
    in_order = sorted((_number_and_text(value), id) for id, value in fields.items())
    for (_, text), id in in_order:
        if id == end:
            return
        yield text


def _number_and_text(value: bytes) -> tuple[int, bytes]:
    number, _, text = value.partition(b" ")
    return int(number), text
