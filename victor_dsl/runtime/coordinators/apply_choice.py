"""Checks a compaction strategy's choice and carries it out: the same for every strategy."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence

from victor_dsl.errors import ComponentError
from victor_dsl.values.history import Choice, History, must_stay, summary_message
from victor_dsl.values.message import Message


def checked(choice: Choice, history: History, budget: int) -> Choice:
    """The choice with the fixed groups added. Raises ComponentError where it names no such group or exceeds the budget."""
    if not isinstance(choice, Choice):
        raise ComponentError(f"it returned {choice.__class__.__name__} instead of a Choice")
    groups = frozenset(map(operator.index, choice.groups))
    for position in groups:
        if not 0 <= position < len(history.groups):
            raise ComponentError(f"it chose group {position}, but the last is {len(history.groups) - 1}")
    if not isinstance(choice.summary, str | None):
        raise ComponentError(f"its summary is {choice.summary.__class__.__name__}, not text")
    if not isinstance(choice.reasons, Mapping):
        raise ComponentError(f"its reasons are {choice.reasons.__class__.__name__}, not a map")
    groups |= {position for position, group in enumerate(history.groups) if group.fixed}
    complete = Choice(groups, choice.summary if len(groups) < len(history.groups) else None, choice.reasons)
    tokens = sum(history.groups[position].tokens for position in groups)
    if summary := _summary_message(complete):
        tokens += summary.tokens
    if tokens > budget:
        raise ComponentError(
            f"its choice costs {tokens} tokens with the messages that must stay; the budget is {budget}"
        )
    return complete


def with_summary(history: History, choice: Choice, kept: Sequence[int]) -> tuple[tuple[Message, ...], int | None]:
    """The messages at the indices `kept`, and the index of the summary among them, None where there is none.

    The summary stands where the first message is missing, but never between a call and its results.
    """
    messages = [history.messages[index] for index in kept]
    summary = _summary_message(choice)
    if summary is None:
        return tuple(messages), None
    gap = next((place for place, index in enumerate(kept) if place != index), len(kept))
    place = kept[gap] if gap < len(kept) else len(history.messages)
    for position in sorted(choice.groups, reverse=True):
        indices = history.groups[position].indices
        if indices[0] < place <= indices[-1]:
            place = indices[0]
    at = sum(index < place for index in kept)
    messages.insert(at, summary)
    return tuple(messages), at


def reasons(history: History, choice: Choice, type: str, places: Sequence[int | None]) -> Mapping[int, str]:
    """Why each message is kept or left out, by its place in the conversation.

    `places` says where each of the history's messages stands in the conversation.
    """
    stays = must_stay(history.messages, frozenset(index for index, place in enumerate(places) if place is None))
    why: dict[int, str] = {}
    for position, group in enumerate(history.groups):
        because = f"kept by {type}" if position in choice.groups else "left out"
        if group.fixed:
            because = f"goes with message {places[next(index for index in group.indices if index in stays)]}"
        elif isinstance(reason := choice.reasons.get(position), str):
            because = reason
        for index in group.indices:
            if (place := places[index]) is not None:
                why[place] = stays.get(index, because)
    return why


def _summary_message(choice: Choice) -> Message | None:
    if choice.summary is None or not choice.summary.strip():
        return None
    return summary_message(choice.summary)
