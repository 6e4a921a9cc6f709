"""The context coordinator: what of the history fits the model's window, with the invariants of every compaction.

They are held here, around every strategy alike: a tool call and its results stay or go together; system and pinned
messages, the task, the latest user message and an open exchange stay; order is kept; the budget is met. What a provider
would refuse is mended before (`values.mending`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from typing import ParamSpec, TypeVar

from attrs import evolve, frozen

from victor_dsl.errors import BudgetError, ComponentError
from victor_dsl.language.kinds import Compaction
from victor_dsl.runtime.boundary import describe, is_fault
from victor_dsl.runtime.coordinators.choices import checked, reasons, with_summary
from victor_dsl.runtime.coordinators.kept_before import WIDTH, KeptBefore, Past, marks
from victor_dsl.values.history import Choice, History, group, newest
from victor_dsl.values.mending import mend
from victor_dsl.values.tokens import text_tokens
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import CompactionRecord, Mending, Origin, Turn

P = ParamSpec("P")
T = TypeVar("T")

ON_LOOP_MESSAGES = 1_000
"""From more messages than this on, two milliseconds of work, they are grouped in a thread."""


@frozen
class _Load:
    """Tokens of the request around the history: the window that all must fit, and what else takes of it."""

    window: int
    system: int
    tools: int
    answer: int

    @property
    def room(self) -> int:
        return self.window - self.system - self.tools - self.answer


@frozen
class _Prepared:
    """A history in groups, with the marks by which its conversation is known again, and its last compaction."""

    history: History
    tokens: Sequence[int]
    marks: bytes
    past: Past | None


class ContextCoordinator:
    """Compacts a turn's history by a strategy; by `fallback` where that fails; by the newest messages where both do.

    A strategy fails when it raises, takes longer than `deadline_s`, or chooses what is not there or over budget. What it
    kept is remembered in `kept_before`, for the next turn of the same session, or of the same conversation where the
    caller names no session.
    """

    def __init__(
        self,
        strategy: Compaction,
        *,
        type: str,
        fallback: Compaction | None = None,
        fallback_type: str | None = None,
        deadline_s: float = 5.0,
        kept_before: KeptBefore | None = None,
    ) -> None:
        self._strategies = [(type, strategy)]
        if fallback is not None:
            self._strategies.append((fallback_type or "fallback", fallback))
        self._deadline_s = deadline_s
        self._kept_before = KeptBefore() if kept_before is None else kept_before
        self._counted_tools: tuple[tuple[Tool, ...], int] = ((), 0)

    async def compact(self, turn: Turn, window: int | None) -> Turn:
        """The turn with a history that a provider takes and that fits; `window` is the model's, in tokens.

        It acts when system prompt, tools and messages together exceed `threshold` of the window, or with
        `max_tokens` for the answer the whole of it. It aims at `target_ratio` of the history's tokens, or less where
        that would not end the excess. Where the window is unknown (None) it acts only with `threshold: 0`. The
        messages that must stay may cost more than the aim; BudgetError says that they exceed the window.
        """
        turn = _mended(turn)
        settings = turn.settings
        if window is None and settings.threshold > 0:
            return turn
        tokens = [message.tokens for message in turn.messages]
        before = sum(tokens)
        target = int(before * settings.target_ratio)
        load = None
        if window is not None:
            load = _Load(
                window, text_tokens(turn.system or ""), self._tools_tokens(turn.tools), settings.max_tokens or 0
            )
            trigger = int(window * settings.threshold) - load.system - load.tools
            if settings.threshold > 0:
                if before <= min(trigger, load.room):
                    return turn
                target = min(target, trigger)
            target = min(target, load.room)
        target = max(target, 0)
        if turn.compaction is not None and before <= turn.compaction.target:
            return turn  # threshold 0 acts always, but once on the same messages
        origin = _origin(turn)
        prepared = await _work(len(tokens), self._prepared, turn, origin, tokens)
        must_stay = prepared.history.fixed_tokens
        if load is not None and must_stay > load.room:
            raise _cannot_fit(load, must_stay)
        if all(group.fixed for group in prepared.history.groups):
            return turn
        return await self._apply(turn, origin, prepared, target, max(target, must_stay))

    def _prepared(self, turn: Turn, origin: Origin, tokens: Sequence[int]) -> _Prepared:
        made = frozenset(index for index, place in enumerate(origin.places) if place is None)
        history = group(turn.messages, tokens, made)
        given = marks(origin.given)
        past = self._kept_before.of(_conversation(turn, given))
        if past is not None:
            history = evolve(history, before=past.before(given, history.groups, origin.places))
        return _Prepared(history, tokens, given, past)

    async def _apply(self, turn: Turn, origin: Origin, prepared: _Prepared, target: int, budget: int) -> Turn:
        history, past = prepared.history, prepared.past
        type, choice, fallback = await self._choose(turn, history, budget)
        kept = sorted(index for position in choice.groups for index in history.groups[position].indices)
        messages, summary_at = with_summary(history, choice, kept)
        places = [origin.places[index] for index in kept]
        tokens = [prepared.tokens[index] for index in kept]
        if summary_at is not None:
            places.insert(summary_at, None)
            tokens.insert(summary_at, messages[summary_at].tokens)
        sent = marks(messages)
        after = sum(tokens)
        prefix_kept = None if past is None else past.prefix_kept(sent, tokens)
        record = CompactionRecord(type, history.tokens, after, target, fallback, prefix_kept)
        turn.record("compaction", {**record.as_json(), "messages": len(history.messages), "kept": len(kept)})
        if turn.rendering:
            turn = turn.replace(why={**turn.why, **reasons(history, choice, type, origin.places)})
        else:
            past = Past.of(prepared.marks, places, sent, after)
            self._kept_before.note(_conversation(turn, prepared.marks), past)
        return turn.replace(messages=messages, origin=Origin(origin.given, tuple(places)), compaction=record)

    async def _choose(self, turn: Turn, history: History, budget: int) -> tuple[str, Choice, bool]:
        """The type whose choice holds, the choice with the fixed groups in it, and whether that is a fallback."""
        for nth, (type, strategy) in enumerate(self._strategies):
            limit = asyncio.timeout(self._deadline_s)
            try:
                async with limit:
                    choice = await strategy.choose(history, budget, turn)
                return type, checked(choice, history, budget), nth > 0
            except BaseException as error:
                if not is_fault(error):
                    raise
                late = isinstance(error, TimeoutError) and limit.expired()
                reason = f"it took longer than {self._deadline_s:g} s" if late else describe(error)
            failure = ComponentError(f"the strategy failed: {reason}", node=f"compaction/{type}")
            turn.record("error", failure.as_json())
        return "recent", Choice(await _work(len(history.messages), newest, history, budget)), True

    def _tools_tokens(self, tools: tuple[Tool, ...]) -> int:
        counted, tokens = self._counted_tools
        if counted != tools:  # quick for the same tools: a tuple's elements are compared by identity first
            tokens = sum(tool.tokens for tool in tools)
            self._counted_tools = tools, tokens
        return tokens


def _mended(turn: Turn) -> Turn:
    """The turn with calls and results as providers demand them."""
    mended = mend(turn.messages)
    if mended is None:
        return turn
    origin = _origin(turn)
    places = tuple(None if place is None else origin.places[place] for place in mended.places)
    closed, left_out = (
        tuple(place for index in indices if (place := origin.places[index]) is not None)
        for indices in (mended.closed, mended.left_out)
    )
    turn.trace.mending = turn.trace.mending or Mending(closed, left_out)
    return turn.replace(messages=mended.messages, origin=Origin(origin.given, places))


def _origin(turn: Turn) -> Origin:
    """Where the turn's messages stand; those that were added since it was last known follow the conversation."""
    messages, origin = turn.messages, turn.origin
    if origin is None:
        return Origin(messages, tuple(range(len(messages))))
    added = messages[len(origin.places) :]
    if not added:
        return origin
    count = len(origin.given)
    return Origin(origin.given + added, origin.places + tuple(range(count, count + len(added))))


def _conversation(turn: Turn, given: bytes) -> Hashable:
    """What the conversation is remembered by: its session, or its first messages where the caller names none."""
    return turn.tenant, turn.request.session or given[: 3 * WIDTH]


async def _work(messages: int, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """What the function gives; from a thread where the history is long."""
    if messages <= ON_LOOP_MESSAGES:
        return function(*arguments, **named)
    return await asyncio.to_thread(function, *arguments, **named)


def _cannot_fit(load: _Load, must_stay: int) -> BudgetError:
    total = load.system + load.tools + must_stay + load.answer
    return BudgetError(
        f"the request cannot fit the context window of {load.window} tokens, however much of the history is left out: "
        f"it needs {total} (system prompt {load.system}, tools {load.tools}, messages that must stay {must_stay}, "
        f"max_tokens for the answer {load.answer})",
        hint=f"take {total - load.window} tokens off the largest of these, or choose a model with a larger window",
    )
