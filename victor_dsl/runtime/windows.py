"""The models' context windows, and turns made to fit them by what is known of how each model counts.

Compaction reckons in the stated tokens of `values.tokens`. It is given a window in the same: the model's, divided by what
the model was seen to count for each of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from attrs import define, field, frozen

from victor_dsl.errors import BudgetError, ModelError
from victor_dsl.runtime.coordinators.context import ContextCoordinator
from victor_dsl.runtime.token_estimates import ModelTokens, Refusal
from victor_dsl.values.message import Message, messages_size, messages_tokens
from victor_dsl.values.tokens import Size, TokenCounter, text_size
from victor_dsl.values.tool import Tool, tools_size
from victor_dsl.values.turn import Turn

ON_LOOP_TOKENS = 25_000
"""From longer requests on, ten milliseconds of work, a tokenizer counts in a thread."""


@define(eq=False)
class Counted:
    """A model as its tokens are counted: the window that is known of it, its tokenizer, and what was learnt."""

    known_window: int | None
    tokens: ModelTokens
    count: TokenCounter | None = None
    _tools: tuple[tuple[Tool, ...], Size] = ((), Size())
    _last: tuple[tuple[Message, ...], str | None, tuple[Tool, ...], Size] | None = None

    @property
    def window(self) -> int | None:
        """The smaller of the windows that the spec or the catalogue and the server name; None where none does."""
        told, known = self.tokens.window, self.known_window
        return told if known is None else known if told is None else min(told, known)

    @property
    def teaches(self) -> bool:
        """Whether more is known than the stated rule."""
        return self.count is not None or self.tokens.knows

    def estimate(self, turn: Turn) -> Estimated:
        """The turn's request in tokens."""
        size = self._size(turn)
        return Estimated(size, self.tokens.estimate(size, _session(turn)))

    def learn(self, turn: Turn, size: Size, reported: int | None) -> None:
        """Learns from the input tokens that the model reports for a request of this size."""
        self._last = None  # no conversation is held for longer than its turn
        self.tokens.learn(size, _session(turn), reported)

    def refused(self, turn: Turn, error: ModelError) -> None:
        """Learns from a refusal as too long."""
        refusal = Refusal(error.counted, error.window, self.known_window, turn.settings.max_tokens or 0)
        self.tokens.refused(self._size(turn), _session(turn), refusal)

    def _size(self, turn: Turn) -> Size:
        last = self._last
        if last is not None and last[0] is turn.messages and last[1] is turn.system and last[2] is turn.tools:
            return last[3]
        if self._tools[0] != turn.tools:  # quick for the same tools: a tuple's elements are compared by identity first
            self._tools = (turn.tools, tools_size(turn.tools, self.count))
        size = text_size(turn.system or "", self.count) + messages_size(turn.messages, self.count) + self._tools[1]
        self._last = (turn.messages, turn.system, turn.tools, size)
        return size


@frozen
class Estimated:
    """A request's size, and the tokens that its model is expected to count."""

    size: Size
    tokens: int

    def error(self, reported: int | None) -> float | None:
        """How far the estimate was off, relative to what the model reports: above 0 where it was too high."""
        return round(self.tokens / reported - 1, 4) if reported else None


@define(eq=False)
class Windows:
    """The models of a plan, by name, and the coordinator that makes a turn fit them."""

    _context: ContextCoordinator
    _models: Mapping[str, Counted] = field(factory=dict)

    def model(self, turn: Turn) -> Counted | None:
        """What is known of how the turn's model counts."""
        return self._models.get(turn.settings.model or "")

    def of(self, name: str) -> int | None:
        """A model's window; None where it is not known."""
        model = self._models.get(name)
        return None if model is None else model.window

    async def fit(self, turn: Turn) -> Turn:
        """The turn with a history that fits the window of its model. Raises BudgetError."""
        model = self.model(turn)
        window = None if model is None else model.window
        if model is None or window is None or not model.teaches:
            return await self._context.compact(turn, window)
        answer = turn.settings.max_tokens or 0
        if model.count is not None and messages_tokens(turn.messages) > ON_LOOP_TOKENS:
            estimated = await asyncio.to_thread(model.estimate, turn)
        else:
            estimated = model.estimate(turn)
        fitted = await self._compacted(turn, window, answer, estimated)
        if fitted.messages is not turn.messages:
            kept = model.estimate(fitted)
            if kept.tokens + answer > window:  # what was kept counts more than what was dropped
                fitted = await self._compacted(fitted.replace(compaction=None), window, answer, kept)
        return fitted

    async def shorter(self, turn: Turn, error: ModelError) -> Turn | None:
        """A turn that its model refused as too long, made to fit what is learnt from that; None where it cannot be."""
        model = self.model(turn)
        if error.kind != "context_length" or model is None:
            return None
        model.refused(turn, error)
        try:
            fitted = await self.fit(turn.replace(compaction=None))
        except BudgetError:
            return None
        return None if fitted.compaction is None else fitted

    async def _compacted(self, turn: Turn, window: int, answer: int, estimated: Estimated) -> Turn:
        ratio = estimated.tokens / max(1, estimated.size.stated)
        # `max_tokens` are the model's own and are taken off whole: the room that is left for the request is what scales.
        room = int((window - answer) / ratio)
        try:
            return await self._context.compact(turn, max(1, room + answer))
        except BudgetError as error:
            raise BudgetError(
                f"{error.message}; the model's window has {window}, but it counts {ratio:.2f} tokens for each of these",
                node=error.node,
                hint=error.hint,
            ) from error


def _session(turn: Turn) -> tuple[str | None, str]:
    return turn.tenant, turn.session
