"""What is to be taken out is out: of what goes in, of what comes back, of streams however they are cut."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.components.middleware.harness import Heard, a_reply, a_turn, harness
from tests.components.middleware.redact_corpus import scores
from tests.components.middleware.secrets_made import MAKERS
from victor_dsl.components.middleware.redact import Config
from victor_dsl.components.middleware.redact.handler import Redact
from victor_dsl.errors import ModelError
from victor_dsl.values.message import Delta, Message, Reply, ToolCall
from victor_dsl.values.redaction import redactor as redactors
from victor_dsl.values.redaction.detectors import DETECTORS
from victor_dsl.values.redaction.redactor import RedactedStream, Redactor
from victor_dsl.values.turn import Turn

EVERYTHING = Redactor(DETECTORS, {"staff": r"\bEMP-\d{6}\b"})
ROOT = Path(__file__).parents[3]
AROUND = [("", ""), ("It is ", "."), ("a\n", "\nb"), ('{"x": "', '"}'), ("(", ")"), ("see:", ", or not")]


def streamed(redactor: Redactor, pieces: list[str]) -> str:
    stream = RedactedStream(redactor)
    return "".join([*map(stream.feed, pieces), stream.end()])


def cut(text: str, places: list[int]) -> list[str]:
    edges = [0, *sorted(places), len(text)]
    return [text[a:b] for a, b in pairwise(edges)]


@pytest.mark.parametrize("name", MAKERS)
def test_recipe_5_a_secret_cut_at_any_position_of_a_stream_is_taken_out(name: str) -> None:
    random = Random(name)
    for number in range(60):
        secret = MAKERS[name](random)
        before, after = AROUND[number % len(AROUND)]
        text = f"{before}{secret}{after}"
        expected = f"{before}[{name}]{after}"
        assert EVERYTHING.text(text) == expected
        places: Sequence[int] = range(len(text) + 1)
        if number >= len(AROUND):  # long ones, such as private keys, are cut everywhere in each surrounding once
            places = random.sample(places, min(len(places), 60))
        for place in places:
            assert streamed(EVERYTHING, [text[:place], text[place:]]) == expected
        assert streamed(EVERYTHING, list(text)) == expected


PIECES = st.one_of(
    st.integers(0, 10**6).flatmap(lambda seed: st.sampled_from([make(Random(seed)) for make in MAKERS.values()])),
    st.text(alphabet="ab 1+-.@:\n(DE89sk_\u00e9", max_size=12),
    st.sampled_from([" ", ", ", ". ", "\n", "EMP-123456", "EMP-", "4111 1111", "2026-01-31 12:30", "order 4711", "@"]),
)


@given(st.lists(PIECES, max_size=8).map("".join), st.data())
def test_a_stream_comes_out_exactly_as_the_whole_text(text: str, data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, len(text)), max_size=10))
    assert streamed(EVERYTHING, cut(text, places)) == EVERYTHING.text(text)
    assert streamed(EVERYTHING, list(text)) == EVERYTHING.text(text)


def test_a_text_seen_before_is_redacted_alike_and_no_text_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    redactor = Redactor(["email"], {})
    dirty, clean = "Write to ann@example.com, or to bob@example.com.", "There is nothing in it."
    first = (redactor.text(dirty), redactor.text(clean))
    monkeypatch.setattr(redactor, "_detectors", ())
    assert (redactor.text(dirty), redactor.text(clean)) == first
    assert redactor.text(clean) is clean
    for digest, found in redactor._remembered.items():
        assert len(digest) == 16
        assert all(isinstance(end, int) and name == "email" for _, end, name in found)


def test_the_texts_seen_longest_ago_are_searched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redactors, "REMEMBERED_TEXTS", 3)
    redactor = Redactor(["email"], {})
    for text in ("a@b.c 1", "a@b.c 2", "a@b.c 3", "a@b.c 1", "a@b.c 4"):
        redactor.text(text)
    monkeypatch.setattr(redactor, "_detectors", ())
    assert [redactor.text(f"a@b.c {number}") for number in (1, 2)] == ["[email] 1", "a@b.c 2"]
    assert len(redactor._remembered) == 3


@given(st.lists(PIECES, max_size=8).map(" ".join))
def test_redacting_a_redacted_text_changes_nothing(text: str) -> None:
    once = EVERYTHING.text(text)
    assert EVERYTHING.text(once) == once


@pytest.mark.parametrize(
    "text",
    [
        "Order 4711 of 2026-01-31 12:30:00 costs 1,234.56 and weighs 10.5 kg.",
        "Version 1.2.3, build 20260131, PID 31337, 99.9 % of 1000000 in 0.5 s",
        "4111 1111 1111 1112 has a wrong check digit, NO00 1234 1234 123 too",
        "0000 0000 0000 0000 and 0000000000000000",
        "Call me at 5, or say @anna; a@b is none. ghp_short sk-no eyJ",
        "uuid 01a2053c-a8c4-7cd7-97dd-e304638be7c1",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    ],
)
def test_similar_texts_are_not_redacted(text: str) -> None:
    assert EVERYTHING.text(text) is text


def test_the_docs_give_recall_and_precision_on_the_corpus() -> None:
    page = (ROOT / "docs/how-to/middleware.md").read_text(encoding="utf-8")
    for name, score in scores().items():
        assert score.row(name) in page


def test_words_are_sent_as_soon_as_they_are_complete() -> None:
    stream = RedactedStream(Redactor(DETECTORS, {}))
    assert [stream.feed(piece) for piece in ("The ", "or", "der ", "is ", "on its way.\n", "It ", "- ", "**a** ")] == [
        "The ", "", "order ", "is ", "on its way.\n", "It ", "- ", "**a** ",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "unit",
    [
        "1 2 3 ",
        "4111 1111 1111 1112 ",
        "a",
        "a@",
        "a.b@a.",
        "+1",
        "DE89 3704 ",
        "eyJ",
        "sk-",
        "-",
        "-----BEGIN PRIVATE KEY-----\n",
        "\u200b",
        "-----BEGIN PRIVATE KEY-----\n" + "A" * 30_000,
        "a\u200b",
        "://a:a@",
        "a%40a.",
        "&#64;a",
        "4111,1111|",
    ],
)
def test_no_text_makes_it_slow(unit: str) -> None:
    text = unit * (200_000 // len(unit))  # what takes quadratic time takes minutes
    assert streamed(EVERYTHING, cut(text, list(range(0, len(text), 500)))) == EVERYTHING.text(text)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (r"a+", "use bounds"),
        (r"(a{1,9}){1,9}b", "would make it slow"),
        (r"a{0,30}a{0,30}a{0,30}b", "would make it slow"),
        (r"(?:a|a|a){12}b", "would make it slow"),
        (r"^EMP", "no meaning in a stream"),
        (r"EMP$", "no meaning in a stream"),
        (r"(a)\1", "refers back"),
        (r"a{0,5}", "matches the empty text"),
        (r"a{1001}", "more than 1,000 characters"),
        (r"a(?=b{999}c{999}d{100})", "looks at more than 1,000 characters"),
        (r"a{0,30}a{0,30}a{190}b", "would make it slow"),
        (r"a{0,900}a{30}b", "would make it slow"),
        (r"(", "not a regular expression"),
        ("(" * 5000, "not a regular expression"),
    ],
)
def test_a_custom_pattern_that_could_be_slow_or_endless_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Config(custom={"mine": pattern})


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"\bEMP-\d{6}\b", "x EMP-123456 y"),
        (r"(?i)case[ -]?\d{1,8}", "x Case 12345678 y"),
        (r"(?<!\d)\d{6}(?!\d)", "x 123456 y 1234567"),
        (r"(?:AB|CD)\d{2,4}", "AB12 CD1234"),
        (r"[^\x00-\x7F]{2,5}", "x ééé y"),
        (r"\d{3}(?>-\d{2}){2}", "x 123-45-67 y"),
        (r"acme_[A-Za-z0-9]{40,900}+", "x acme_" + "aB3" * 290 + " y"),
        (r"<<KEY>>[^<]{1,900}<<END>>", "x <<KEY>>\n" + "ab+/\n" * 170 + "<<END>> y"),
        (r"[\w-]{20,300}+\.[\w-]{20,300}+\.[\w-]{20,300}+", "x " + "a" * 300 + "." + "b" * 99 + "." + "c" * 299 + " y"),
    ],
)
def test_a_custom_pattern_applies_to_streams_too(pattern: str, text: str) -> None:
    redactor = Redactor([], {"mine": pattern})
    expected = redactor.text(text)
    assert "[mine]" in expected
    for place in range(len(text) + 1):
        assert streamed(redactor, cut(text, [place])) == expected
    assert streamed(redactor, list(text)) == expected


MAIL = "bob@example.com"


async def test_everything_that_the_model_is_sent_is_redacted(tmp_path: Path) -> None:
    turn = a_turn(
        messages=(
            Message("user", f"I am {MAIL}"),
            Message("assistant", None, (ToolCall("c1", "find", json.dumps({"who": [MAIL], "card": 4111111111111111})),)),
            Message("tool", f"{MAIL} is 42", tool_call_id="c1", name="find"),
            Message("user", ({"type": "text", "text": f"again {MAIL}"}, {"type": "image_url", "image_url": {}})),
        ),
        system=f"Write to {MAIL}.",
        system_messages=(Message("system", MAIL),),
    )  # fmt: skip
    async with harness("redact", tmp_path) as guard:
        await guard(turn)
        inner = guard.reached[0]
        assert MAIL not in repr(inner.replace(request=turn.request)).replace(repr(turn.request), "")
        assert inner.messages[1].tool_calls[0].arguments == '{"who":["[email]"],"card":"[card]"}'
        assert [message.text() for message in inner.messages] == ["I am [email]", "", "[email] is 42", "again [email]"]
        assert guard.live.reshape(turn) == inner.replace() or guard.live.reshape(turn).messages == inner.messages
    assert turn.messages[0].content == f"I am {MAIL}", "the caller's own are as they were"


async def test_a_turn_without_matches_stays_the_same_object(tmp_path: Path) -> None:
    async with harness("redact", tmp_path) as guard:
        turn = a_turn()
        reply = await guard(turn)
        assert guard.reached[0] is turn
        assert reply.message.text() == "hello"


async def test_reply_and_stream_are_redacted_alike(tmp_path: Path) -> None:
    text = f"He is {MAIL}, card 4111 1111 1111 1111"

    async def answers(turn: Turn) -> Reply:
        for sign in text:
            await turn.emit(Delta(sign))
        message = Message("assistant", text, (ToolCall("c1", "pay", f'{{"to": "{MAIL}"}}'), ToolCall("c2", "x", MAIL)))
        return Reply(message)

    heard = Heard()
    async with harness("redact", tmp_path, answers) as guard:
        reply = await guard(a_turn(emit=heard.emit, streaming=True))
    assert reply.message.text() == heard.text == "He is [email], card [card]"
    assert [call.arguments for call in reply.message.tool_calls] == ['{"to":"[email]"}', "[email]"]


async def test_the_arguments_of_a_streamed_tool_call_are_redacted_and_come_after_the_text(tmp_path: Path) -> None:
    heard: list[tuple[str, str]] = []

    async def emit(delta: Delta) -> None:
        heard.append((delta.kind, delta.text or (delta.tool_call.arguments if delta.tool_call else "")))

    async def answers(turn: Turn) -> Reply:
        await turn.emit(Delta("I pay 4111 1111 1111"))
        await turn.emit(Delta(tool_call=ToolCall("c1", "pay", f'{{"to": "{MAIL}"}}')))
        await turn.emit(Delta("1111 is paid."))
        return Reply(Message("assistant", "1111 is paid."))

    async with harness("redact", tmp_path, answers) as guard:
        await guard(a_turn(emit=emit, streaming=True))
    assert "".join(text for kind, text in heard if kind == "text") == "I pay 4111 1111 11111111 is paid."
    call = heard.index(("tool_call", '{"to":"[email]"}'))
    assert "".join(text for _, text in heard[:call]) == "I pay 4111 1111 1111"


async def test_a_stream_that_breaks_off_does_not_leak_its_delayed_end(tmp_path: Path) -> None:
    async def breaks(turn: Turn) -> Reply:
        await turn.emit(Delta("mail bob@exam"))
        raise ModelError("broken", kind="bad_response")

    heard = Heard()
    async with harness("redact", tmp_path, breaks) as guard:
        with pytest.raises(ModelError):
            await guard(a_turn(emit=heard.emit, streaming=True))
    assert heard.text == "mail "


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"to":"bob@example.com","to":"x"}', '{"to":"x"}'),
        (r'{"to":"\u0062ob@example.com", "to":"x"}', '{"to":"x"}'),
        (r'{"a":{"to":"bob@example.com","to":1}}', '{"a":{"to":1}}'),
        (r'{"bad":"\ud800","to":"\u0062ob@example.com"}', '{"bad":"\ufffd","to":"[email]"}'),
        (
            '{"to":"bob@example.com","number":123456789012345678901234}',
            '{"to":"[email]","number":123456789012345678901234}',
        ),
        ('{"to": "x", "number": 123456789012345678901234}', '{"to": "x", "number": 123456789012345678901234}'),
        (
            '{"[email 2]":0,"a@x.com":1,"b@x.com":2,"c@x.com":3,"to c@x.com!":4,"to d@x.com!":5}',
            '{"[email 2]":0,"[email]":1,"[email 3]":2,"[email 4]":3,"to [email]!":4,"to [email]! 2":5}',
        ),
    ],
    ids=[
        "a key twice",
        "an escape",
        "an inner key twice",
        "half a character",
        "a large number",
        "nothing to find",
        "equal keys",
    ],
)
def test_arguments_hide_nothing_from_it_and_lose_nothing_else(arguments: str, expected: str) -> None:
    redact = Redact(Redactor(["email"], {}))
    turn = redact.reshape(a_turn(call=ToolCall("c1", "send", arguments)))
    assert turn.call is not None
    assert turn.call.arguments == expected


async def test_around_a_tool_its_arguments_and_its_result_are_redacted(tmp_path: Path) -> None:
    async def tool(turn: Turn) -> Reply:
        return Reply(Message("tool", f"{MAIL} it is"))

    async with harness("redact", tmp_path, tool, around="tool") as guard:
        reply = await guard(a_turn(call=ToolCall("c1", "find", f'{{"who": "{MAIL}"}}')))
        call = guard.reached[0].call
        assert call is not None
        assert call.arguments == '{"who":"[email]"}'
        assert reply.message.text() == "[email] it is"


async def test_only_the_configured_patterns_are_redacted(tmp_path: Path) -> None:
    async def echo(turn: Turn) -> Reply:
        return a_reply(turn.latest_user_text())

    config: dict[str, Any] = {"patterns": ["card"], "custom": {"staff": r"EMP-\d{6}"}}
    async with harness("redact", tmp_path, echo, **config) as guard:
        reply = await guard(a_turn(f"{MAIL} 4111111111111111 EMP-123456"))
        assert reply.message.text() == f"{MAIL} [card] [staff]"
