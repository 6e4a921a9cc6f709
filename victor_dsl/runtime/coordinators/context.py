"""The context coordinator: makes a turn's history fit the model's window, and keeps the invariants of every compaction.

They are enforced here, around every strategy alike: a tool call and its results stay or go together; system and pinned
messages, the task, the latest user message and an open exchange stay; order is kept; the budget is met. What a provider
would refuse is mended first (`values.mending`).

Budgets are in the stated tokens of `values.tokens`. A model that counts more, or fewer, gets a window that is smaller, or
larger, by the same ratio (`runtime.context_window`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping
from typing import ParamSpec, TypeVar

from attrs import define, evolve, field, frozen

from victor_dsl.errors import BudgetError, ComponentError, ModelError
from victor_dsl.language.boundary import describe, is_fault
from victor_dsl.language.kinds import Compaction
from victor_dsl.runtime.context_window import Estimate, ModelWindow, TokenEstimates
from victor_dsl.runtime.coordinators.apply_choice import checked, reasons, with_summary
from victor_dsl.runtime.coordinators.compaction_memory import WIDTH, CompactionMemory, PastCompaction, fingerprints
from victor_dsl.values.history import Choice, History, group, newest
from victor_dsl.values.mending import mend
from victor_dsl.values.message import messages_tokens
from victor_dsl.values.tokens import text_tokens
from victor_dsl.values.turn import CompactionRecord, Conversation, Mending, Turn

P = ParamSpec("P")
T = TypeVar("T")

ON_LOOP_MESSAGES = 1_000
"""Up to this many messages, two milliseconds of work, a history is grouped on the event loop."""


@define(eq=False)
class ContextMemory:
    """What a process remembers about contexts, for all its pipelines and over reloads."""

    estimates: TokenEstimates = field(factory=TokenEstimates)
    compactions: CompactionMemory = field(factory=CompactionMemory)


@frozen
class _Prepared:
    """A history in groups, its conversation's fingerprints, and that conversation's last compaction."""

    history: History
    fingerprints: bytes
    last: PastCompaction | None


class ContextCoordinator:
    """Compacts a turn's history by a strategy; by `fallback` if that fails; to the newest messages if both do.

    A strategy fails when it raises, takes longer than `deadline_s`, or chooses what is not there or over budget. What was
    kept is remembered for the next turn of the same session, or of the same conversation where the caller names no session.
    `models` are the windows of the plan's models by name.
    """

    def __init__(
        self,
        strategy: Compaction,
        *,
        type: str,
        fallback: Compaction | None = None,
        fallback_type: str | None = None,
        deadline_s: float = 5.0,
        memory: CompactionMemory | None = None,
        models: Mapping[str, ModelWindow] | None = None,
    ) -> None:
        self._strategies = [(type, strategy)]
        if fallback is not None:
            self._strategies.append((fallback_type or "fallback", fallback))
        self._deadline_s = deadline_s
        self._memory = CompactionMemory() if memory is None else memory
        self._models = models or {}

    def model(self, turn: Turn) -> ModelWindow | None:
        """The window of the turn's model, which also estimates its tokens."""
        return self._models.get(turn.settings.model or "")

    def window(self, name: str | None) -> int | None:
        """A model's context window in its own tokens; None where it is not known."""
        model = self._models.get(name or "")
        return None if model is None else model.tokens

    async def fit(self, turn: Turn) -> Turn:
        """The turn with a history that fits the window of its model. Raises BudgetError."""
        model = self.model(turn)
        window = None if model is None else model.tokens
        if model is None or window is None or not model.refines:
            return await self.compact(turn, window)
        turn = _mended(turn)
        estimate = await model.estimate_off_loop(turn)
        fitted = await self._fit_estimated(turn, window, estimate)
        if fitted.messages is not turn.messages:
            # What was kept may count more, for each stated token, than what was left out.
            estimate = model.estimate(fitted)
            if estimate.tokens + (turn.settings.max_tokens or 0) > window:
                fitted = await self._fit_estimated(fitted.replace(compaction=None), window, estimate)
        return fitted

    def learn_refusal(self, turn: Turn, error: ModelError) -> bool:
        """Learns how the turn's model counts from its refusal of the turn as too long. Returns whether it was one."""
        model = self.model(turn)
        if error.kind != "context_length" or model is None:
            return False
        model.refused(turn, error)
        return True

    async def compact(self, turn: Turn, window: int | None) -> Turn:
        """The turn with a history that a provider accepts and that fits; `window` is in stated tokens.

        It acts when system prompt, tools and messages together exceed `threshold` of the window, or the whole of it with
        `max_tokens` for the answer. It aims at `target_ratio` of the history's tokens, or less where that is still too
        much. If the window is unknown (None) it acts only with `threshold: 0`. The messages that must stay may cost more
        than the aim; if they exceed the window, BudgetError is raised.
        """
        turn = _mended(turn)
        if window is None and turn.settings.threshold > 0:
            return turn
        frame = text_tokens(turn.system or "") + sum([tool.tokens for tool in turn.tools])
        return await self._compact(turn, window, messages_tokens(turn.messages), frame)

    async def _compact(self, turn: Turn, window: int | None, before: int, frame: int) -> Turn:
        """Compacts a history of `before` tokens; system prompt and tools have `frame` tokens."""
        settings = turn.settings
        target = int(before * settings.target_ratio)
        room = None
        if window is not None:
            room = window - frame - (settings.max_tokens or 0)
            trigger = int(window * settings.threshold) - frame
            if settings.threshold > 0:
                if before <= min(trigger, room):
                    return turn
                target = min(target, trigger)
            target = min(target, room)
        target = max(target, 0)
        if turn.compaction is not None and before <= turn.compaction.target:
            return turn  # threshold 0 acts always, but once on the same messages
        conversation = _conversation(turn)
        prepared = await _work(len(turn.messages), self._prepared, turn, conversation)
        must_stay = prepared.history.fixed_tokens
        if window is not None and room is not None and must_stay > room:
            raise _cannot_fit(turn, window, must_stay)
        if all(group.fixed for group in prepared.history.groups):
            return turn
        return await self._apply(turn, conversation, prepared, target, max(target, must_stay))

    async def _fit_estimated(self, turn: Turn, window: int, estimate: Estimate) -> Turn:
        # `max_tokens` are the model's own tokens: they are taken off whole, and the room for the request is what scales.
        answer = turn.settings.max_tokens or 0
        room = int((window - answer) / estimate.ratio)
        before = estimate.history.stated
        try:
            return await self._compact(turn, max(1, room + answer), before, estimate.size.stated - before)
        except BudgetError as error:
            raise BudgetError(
                f"{error.message}; the model's window has {window}, but it counts {estimate.ratio:.2f} tokens for each of these",
                node=error.node,
                hint=error.hint,
            ) from error

    def _prepared(self, turn: Turn, conversation: Conversation) -> _Prepared:
        made = frozenset(index for index, place in enumerate(conversation.places) if place is None)
        history = group(turn.messages, made)
        marks = fingerprints(conversation.messages)
        last = self._memory.get(_key(turn, marks))
        if last is not None:
            history = evolve(history, before=last.before(marks, history.groups, conversation.places))
        return _Prepared(history, marks, last)

    async def _apply(
        self, turn: Turn, conversation: Conversation, prepared: _Prepared, target: int, budget: int
    ) -> Turn:
        history, last = prepared.history, prepared.last
        type, choice, fallback = await self._choose(turn, history, budget)
        kept = sorted(index for position in choice.groups for index in history.groups[position].indices)
        messages, summary_at = with_summary(history, choice, kept)
        places = [conversation.places[index] for index in kept]
        if summary_at is not None:
            places.insert(summary_at, None)
        tokens = [message.tokens for message in messages]
        sent, after = fingerprints(messages), sum(tokens)
        prefix_kept = None if last is None else last.prefix_kept(sent, tokens)
        record = CompactionRecord(type, history.tokens, after, target, fallback, prefix_kept)
        turn.record("compaction", {**record.as_json(), "messages": len(history.messages), "kept": len(kept)})
        if turn.rendering:
            turn = turn.replace(why={**turn.why, **reasons(history, choice, type, conversation.places)})
        else:
            compaction = PastCompaction.of(prepared.fingerprints, places, sent, after)
            self._memory.put(_key(turn, prepared.fingerprints), compaction)
        placed = Conversation(conversation.messages, tuple(places))
        return turn.replace(messages=messages, conversation=placed, compaction=record)

    async def _choose(self, turn: Turn, history: History, budget: int) -> tuple[str, Choice, bool]:
        """The type of the strategy whose choice is valid, the choice with the fixed groups, and whether it is a fallback."""
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


def _mended(turn: Turn) -> Turn:
    """The turn with calls and results paired as providers demand."""
    mended = mend(turn.messages)
    if mended is None:
        return turn
    conversation = _conversation(turn)
    before = conversation.places
    places = tuple(None if place is None else before[place] for place in mended.places)
    closed, left_out = (
        tuple(place for index in indices if (place := before[index]) is not None)
        for indices in (mended.closed, mended.left_out)
    )
    turn.trace.mending = turn.trace.mending or Mending(closed, left_out)
    return turn.replace(messages=mended.messages, conversation=Conversation(conversation.messages, places))


def _conversation(turn: Turn) -> Conversation:
    """The turn's conversation, with the messages that were added since it was last compacted or mended."""
    messages, known = turn.messages, turn.conversation
    if known is None:
        return Conversation(messages, tuple(range(len(messages))))
    added = messages[len(known.places) :]
    if not added:
        return known
    count = len(known.messages)
    return Conversation(known.messages + added, known.places + tuple(range(count, count + len(added))))


def _key(turn: Turn, marks: bytes) -> Hashable:
    """The cache key of the conversation: its session, or its first three messages where the caller names none."""
    return turn.tenant, turn.request.session or marks[: 3 * WIDTH]


async def _work(messages: int, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """The function's result; from a thread where the history is long."""
    if messages <= ON_LOOP_MESSAGES:
        return function(*arguments, **named)
    return await asyncio.to_thread(function, *arguments, **named)


def _cannot_fit(turn: Turn, window: int, must_stay: int) -> BudgetError:
    system, tools = text_tokens(turn.system or ""), sum(tool.tokens for tool in turn.tools)
    answer = turn.settings.max_tokens or 0
    total = system + tools + must_stay + answer
    return BudgetError(
        f"the request cannot fit the context window of {window} tokens, even without any history: "
        f"it needs {total} (system prompt {system}, tools {tools}, messages that must stay {must_stay}, "
        f"max_tokens for the answer {answer})",
        hint=f"shorten the largest of these by {total - window} tokens, or choose a model with a larger window",
    )
