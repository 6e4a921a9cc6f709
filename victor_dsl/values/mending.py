"""Mends conversations that a provider would refuse: each call is followed by its one result, and has an id of its own."""

from __future__ import annotations

from collections import deque

from attrs import define, evolve, field, frozen

from victor_dsl.values.message import Message, ToolCall, are_plain

NO_RESULT = "[no result was recorded]"
"""The result of a tool call that has none."""


@frozen
class Mended:
    """A conversation that can be sent. `places` says where each message stood before; None is a stand-in.

    `left_out` are the indices of results without a call, `closed` those of messages with a call that had no result, and `moved`
    those of results that did not follow their call.
    """

    messages: tuple[Message, ...]
    places: tuple[int | None, ...]
    left_out: tuple[int, ...]
    closed: tuple[int, ...]
    moved: tuple[int, ...] = ()


def mend(messages: tuple[Message, ...]) -> Mended | None:
    """The mended conversation; None where nothing needs mending.

    A result belongs to the nearest earlier call with its id; one without a call is left out, as providers refuse it. The
    results of a message's calls follow it directly, in the order in which they came, and then a stand-in for each call without
    a result. Calls of one message that share an id are answered in order, and get ids of their own. An open exchange stays as
    it is: calls at the end with nothing but results behind them are still to be answered.
    """
    if are_plain(messages):
        return None
    exchanges, left_out = _exchanges(messages)
    last = next((index for index in range(len(messages) - 1, -1, -1) if messages[index].role != "tool"), -1)
    mended: list[tuple[Message, int | None]] = []
    moved: list[int] = []
    closed: list[int] = []
    waiting: list[int] = []
    for index, message in enumerate(messages):
        if message.role == "tool":
            continue
        moved += [place for caller in waiting for place, _ in exchanges[caller].results if place > index]
        waiting = []
        if (exchange := exchanges.get(index)) is None:
            mended.append((message, index))
            continue
        waiting = [index]
        mended.append((exchange.caller, index))
        mended += [(result, place) for place, result in exchange.results]
        if exchange.open_calls() and index != last:
            closed.append(index)
            mended += [
                (Message("tool", NO_RESULT, tool_call_id=call.id, name=call.name), None)
                for call in exchange.open_calls()
            ]
    if len(mended) == len(messages) and all(one is other for (one, _), other in zip(mended, messages, strict=True)):
        return None
    return Mended(
        tuple(message for message, _ in mended),
        tuple(place for _, place in mended),
        tuple(left_out),
        tuple(closed),
        tuple(moved),
    )


@define
class _Exchange:
    """A message with calls, and the results of these. `waiting` has the calls without a result, by the id they came with."""

    caller: Message
    waiting: dict[str, deque[ToolCall]]
    results: list[tuple[int, Message]] = field(factory=list)

    def open_calls(self) -> list[ToolCall]:
        """The calls without a result."""
        return [call for same in self.waiting.values() for call in same]

    def answer(self, place: int, result: Message) -> None:
        """Adds a result: that of the first call with its id that has none yet."""
        same = self.waiting.get(result.tool_call_id or "")
        if same and (call := same.popleft()).id != result.tool_call_id:
            result = evolve(result, tool_call_id=call.id)
        self.results.append((place, result))


def _exchanges(messages: tuple[Message, ...]) -> tuple[dict[int, _Exchange], list[int]]:
    """The exchanges by the index of the message with the calls, and the indices of results without a call."""
    callers: dict[str | None, int] = {}
    exchanges: dict[int, _Exchange] = {}
    left_out: list[int] = []
    for index, message in enumerate(messages):
        if message.role == "tool":
            caller = callers.get(message.tool_call_id)
            if caller is None:
                left_out.append(index)
            else:
                exchanges[caller].answer(index, message)
        elif message.tool_calls:
            calls: dict[str, deque[ToolCall]] = {}
            unique = _with_ids_of_their_own(message)
            for before, call in zip(message.tool_calls, unique.tool_calls, strict=True):
                callers[before.id] = index
                calls.setdefault(before.id, deque()).append(call)
            exchanges[index] = _Exchange(unique, calls)
    return exchanges, left_out


def _with_ids_of_their_own(message: Message) -> Message:
    """The message with `_2`, `_3` … added to ids that an earlier one of its calls has."""
    ids = {call.id for call in message.tool_calls}
    if len(ids) == len(message.tool_calls):
        return message
    seen: dict[str, int] = {}
    calls: list[ToolCall] = []
    for call in message.tool_calls:
        number = seen.get(call.id, 0) + 1
        if number > 1:
            while f"{call.id}_{number}" in ids:
                number += 1
            ids.add(f"{call.id}_{number}")
        seen[call.id] = number
        calls.append(call if number == 1 else evolve(call, id=f"{call.id}_{number}"))
    return evolve(message, tool_calls=tuple(calls))
