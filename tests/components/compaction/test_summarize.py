"""A summary instead of the oldest messages: written once, checked, counted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from tests.components.compaction.strategies import FOLDER, Writes, history, kept, said, summarize
from tests.components.context import TURN, surroundings
from victor_dsl.components.compaction.summarize import Config, build, first_sentences
from victor_dsl.errors import ComponentError, ModelError
from victor_dsl.runtime.coordinators.context import ContextCoordinator
from victor_dsl.values.history import Choice, group, summary_message
from victor_dsl.values.message import Message, Reply, Usage
from victor_dsl.values.settings import Settings
from victor_dsl.values.tokens import text_tokens
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import DeferredTools, Trace, Turn

TEXTS = [f"Fact {n}: order {n * 7} was sent on day {n}. " + "And so on. " * 10 for n in range(40)]
HISTORY = history(*TEXTS)
USED_UP = ModelError("used all 157 of max_tokens before it wrote anything", kind="bad_request")


def turn(events: list[tuple[str, Mapping[str, Any]]] | None = None, **fields: Any) -> Turn:
    told = events if events is not None else []
    return Turn("t", "s", (), record=lambda type, data: told.append((type, data)), trace=Trace("s"), **fields)


async def test_the_model_summarises_the_oldest_and_the_newest_stay() -> None:
    model = Writes()
    budget = HISTORY.tokens // 2
    choice = await summarize(model, max_tokens=100).choose(HISTORY, budget, turn())
    assert choice.summary == "They spoke of orders."
    left = kept(HISTORY, choice.groups)
    assert left == TEXTS[-len(left) :]
    (asked,) = model.turns
    text = asked.messages[0].text()
    assert [fact for fact in TEXTS if fact.strip() in text] == TEXTS[: -len(left)]
    assert asked.system is not None
    assert "at most" in asked.system
    assert (asked.tools, asked.streaming, asked.settings.model) == ((), False, "small")
    tokens = sum(HISTORY.groups[position].tokens for position in choice.groups)
    assert tokens + summary_message(choice.summary).tokens <= budget


async def test_the_same_prefix_is_summarised_once() -> None:
    model = Writes()
    built = summarize(model)
    first = await built.choose(HISTORY, HISTORY.tokens // 2, turn())
    assert await built.choose(HISTORY, HISTORY.tokens // 2, turn()) == first
    assert len(model.turns) == 1


async def test_as_the_history_grows_the_model_gets_only_the_newly_dropped() -> None:
    model = Writes(["First summary.", "Second summary."])
    built = summarize(model)
    budget = HISTORY.tokens // 2
    await built.choose(HISTORY, budget, turn())
    longer = history(*TEXTS, *(text.replace("Fact", "News") for text in TEXTS[:20]))
    choice = await built.choose(longer, budget, turn())
    assert choice.summary == "Second summary."
    first, second = (asked.messages[0].text() for asked in model.turns)
    assert "Summary of what came before:\n\nFirst summary." in second
    assert not any(text.strip() in second for text in TEXTS if text.strip() in first)


async def test_no_tenant_gets_a_summary_of_anothers_messages() -> None:
    model = Writes(["of acme", "of globex"])
    built = summarize(model)
    for tenant in ("acme", "globex", "acme"):
        choice = await built.choose(HISTORY, HISTORY.tokens // 2, turn(tenant=tenant))
        assert choice.summary == f"of {tenant}"
    assert len(model.turns) == 2


async def test_more_than_the_models_window_is_summarised_in_batches() -> None:
    model = Writes([f"Summary {n}." for n in range(1, 100)])
    built = summarize(model, window=2_000, max_tokens=100)
    choice = await built.choose(HISTORY, HISTORY.tokens // 3, turn())
    assert choice.summary == f"Summary {len(model.turns)}."
    assert len(model.turns) > 1
    for before, asked in zip([None, *model.turns], model.turns, strict=False):
        text = asked.messages[0].text()
        assert asked.messages[0].tokens < 2_000 - 100
        assert ("Summary of what came before" in text) == (before is not None)
    everything = "\n".join(asked.messages[0].text() for asked in model.turns)
    dropped = [text for text in TEXTS if text not in kept(HISTORY, choice.groups)]
    assert [everything.count(text.strip()) for text in dropped] == [1] * len(dropped)


async def test_a_message_larger_than_the_window_is_shown_by_its_two_ends() -> None:
    model = Writes()
    given = history("BEGIN" + "x" * 100_000 + "END", *TEXTS)
    await summarize(model, window=2_000, max_tokens=100).choose(given, given.fixed_tokens + 800, turn())
    first = model.turns[0].messages[0].text()
    assert "BEGIN" in first
    assert "END\n" in first
    assert "characters left out" in first


@pytest.mark.parametrize(
    ("reply", "what"),
    [
        ("", "returned an empty summary"),
        (" \n", "returned an empty summary"),
        (None, "returned an empty summary"),
        (ModelError("is overloaded", kind="overloaded"), "is overloaded"),
    ],
)
async def test_recipe_4_an_empty_summary_is_rejected_and_the_fallback_compacts(reply: Any, what: str) -> None:
    events: list[tuple[str, Mapping[str, Any]]] = []
    context = ContextCoordinator(summarize(Writes([reply]), max_tokens=100), type="summarize")
    given = turn(events, settings=Settings(threshold=0.0)).replace(messages=said(*TEXTS))
    after = await context.compact(given, None)
    assert after.compaction is not None
    assert (after.compaction.type, after.compaction.fallback) == ("recent", True)
    (error,) = [data for type, data in events if type == "error"]
    assert what in error["message"]
    assert "Fact 1" not in str(events)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Order 7 was sent. " + "It is late. " * 99, "Order 7 was sent." + " It is late." * 31),
        ("- order 7\n" * 99, "- order 7\n" * 39 + "- order 7"),
        ("订单已发出。" * 99, "订单已发出。" * 66),
        ("word " * 200, ("word " * 80)[:-1]),
        ("x" * 900, "x" * 400),
        ("Short. ", "Short. "),
    ],
)
def test_of_a_summary_that_is_too_long_the_first_sentences_are_kept(text: str, kept: str) -> None:
    assert first_sentences(text, 100) == kept


async def test_about_as_many_tokens_are_asked_for_as_the_summary_may_have() -> None:
    model = Writes(["Order 7 was sent. " * 99])
    given = history(*TEXTS)
    choice = await summarize(model, max_tokens=100).choose(given, given.fixed_tokens + 800, turn())
    assert choice.summary is not None
    assert text_tokens(choice.summary) <= 100
    assert 100 <= (model.turns[0].settings.max_tokens or 0) <= 160


@pytest.mark.parametrize("first", [Reply(Message("assistant", ""), stop_reason="length"), USED_UP])
async def test_a_model_whose_thoughts_take_all_tokens_is_asked_once_more_with_room_for_them(first: Any) -> None:
    asked: list[int] = []

    class Thinks:
        async def answer(self, turn: Turn) -> Reply:
            asked.append(turn.settings.max_tokens or 0)
            if asked[-1] > 1_000:
                return Reply(Message("assistant", "Order 7 was sent."))
            if isinstance(first, ModelError):
                raise first
            return first  # type: ignore[no-any-return]

    strategy, given = summarize(Thinks(), max_tokens=100), history(*TEXTS)
    await strategy.choose(given, given.fixed_tokens + 800, turn())
    more = history(*TEXTS, *TEXTS)
    await strategy.choose(more, more.fixed_tokens + 800, turn())
    assert [tokens > 1_000 for tokens in asked] == [False, True, True]


async def test_after_a_failure_no_model_is_called_in_the_conversation_for_a_while() -> None:
    model = Writes([ModelError("is away", kind="unreachable")] * 3 + ["Order 7 was sent."])
    around = surroundings(FOLDER, "compaction/summarize", needs={"models/small": model})
    strategy = build(Config(model="models/small"), around.context)
    given = history(*TEXTS)

    async def fails(session: str = "s") -> None:
        with pytest.raises((ComponentError, ModelError)):
            await strategy.choose(given, given.fixed_tokens + 800, turn().replace(session=session))

    await fails()
    await fails()
    assert len(model.turns) == 1
    await fails("other")
    assert len(model.turns) == 2
    await around.clock.sleep(31)
    await fails()
    await around.clock.sleep(31)
    await fails()
    assert len(model.turns) == 3
    await around.clock.sleep(31)
    choice = await strategy.choose(given, given.fixed_tokens + 800, turn())
    assert choice.summary == "Order 7 was sent."


async def test_a_summary_is_shorter_than_what_it_replaces() -> None:
    with pytest.raises(ComponentError, match="there is no room for a summary: it could have"):
        await summarize().choose(history("a" * 80, "b" * 80, "c" * 80), 5 + 6 + 50, turn())


async def test_the_call_counts_in_the_turns_usage_and_events() -> None:
    events: list[tuple[str, Mapping[str, Any]]] = []
    given = turn(events)
    await summarize().choose(HISTORY, HISTORY.tokens // 2, given)
    assert given.trace.usage == Usage(100, 10, 0.001)
    assert [type for type, _ in events] == ["model_call", "token_usage"]
    for _, data in events:
        assert (data["model"], data["purpose"], data["input_tokens"]) == ("small", "summary", 100)
    assert [data.get("cost_usd") for _, data in events] == [0.001, None]
    assert "Fact" not in str(events)


@pytest.mark.parametrize(
    ("error", "usage"),
    [
        (ModelError("broke off", kind="bad_response", usage=Usage(900, 30, 0.02)), Usage(900, 30, 0.02)),
        (ModelError("down", kind="overloaded"), Usage()),
        (asyncio.CancelledError(), Usage(1421, 0, None, estimated=True)),
    ],
    ids=["reported", "refused", "cancelled"],
)
async def test_a_failed_call_counts_too(error: BaseException, usage: Usage) -> None:
    events: list[tuple[str, Mapping[str, Any]]] = []
    given = turn(events)
    with pytest.raises(type(error)):
        await summarize(Writes([error])).choose(HISTORY, HISTORY.tokens // 2, given)
    assert given.trace.usage == usage
    [data] = [data for type, data in events if type == "model_call"]
    assert data["error"] == (error.kind if isinstance(error, ModelError) else "cancelled")
    assert data.get("input_tokens") == usage.input_tokens


async def test_deferred_tools_are_not_those_of_a_summary() -> None:
    async def find(query: str, turn: Turn) -> tuple[Tool, ...]:
        return ()

    model = Writes()
    tools = DeferredTools((Tool("look_up"),), find)
    await summarize(model).choose(HISTORY, HISTORY.tokens // 2, turn(deferred=tools))
    assert model.turns[0].deferred is None


async def test_a_rendering_calls_no_model_and_keeps_the_same_messages() -> None:
    model = Writes()
    built = summarize(model)
    rendered = await built.choose(HISTORY, HISTORY.tokens // 2, turn(rendering=True))
    assert model.turns == []
    assert rendered.summary is not None
    assert rendered.summary.startswith("[up to 395 tokens that 'small' writes about 31 exchanges")
    ran = await built.choose(HISTORY, HISTORY.tokens // 2, turn())
    assert rendered.groups == ran.groups
    assert await built.choose(HISTORY, HISTORY.tokens // 2, turn(rendering=True)) == ran  # now it is known


async def test_a_history_that_fits_stays_whole() -> None:
    model = Writes()
    assert await summarize(model).choose(HISTORY, HISTORY.tokens, TURN) == Choice(frozenset(range(len(HISTORY.groups))))
    assert model.turns == []


async def test_tool_results_are_named_and_null_contents_are_left_out() -> None:
    model = Writes()
    messages = (
        Message("user", "task"), Message("assistant", None), Message("tool", "42", tool_call_id="z", name="look_up"), *said(*TEXTS)[1:],
    )  # fmt: skip
    await summarize(model).choose(group(messages), HISTORY.tokens // 2, turn())
    assert "tool look_up: 42" in model.turns[0].messages[0].text()
