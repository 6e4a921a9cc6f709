"""Sizes: what token estimates are made from."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from victor_dsl.values.message import Message, ToolCall, messages_size, messages_tokens
from victor_dsl.values.tokens import Size, text_size, text_tokens
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
    assert [text_size(text).extra for text in ("Hello", "Grüße", "Привет", "你好", "🙂")] == [0, 2, 6, 4, 3]


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
    assert size == Size(
        text_tokens("This?") + text_tokens("Well?") + 8, text_tokens("This?") + text_tokens("Well?") + 8, 0, False
    )
