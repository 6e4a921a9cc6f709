"""Important words: matched whole, in any script, and heavier the newer they are."""

from __future__ import annotations

from typing import Any

import pytest

from tests.components.compaction.strategies import history, kept, said, strategy
from tests.components.context import TURN
from victor_dsl.values.history import group
from victor_dsl.values.message import Message, ToolCall

PAD = "." * 40


async def first_kept(word: str, *texts: str, **config: Any) -> str:
    """Which of the texts, all of one length, is kept if only one fits."""
    longest = max(map(len, texts))
    given = history(*(text.ljust(longest, ".") for text in texts))
    room = max(group.tokens for group in given.groups if not group.fixed)
    built = strategy("keywords", words=config.pop("words", [word]), recent=0, **config)
    (text,) = kept(given, (await built.choose(given, given.fixed_tokens + room, TURN)).groups)
    return text.rstrip(".")


@pytest.mark.parametrize(
    ("word", "match", "miss"),
    [
        ("fix", "we must FIX it", "the prefix of a suffix"),
        ("fix", "(fix)", "fixture fixes fix_it 4fix"),
        ("due date", "its due\n  date is known", "the due update"),
        ("c++", "written in c++", "written in c"),
        ("größe", "die GRÖSSE".replace("SS", "ß"), "die großeltern"),
        ("straße", "in der STRASSE", "in der straßenbahn"),
        ("退款", "我想要退款谢谢", "我想要换货谢谢"),
        ("คืนเงิน", "ขอคืนเงินด้วย", "ขอเปลี่ยนสินค้า"),
        ("🔥", "it is 🔥🔥", "it is cold"),
    ],
)
async def test_recipe_4_a_word_is_found_whole_and_not_inside_another(word: str, match: str, miss: str) -> None:
    assert await first_kept(word, match, miss) == match  # the newer one would be kept otherwise


async def test_heavier_words_win_and_each_counts_once() -> None:
    assert await first_kept("", "the deadline", "budget budget budget", words={"deadline": 3, "budget": 2}) == (
        "the deadline"
    )


async def test_newer_messages_weigh_more_by_the_configured_share() -> None:
    texts = ("an error and a bug", *["nothing"] * 6, "an error")
    assert await first_kept("", *texts, words=["error", "bug"], oldest=0.2) == "an error"
    assert await first_kept("", *texts, words=["error", "bug"], oldest=1) == "an error and a bug"


async def test_the_newest_get_their_share_and_the_remaining_room() -> None:
    given = history(*(f"{n} {'decision' if n < 4 else 'nothing!'} {PAD}" for n in range(10)))
    cost = next(group.tokens for group in given.groups if not group.fixed)
    shared = await strategy("keywords").choose(given, given.fixed_tokens + 4 * cost, TURN)
    assert [text[0] for text in kept(given, shared.groups)] == ["2", "3", "8", "9"]
    left = await strategy("keywords", words=["missing"]).choose(given, given.fixed_tokens + 4 * cost, TURN)
    assert [text[0] for text in kept(given, left.groups)] == ["6", "7", "8", "9"]


async def test_calls_are_read_too() -> None:
    call = ToolCall("a", "issue_refund", '{"reason": "late parcel"}')
    messages = (
        Message("user", "task"),
        Message("assistant", None, (call,)),
        *said(*["nothing of weight here"] * 3)[1:],
    )
    given = group(messages)
    choice = await strategy("keywords", words=["parcel"], recent=0).choose(given, given.fixed_tokens + 17, TURN)
    assert 1 in choice.groups


@pytest.mark.parametrize("count", [200, 201])
async def test_long_histories_are_read_in_a_thread_with_the_same_result(count: int) -> None:
    given = history(*(f"{n} deadline" if n in {3, 90} else f"{n} nothing" for n in range(count - 2)))
    choice = await strategy("keywords", words=["deadline"], recent=0.5).choose(given, given.fixed_tokens + 40, TURN)
    assert [text for text in kept(given, choice.groups) if "deadline" in text] == ["3 deadline", "90 deadline"]
