"""The handler that runs within limits: tokens reserved before, settled after, whatever becomes of the turn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from victor_dsl.components.middleware._buckets import Buckets, Demand, MemoryBuckets, Verdict
from victor_dsl.components.middleware._redis_buckets import RedisBuckets
from victor_dsl.errors import ComponentError, LimitReached, Refused, StoreError
from victor_dsl.language.component import Context
from victor_dsl.language.kinds import RedisDatabase
from victor_dsl.values.event import uuid7
from victor_dsl.values.message import Delta, Reply, Usage, messages_tokens
from victor_dsl.values.request import KEY_ID
from victor_dsl.values.settings import Limits
from victor_dsl.values.tokens import text_tokens
from victor_dsl.values.turn import Emit, Handler, Turn

if TYPE_CHECKING:
    from victor_dsl.components.middleware.rate_limit import Config

ANSWER_TOKENS = 512
"""Reserved for an answer where `settings.max_tokens` does not say."""
RETRY_SECONDS = 1.0


@asynccontextmanager
async def open_rate_limit(config: Config, context: Context) -> AsyncIterator[RateLimit]:
    """The middleware. Raises ComponentError where its database is not Redis."""
    if config.database is None:
        memory = MemoryBuckets(context.kept.setdefault("subjects", {}), context.clock)
        yield RateLimit(config, context, lambda _: memory)
        return
    database = context.live(config.database)
    if not isinstance(database, RedisDatabase):
        raise ComponentError(f"{config.database} is no Redis; limits are counted there, or in memory")
    yield RateLimit(config, context, lambda turn: RedisBuckets(database, f"victor:{turn.pipeline}:{context.node}"))


@frozen
class RateLimit:
    """Fails closed, unless it is told otherwise."""

    config: Config
    context: Context
    buckets: Any

    def wrap(self, handler: Handler) -> Handler:
        async def limited(turn: Turn) -> Reply:
            if not turn.layers:
                raise Refused("limits are known only after auth; write it there", node=self.context.node)
            limits = turn.settings.limits
            if limits.requests_per_minute is limits.tokens_per_minute is limits.concurrency is None:
                return await handler(turn)
            expected = _expected(turn, limits)
            demand = Demand(
                uuid7(), limits.requests_per_minute, limits.tokens_per_minute, limits.concurrency, expected.reserve
            )
            buckets: Buckets = self.buckets(turn)
            subject = _subject(self.config.per, turn)
            if not await self._taken(buckets, subject, demand, expected):
                return await handler(turn)
            return await self._counted(handler, turn, _Account(buckets, subject, demand, expected.input))

        return limited

    async def _taken(self, buckets: Buckets, subject: str, demand: Demand, expected: _Expected) -> bool:
        """Whether it was taken and counted; False where that cannot be told and the turn may run nevertheless."""
        limit = demand.tokens_per_minute
        if limit is not None and expected.input > limit:
            message = f"the turn has {expected.input:,} tokens, and tokens_per_minute is {limit:,g}: it never fits"
            raise LimitReached(message, node=self.context.node)
        try:
            verdict = await buckets.take(subject, demand)
        except StoreError as error:
            self._say(error)
            if self.config.when_unavailable == "allow":
                return False
            message = "limits cannot be checked at the moment"
            raise Refused(message, node=self.context.node, retry_after_s=RETRY_SECONDS) from error
        if verdict.broken is not None:
            raise self._reached(verdict, demand)
        return True

    async def _counted(self, handler: Handler, turn: Turn, account: _Account) -> Reply:
        before = turn.trace.usage
        streamed = _Streamed(turn.emit)
        inner = turn.replace(emit=streamed.pass_on) if turn.streaming else turn
        spent = account.input  # where it is cancelled: the model may have been asked already
        try:
            reply = await handler(inner)
        except Exception:
            spent = 0
            raise
        else:
            spent = _tokens(reply.usage) or account.input + text_tokens(reply.message.text())
            return reply
        finally:
            spent = max(spent, _since(before, turn.trace.usage))
            if streamed.characters:
                spent = max(spent, account.input + text_tokens("x" * streamed.characters))
            await self._settled(account, spent)

    async def _settled(self, account: _Account, spent: int) -> None:
        if account.demand.tokens_per_minute is None and account.demand.concurrency is None:
            return
        try:
            await account.buckets.settle(account.subject, account.demand, spent)
        except StoreError as error:
            self._say(error)  # the reservation stays

    def _reached(self, verdict: Verdict, demand: Demand) -> LimitReached:
        limit = {
            "requests_per_minute": demand.requests_per_minute,
            "tokens_per_minute": demand.tokens_per_minute,
            "concurrency": demand.concurrency,
        }[verdict.broken or ""]
        wait_s = verdict.retry_after_s
        when = "when another turn has ended" if wait_s is None else f"in {wait_s:.1f} s"
        message = f"the limit {verdict.broken}: {limit:g} of this {self.config.per} is reached; try again {when}"
        return LimitReached(message, node=self.context.node, retry_after_s=wait_s)

    def _say(self, error: StoreError) -> None:
        going = "allowed without being counted" if self.config.when_unavailable == "allow" else "refused"
        self.context.report(f"limits cannot be checked; turns are {going}: {error}", {"code": error.code})


@frozen
class _Expected:
    """The tokens of a turn as far as they can be known before it: what is sent, and what to reserve."""

    input: int
    reserve: float


@frozen
class _Account:
    """What was granted to whom."""

    buckets: Buckets
    subject: str
    demand: Demand
    input: int


@define
class _Streamed:
    """Passes pieces on and counts them."""

    emit: Emit
    characters: int = field(default=0)

    async def pass_on(self, delta: Delta) -> None:
        self.characters += len(delta.text)
        await self.emit(delta)


def _expected(turn: Turn, limits: Limits) -> _Expected:
    """An answer may reserve what is left of a minute's worth at most: longer ones are made up for afterwards."""
    if limits.tokens_per_minute is None:
        return _Expected(0, 0.0)
    sent = messages_tokens(turn.messages) + text_tokens(turn.system or "")
    return _Expected(sent, min(sent + (turn.settings.max_tokens or ANSWER_TOKENS), limits.tokens_per_minute))


def _subject(per: str, turn: Turn) -> str:
    """Whose bucket it is. Users and sessions of different tenants are different ones, whatever they are called."""
    of: Mapping[str, str | None] = {
        "tenant": None,
        "user": turn.user,
        "session": turn.session,
        "key": turn.metadata.get(KEY_ID),
    }
    return repr((per, turn.tenant, of[per]))


def _tokens(usage: Usage) -> int:
    return (usage.input_tokens or 0) + (usage.output_tokens or 0)


def _since(before: Usage, after: Usage) -> int:
    """The tokens that models reported in between."""
    return _tokens(after) - _tokens(before)
