"""The invariants of compaction, around good strategies, bad ones and none."""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from attrs import define, field, frozen
from hypothesis import given
from hypothesis import strategies as st

from tests.compacted import whole
from tests.transcripts import TRANSCRIPTS, callers, message
from victor_dsl.components.newest_groups import NewestGroups
from victor_dsl.errors import BudgetError
from victor_dsl.runtime.coordinators.context import ContextCoordinator
from victor_dsl.values.history import SUMMARY_HEADING, Choice, History, group, newest
from victor_dsl.values.mending import NO_RESULT
from victor_dsl.values.message import Message, messages_tokens
from victor_dsl.values.settings import Settings
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Mending, Turn

CHAT = tuple(message("user" if n % 2 == 0 else "assistant", f"message {n} " * 8) for n in range(41))
CHAT_TOKENS = messages_tokens(CHAT)


@frozen
class Gives:
    """A strategy that gives what it is told to, or raises it."""

    answer: Any

    async def choose(self, history: History, budget: int, turn: Turn) -> Choice:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer(history, budget) if callable(self.answer) else self.answer  # type: ignore[no-any-return]


@frozen
class NeverEnds:
    async def choose(self, history: History, budget: int, turn: Turn) -> Choice:
        await asyncio.Event().wait()
        raise AssertionError


@define
class Told:
    """The events that a turn recorded."""

    events: list[tuple[str, Mapping[str, Any]]] = field(factory=list)

    def record(self, type: str, data: Mapping[str, Any]) -> None:
        self.events.append((type, data))


def turn(messages: tuple[Message, ...], told: Told | None = None, **settings: Any) -> Turn:
    record = (told or Told()).record
    return Turn("t", "s", messages, settings=Settings(**{"threshold": 0.0, **settings}), record=record)


def coordinator(strategy: Any = None, **options: Any) -> ContextCoordinator:
    return ContextCoordinator(strategy or NewestGroups(newest), **{"type": "tested", **options})


def compact(given: Turn, window: int | None = None, **options: Any) -> Turn:
    return asyncio.run(coordinator(**options).compact(given, window))


def oldest(history: History, budget: int) -> Choice:
    """The fixed groups, and the oldest that still fit."""
    spare, kept = budget - history.fixed_tokens, set()
    for position, candidate in enumerate(history.groups):
        if not candidate.fixed and candidate.tokens <= spare:
            spare -= candidate.tokens
            kept.add(position)
    return Choice(frozenset(kept))


def alone(messages: tuple[Message, ...]) -> set[int]:
    """The results that have no call."""
    return {i for i, message in enumerate(messages) if message.role == "tool"} - callers(messages).keys()


RATIOS = st.sampled_from([0.01, 0.1, 0.25, 0.5, 0.9, 1.0])
STRATEGIES = st.sampled_from([NewestGroups(newest), Gives(oldest), Gives(Choice(frozenset())), Gives(ValueError("no"))])


@given(TRANSCRIPTS, RATIOS, STRATEGIES)
def test_no_compaction_tears_a_call_from_its_results(
    messages: tuple[Message, ...], ratio: float, strategy: Any
) -> None:
    after = compact(turn(messages, target_ratio=ratio), strategy=strategy)
    kept = range(len(messages)) if after.kept is None else after.kept
    for result, call in callers(messages).items():
        assert (result in kept) == (call in kept)


@given(TRANSCRIPTS, RATIOS, STRATEGIES)
def test_what_must_stay_stays_in_its_order(messages: tuple[Message, ...], ratio: float, strategy: Any) -> None:
    after = compact(turn(messages, target_ratio=ratio), strategy=strategy)
    kept = list(range(len(messages))) if after.kept is None else list(after.kept)
    assert kept == sorted(set(kept))
    places = range(len(messages)) if after.conversation is None else after.conversation.places
    sent = list(zip(after.messages, places, strict=True))
    assert all(message.content == messages[place].content for message, place in sent if place is not None)
    assert all(message.content == NO_RESULT for message, place in sent if place is None)
    users = [index for index, message in enumerate(messages) if message.role == "user"]
    must = {index for index, message in enumerate(messages) if message.role == "system" or message.pinned}
    must -= alone(messages)
    assert must.union(users[:1], users[-1:]) <= set(kept)


@given(TRANSCRIPTS, RATIOS, STRATEGIES)
def test_the_budget_is_met_or_the_record_says_that_it_is_not(
    messages: tuple[Message, ...], ratio: float, strategy: Any
) -> None:
    record = compact(turn(messages, target_ratio=ratio), strategy=strategy).compaction
    if record is not None:
        sound = whole(messages)
        assert record.target == int(messages_tokens(sound) * ratio)
        assert record.after <= max(record.target, group(sound).fixed_tokens)


@given(TRANSCRIPTS, st.integers(1, 3000), RATIOS, st.sampled_from([0.0, 0.3, 0.8, 1.0]), STRATEGIES)
def test_the_result_fits_the_window_or_the_error_says_the_numbers(
    messages: tuple[Message, ...], window: int, ratio: float, threshold: float, strategy: Any
) -> None:
    given_turn = turn(messages, target_ratio=ratio, threshold=threshold, max_tokens=50)
    must_stay = group(whole(messages)).fixed_tokens
    if must_stay + 50 > window:
        with pytest.raises(BudgetError, match=f"window of {window} tokens.*must stay {must_stay},"):
            compact(given_turn, window, strategy=strategy)
    else:
        after = compact(given_turn, window, strategy=strategy)
        assert messages_tokens(after.messages) + 50 <= window


@given(TRANSCRIPTS, st.integers(60, 3000), RATIOS, st.sampled_from([0.0, 0.3, 0.8]), STRATEGIES)
def test_compacting_what_is_compact_changes_nothing(
    messages: tuple[Message, ...], window: int, ratio: float, threshold: float, strategy: Any
) -> None:
    try:
        once = compact(turn(messages, target_ratio=ratio, threshold=threshold), window, strategy=strategy)
    except BudgetError:
        return
    twice = compact(once, window, strategy=strategy)
    assert twice.messages == once.messages
    if threshold > 0 and once.compaction:  # also for a later request that sends what is left
        again = compact(turn(once.messages, target_ratio=ratio, threshold=threshold), window, strategy=strategy)
        assert again.messages == once.messages


def test_compacting_a_turn_twice_with_threshold_0_acts_once() -> None:
    once = compact(turn(CHAT))
    assert compact(once).messages == once.messages


@given(TRANSCRIPTS, RATIOS, STRATEGIES)
def test_the_caller_s_messages_are_not_changed(messages: tuple[Message, ...], ratio: float, strategy: Any) -> None:
    given_turn, copied = turn(messages, target_ratio=ratio), copy.deepcopy(messages)
    compact(given_turn, strategy=strategy)
    assert messages == copied
    assert given_turn.messages is messages


def test_an_open_exchange_stays_however_small_the_target() -> None:
    open_exchange = (message("assistant", calls=["a", "b"]), message("tool", "x" * 4000, answers="a"))
    after = compact(turn((*CHAT, *open_exchange), target_ratio=0.01))
    assert after.messages == (CHAT[0], CHAT[40], *open_exchange)
    assert after.compaction is not None
    assert after.compaction.after > after.compaction.target
    assert not after.compaction.fallback


@pytest.mark.parametrize(("threshold", "acts"), [(0.99, True), (1.0, False)])
def test_it_acts_above_the_threshold_only(threshold: float, acts: bool) -> None:
    after = compact(turn(CHAT, threshold=threshold), CHAT_TOKENS)
    assert (after.compaction is not None) == acts
    assert (after.kept is not None) == acts


def test_system_prompt_and_tools_count_towards_the_threshold() -> None:
    window = 2 * CHAT_TOKENS
    tool = Tool("look_up", "Looks an order up. " * 60)
    taken = tool.tokens
    prompt = "x" * 4 * (window // 2 - CHAT_TOKENS // 2 - taken)
    given_turn = turn(CHAT, threshold=0.75).replace(system=prompt, tools=(tool,))
    assert compact(given_turn, window).compaction is None
    assert compact(given_turn.replace(system=prompt + "12345678"), window).compaction is not None
    assert compact(given_turn.replace(tools=(tool, tool)), window).compaction is not None


def test_tools_are_counted_anew_when_they_change() -> None:
    small, large = Tool("a"), Tool("b", "x" * 4 * CHAT_TOKENS)
    context = coordinator()
    given_turn = turn(CHAT, threshold=1.0).replace(tools=(small,))
    assert asyncio.run(context.compact(given_turn, 2 * CHAT_TOKENS)).compaction is None
    assert asyncio.run(context.compact(given_turn.replace(tools=(large,)), 2 * CHAT_TOKENS)).compaction is not None


@pytest.mark.parametrize("window", [204, 203])
def test_messages_that_must_stay_may_fill_the_window_to_the_last_token(window: int) -> None:
    given_turn = turn((message("user", "x" * 396), message("assistant", "and?")), max_tokens=101)
    if window == 204:
        assert compact(given_turn, window).kept == (0,)
    else:
        with pytest.raises(BudgetError):
            compact(given_turn, window)


def test_the_answer_s_tokens_are_kept_free() -> None:
    after = compact(turn(CHAT, threshold=1.0, target_ratio=1.0, max_tokens=100), CHAT_TOKENS)
    assert CHAT_TOKENS - 300 < messages_tokens(after.messages) <= CHAT_TOKENS - 100


def test_what_is_left_does_not_trigger_again() -> None:
    after = compact(turn(CHAT, threshold=0.5, target_ratio=0.9), CHAT_TOKENS)
    assert messages_tokens(after.messages) <= CHAT_TOKENS // 2


def test_with_an_unknown_window_only_threshold_0_acts() -> None:
    assert compact(turn(CHAT, threshold=0.01), None).compaction is None
    assert compact(turn(CHAT, threshold=0.0), None).compaction is not None


def test_an_empty_history_is_left_alone() -> None:
    after = compact(turn(()))
    assert (after.messages, after.kept, after.compaction) == ((), None, None)


def test_identical_messages_are_told_apart_by_their_place() -> None:
    same = (message("user", "the same " * 10),) * 40
    after = compact(turn(same, target_ratio=0.5))
    assert after.kept is not None
    assert after.kept[0] == 0
    assert after.kept[1:] == tuple(range(40 - len(after.kept) + 1, 40))


def test_a_task_larger_than_the_window_is_an_error_that_says_what_to_do() -> None:
    given_turn = turn((message("user", "x" * 4000),), max_tokens=100).replace(system="y" * 400)
    with pytest.raises(BudgetError) as caught:
        compact(given_turn, 500)
    assert caught.value.message == (
        "the request cannot fit the context window of 500 tokens, even without any history: it needs "
        "1204 (system prompt 100, tools 0, messages that must stay 1004, max_tokens for the answer 100)"
    )
    assert caught.value.hint == "shorten the largest of these by 704 tokens, or choose a model with a larger window"


def test_what_was_done_is_on_the_turn_and_recorded() -> None:
    told = Told()
    after = compact(turn(CHAT, told))
    assert after.compaction is not None
    assert after.kept is not None
    assert after.compaction.as_json() == {
        "type": "tested",
        "before": CHAT_TOKENS,
        "after": messages_tokens(after.messages),
        "target": CHAT_TOKENS // 2,
        "fallback": False,
        "prefix_kept": None,
        "reused": False,
    }
    assert told.events == [
        ("compaction", {**after.compaction.as_json(), "messages": len(CHAT), "kept": len(after.kept)})
    ]


RUBBISH: dict[str, tuple[Any, str]] = {
    "nothing": (None, "it returned NoneType instead of a Choice"),
    "messages": ([CHAT[0]], "it returned list instead of a Choice"),
    "a group that is not there": (Choice(frozenset({41})), "it chose group 41, but the last is 40"),
    "a group before the first": (Choice(frozenset({-1})), "it chose group -1"),
    "groups that are no numbers": (Choice(frozenset({"1"})), "TypeError"),  # type: ignore[arg-type]
    "no groups": (Choice(None), "TypeError"),  # type: ignore[arg-type]
    "everything": (Choice(frozenset(range(41))), "the budget is"),
    "a summary that is no text": (Choice(frozenset(), summary=b"gone"), "its summary is bytes, not text"),  # type: ignore[arg-type]
    "reasons that are no map": (Choice(frozenset(), reasons=None), "its reasons are NoneType, not a map"),  # type: ignore[arg-type]
    "a summary over budget": (Choice(frozenset(), summary="x" * 8000), "the budget is"),
    "an error": (KeyError("embedder"), "KeyError: 'embedder'"),
    "its own timeout": (TimeoutError("the model is slow"), "the model is slow"),
}


@pytest.mark.parametrize(("answer", "reason"), RUBBISH.values(), ids=list(RUBBISH))
def test_a_strategy_that_gives_rubbish_is_replaced_by_the_newest_messages(answer: Any, reason: str) -> None:
    told = Told()
    after = compact(turn(CHAT, told), strategy=Gives(answer))
    expected = compact(turn(CHAT))
    assert (after.messages, after.kept) == (expected.messages, expected.kept)
    assert after.compaction is not None
    assert (after.compaction.type, after.compaction.fallback) == ("recent", True)
    assert [type for type, _ in told.events] == ["error", "compaction"]
    assert reason in told.events[0][1]["message"]


def test_the_spec_s_fallback_comes_before_the_newest_messages() -> None:
    after = compact(turn(CHAT), strategy=Gives(None), fallback=Gives(oldest), fallback_type="oldest")
    assert after.compaction is not None
    assert (after.compaction.type, after.compaction.fallback) == ("oldest", True)
    assert after.kept is not None
    assert after.kept[:3] == (0, 1, 2)


def test_a_fallback_that_fails_too_is_replaced_by_the_newest_messages() -> None:
    told = Told()
    after = compact(
        turn(CHAT, told), strategy=Gives(None), fallback=NeverEnds(), fallback_type="endless", deadline_s=0.001
    )
    assert after.compaction is not None
    assert after.compaction.type == "recent"
    assert told.events[1][1]["message"] == "compaction/endless: the strategy failed: it took longer than 0.001 s"


async def test_a_cancelled_turn_is_cancelled_also_while_a_strategy_runs() -> None:
    async with asyncio.timeout(10):
        task = asyncio.create_task(coordinator(NeverEnds(), deadline_s=60).compact(turn(CHAT), None))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def test_a_summary_stands_at_the_first_gap_and_says_what_it_is() -> None:
    strategy = Gives(Choice(frozenset({1, 30}), summary="They talked."))
    after = compact(turn(CHAT), strategy=strategy)
    summary = Message("user", f"{SUMMARY_HEADING}\nThey talked.")
    assert after.messages == (CHAT[0], CHAT[1], summary, CHAT[30], CHAT[40])
    assert after.kept == (0, 1, 30, 40)
    assert after.compaction is not None
    assert after.compaction.after == messages_tokens(after.messages)


def test_a_summary_of_the_end_comes_last() -> None:
    messages = (message("user", "task"), message("assistant", "a" * 400), message("assistant", "b" * 400))
    after = compact(turn(messages, target_ratio=0.7), strategy=Gives(Choice(frozenset({1}), summary="more")))
    assert [m.role for m in after.messages] == ["user", "assistant", "user"]
    assert after.kept == (0, 1)


def test_a_summary_never_stands_between_a_call_and_its_result() -> None:
    call, result = message("assistant", calls=["a"]), message("tool", "done", answers="a")
    messages = (message("user", "task"), call, message("assistant", "x" * 400), result, message("assistant", "ok"))
    after = compact(turn(messages, target_ratio=0.6), strategy=Gives(Choice(frozenset({1, 3}), summary="gone")))
    assert after.kept == (0, 1, 3, 4)
    assert [m.role for m in after.messages] == ["user", "assistant", "tool", "user", "assistant"]


def test_a_summary_of_nothing_is_left_out() -> None:
    after = compact(turn(CHAT), strategy=Gives(Choice(frozenset({1}), summary="  \n")))
    assert after.messages == (CHAT[0], CHAT[1], CHAT[40])


def test_a_message_s_fixed_cost_is_not_counted_twice() -> None:
    budget = CHAT[0].tokens + CHAT[40].tokens + CHAT[20].tokens
    after = compact(
        turn(CHAT, target_ratio=(budget + 0.5) / CHAT_TOKENS), strategy=Gives(Choice(frozenset({0, 20, 40})))
    )
    assert after.kept == (0, 20, 40)


def test_a_torn_history_is_mended_also_where_nothing_is_compacted() -> None:
    told = Told()
    torn = (CHAT[0], message("tool", "7", answers="gone"), message("assistant", calls=["a"]), CHAT[2])
    given_turn = turn(torn, told, threshold=0.8)
    after = compact(given_turn, None)
    stand_in = Message("tool", NO_RESULT, tool_call_id="a", name="look_up")
    assert after.messages == (CHAT[0], torn[2], stand_in, CHAT[2])
    assert after.kept == (0, 2, 3)
    assert after.compaction is None
    assert after.trace.mending == Mending(closed=(2,), left_out=(1,))
    assert given_turn.messages is torn
    assert told.events == []
    assert compact(after, None).messages == after.messages


def test_indices_after_a_second_compaction_point_into_the_conversation() -> None:
    torn = (message("tool", "7", answers="gone"), *CHAT)
    once = compact(turn(torn, target_ratio=0.5))
    added = (message("assistant", calls=["a"]), message("tool", "7" * 400, answers="a"), message("assistant", "x" * 80))
    twice = compact(once.replace(messages=once.messages + added, settings=Settings(threshold=0.0, target_ratio=0.4)))
    assert once.kept is not None
    assert twice.kept is not None
    assert len(twice.kept) < len(once.kept) + 3
    conversation = torn + added
    assert twice.messages == tuple(conversation[index] for index in twice.kept)
    assert twice.kept[-1] == len(conversation) - 1


def test_a_summary_of_the_first_compaction_is_neither_task_nor_latest_message_in_the_second() -> None:
    messages = (message("assistant", "Good day! " * 40), *CHAT[:1], *[message("assistant", "x" * 400)] * 9)
    summing = Gives(lambda history, budget: Choice(frozenset(), summary="They met."))
    once = compact(turn(messages, target_ratio=0.5), strategy=summing)
    assert [m.role for m in once.messages] == ["user", "user"]
    twice = compact(
        once.replace(settings=Settings(threshold=0.0, target_ratio=0.1), compaction=None),
        strategy=Gives(Choice(frozenset())),
    )
    assert twice.messages == (CHAT[0],)
    assert twice.kept == (1,)


def test_why_each_message_stays_or_goes_is_told_of_a_rendered_turn_alone() -> None:
    call, result = message("assistant", calls=["a"]), message("tool", "7" * 40, answers="a")
    pinned = Message("assistant", "by all means", pinned=True)
    messages = (*CHAT[:6], pinned, message("system", "Be kind."), call, result, call)
    strategy = Gives(lambda history, budget: Choice(frozenset({1, 2}), reasons={1: "well said", 3: "of no use"}))
    assert compact(turn(messages, target_ratio=0.9), strategy=strategy).why == {}
    after = compact(turn(messages, target_ratio=0.9).replace(rendering=True), strategy=strategy)
    assert after.why == {
        0: "the task",
        1: "well said",
        2: "kept by tested",
        3: "of no use",
        4: "latest user message",
        5: "left out",
        6: "pinned",
        7: "system",
        8: "left out",
        9: "left out",
        10: "open exchange",
    }


def test_what_stays_for_another_s_sake_says_for_whose() -> None:
    pinned = Message("tool", "7", tool_call_id="a", pinned=True)
    messages = (message("assistant", calls=["a", "b"]), pinned, message("tool", "8", answers="b"), *CHAT)
    after = compact(turn(messages).replace(rendering=True))
    assert [after.why[index] for index in range(3)] == ["goes with message 1", "pinned", "goes with message 1"]


async def test_a_long_history_is_grouped_in_a_thread_and_comes_out_the_same() -> None:
    threads = []

    def watched(history: History, budget: int) -> Choice:
        threads.append(len(history.groups))
        return Choice(newest(history, budget))

    class Large(tuple):  # type: ignore[type-arg]
        __slots__ = ()

        def __iter__(self) -> Any:
            seen_in.add(threading.get_ident())
            return super().__iter__()

    seen_in: set[int] = set()
    messages = Large(CHAT * 60)
    after = await coordinator(Gives(watched)).compact(turn(messages), None)
    assert seen_in - {threading.get_ident()}
    assert threads == [len(messages)]
    assert after.kept is not None
    assert after.messages == tuple(messages[index] for index in after.kept)
