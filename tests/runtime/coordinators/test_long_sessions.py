"""Sessions over many turns: how often they are compacted, and what their turns send again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
from attrs import define, evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.compacted import refused
from tests.components.compaction.strategies import Writes, strategy, summarize
from tests.transcripts import message
from victor_dsl.runtime.context_window import ModelWindow
from victor_dsl.runtime.coordinators.compaction_memory import CompactionMemory
from victor_dsl.runtime.coordinators.context import ContextCoordinator
from victor_dsl.runtime.model_tokens import ModelTokens
from victor_dsl.values.history import SUMMARY_HEADING, Choice, History, group, newest
from victor_dsl.values.message import Message, messages_tokens
from victor_dsl.values.request import Request
from victor_dsl.values.settings import Settings
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

WINDOW = 2_000


@define
class Newest:
    """A strategy that keeps the newest messages, and counts how often it runs."""

    runs: int = 0

    async def choose(self, history: History, budget: int, turn: Turn) -> Choice:
        self.runs += 1
        return Choice(newest(history, budget))


def turn(messages: Sequence[Message], *, tenant: str | None = None, **settings: Any) -> Turn:
    wanted = Settings(**{"threshold": 0.8, "target_ratio": 0.5, **settings})
    return Turn("t", "s", tuple(messages), tenant, settings=wanted, request=Request(session="s"))


def chat(turns: int, words: int = 60) -> list[Message]:
    """So many questions with answers, of about 100 tokens each by default; an answer is missing at the end."""
    texts = [f"{number} " + "word " * words for number in range(2 * turns - 1)]
    return [message("assistant" if number % 2 else "user", text) for number, text in enumerate(texts)]


def sent_by(context: ContextCoordinator, histories: Sequence[Sequence[Message]], **settings: Any) -> list[Turn]:
    async def all_of_them() -> list[Turn]:
        return [await context.compact(turn(history, **settings), WINDOW) for history in histories]

    return asyncio.run(all_of_them())


def growing(turns: int) -> list[list[Message]]:
    whole = chat(turns)
    return [whole[: 2 * number - 1] for number in range(1, turns + 1)]


def breaks(turns: Sequence[Turn]) -> list[int]:
    """The turns that do not begin with all that the turn before sent."""
    pairs = pairwise(turns)
    return [
        number for number, (one, other) in enumerate(pairs, 1) if other.messages[: len(one.messages)] != one.messages
    ]


SIZES = st.lists(st.integers(1, 400), min_size=1, max_size=40)


@given(SIZES, st.sampled_from([0.3, 0.5, 0.8]), st.sampled_from(["salience", "recent", "truncate", "keywords"]))
def test_between_two_compactions_each_turn_sends_all_of_the_turn_before_again(
    sizes: list[int], ratio: float, type: str
) -> None:
    history: list[Message] = []
    histories = []
    for number, size in enumerate(sizes):
        calls = (message("assistant", calls=[f"c{number}"]), message("tool", "7" * size, answers=f"c{number}"))
        history += [message("user", "x" * size), *calls, message("assistant", "y" * size)]
        histories.append(history[: -1 if number % 2 else -3])
    turns = sent_by(ContextCoordinator(strategy(type), type=type), histories, target_ratio=ratio)
    new = [number for number, each in enumerate(turns) if each.compaction is not None and not each.compaction.reused]
    assert set(breaks(turns)) <= set(new)
    most, added = int(WINDOW * 0.8), sum(m.tokens for m in history)
    assert len(new) <= 1 + added / (most - int(most * ratio) - max(m.tokens for m in history) * 2)
    for given_history, each in zip(histories, turns, strict=True):
        fixed = group(given_history).fixed_tokens
        assert messages_tokens(each.messages) <= max(most, fixed)
        assert not refused(each.messages)


def test_a_long_session_pays_for_few_summaries() -> None:
    model = Writes(("They spoke of orders.",))
    turns = sent_by(ContextCoordinator(summarize(model), type="summarize"), growing(60))
    assert len(model.turns) == len(breaks(turns)) <= 14
    assert all(messages_tokens(each.messages) <= 1_600 for each in turns)
    summaries = [[m for m in each.messages if SUMMARY_HEADING in m.text()] for each in turns if each.compaction]
    assert {len(summary) for summary in summaries} == {1}


def test_a_smaller_share_means_fewer_compactions() -> None:
    runs = []
    for ratio in (0.8, 0.5, 0.2):
        strategy = Newest()
        sent_by(ContextCoordinator(strategy, type="tested"), growing(60), target_ratio=ratio)
        runs.append(strategy.runs)
    assert runs == sorted(runs, reverse=True)
    assert runs[0] > 2 * runs[2]


def test_the_target_is_a_share_of_the_tokens_at_which_compaction_begins() -> None:
    (after,) = sent_by(ContextCoordinator(Newest(), type="tested"), [chat(100)])
    assert after.compaction is not None
    assert after.compaction.target == 800
    (again,) = sent_by(ContextCoordinator(Newest(), type="tested"), [chat(100)], target_ratio=0.25)
    assert again.compaction is not None
    assert again.compaction.target == 400


def test_with_threshold_0_it_acts_on_every_turn() -> None:
    strategy = Newest()
    turns = sent_by(ContextCoordinator(strategy, type="tested"), growing(10), threshold=0.0)
    assert strategy.runs >= 9
    assert not any(each.compaction.reused for each in turns if each.compaction)


def altered(history: list[Message], index: int) -> list[Message]:
    return [*history[:index], evolve(history[index], content="something else"), *history[index + 1 :]]


def test_a_change_in_what_was_left_out_compacts_anew_and_one_after_it_does_not() -> None:
    strategy, history = Newest(), chat(13)
    context = ContextCoordinator(strategy, type="tested")
    (first,) = sent_by(context, [history])
    assert first.kept is not None
    newest = first.kept[1]
    sent_by(context, [altered(chat(14), newest), altered(chat(14), 24)])
    assert strategy.runs == 1
    sent_by(context, [altered(chat(14), newest - 1)])
    assert strategy.runs == 2


def test_another_tenant_model_or_strategy_has_a_choice_of_its_own() -> None:
    memory, strategy = CompactionMemory(), Newest()
    context = ContextCoordinator(strategy, type="tested", memory=memory)
    asyncio.run(context.compact(turn(chat(13)), WINDOW))
    asyncio.run(context.compact(turn(chat(13), tenant="acme"), WINDOW))
    asyncio.run(context.compact(turn(chat(13), model="spare"), WINDOW // 2))
    assert strategy.runs == 3
    asyncio.run(context.compact(turn(chat(14)), WINDOW))
    assert strategy.runs == 3
    asyncio.run(ContextCoordinator(strategy, type="other", memory=memory).compact(turn(chat(14)), WINDOW))
    assert strategy.runs == 4


def test_a_longer_system_prompt_or_more_tools_compact_anew_and_shorter_ones_do_not() -> None:
    strategy = Newest()
    context = ContextCoordinator(strategy, type="tested")
    history = chat(13)
    for tools in (2, 1, 2, 1):
        each = turn(history).replace(tools=(Tool("a", "x" * 600),) * tools)
        sent = asyncio.run(context.compact(each, WINDOW))
        assert sent.compaction is not None
        history += [message("assistant", "Yes."), message("user", "And then?")]
    assert strategy.runs == 1
    asyncio.run(context.compact(turn(history).replace(system="x" * 4_000), WINDOW))
    assert strategy.runs == 2


def test_what_a_pin_or_a_late_result_adds_is_sent_too() -> None:
    context, history = ContextCoordinator(Newest(), type="tested"), chat(13)
    history[3:3] = [message("assistant", calls=["a", "b"]), message("tool", "8", answers="a")]
    (first,) = sent_by(context, [history])
    assert first.kept is not None
    assert 3 not in first.kept
    history[2] = evolve(history[2], pinned=True)
    (second,) = sent_by(context, [[*history, message("assistant", "Yes."), message("user", "And then?")]])
    assert history[2] in second.messages
    assert not refused(second.messages)


def test_rendering_repeats_what_turns_have_left_out_and_remembers_nothing_itself() -> None:
    strategy = Newest()
    context = ContextCoordinator(strategy, type="tested")
    asyncio.run(context.compact(turn(chat(13)).replace(rendering=True), WINDOW))
    sent = asyncio.run(context.compact(turn(chat(13)), WINDOW))
    rendered = asyncio.run(context.compact(turn(chat(14)).replace(rendering=True), WINDOW))
    assert strategy.runs == 2
    assert rendered.messages[: len(sent.messages)] == sent.messages
    assert {why for place, why in rendered.why.items() if place not in (rendered.kept or ())} == {
        "left out, as in the turn before"
    }


def test_where_nothing_but_rendering_is_done_lines_of_one_session_follow_each_other() -> None:
    strategy = Newest()
    context = ContextCoordinator(strategy, type="tested", memory=CompactionMemory(of_renders=True))

    async def all_of_them() -> list[Turn]:
        return [await context.compact(turn(each).replace(rendering=True), WINDOW) for each in growing(40)]

    assert len(breaks(asyncio.run(all_of_them()))) == strategy.runs < 12


def rounds(context: ContextCoordinator, count: int) -> Iterator[Turn]:
    """One turn whose model calls a tool so often."""
    sent = asyncio.run(context.compact(turn(chat(7)), WINDOW))
    yield sent
    for number in range(count):
        calls = (message("assistant", calls=[f"c{number}"]), message("tool", "7" * 800, answers=f"c{number}"))
        sent = asyncio.run(context.compact(sent.replace(messages=sent.messages + calls), WINDOW))
        yield sent


def test_an_open_exchange_that_grows_is_compacted_now_and_then() -> None:
    strategy = Newest()
    turns = list(rounds(ContextCoordinator(strategy, type="tested"), 30))
    assert len(breaks(turns)) == strategy.runs < 10
    for each in turns:
        assert messages_tokens(each.messages) <= 1_600
        assert not refused(each.messages)


def test_a_summary_written_in_a_turn_is_not_summarised_in_the_same_turn() -> None:
    model = Writes(("They spoke of orders.",))
    for each in rounds(ContextCoordinator(summarize(model), type="summarize"), 30):
        assert sum(SUMMARY_HEADING in m.text() for m in each.messages) <= 1


@pytest.mark.parametrize("dense", [1.0, 2.5])
def test_what_counts_more_than_the_rest_is_compacted_again_to_no_less_than_the_target(dense: float) -> None:
    """A model that counts the newest messages `dense` times: they are in Chinese."""
    events: list[Any] = []
    model = ModelWindow(WINDOW, ModelTokens())
    context = ContextCoordinator(Newest(), type="tested", models={"main": model})
    text = "的" if dense > 1 else "x"
    history = [*chat(8), message("assistant", "Yes."), *[message("user", text * 250) for _ in range(12)]]
    given_turn = turn(history, model="main").replace(record=lambda type, data: events.append((type, data)))
    sent = asyncio.run(context.fit(given_turn))
    assert sent.compaction is not None
    assert WINDOW * 0.8 * 0.3 <= model.estimate(sent).tokens <= WINDOW * 0.8
    assert [type for type, _ in events] == ["compaction"]
