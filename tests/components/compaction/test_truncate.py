"""The oldest messages are dropped first."""

from __future__ import annotations

from tests.components.compaction.strategies import history, kept, strategy
from tests.components.context import TURN
from victor_dsl.values.history import group
from victor_dsl.values.message import Message, ToolCall


async def test_the_oldest_are_dropped_first_and_no_more_than_necessary() -> None:
    given = history(*(f"{n}" * 40 for n in range(8)))
    for fitting in range(9):
        choice = await strategy("truncate").choose(given, given.fixed_tokens + fitting * 14 + 13, TURN)
        assert kept(given, choice.groups) == [f"{n}" * 40 for n in range(8 - fitting, 8)]
        assert choice.summary is None


async def test_a_message_larger_than_the_room_is_skipped() -> None:
    given = history("old", "new", "x" * 4000, "newest")
    choice = await strategy("truncate").choose(given, given.fixed_tokens + 20, TURN)
    assert kept(given, choice.groups) == ["old", "new", "newest"]


async def test_a_call_is_dropped_with_its_results() -> None:
    call = Message("assistant", None, (ToolCall("a", "look_up", "{}"),))
    messages = (Message("user", "task"), call, Message("tool", "x" * 40, tool_call_id="a"), Message("assistant", "ok"))
    given = group(messages)
    choice = await strategy("truncate").choose(given, given.fixed_tokens + 10, TURN)
    assert [given.groups[position].indices for position in choice.groups] == [(3,)]
