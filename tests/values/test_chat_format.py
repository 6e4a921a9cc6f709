"""Messages between JSON and values."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from victor_dsl.errors import RequestError
from victor_dsl.values.chat_format import message_from_json, restore_message
from victor_dsl.values.message import Message, ToolCall

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}

texts = st.text()
parts = st.lists(
    st.one_of(
        st.fixed_dictionaries({"type": st.just("text"), "text": texts}),
        st.fixed_dictionaries({"type": st.just("image_url"), "image_url": st.fixed_dictionaries({"url": texts})}),
    )
).map(tuple)
messages = st.one_of(
    st.builds(
        Message, st.sampled_from(["user", "system"]), texts | parts, name=st.none() | texts, pinned=st.booleans()
    ),
    st.builds(
        Message,
        st.just("assistant"),
        st.none() | texts | parts,
        st.lists(st.builds(ToolCall, texts, texts.filter(bool), texts)).map(tuple),
        pinned=st.booleans(),
    ),
    st.builds(Message, st.just("tool"), texts | parts, tool_call_id=texts, name=st.none() | texts),
)


@given(messages)
def test_what_was_written_is_read_back_the_same(message: Message) -> None:
    assert message_from_json(message.as_json()) == message
    assert restore_message(message.as_json()) == message


def test_an_assistant_that_only_calls_tools_has_null_content() -> None:
    message = Message("assistant", None, (ToolCall("c1", "f", "{}"),))
    assert message.as_json() == {"role": "assistant", "content": None, "tool_calls": [CALL]}


def test_an_answer_sent_back_with_its_unread_keys_is_accepted() -> None:
    sent: dict[str, Any] = {
        "role": "assistant",
        "content": "hi",
        "refusal": None,
        "annotations": [],
        "tool_calls": None,
    }
    assert message_from_json(sent) == Message("assistant", "hi")


def test_a_developer_message_is_a_system_message() -> None:
    assert message_from_json({"role": "developer", "content": "x"}) == Message("system", "x")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("hi", "messages[1]: a message is a map, not text"),
        ({}, "messages[1].role: must be one of system, user, assistant, tool, not nothing"),
        ({"role": ["user"], "content": ""}, "messages[1].role: must be one of"),
        ({"role": "bot", "content": ""}, "not 'bot'"),
        ({"role": "user"}, "messages[1].content: is missing"),
        ({"role": "user", "content": None}, "messages[1].content: is missing"),
        ({"role": "tool", "content": None, "tool_call_id": "c"}, "messages[1].content: is missing"),
        ({"role": "user", "content": 3}, "messages[1].content: must be text or a list of parts, not a number"),
        ({"role": "user", "content": ["hi"]}, "messages[1].content[0]: a part is a map"),
        ({"role": "user", "content": [{"text": "hi"}]}, "messages[1].content[0].type"),
        ({"role": "user", "content": [{"type": "text"}]}, "messages[1].content[0].text: must be text, not nothing"),
        ({"role": "user", "content": "", "tool_calls": [CALL]}, "messages[1].tool_calls: only an assistant's"),
        ({"role": "assistant", "tool_calls": {}}, "messages[1].tool_calls: must be a list, not a map"),
        ({"role": "assistant", "tool_calls": [3]}, "messages[1].tool_calls[0]: a tool call is a map"),
        ({"role": "assistant", "tool_calls": [{**CALL, "id": None}]}, "messages[1].tool_calls[0].id"),
        ({"role": "assistant", "tool_calls": [{**CALL, "type": "custom"}]}, "must be `function`, not 'custom'"),
        ({"role": "assistant", "tool_calls": [{"id": "c"}]}, "messages[1].tool_calls[0].function: must be a map"),
        (
            {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {}}}]},
            "messages[1].tool_calls[0].function.arguments: must be text, not a map; arguments are JSON written as text",
        ),
        ({"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "", "arguments": ""}}]}, "is empty"),
        ({"role": "assistant", "function_call": {"name": "f"}}, "write `tool_calls`"),
        ({"role": "tool", "content": "x"}, "messages[1].tool_call_id: a tool's message must say which call"),
        ({"role": "user", "content": "x", "tool_call_id": "c"}, "messages[1].tool_call_id: only a tool's message"),
        ({"role": "user", "content": "x", "name": 3}, "messages[1].name: must be text, not a number"),
        ({"role": "user", "content": "x", "pinned": "yes"}, "messages[1].pinned: must be true or false"),
        ({"role": "user", "contnet": "x"}, "messages[1]: there is no 'contnet' in a message; there are role, content"),
    ],
)
def test_a_fault_is_named_with_its_place(value: Any, said: str) -> None:
    with pytest.raises(RequestError) as caught:
        message_from_json(value, "messages[1]")
    assert said in str(caught.value)
