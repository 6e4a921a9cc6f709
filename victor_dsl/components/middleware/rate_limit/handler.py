"""The handler that runs within limits: tokens are reserved before it and settled after it, however it ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import define, field, frozen

from victor_dsl.components.usage_buckets import MINUTE, Buckets, Demand, Verdict
from victor_dsl.errors import Limit, LimitReached, Refused, StoreError
from victor_dsl.language.component import Context
from victor_dsl.values.event import uuid7
from victor_dsl.values.message import Delta, Reply, Usage, messages_tokens
from victor_dsl.values.request import KEY_ID
from victor_dsl.values.settings import Limits
from victor_dsl.values.tokens import text_tokens
from victor_dsl.values.turn import Emit, Handler, Turn

ANSWER_TOKENS = 512
"""Reserved for an answer if `settings.max_tokens` is not set."""
RETRY_SECONDS = 1.0


@frozen
class RateLimit:
    """Fails closed by default: while turns cannot be counted they are refused, unless `refuses_uncounted` is false."""

    buckets: Callable[[str], Buckets]
    """Returns the buckets of a pipeline."""
    context: Context
    per: str
    refuses_uncounted: bool = field(kw_only=True)

    def wrap(self, handler: Handler) -> Handler:
        async def limited(turn: Turn) -> Reply:
            if not turn.layers:
                raise Refused("limits are known only after auth; put it after auth", node=self.context.node)
            limits = turn.settings.limits
            if limits.requests_per_minute is limits.tokens_per_minute is limits.concurrency is None:
                return await handler(turn)
            estimate = _estimate(turn, limits)
            demand = Demand(
                uuid7(), limits.requests_per_minute, limits.tokens_per_minute, limits.concurrency, estimate.reserve
            )
            buckets = self.buckets(turn.pipeline)
            if not await self._take(buckets, turn, demand, estimate):
                return await handler(turn)
            return await self._run(handler, turn, _Grant(buckets, _subject(self.per, turn), demand, estimate.input))

        return limited

    async def _take(self, buckets: Buckets, turn: Turn, demand: Demand, estimate: _Estimate) -> bool:
        """Whether the turn is counted; False if it cannot be counted but may run. Raises LimitReached and Refused."""
        limit = demand.tokens_per_minute
        if limit is not None and estimate.input > limit:
            message = f"the turn has {estimate.input:,} tokens, more than tokens_per_minute ({limit:,g}) ever allows"
            raise LimitReached(message, node=self.context.node)
        try:
            verdict = await buckets.take(_subject(self.per, turn), demand)
        except StoreError as error:
            self._report(error)
            if not self.refuses_uncounted:
                return False
            message = "limits cannot be checked at the moment"
            raise Refused(message, node=self.context.node, retry_after_s=RETRY_SECONDS) from error
        if verdict.broken is not None:
            raise self._limit_reached(verdict, demand, turn)
        return True

    async def _run(self, handler: Handler, turn: Turn, grant: _Grant) -> Reply:
        before = turn.trace.usage
        streamed = _StreamCounter(turn.emit)
        inner = turn.replace(emit=streamed.pass_on) if turn.streaming else turn
        # What a turn that is cancelled costs at least: its model may have read the input already.
        spent = grant.input
        try:
            reply = await handler(inner)
        except Exception:
            spent = 0
            raise
        else:
            spent = _tokens(reply.usage) or grant.input + text_tokens(reply.message.text())
            return reply
        finally:
            if recorded := _tokens(turn.trace.usage) - _tokens(before):
                spent = recorded  # as the turn's events have it, failed calls included
            elif streamed.characters:
                spent = max(spent, grant.input + text_tokens("x" * streamed.characters))
            await self._settle(grant, spent)

    async def _settle(self, grant: _Grant, spent: int) -> None:
        if grant.demand.tokens_per_minute is None and grant.demand.concurrency is None:
            return
        try:
            await grant.buckets.settle(grant.subject, grant.demand, spent)
        except StoreError as error:
            self._report(error)  # the reservation stays as it is

    def _limit_reached(self, verdict: Verdict, demand: Demand, turn: Turn) -> LimitReached:
        name, wait_s = verdict.broken or "", verdict.retry_after_s
        requests, tokens, places = demand.requests_per_minute, demand.tokens_per_minute, demand.concurrency
        whose = {"tenant": turn.tenant, "user": turn.user, "session": turn.session, "key": None}[self.per]
        limit = Limit(name, self.per, _subject(self.per, turn), whose or "")
        most: float = 0
        match name:
            case "requests_per_minute" if requests:
                most, limit = requests, limit._replace(interval_s=MINUTE / requests)
            case "tokens_per_minute" if tokens:
                most, limit = tokens, limit._replace(interval_s=demand.tokens * MINUTE / tokens)
            case "concurrency" if places:
                most, limit = places, limit._replace(places=places)
        when = "when another turn has ended" if wait_s is None else f"in {wait_s:.1f} s"
        message = f"this {self.per} has reached its limit {name}: {most:g}; try again {when}"
        return LimitReached(message, node=self.context.node, retry_after_s=wait_s, limit=limit)

    def _report(self, error: StoreError) -> None:
        outcome = "refused" if self.refuses_uncounted else "allowed without being counted"
        self.context.report(f"limits cannot be checked; turns are {outcome}: {error}", {"code": error.code})


@frozen
class _Estimate:
    """A turn's tokens, estimated before it runs: the input, and what to reserve for input and answer."""

    input: int
    reserve: float


@frozen
class _Grant:
    """A demand that was granted to a subject."""

    buckets: Buckets
    subject: str
    demand: Demand
    input: int


@define
class _StreamCounter:
    """Passes text on and counts its characters."""

    emit: Emit
    characters: int = 0

    async def pass_on(self, delta: Delta) -> None:
        self.characters += len(delta.text) + len(delta.reasoning)
        await self.emit(delta)


def _estimate(turn: Turn, limits: Limits) -> _Estimate:
    """Reserves at most one minute's worth; a longer answer is made up for by later turns."""
    if limits.tokens_per_minute is None:
        return _Estimate(0, 0.0)
    sent = messages_tokens(turn.examples + turn.messages) + text_tokens(turn.system or "")
    return _Estimate(sent, min(sent + (turn.settings.max_tokens or ANSWER_TOKENS), limits.tokens_per_minute))


def _subject(per: str, turn: Turn) -> str:
    """The key of the turn's bucket. Equal ids of two tenants, and equal session ids of two users, are different."""
    ids: Mapping[str, str | tuple[str | None, str] | None] = {
        "tenant": None,
        "user": turn.user,
        "session": turn.session if turn.session_user is None else turn.session_key[1:],
        "key": turn.metadata.get(KEY_ID),
    }
    return repr((per, turn.tenant, ids[per]))


def _tokens(usage: Usage) -> int:
    return (usage.input_tokens or 0) + (usage.output_tokens or 0)
