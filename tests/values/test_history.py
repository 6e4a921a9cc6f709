"""Grouping of messages, and the newest groups within a budget."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.transcripts import TRANSCRIPTS, callers, message
from victor_dsl.values.history import group, newest
from victor_dsl.values.message import Message, messages_tokens


def indices(*messages: Message) -> list[tuple[int, ...]]:
    return [group.indices for group in group(messages).groups]


def fixed(*messages: Message) -> list[int]:
    return [index for group in group(messages).groups if group.fixed for index in group.indices]


@given(TRANSCRIPTS)
def test_every_message_is_in_one_group_and_groups_are_in_order(messages: tuple[Message, ...]) -> None:
    groups = group(messages).groups
    assert sorted(index for group in groups for index in group.indices) == list(range(len(messages)))
    assert [group.indices[0] for group in groups] == sorted(group.indices[0] for group in groups)
    assert all(list(group.indices) == sorted(group.indices) for group in groups)
    assert group(messages).tokens == messages_tokens(messages)


@given(TRANSCRIPTS)
def test_a_result_is_with_the_nearest_earlier_call_of_its_id(messages: tuple[Message, ...]) -> None:
    home = {index: group.indices[0] for group in group(messages).groups for index in group.indices}
    nearest = callers(messages)
    for index in range(len(messages)):
        assert home[index] == nearest.get(index, index)


def test_a_call_and_all_its_results_are_one_group_whatever_stands_between() -> None:
    assert indices(
        message("user", "where are my orders?"),
        message("assistant", calls=["a", "b"]),
        message("tool", "order 1", answers="a"),
        message("user", "hurry up"),
        message("tool", "order 2", answers="b"),
        message("assistant", "here"),
    ) == [(0,), (1, 2, 4), (3,), (5,)]


def test_an_id_that_repeats_belongs_to_the_call_before_it() -> None:
    call, result = message("assistant", calls=["a"]), message("tool", "done", answers="a")
    assert indices(call, result, call, result) == [(0, 1), (2, 3)]


def test_a_result_before_its_call_is_a_group_of_its_own() -> None:
    assert indices(message("tool", "done", answers="a"), message("assistant", calls=["a"])) == [(0,), (1,)]


def test_a_result_that_names_no_call_is_a_group_of_its_own() -> None:
    assert indices(message("assistant", calls=[""]), message("tool", "done")) == [(0,), (1,)]


def test_the_task_the_latest_user_message_and_system_messages_are_fixed() -> None:
    texts = [message("assistant", "hello"), message("user", "fix it"), message("assistant", "how?")]
    texts += [
        message("user", "quickly"),
        message("system", "be kind"),
        message("user", "please"),
        message("assistant", "ok"),
    ]
    assert fixed(*texts) == [1, 4, 5]


def test_a_pinned_result_fixes_its_call() -> None:
    pinned = Message("tool", "order 1", tool_call_id="a", pinned=True)
    assert fixed(message("assistant", calls=["a"]), pinned, message("assistant", "here")) == [0, 1]


def test_calls_that_no_text_has_answered_are_fixed() -> None:
    earlier = [message("assistant", calls=["a"]), message("tool", "1", answers="a")]
    last = [message("assistant", "and now", calls=["b", "c"]), message("tool", "2", answers="b")]
    assert fixed(*earlier, *last) == [2, 3]
    assert fixed(*earlier, *last, message("assistant", "done")) == []


@given(TRANSCRIPTS, st.integers(0, 500))
def test_the_newest_groups_fit_the_budget_and_hold_the_fixed_ones(messages: tuple[Message, ...], budget: int) -> None:
    history = group(messages)
    kept = newest(history, budget)
    assert kept >= {position for position, group in enumerate(history.groups) if group.fixed}
    assert sum(history.groups[position].tokens for position in kept) <= max(budget, history.fixed_tokens)
    if history.tokens <= budget:
        assert len(kept) == len(history.groups)


@given(TRANSCRIPTS, st.integers(0, 500))
def test_no_group_that_could_stay_is_older_than_one_that_does(messages: tuple[Message, ...], budget: int) -> None:
    history = group(messages)
    spare = budget - history.fixed_tokens
    able = [p for p, group in enumerate(history.groups) if not group.fixed and group.tokens <= spare]
    kept = [position for position in able if position in newest(history, budget)]
    assert kept == able[len(able) - len(kept) :]


def test_one_message_too_large_for_the_budget_does_not_drive_out_the_others() -> None:
    small = [message("assistant", f"finding {n}") for n in range(5)]
    history = group([message("user", "task"), *small, message("assistant", "x" * 10_000)])
    assert newest(history, 200) == frozenset(range(6))


def test_the_first_message_kept_stays_the_same_for_many_turns() -> None:
    messages = [message("user", "the task")]
    starts = []
    for turn in range(400):
        messages += [message("user", f"question {turn}"), message("assistant", f"answer {turn} " * 5)]
        history = group(messages)
        starts.append(min(newest(history, history.tokens // 2) - {0}))
    moves = sum(before != after for before, after in pairwise(starts[200:]))
    assert moves <= 12, "a cut at the exact budget would move nearly every turn"
    assert starts == sorted(starts)


def test_calls_that_a_user_message_follows_are_no_open_exchange() -> None:
    asked, call, result = message("user", "task"), message("assistant", calls=["a"]), message("tool", "7", answers="a")
    assert fixed(asked, call, result) == [0, 1, 2]
    assert fixed(asked, call, result, message("user", "never mind")) == [0, 3]
