"""Salience keeps facts, what a question is about, and identifiers, each once."""

from __future__ import annotations

import json

import pytest
from attrs import evolve

from tests.components.compaction.strategies import strategy
from tests.components.context import TURN
from victor_dsl.components.compaction.salience import reading
from victor_dsl.components.compaction.salience.lexicon import Lexicon, Runs
from victor_dsl.components.compaction.salience.strategy import Salience
from victor_dsl.language.kinds import KINDS
from victor_dsl.values.history import Before, History, group
from victor_dsl.values.message import Message, ToolCall

CHATTER = (
    "Hey! How are you doing?",
    "Oh, that sounds so nice!",
    "Thanks, you are the best!",
    "Wow, really? That is great to hear.",
    "Yeah, I know what you mean.",
    "Haha, you are so right about that!",
)
FACTS = (
    "My sister Nadia moved to Lisbon last March.",
    "I started a pottery class on Tuesday evenings.",
    "The doctor said that I am allergic to penicillin.",
)


def chat(*texts: str) -> tuple[Message, ...]:
    return tuple(Message("assistant" if n % 2 else "user", text) for n, text in enumerate(texts))


def calls(number: int, arguments: object, result: object) -> tuple[Message, ...]:
    call = ToolCall(f"c{number}", "look_up", json.dumps(arguments))
    return (
        Message("assistant", None, (call,)),
        Message("tool", json.dumps(result), tool_call_id=call.id),
    )


def chosen(history: History, budget: int, **config: float) -> list[str]:
    """The texts of the kept groups that are not fixed."""
    groups = Salience(recent=config.get("recent", 0.0)).choice(history, budget).groups
    kept = [p for p in sorted(groups) if not history.groups[p].fixed]
    tokens = sum(history.groups[p].tokens for p in kept) + history.fixed_tokens
    assert tokens <= max(budget, history.fixed_tokens)
    return ["\n".join(history.messages[i].text() for i in history.groups[p].indices) for p in kept]


def with_facts(last: str) -> History:
    texts = [CHATTER[n % len(CHATTER)] + f" {'So ' * (n % 3)}true." for n in range(60)]
    for fact, place in zip(FACTS, (11, 30, 47), strict=True):
        texts[place] = fact
    return group((*chat("Hello there", *texts), Message("user", last)))


def test_it_is_the_default_type() -> None:
    assert KINDS["compaction"].default == "salience"


@pytest.mark.parametrize("form", ["{}", "Ann: {}", "[1:56 pm on 8 May, 2023] Ann: {}"])
def test_facts_are_kept_rather_than_chatter(form: str) -> None:
    plain = with_facts("Good night then.")
    given = group([evolve(message, content=form.format(message.text())) for message in plain.messages])
    assert {form.format(fact) for fact in FACTS} <= set(chosen(given, given.tokens // 8))


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Where does Nadia live now?", FACTS[0]),
        ("Remind me on which evening I go to the class.", FACTS[1]),
        ("Which medicine must I avoid because I am allergic?", FACTS[2]),
    ],
)
def test_what_the_latest_message_asks_for_comes_first(question: str, answer: str) -> None:
    given = with_facts(question)
    assert answer in chosen(given, given.fixed_tokens + 30)


@pytest.mark.parametrize(
    ("texts", "question", "answer"),
    [
        (["我们明天去公园散步吧", "我妹妹住在里斯本的老城区", "今天的天气真的很不错"], "里斯本在哪里", "我妹妹住在里斯本的老城区"),
        (["วันนี้อากาศดีมาก", "น้องสาวของฉันอยู่ที่ลิสบอน", "ไปเดินเล่นกันเถอะ"], "ลิสบอน?", "น้องสาวของฉันอยู่ที่ลิสบอน"),
    ],
    ids=["Chinese", "Thai"],
)  # fmt: skip
def test_words_are_found_in_scripts_without_spaces(texts: list[str], question: str, answer: str) -> None:
    given = group((*chat("你好", *texts), Message("user", question)))
    assert answer in chosen(given, given.fixed_tokens + max(g.tokens for g in given.groups))


def test_what_follows_a_match_is_kept_with_it() -> None:
    topics = ["rain", "snow", "bread", "trains", "boats", "shoes", "maps", "rugby", "opera", "chess"]
    texts = [f"We spoke of {topics[n % 10]} and then of {topics[n * 7 % 9]}." for n in range(40)]
    texts[20] = "Did you ever go to see the lighthouse?"
    texts[21] = "Yes, with Marta, and it rained all the time."
    given = group((*chat("Hi", *texts), Message("user", "Who came along to the lighthouse?")))
    assert texts[21] in chosen(given, given.fixed_tokens + 45)


def agent(*exchanges: tuple[Message, ...], last: str = "Go on.") -> History:
    flat = [message for exchange in exchanges for message in exchange]
    answer = Message("assistant", "That is done.")
    return group((Message("user", "Sort out my bookings."), *flat, answer, Message("user", last)))


def test_each_identifier_is_kept_once_in_the_cheapest_group() -> None:
    listing = calls(1, {"user": "omar_3817"}, [{"id": f"RES{n:03}", "note": "x " * 40} for n in range(8)])
    short = Message("assistant", f"You have {', '.join(f'RES{n:03}' for n in range(8))}, omar_3817.")
    again = Message("assistant", f"As I said: {', '.join(f'RES{n:03}' for n in range(8))}, of omar_3817 that is.")
    given = agent(listing, (short,), (again,), calls(2, {"path": "src/app/main.py"}, "def main(): ..."))
    kept = chosen(given, given.fixed_tokens + 50)
    assert short.text() in kept
    assert again.text() not in kept
    assert any("def main" in text for text in kept)


def test_the_keys_of_records_are_not_identifiers() -> None:
    record = {f"long_key_name_{n}": True for n in range(12)}
    given = agent(calls(1, {}, record), calls(2, {"order": "PL-4471"}, "done"), last="And?")
    kept = chosen(given, given.fixed_tokens + given.groups[1].tokens)
    assert kept[0] == '\n"done"'
    assert len(kept) == 2  # the record, which costs all the room, is not among them


def test_what_repeats_an_earlier_message_is_dropped() -> None:
    fact = "My brother Tom sold his old boat to a man from Bergen yesterday."
    given = group((*chat("Hi", *([fact, *CHATTER[:3]] * 4)), Message("user", "Bye.")))
    assert chosen(given, given.fixed_tokens + 2 * len(fact) // 4 + 10).count(fact) == 1


def test_the_newest_get_their_share() -> None:
    given = with_facts("Good night then.")
    newest = [given.messages[n].text() for n in range(len(given.messages) - 4, len(given.messages) - 1)]
    assert newest == chosen(given, given.tokens // 4, recent=0.3)[-3:]


def test_what_was_kept_before_stays_in_front_if_that_costs_little() -> None:
    first = with_facts("Good night then.")
    kept = Salience(recent=0.0).choice(first, first.tokens // 4).groups
    messages = (*first.messages, *chat("And I forgot:", "Uncle Jo visits us on Sunday with 2 dogs.", "Fine."))
    grown = group((*messages, Message("user", "Well, good night.")))
    before = evolve(grown, before=Before(kept, len(first.groups)))
    strategy = Salience(recent=0.0)
    afresh, steady = (strategy.choice(history, grown.tokens // 4).groups for history in (grown, before))
    assert sorted(kept)[:8] == sorted(steady)[:8]
    assert sum(grown.groups[p].tokens for p in steady) <= grown.tokens // 4
    assert afresh != steady or afresh >= kept


def test_what_was_kept_before_is_dropped_after_another_question() -> None:
    first = with_facts("Where does Nadia live now?")
    kept = Salience(recent=0.0).choice(first, first.fixed_tokens + 30).groups
    grown = group((*first.messages, Message("assistant", "In Lisbon."), Message("user", "And what am I allergic to?")))
    before = evolve(grown, before=Before(kept, len(first.groups)))
    groups = Salience(recent=0.0).choice(before, before.fixed_tokens + 30).groups
    assert FACTS[2] in {grown.messages[grown.groups[p].indices[0]].text() for p in groups}


def test_a_text_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    class Counting(Lexicon):
        def read(self, text: str) -> Runs:
            read.append(text)
            return super().read(text)

    monkeypatch.setattr(reading, "Lexicon", Counting)
    given = with_facts("Good night then.")
    strategy = Salience(recent=0.0)
    strategy.choice(given, given.tokens // 4)
    before = len(read)
    grown = group((*given.messages, *chat("One more thing.", "Which?")))
    strategy.choice(grown, grown.tokens // 4)
    assert before == len({message.text() for message in given.messages})
    assert read[before:] == ["One more thing.", "Which?"]


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_CACHED_RUNS", 50)
    monkeypatch.setattr(reading, "MOST_LEXICON_RUNS", 100)
    strategy = Salience(recent=0.0)
    for turn in range(20):
        given = group(chat(*(f"word{turn}x{n} and word{turn}y{n}" for n in range(20)), "Bye."))
        assert strategy.choice(given, given.tokens // 2).groups
        assert strategy._reader._cached_runs <= 50
        assert len(strategy._reader._lexicon) <= 100 + 41


async def test_every_group_has_its_reason() -> None:
    given = agent(calls(1, {"order": "PL-4471"}, "in depot/7/a.txt"), *[chat(*CHATTER[:2])] * 3)
    choice = await strategy("salience").choose(given, given.tokens // 2, TURN.replace(rendering=True))
    assert choice.reasons.keys() >= {n for n, group in enumerate(given.groups) if not group.fixed}
    assert choice.reasons[1] == "names look_up, PL-4471, depot/7/a.txt"
    assert "repeats an earlier one" in choice.reasons.values()
    silent = await strategy("salience").choose(given, given.tokens // 3, TURN)
    assert silent.reasons == {}


async def test_a_long_history_is_read_off_the_loop_until_it_is_given_up() -> None:
    given = group(chat(*(f"message {n} of many, with word{n}" for n in range(3_000))))
    choice = await strategy("salience").choose(given, given.tokens // 2, TURN)
    assert given.tokens // 2 - 20 < sum(given.groups[p].tokens for p in choice.groups) <= given.tokens // 2
    with pytest.raises(TimeoutError, match="abandoned"):
        Salience(recent=0.0).choice(given, given.tokens // 2, lambda: True)
