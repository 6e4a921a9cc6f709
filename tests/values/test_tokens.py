"""Sizes: what token estimates are made from."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from victor_dsl.values.message import Message, ToolCall, messages_size, messages_tokens
from victor_dsl.values.tokens import (
    AUDIO_TOKENS,
    FILE_TOKENS,
    IMAGE_TOKENS,
    LOW_DETAIL_IMAGE_TOKENS,
    Size,
    estimated_tokens,
    first_tokens,
    text_size,
    text_tokens,
)
from victor_dsl.values.tool import Tool, tools_size

CALLS = st.lists(st.builds(ToolCall, st.just("c"), st.text(max_size=9), st.text(max_size=20)), max_size=2).map(tuple)
CONTENT = (
    st.none()
    | st.text(st.characters(), max_size=50)
    | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=9)}), max_size=2).map(tuple)
)
MESSAGES = st.lists(st.builds(Message, st.just("assistant"), CONTENT, CALLS), max_size=8)


@given(MESSAGES)
def test_a_size_has_the_stated_tokens(messages: list[Message]) -> None:
    size = messages_size(messages)
    assert size.stated == size.counted == messages_tokens(messages)
    assert size.whole


@given(MESSAGES, MESSAGES)
def test_the_size_of_all_is_the_sum_of_the_sizes(first: list[Message], then: list[Message]) -> None:
    assert messages_size(first) + messages_size(then) == messages_size(first + then)


def test_extra_bytes_tell_scripts_apart() -> None:
    assert [text_size(text).extra for text in ("Hello", "Grüße, 5 €", "Привет", "你好", "🙂")] == [0, 0, 6, 4, 3]


def test_half_a_surrogate_pair_has_a_size() -> None:
    assert text_size("\ud800") == Size(1, 1, 2)


def test_a_tokenizer_counts_in_the_place_of_the_rule() -> None:
    messages = [Message("user", "one two three"), Message("assistant", None, (ToolCall("c", "go", '{"to": "你好"}'),))]
    words = messages_size(messages, lambda text: len(text.split()))
    assert (words.counted, words.extra, words.stated) == (3 + 4 + 2 + 4, 0, messages_tokens(messages))


def test_tools_are_sized_by_their_definitions() -> None:
    tools = [Tool("look_up", "Looks up an order.", {"type": "object"}), Tool("go", "去", {})]
    assert tools_size(tools) == Size(sum(tool.tokens for tool in tools), sum(tool.tokens for tool in tools), 2)


def test_what_is_no_text_is_not_whole() -> None:
    seen = Message("user", ({"type": "image_url", "image_url": {"url": "data:"}}, {"type": "text", "text": "This?"}))
    size = messages_size([seen, Message("user", "Well?")])
    tokens = text_tokens("This?") + text_tokens("Well?") + 8 + IMAGE_TOKENS
    assert size == Size(tokens, tokens, 0, False)
    assert messages_size([seen], lambda text: 7) == Size(seen.tokens, 7 + 4 + IMAGE_TOKENS, 0, False)


PICTURE: dict[str, Any] = {"type": "image_url", "image_url": {"url": "https://a.example/a.png"}}
PNG = "data:image/png;base64,iVBORw0KGgo="
PARTS: dict[str, tuple[dict[str, Any], int]] = {
    "an image": ({"type": "image_url", "image_url": {"url": PNG}}, IMAGE_TOKENS),
    "a large image behind a URL": (
        {"type": "image_url", "image_url": {"url": "https://a.example/b.png", "detail": "high"}},
        IMAGE_TOKENS,
    ),
    "an image of low detail": (
        {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
        LOW_DETAIL_IMAGE_TOKENS,
    ),
    "an image of the Responses API": ({"type": "input_image", "image_url": PNG, "detail": "low"}, 85),
    "a recording": ({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}, AUDIO_TOKENS),
    "a file": ({"type": "file", "file": {"file_data": "data:application/pdf;base64,AA"}}, FILE_TOKENS),
    "text": ({"type": "text", "text": "12345678"}, 2),
    "a type that is not known": ({"type": "hologram"}, 0),
    "no type": ({}, 0),
    "a type that is no text": ({"type": ["image_url"]}, 0),
}


@pytest.mark.parametrize(("part", "tokens"), PARTS.values(), ids=list(PARTS))
def test_a_part_costs_a_flat_sum_by_its_type(part: dict[str, Any], tokens: int) -> None:
    assert Message("user", (part,)).tokens == tokens + 4
    assert Message("user", (part, {"type": "text", "text": ""}, PICTURE)).tokens >= tokens + 4 + IMAGE_TOKENS


@given(st.text(st.characters(max_codepoint=0x24F)))
def test_a_text_in_latin_letters_costs_a_quarter_token_a_character_everywhere(text: str) -> None:
    assert estimated_tokens(text) == text_tokens(text) == -(-len(text) // 4)


@given(st.text(st.characters()), st.integers(0, 40))
def test_the_first_tokens_of_a_text_are_as_many_as_fit(text: str, most: int) -> None:
    first = first_tokens(text, most)
    assert text.startswith(first)
    assert estimated_tokens(first) <= most
    assert first == text or estimated_tokens(text[: len(first) + 1]) > most


REPORTED: dict[str, tuple[str, float]] = {
    "Chinese": ("请确认我的订单并告诉我包裹什么时候到达我的办公室", 1.2),
    "Japanese": ("注文の状況を教えてください。荷物はいつ届きますか", 1.2),
    "Korean": ("제 주문 상태를 알려 주세요. 소포는 언제 도착하나요", 1.2),
    "Thai": ("กรุณาแจ้งสถานะคำสั่งซื้อของฉันด้วย", 1.2),
    "Russian": ("Сообщите, пожалуйста, где мой заказ и когда он придёт", 0.6),
}
"""Sentences, and about how many tokens per character cl100k_base takes at most; newer tokenizers take about half."""


@pytest.mark.parametrize(("text", "most"), REPORTED.values(), ids=list(REPORTED))
def test_other_scripts_cost_about_what_tokenizers_take(text: str, most: float) -> None:
    assert most / 2 <= estimated_tokens(text) / len(text) <= most
