"""The whole conversation of a turn whose messages are fewer or mended, with the place of each message that is sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from victor_dsl.values.mending import mend
from victor_dsl.values.turn import Conversation, Mending, Turn


def conversation_of(turn: Turn) -> Conversation:
    """The turn's conversation, with the messages that were added since it was last compacted or mended."""
    messages, earlier = turn.messages, turn.conversation
    if earlier is None:
        return Conversation(messages, tuple(range(len(messages))))
    added = messages[len(earlier.places) :]
    if not added:
        return earlier
    count = len(earlier.messages)
    return Conversation(earlier.messages + added, earlier.places + tuple(range(count, count + len(added))))


def whole_turn(turn: Turn) -> Turn:
    """The turn with all messages of its conversation, also those that an earlier compaction of this turn left out."""
    conversation = conversation_of(turn)
    if len(conversation.places) - conversation.places.count(None) == len(conversation.messages):
        return turn
    messages = list(conversation.messages)
    for message, place in zip(turn.messages, conversation.places, strict=True):
        if place is not None:
            messages[place] = message  # a result that was cut is shorter in the turn
    whole = mended_turn(turn.replace(messages=tuple(messages), conversation=None, compaction=None))
    return turn if whole.messages == turn.messages else whole


def mended_turn(turn: Turn) -> Turn:
    """The turn with calls and results paired as providers demand."""
    mended = mend(turn.messages)
    if mended is None:
        return turn
    conversation = conversation_of(turn)
    before, messages = conversation.places, list(conversation.messages)
    places = tuple(None if place is None else before[place] for place in mended.places)
    for message, place in zip(mended.messages, places, strict=True):
        if place is not None:
            messages[place] = message  # its calls may have other ids
    if turn.trace.mending is None:
        turn.trace.mending = Mending(*(_originals(of, before) for of in (mended.closed, mended.left_out, mended.moved)))
    return turn.replace(messages=mended.messages, conversation=Conversation(tuple(messages), places))


def _originals(indices: Iterable[int], places: Sequence[int | None]) -> tuple[int, ...]:
    """The places in the conversation of the messages at these indices, of those that are in it."""
    return tuple(place for index in indices if (place := places[index]) is not None)
