"""Conversations that providers would refuse, made such that they take them."""

from __future__ import annotations

from collections import Counter

from hypothesis import given

from tests.compacted import refused
from tests.transcripts import CONVERSATIONS, callers, message
from victor_dsl.values.mending import NO_RESULT, mend
from victor_dsl.values.message import Message, ToolCall

TASK, LATER = message("user", "task"), message("user", "and now?")


def stand_in(id: str) -> Message:
    return Message("tool", NO_RESULT, tool_call_id=id, name="look_up")


def mended(*messages: Message) -> list[Message]:
    found = mend(messages)
    assert found is not None
    return list(found.messages)


@given(CONVERSATIONS)
def test_what_was_mended_is_refused_by_nobody_and_needs_no_more_mending(messages: tuple[Message, ...]) -> None:
    found = mend(messages)
    whole = messages if found is None else found.messages
    assert not refused(whole)
    assert mend(whole) is None


@given(CONVERSATIONS)
def test_only_results_without_a_call_go_and_only_stand_ins_come(messages: tuple[Message, ...]) -> None:
    found = mend(messages)
    if found is None:
        return
    stayed = [place for place in found.places if place is not None]
    alone = {index for index, m in enumerate(messages) if m.role == "tool"} - callers(messages).keys()
    assert set(found.left_out) == alone
    assert sorted(stayed) == [index for index in range(len(messages)) if index not in alone]
    assert [place for place in stayed if messages[place].role != "tool"] == [
        index for index, m in enumerate(messages) if m.role != "tool"
    ]
    for place, m in zip(found.places, found.messages, strict=True):
        assert m.content == (NO_RESULT if place is None else messages[place].content)


@given(CONVERSATIONS)
def test_results_follow_their_calls_directly_and_the_calls_of_a_message_have_different_ids(
    messages: tuple[Message, ...],
) -> None:
    found = mend(messages)
    open_calls: set[str] = set()
    for m in messages if found is None else found.messages:
        if m.role == "tool":
            assert m.tool_call_id in open_calls
        else:
            open_calls = {call.id for call in m.tool_calls}
            assert len(open_calls) == len(m.tool_calls)


def test_a_whole_conversation_is_left_alone() -> None:
    call, result = message("assistant", calls=["a"]), message("tool", "7", answers="a")
    assert mend(()) is None
    assert mend((TASK, call, result, message("assistant", "7"), LATER)) is None


def test_a_call_without_a_result_is_closed_behind_the_results_that_there_are() -> None:
    call, result = message("assistant", calls=["a", "b"]), message("tool", "7", answers="a")
    assert mended(TASK, call, result, LATER) == [TASK, call, result, stand_in("b"), LATER]
    assert mended(call, LATER) == [call, stand_in("a"), stand_in("b"), LATER]


def test_an_open_exchange_at_the_end_stays_as_it_is() -> None:
    call, result = message("assistant", calls=["a", "b"]), message("tool", "7", answers="a")
    assert mend((TASK, call)) is None
    assert mend((TASK, call, result)) is None
    assert mended(call, result, call) == [call, result, stand_in("b"), call]


def test_a_late_result_follows_its_call() -> None:
    call, result = message("assistant", calls=["a", "b"]), message("tool", "7", answers="a")
    late, answer = message("tool", "8", answers="b"), message("assistant", "15")
    found = mend((TASK, call, result, LATER, late, answer))
    assert found is not None
    assert found.messages == (TASK, call, result, late, LATER, answer)
    assert (found.places, found.moved) == ((0, 1, 2, 4, 3, 5), (4,))
    assert (found.left_out, found.closed) == ((), ())
    assert mend((TASK, call, late, result, LATER)) is None


def test_what_the_user_said_before_the_result_came_is_the_last_message() -> None:
    call, result = message("assistant", calls=["a"]), message("tool", "7", answers="a")
    assert mended(TASK, call, LATER, result) == [TASK, call, result, LATER]
    assert mended(TASK, call, LATER, result, call) == [TASK, call, result, LATER, call]


def test_a_result_without_a_call_is_left_out_also_where_it_is_pinned_or_comes_before_its_call() -> None:
    call, result = message("assistant", calls=["a"]), message("tool", "7", answers="a")
    pinned = Message("tool", "8", tool_call_id="b", pinned=True)
    found = mend((result, TASK, call, result, pinned, Message("tool", "9"), LATER))
    assert found is not None
    assert found.messages == (TASK, call, result, LATER)
    assert (found.places, found.left_out, found.closed) == ((1, 2, 3, 6), (0, 4, 5), ())


def test_a_result_belongs_to_the_nearest_call_with_its_id() -> None:
    call, result = message("assistant", calls=["a"]), message("tool", "7", answers="a")
    found = mend((call, call, result, LATER))
    assert found is not None
    assert found.messages == (call, stand_in("a"), call, result, LATER)
    assert (found.closed, found.left_out) == ((0,), ())


def test_two_calls_with_one_id_are_answered_in_order_under_ids_of_their_own() -> None:
    call, own = message("assistant", calls=["a", "a", "a_2"]), message("assistant", calls=["a", "a_3", "a_2"])
    first, second, third = (message("tool", text, answers="a") for text in ("1", "2", "3"))
    other = message("tool", "4", answers="a_2")
    found = mend((call, first, other, second, LATER))
    assert found is not None
    assert found.messages == (own, first, other, message("tool", "2", answers="a_3"), LATER)
    assert found.places == (0, 1, 2, 3, 4)
    assert mended(call, first, LATER) == [own, first, stand_in("a_3"), stand_in("a_2"), LATER]
    assert mended(call, first) == [own, first]
    assert mended(call, first, other, second, third, LATER)[4] == third


def test_many_calls_in_one_message_take_no_more_than_their_share_of_time() -> None:
    calls = tuple(ToolCall(str(n), "look_up", "{}") for n in range(20_000))
    results = tuple(Message("tool", "7", tool_call_id=call.id) for call in reversed(calls))
    looked = Counter[str]()

    class Counting(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            looked["ids"] += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    watched = tuple(ToolCall(Counting(call.id), "look_up", "{}") for call in calls)
    assert mend((Message("assistant", None, watched), *results, LATER)) is None
    assert looked["ids"] < 10 * len(calls)
