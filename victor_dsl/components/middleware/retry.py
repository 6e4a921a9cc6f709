"""The middleware that retries model calls after errors that may go away."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Literal, Self

from attrs import define, frozen
from pydantic import Field, model_validator

from victor_dsl.errors import ModelError
from victor_dsl.language.component import Clock, Context
from victor_dsl.language.config import MiddlewareConfig
from victor_dsl.language.kinds import Middleware
from victor_dsl.lazy import Lazy
from victor_dsl.values.message import Delta, Reply
from victor_dsl.values.turn import Emit, Handler, Turn

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = Lazy("asyncio")

AROUND = "model"


class Config(MiddlewareConfig):
    """Retries a model call after an error that may go away: a rate limit, overload, a timeout, a broken connection.

    Before each attempt it pauses for a random time whose upper bound grows, and at least as long as the model's service
    asks for. After the first text was streamed, a call is retried only as `settings.broken_stream` allows; around a turn, also
    not after a tool was called. A time limit of the model's own is not retried while a fallback is left, and one for the first
    token never. When the last attempt fails, the fallbacks are tried.
    """

    around: Literal["turn", "model"] | None = Field(
        None, description="What is retried: each model call (the default), or the whole turn."
    )
    attempts: int = Field(
        3, ge=1, le=100, description="The largest number of attempts, including the first. The default is 3."
    )
    initial_seconds: float = Field(
        0.5, ge=0, description="The longest pause before the second attempt. The default is half a second."
    )
    multiplier: float = Field(
        2.0, ge=1, description="The factor by which the longest pause grows with each attempt. The default is 2."
    )
    max_seconds: float = Field(
        20.0,
        ge=0,
        description="The longest pause. A service that asks for a longer one is not retried: a fallback answers sooner. "
        "The default is 20 seconds.",
    )

    @model_validator(mode="after")
    def _check_pauses(self) -> Self:
        if self.initial_seconds > self.max_seconds:
            raise ValueError("'initial_seconds' is longer than 'max_seconds'")
        return self


EXAMPLE = "{type: retry, attempts: 3, initial_seconds: 0.5, max_seconds: 20}"


def build(config: Config, context: Context) -> Middleware:
    """The middleware, on the pipeline's clock and random source."""
    return Retry(config, context.clock, context.random)


@frozen
class Retry:
    """Full jitter (Brooker 2015, "Exponential Backoff and Jitter") over what the service itself asks for."""

    config: Config
    clock: Clock
    random: Random

    def wrap(self, handler: Handler) -> Handler:
        async def retried(turn: Turn) -> Reply:
            watch = _Watch(turn.emit)
            watched = turn.replace(emit=watch.pass_on) if turn.streaming else turn
            for attempt in range(1, self.config.attempts):
                try:
                    return await handler(watched)
                except ModelError as error:
                    pause_s = self._pause(error, attempt, turn)
                    if pause_s is None or self._called_tools(turn) or _too_late(turn, pause_s):
                        raise
                    if watch.streamed and not (turn.trace.streamed.reached and turn.may_try_again):
                        raise
                await self.clock.sleep(pause_s)
            return await handler(watched)

        return retried

    def _pause(self, error: ModelError, attempt: int, turn: Turn) -> float | None:
        """The pause before the next attempt in seconds; None if there should be no other attempt."""
        config = self.config
        asked = error.retry_after_s or 0.0
        if not error.transient or asked > config.max_seconds or _is_our_limit(error, turn):
            return None
        longest = min(config.max_seconds, config.initial_seconds * config.multiplier ** min(attempt - 1, 64))
        return min(config.max_seconds, asked + self.random.random() * longest)

    def _called_tools(self, turn: Turn) -> bool:
        """Whether the turn called tools, which another attempt would call again."""
        return self.config.around == "turn" and len(turn.trace.exchange) > 1


@define
class _Watch:
    """Passes text on, and records that some was streamed."""

    emit: Emit
    streamed: bool = False

    async def pass_on(self, delta: Delta) -> None:
        self.streamed = self.streamed or bool(delta.text)
        await self.emit(delta)


def _is_our_limit(error: ModelError, turn: Turn) -> bool:
    """Whether a time limit of the spec ended the call, and a fallback is the better next attempt."""
    return error.limit == "first_token" or (error.limit is not None and turn.fallback_left)


def _too_late(turn: Turn, pause_s: float) -> bool:
    """Whether the turn's deadline is before the next attempt."""
    return turn.deadline is not None and asyncio.get_running_loop().time() + pause_s >= turn.deadline
