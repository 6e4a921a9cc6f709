"""The context coordinator: what of the history fits the model's window, with the invariants of every compaction.

They are held here, around every strategy alike: a tool call and its results stay or go together; system and pinned
messages, the task, the latest user message and an open exchange stay; order is kept; the budget is met.
"""

from __future__ import annotations

import asyncio
import operator

from attrs import frozen

from victor_dsl.errors import BudgetError, ComponentError
from victor_dsl.language.kinds import Compaction
from victor_dsl.values.history import Choice, History, group, newest, summary_message
from victor_dsl.values.message import Message
from victor_dsl.values.tokens import message_tokens, messages_tokens, text_tokens, tool_tokens
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import CompactionRecord, Turn


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


class ContextCoordinator:
    """Compacts a turn's history by a strategy; by `fallback` where that fails; by the newest messages where both do.

    A strategy fails when it raises, takes longer than `deadline_s`, or chooses what is not there or over budget.
    """

    def __init__(
        self,
        strategy: Compaction,
        *,
        type: str,
        fallback: Compaction | None = None,
        fallback_type: str | None = None,
        deadline_s: float = 5.0,
    ) -> None:
        self._strategies = [(type, strategy)]
        if fallback is not None:
            self._strategies.append((fallback_type or "fallback", fallback))
        self._deadline_s = deadline_s
        self._counted_tools: tuple[tuple[Tool, ...], int] = ((), 0)

    async def compact(self, turn: Turn, window: int | None) -> Turn:
        """The turn with a history that fits; `window` is the model's context window, in tokens.

        It acts when system prompt, tools and messages together exceed `threshold` of the window, or with
        `max_tokens` for the answer the whole of it. It aims at `target_ratio` of the history's tokens, or less where
        that would not end the excess. Where the window is unknown (None) it acts only with `threshold: 0`. The
        messages that must stay may cost more than the aim; BudgetError says that they exceed the window.
        """
        settings = turn.settings
        if window is None and settings.threshold > 0:
            return turn
        before = messages_tokens(turn.messages)
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
        history = group(turn.messages)
        must_stay = history.fixed_tokens
        if load is not None and must_stay > load.room:
            raise _cannot_fit(load, must_stay)
        if all(group.fixed for group in history.groups):
            return turn
        return await self._apply(turn, history, target, max(target, must_stay))

    async def _apply(self, turn: Turn, history: History, target: int, budget: int) -> Turn:
        type, choice, fallback = await self._choose(turn, history, budget)
        kept = sorted(index for position in choice.groups for index in history.groups[position].indices)
        messages = _with_summary(history, choice, kept)
        record = CompactionRecord(type, history.tokens, messages_tokens(messages), target, fallback)
        turn.record("compaction", {**record.as_json(), "messages": len(history.messages), "kept": len(kept)})
        return turn.replace(messages=messages, kept=tuple(kept), compaction=record)

    async def _choose(self, turn: Turn, history: History, budget: int) -> tuple[str, Choice, bool]:
        """The type whose choice holds, the choice with the fixed groups in it, and whether that is a fallback."""
        for nth, (type, strategy) in enumerate(self._strategies):
            try:
                async with asyncio.timeout(self._deadline_s):
                    choice = await strategy.choose(history, budget, turn)
                return type, _checked(choice, history, budget), nth > 0
            except TimeoutError as error:
                reason = str(error) or f"it took longer than {self._deadline_s:g} s"
            except Exception as error:  # noqa: BLE001 -- whatever a third party's strategy does, the turn goes on
                reason = f"{error.__class__.__name__}: {error}"
            failure = ComponentError(f"the strategy failed: {reason}", node=f"compaction/{type}")
            turn.record("error", failure.as_json())
        return "recent", Choice(newest(history, budget)), True

    def _tools_tokens(self, tools: tuple[Tool, ...]) -> int:
        counted, tokens = self._counted_tools
        if counted != tools:  # quick for the same tools: a tuple's elements are compared by identity first
            tokens = sum(map(tool_tokens, tools))
            self._counted_tools = tools, tokens
        return tokens


def _checked(choice: Choice, history: History, budget: int) -> Choice:
    """The choice with the fixed groups added. Raises ComponentError where it is not one of these groups within budget."""
    if not isinstance(choice, Choice):
        raise ComponentError(f"it gave a {choice.__class__.__name__}, not a Choice")
    groups = frozenset(map(operator.index, choice.groups))
    for position in groups:
        if not 0 <= position < len(history.groups):
            raise ComponentError(f"it kept group {position}; there are {len(history.groups)} (0 is the first)")
    if not isinstance(choice.summary, str | None):
        raise ComponentError(f"its summary is a {choice.summary.__class__.__name__}, not text")
    groups |= {position for position, group in enumerate(history.groups) if group.fixed}
    checked = Choice(groups, choice.summary if len(groups) < len(history.groups) else None, choice.reasons)
    tokens = sum(history.groups[position].tokens for position in groups)
    if summary := _summary_message(checked):
        tokens += message_tokens(summary)
    if tokens > budget:
        raise ComponentError(
            f"its choice costs {tokens} tokens with the messages that must stay; the budget is {budget}"
        )
    return checked


def _summary_message(choice: Choice) -> Message | None:
    if choice.summary is None or not choice.summary.strip():
        return None
    return summary_message(choice.summary)


def _with_summary(history: History, choice: Choice, kept: list[int]) -> tuple[Message, ...]:
    """The kept messages, and the summary where the first of them is missing: never between a call and its results."""
    messages = [history.messages[index] for index in kept]
    if summary := _summary_message(choice):
        gap = next((place for place, index in enumerate(kept) if place != index), len(kept))
        place = kept[gap] if gap < len(kept) else len(history.messages)
        for position in sorted(choice.groups, reverse=True):
            indices = history.groups[position].indices
            if indices[0] < place <= indices[-1]:
                place = indices[0]
        messages.insert(sum(index < place for index in kept), summary)
    return tuple(messages)


def _cannot_fit(load: _Load, must_stay: int) -> BudgetError:
    total = load.system + load.tools + must_stay + load.answer
    return BudgetError(
        f"the request cannot fit the context window of {load.window} tokens, however much of the history is left out: "
        f"it needs {total} (system prompt {load.system}, tools {load.tools}, messages that must stay {must_stay}, "
        f"max_tokens for the answer {load.answer})",
        hint=f"take {total - load.window} tokens off the largest of these, or choose a model with a larger window",
    )
