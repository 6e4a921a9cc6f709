"""Mends conversations that a provider would refuse: calls get a result, results without a call are left out."""

from __future__ import annotations

from attrs import frozen

from victor_dsl.values.message import Message, ToolCall, are_plain

NO_RESULT = "[no result was recorded]"
"""The result of a tool call that has none."""


@frozen
class Mended:
    """A conversation that can be sent. `places` says where each message stood before; None is a stand-in.

    `left_out` are the indices of results without a call, `closed` those of messages with a call that had no result.
    """

    messages: tuple[Message, ...]
    places: tuple[int | None, ...]
    left_out: tuple[int, ...]
    closed: tuple[int, ...]


def mend(messages: tuple[Message, ...]) -> Mended | None:
    """The mended conversation; None where nothing needs mending.

    A result belongs to the nearest earlier call with its id; one without a call is left out, as providers refuse it. A
    call without a result gets a stand-in, behind the results that directly follow it. An open exchange stays as it is:
    calls at the end with nothing but results behind them are still to be answered.
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
        while (
            messages[place + 1].role == "tool"
        ):  # a message that is no result follows, else it would be an open exchange
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
    """Removes the first call of the message that has this id and no result yet."""
    calls = waiting[caller]
    same = calls.get(id)
    if same is None:
        return
    del same[0]
    if not same:
        del calls[id]
    if not calls:
        del waiting[caller]
