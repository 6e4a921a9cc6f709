"""The context coordinator: makes a turn's history fit the model's window, and keeps the invariants of every compaction.

They are enforced here, around every strategy alike: a tool call and its results stay or go together; system and pinned
messages, the task, the latest user message and an open exchange stay; order is kept; the budget is met. What a provider
would refuse is mended first (`values.mending`).

Budgets are in the stated tokens of `values.tokens`. A model that counts more, or fewer, gets a window that is smaller, or
larger, by the same ratio (`runtime.context_window`).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping
from typing import ParamSpec, TypeVar

from attrs import define, evolve, field, frozen

from victor_dsl.errors import BudgetError, ComponentError, ModelError
from victor_dsl.language.boundary import describe, is_fault
from victor_dsl.language.kinds import Compaction
from victor_dsl.runtime.context_window import ModelWindow, TokenEstimates
from victor_dsl.runtime.coordinators.apply_choice import checked, reasons, with_summary
from victor_dsl.runtime.coordinators.compaction_memory import (
    WIDTH,
    CompactionMemory,
    PastCompaction,
    fingerprints,
    kept_bytes,
)
from victor_dsl.runtime.coordinators.conversation import conversation_of, mended_turn, whole_turn
from victor_dsl.runtime.coordinators.offered_tools import OfferedTools
from victor_dsl.values.frozen import value
from victor_dsl.values.history import Choice, History, group, newest
from victor_dsl.values.message import messages_tokens
from victor_dsl.values.tokens import text_tokens
from victor_dsl.values.tool import tools_tokens
from victor_dsl.values.turn import CompactionRecord, Conversation, Turn

P = ParamSpec("P")
T = TypeVar("T")

KEPT_AGAIN = "kept, as in the turn before"
LEFT_OUT_AGAIN = "left out, as in the turn before"

ON_LOOP_MESSAGES = 1_000
"""Up to this many messages, two milliseconds of work, a history is grouped on the event loop."""

UNCLEAR_REFUSALS = (400, 413, 422)
"""The HTTP statuses by which servers refuse what is too long, among other requests."""

PASSES = 3
"""The most compactions of one request: what is kept may count more, for each stated token, than what is left out."""


@define(eq=False)
class ContextMemory:
    """What a process remembers about contexts, for all its pipelines and over reloads."""

    estimates: TokenEstimates = field(factory=TokenEstimates)
    compactions: CompactionMemory = field(factory=CompactionMemory)
    offered: OfferedTools = field(factory=OfferedTools)


@value
class _Limits:
    """What a request's messages have and may have, in stated tokens.

    They have `tokens`. Above `most` they are compacted to `target`. `room` is all that the window leaves for them, None where
    no window is known.
    """

    tokens: int
    most: float
    target: int
    window: int | None
    room: int | None


LimitsOf = Callable[[Turn], Awaitable[_Limits]]


@frozen
class _Prepared:
    """A turn with its whole conversation, in groups, and that conversation's last compaction."""

    turn: Turn
    conversation: Conversation
    history: History
    key: Hashable
    fingerprints: bytes
    last: PastCompaction | None

    def repeated(self, types: Collection[str]) -> Choice | None:
        """The choice of the last compaction with all newer groups; None where it no longer applies, or has another type."""
        if self.last is None or self.last.type not in types:
            return None
        groups = self.last.repeated(self.fingerprints, self.history.groups, self.conversation.places)
        if groups is None or len(groups) == len(self.history.groups):
            return None
        why: dict[int, str] = {}
        if self.turn.rendering:
            why = {p: KEPT_AGAIN if p in groups else LEFT_OUT_AGAIN for p in range(len(self.history.groups))}
        return Choice(groups, self.last.summary, why)

    def sent(self, choice: Choice) -> Turn:
        """The turn with the messages that were chosen."""
        kept = sorted(index for position in choice.groups for index in self.history.groups[position].indices)
        messages, summary_at = with_summary(self.history, choice, kept)
        places = [self.conversation.places[index] for index in kept]
        if summary_at is not None:
            places.insert(summary_at, None)
        return self.turn.replace(messages=messages, conversation=evolve(self.conversation, places=tuple(places)))


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
        self._strategies.append(("recent", _Newest()))
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
        if model is None or window is None:
            return await self.compact(turn, window)

        async def limits_of(turn: Turn) -> _Limits:
            estimate = await model.estimate_off_loop(turn)
            # `max_tokens` are the model's own tokens: they are taken off whole, and the room for the request is what scales.
            answer = turn.settings.max_tokens or 0
            room = max(1 - answer, int((window - answer) / estimate.ratio))
            history = estimate.history.stated
            margin = int(model.margin(turn, estimate) / estimate.ratio)
            return _limits(turn, room + answer, history, estimate.size.stated - history, margin)

        turn = mended_turn(turn)
        try:
            return await self._fit(turn, limits_of)
        except BudgetError as error:
            if f"{(ratio := model.estimate(turn).ratio):.2f}" == "1.00":
                raise
            counts = f"the model's window has {window}, but it counts {ratio:.2f} tokens for each of these"
            raise BudgetError(f"{error.message}; {counts}", node=error.node, hint=error.hint) from error

    def learn_refusal(self, turn: Turn, error: ModelError) -> bool:
        """Learns from an error how the turn's model counts. Returns whether the error may mean that the turn was too long.

        Not every server names that reason: a large request that is refused for an unclear one counts too, once in a session.
        """
        model = self.model(turn)
        if model is None:
            return False
        too_long = error.kind == "context_length"
        if not too_long and not (
            error.status in UNCLEAR_REFUSALS and error.kind == "bad_request" and model.suspects(turn)
        ):
            return False
        model.refused(turn, error)
        return True

    async def compact(self, turn: Turn, window: int | None) -> Turn:
        """The turn with a history that a provider accepts and that fits; `window` is in stated tokens.

        It acts when system prompt, few-shot messages, tools and messages together exceed `threshold` of the window, or the whole of it with
        `max_tokens` for the answer. It then leaves out so much that the messages have `target_ratio` of the tokens at which it
        acts. The same messages are left out of the conversation's later turns until these exceed the threshold again. With
        `threshold: 0` it acts on every turn, and aims at `target_ratio` of the history's tokens; if the window is unknown
        (None) it acts only then. The messages that must stay may cost more than the aim; if they exceed the window, BudgetError
        is raised.
        """
        turn = mended_turn(turn)
        if window is None and turn.settings.threshold > 0:
            return turn

        async def limits_of(turn: Turn) -> _Limits:
            frame = text_tokens(turn.system or "") + messages_tokens(turn.examples) + tools_tokens(turn.tools)
            return _limits(turn, window, messages_tokens(turn.messages), frame)

        return await self._fit(turn, limits_of)

    async def _fit(self, turn: Turn, limits_of: LimitsOf) -> Turn:
        limits = await limits_of(turn)
        if self._fits(turn, limits):
            return turn
        whole = whole_turn(turn)
        prepared = await _work(len(whole.messages), self._prepared, whole)
        if turn.settings.threshold > 0:
            if (choice := prepared.repeated([type for type, _ in self._strategies])) is not None:
                sent = prepared.sent(choice)
                after = await limits_of(sent)
                if after.tokens <= after.most:
                    return self._finished(prepared, sent, choice, int(after.most))
            if limits.tokens <= limits.most:
                return turn
        return await self._compacted(prepared, limits_of)

    def _fits(self, turn: Turn, limits: _Limits) -> bool:
        """Whether the turn is sent as it is."""
        if turn.settings.threshold == 0:  # acts always, but once on the same messages
            return turn.compaction is not None and limits.tokens <= min(turn.compaction.target, limits.most)
        if limits.tokens > limits.most:
            return False
        # A compacted conversation stays so also where a shorter system prompt, or fewer tools, would leave room for all of it.
        return turn.compaction is not None or limits.tokens <= (limits.most + limits.target) / 2 or not self._memory

    async def _compacted(self, prepared: _Prepared, limits_of: LimitsOf) -> Turn:
        turn, history = prepared.turn, prepared.history
        limits, must_stay, nth = await limits_of(turn), history.fixed_tokens, 0
        target, passes = limits.target, 0
        while True:
            if limits.window is not None and limits.room is not None and must_stay > limits.room:
                raise _cannot_fit(turn, limits.window, must_stay)
            if all(group.fixed for group in history.groups):
                return turn
            nth, choice = await self._choose(turn, history, max(target, must_stay), nth)
            sent = prepared.sent(choice)
            limits, passes = await limits_of(sent), passes + 1
            if limits.tokens <= max(limits.most, must_stay) or passes == PASSES:
                return self._finished(prepared, sent, choice, target, nth)
            target = limits.target if turn.settings.threshold > 0 else min(target, int(limits.most))

    def _prepared(self, turn: Turn) -> _Prepared:
        conversation = conversation_of(turn)
        made = frozenset(index for index, place in enumerate(conversation.places) if place is None)
        history = group(turn.messages, made)
        marks = fingerprints(conversation.messages)
        key = _key(turn, marks)
        last = self._memory.get(key)
        if last is not None:
            history = evolve(history, before=last.before(marks, history.groups, conversation.places))
        return _Prepared(turn, conversation, history, key, marks, last)

    def _finished(
        self, prepared: _Prepared, sent: Turn, choice: Choice, target: int, strategy: int | None = None
    ) -> Turn:
        """The turn that is sent, with its compaction recorded and remembered; `strategy` is None for one that is repeated."""
        history, last, places = prepared.history, prepared.last, sent.kept or ()
        tokens = [message.tokens for message in sent.messages]
        marks, after = fingerprints(sent.messages), sum(tokens)
        prefix_kept = None if last is None else last.prefix_kept(marks, tokens)
        if strategy is None and last is not None:
            last = evolve(last, sent=marks, tokens=after)
        else:
            kept = kept_bytes(len(prepared.conversation.messages), places)
            type = self._strategies[strategy or 0][0]
            last = PastCompaction(prepared.fingerprints, kept, marks, after, type, bool(strategy), choice.summary)
        if not sent.rendering or self._memory.of_renders:
            self._memory.put(prepared.key, last)
        record = CompactionRecord(
            last.type, history.tokens, after, target, last.fallback, prefix_kept, reused=strategy is None
        )
        counts = {"messages": len(history.messages), "kept": len(places)}
        sent.record("compaction", {**record.as_json(), **counts})
        if sent.rendering:
            why = reasons(history, choice, last.type, prepared.conversation.places)
            sent = sent.replace(why={**sent.why, **why})
        return sent.replace(compaction=record)

    async def _choose(self, turn: Turn, history: History, budget: int, first: int) -> tuple[int, Choice]:
        """The first strategy from `first` on whose choice is valid, as its number, and the choice with the fixed groups."""
        for nth in range(first, len(self._strategies)):
            type, strategy = self._strategies[nth]
            limit = asyncio.timeout(self._deadline_s)
            try:
                async with limit:
                    choice = await strategy.choose(history, budget, turn)
                return nth, checked(choice, history, budget)
            except BaseException as error:
                if not is_fault(error):
                    raise
                late = isinstance(error, TimeoutError) and limit.expired()
                reason = f"it took longer than {self._deadline_s:g} s" if late else describe(error)
            failure = ComponentError(f"the strategy failed: {reason}", node=f"compaction/{type}")
            turn.record("error", failure.to_dict())
        raise AssertionError("the newest messages can always be kept")


@frozen
class _Newest:
    """The strategy after all others: it cannot fail."""

    async def choose(self, history: History, budget: int, turn: Turn) -> Choice:  # noqa: ARG002 - the kind's method
        return Choice(await _work(len(history.messages), newest, history, budget))


def _limits(turn: Turn, window: int | None, tokens: int, frame: int, margin: int = 0) -> _Limits:
    """The limits of messages that have so many tokens, beside system prompt, few-shot messages and tools that have `frame`.

    `margin` is left free where possible, so that an estimate that is a little low does not cut the answer off.
    """
    settings = turn.settings
    room = None if window is None else window - frame - (settings.max_tokens or 0)
    if window is None or room is None or settings.threshold == 0:
        target, most = int(tokens * settings.target_ratio), math.inf if room is None else room
    else:
        most = min(int(window * settings.threshold) - frame, room - margin)
        target = int(most * settings.target_ratio)
    return _Limits(tokens, most, max(0, target if room is None else min(target, room)), window, room)


def _key(turn: Turn, marks: bytes) -> Hashable:
    """The key of a conversation with one model: its session, or its first three messages where the caller names none."""
    conversation = turn.session_key if turn.request.session else (*turn.session_key[:2], marks[: 3 * WIDTH])
    return conversation, turn.settings.model


async def _work(messages: int, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """The function's result; from a thread where the history is long."""
    if messages <= ON_LOOP_MESSAGES:
        return function(*arguments, **named)
    return await asyncio.to_thread(function, *arguments, **named)


def _cannot_fit(turn: Turn, window: int, must_stay: int) -> BudgetError:
    system, tools = text_tokens(turn.system or ""), tools_tokens(turn.tools)
    answer, examples = turn.settings.max_tokens or 0, messages_tokens(turn.examples)
    total = system + examples + tools + must_stay + answer
    few_shot = f"few-shot messages {examples}, " if examples else ""
    return BudgetError(
        f"the request cannot fit the context window of {window} tokens, even without any history: "
        f"it needs {total} (system prompt {system}, {few_shot}tools {tools}, messages that must stay {must_stay}, "
        f"max_tokens for the answer {answer})",
        node=f"models/{turn.settings.model}" if turn.settings.model else None,
        hint=f"shorten the largest of these by {total - window} tokens, or choose a model with a larger window",
    )
