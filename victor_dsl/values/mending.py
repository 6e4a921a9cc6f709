"""What a conversation lacks for a provider to take it: calls get a result, results without a call are left out."""

from __future__ import annotations

from attrs import frozen

from victor_dsl.values.message import Message, ToolCall, are_plain

NO_RESULT = "[no result was recorded]"
"""What stands where a tool call has no result."""


@frozen
class Mended:
    """A conversation as it can be sent. `places` says where each message stood before; None is a stand-in.

    `left_out` are the indices of results without a call, `closed` those of messages with a call that had no result.
    """

    messages: tuple[Message, ...]
    places: tuple[int | None, ...]
    left_out: tuple[int, ...]
    closed: tuple[int, ...]


def mend(messages: tuple[Message, ...]) -> Mended | None:
    """The conversation mended; None where it is whole already.

    A result belongs to the nearest earlier call with its id; one that has none is left out, as providers refuse it. A
    call that no result follows gets a stand-in, after the results that stand directly behind it. An open exchange stays as
    it is: calls at the end with nothing but results behind them, which somebody is still to answer.
    """
    if are_plain(messages):
        return None
    waiting, left_out = _gaps(messages)
    last = next((index for index in range(len(messages) - 1, -1, -1) if messages[index].role != "tool"), -1)
    waiting.pop(last, None)
    if not waiting and not left_out:
        return None
    stand_ins: dict[int, list[Message]] = {}
    for index, calls in waiting.items():
        place = index
        while messages[place + 1].role == "tool":  # no open exchange: something else comes
            place += 1
        stand_ins[place] = [
            Message("tool", NO_RESULT, tool_call_id=call.id, name=call.name) for same in calls.values() for call in same
        ]
    gone = frozenset(left_out)
    mended: list[tuple[Message, int | None]] = []
    for index, message in enumerate(messages):
        if index not in gone:
            mended.append((message, index))
        mended += [(stand_in, None) for stand_in in stand_ins.get(index, ())]
    return Mended(
        tuple(message for message, _ in mended), tuple(place for _, place in mended), tuple(left_out), tuple(waiting)
    )


def _gaps(messages: tuple[Message, ...]) -> tuple[dict[int, dict[str, list[ToolCall]]], list[int]]:
    """The calls without a result, by their message's index and their id, and the indices of results without a call."""
    callers: dict[str | None, int] = {}
    waiting: dict[int, dict[str, list[ToolCall]]] = {}
    left_out: list[int] = []
    for index, message in enumerate(messages):
        if message.role == "tool":
            caller = callers.get(message.tool_call_id)
            if caller is None:
                left_out.append(index)
            elif caller in waiting:
                _answer(waiting, caller, message.tool_call_id or "")
        elif message.tool_calls:
            calls: dict[str, list[ToolCall]] = {}
            for call in message.tool_calls:
                callers[call.id] = index
                calls.setdefault(call.id, []).append(call)
            waiting[index] = calls
    return waiting, left_out


def _answer(waiting: dict[int, dict[str, list[ToolCall]]], caller: int, id: str) -> None:
    """Takes off the first of the message's calls that have this id and no result yet."""
    calls = waiting[caller]
    same = calls.get(id)
    if same is None:
        return
    del same[0]
    if not same:
        del calls[id]
    if not calls:
        del waiting[caller]
