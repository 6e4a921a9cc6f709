"""A handler tried again when a model's failure may pass."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

from attrs import define, frozen

from victor_dsl.errors import ModelError
from victor_dsl.language.component import Clock
from victor_dsl.values.message import Delta, Reply
from victor_dsl.values.turn import Emit, Handler, Turn

if TYPE_CHECKING:
    from victor_dsl.components.middleware.retry import Config


@frozen
class Retry:
    """Full jitter (Brooker 2015, "Exponential Backoff and Jitter") over what the service itself asks for."""

    config: Config
    clock: Clock
    random: Random

    def wrap(self, handler: Handler) -> Handler:
        async def tried(turn: Turn) -> Reply:
            watch = _Watch(turn.emit)
            watched = turn.replace(emit=watch.pass_on) if turn.streaming else turn
            for attempt in range(1, self.config.attempts):
                try:
                    return await handler(watched)
                except ModelError as error:
                    pause_s = self._pause(error, attempt)
                    if pause_s is None or watch.began or self._called_tools(turn) or _too_late(turn, pause_s):
                        raise
                await self.clock.sleep(pause_s)
            return await handler(watched)

        return tried

    def _pause(self, error: ModelError, attempt: int) -> float | None:
        """How long to wait before the next attempt; None where it is not worth it."""
        config = self.config
        asked = error.retry_after_s or 0.0
        if not error.transient or asked > config.max_seconds:
            return None
        longest = min(config.max_seconds, config.initial_seconds * config.multiplier ** min(attempt - 1, 64))
        return min(config.max_seconds, asked + self.random.random() * longest)

    def _called_tools(self, turn: Turn) -> bool:
        """Whether this turn called tools that a second run would call again."""
        return self.config.around == "turn" and len(turn.trace.exchange) > 1


@define
class _Watch:
    """Passes pieces on, and knows whether one came."""

    emit: Emit
    began: bool = False

    async def pass_on(self, delta: Delta) -> None:
        self.began = True
        await self.emit(delta)


def _too_late(turn: Turn, pause_s: float) -> bool:
    """Whether the turn's time would be over before the next attempt."""
    return turn.deadline is not None and asyncio.get_running_loop().time() + pause_s >= turn.deadline
