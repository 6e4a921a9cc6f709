"""Messages as the OpenAI chat format writes them: pure functions between JSON values and `Message`.

One key is our own: `pinned: true` marks a message that compaction must keep.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from victor_dsl.errors import RequestError
from victor_dsl.values.faults import kind_of
from victor_dsl.values.message import ROLES, Message, ToolCall

KEYS = ("role", "content", "tool_calls", "tool_call_id", "name", "pinned")
RESPONSE_ITEMS = "response_items"
"""The output items of an answer of OpenAI's Responses API, which it needs back as they were."""
CONTENT_BLOCKS = "content_blocks"
"""The blocks of an answer of Anthropic's API in which the model searched for tools; the API needs them back as they were."""

EXTRA_KEYS = (
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "reasoning_text",
    "reasoning_opaque",
    "thinking",
    "thinking_blocks",
    "extra_content",
    RESPONSE_ITEMS,
    CONTENT_BLOCKS,
)
"""What some providers need back with an answer of theirs that calls tools."""

ANSWER_KEYS = frozenset({"refusal", "annotations", "audio", "function_call", "written_by", *EXTRA_KEYS})
"""What back ends add to their answers and clients send back unread; it is not sent on, except for `EXTRA_KEYS`."""

_CALL_KEYS = frozenset({"id", "type", "function", "index"})


def message_from_json(value: Any, where: str = "message") -> Message:
    """The message that a caller wrote. Raises RequestError that names the place: `messages[2].tool_calls[0].id`.

    `developer` is read as `system`, its older name.
    """
    _check(value, where)
    return restore_message(value)


def restore_message(value: Mapping[str, Any]) -> Message:
    """The inverse of `Message.as_json`, for what it wrote itself: nothing is checked."""
    content = value.get("content")
    role = value["role"]
    return Message(
        role="system" if role == "developer" else role,
        content=tuple(content) if isinstance(content, list) else content,
        tool_calls=tuple(
            ToolCall(call["id"], call["function"]["name"], call["function"]["arguments"], call_extra(call))
            for call in value.get("tool_calls") or ()
        ),
        tool_call_id=value.get("tool_call_id"),
        name=value.get("name"),
        pinned=bool(value.get("pinned")),
        extra={key: value[key] for key in EXTRA_KEYS if value.get(key)} or None if role == "assistant" else None,
        written_by=value.get("written_by"),
    )


def call_extra(call: Mapping[str, Any]) -> dict[str, Any] | None:
    """The fields of a tool call that the chat format does not have; None where there are none."""
    if call.keys() <= _CALL_KEYS:
        return None
    return {key: value for key, value in call.items() if key not in _CALL_KEYS}


def _check(value: Any, where: str) -> None:
    if not isinstance(value, Mapping):
        raise RequestError(f"{where}: a message is a map, not {_kind(value)}")
    for key, given in value.items():
        if key == "function_call" and given is not None:
            raise RequestError(f"{where}.function_call: this older form is not read; write `tool_calls`")
        if key not in KEYS and key not in ANSWER_KEYS:
            raise RequestError(f"{where}: there is no '{key}' in a message; there are {', '.join(KEYS)}")
    role = value.get("role")
    if role not in ROLES and role != "developer":
        raise RequestError(f"{where}.role: must be one of {', '.join(ROLES)}, not {_shown(role)}")
    _check_content(value.get("content"), role, f"{where}.content")
    _check_calls(value.get("tool_calls"), role, f"{where}.tool_calls")
    _check_answer(value.get("tool_call_id"), role, f"{where}.tool_call_id")
    for key in ("name", "written_by"):
        if value.get(key) is not None and not isinstance(value[key], str):
            raise RequestError(f"{where}.{key}: must be text, not {_kind(value[key])}")
    if value.get("pinned") not in (None, True, False):
        raise RequestError(f"{where}.pinned: must be true or false, not {_shown(value['pinned'])}")


def _check_content(content: Any, role: str, where: str) -> None:
    if isinstance(content, str):
        return
    if content is None:
        if role != "assistant":
            raise RequestError(f"{where}: is missing; only an assistant's message may have none")
        return
    if not isinstance(content, list):
        raise RequestError(f"{where}: must be text or a list of parts, not {_kind(content)}")
    for index, part in enumerate(content):
        here = f"{where}[{index}]"
        if not isinstance(part, Mapping):
            raise RequestError(f"{here}: a part is a map such as {{type: text, text: …}}, not {_kind(part)}")
        if not isinstance(part.get("type"), str):
            raise RequestError(f"{here}.type: must be text, such as `text` or `image_url`")
        if part["type"] == "text" and not isinstance(part.get("text"), str):
            raise RequestError(f"{here}.text: must be text, not {_kind(part.get('text'))}")


def _check_calls(calls: Any, role: str, where: str) -> None:
    if calls is None or calls == []:
        return
    if role != "assistant":
        raise RequestError(f"{where}: only an assistant's message has tool calls, not one of role {role}")
    if not isinstance(calls, list):
        raise RequestError(f"{where}: must be a list, not {_kind(calls)}")
    for index, call in enumerate(calls):
        here = f"{where}[{index}]"
        if not isinstance(call, Mapping):
            raise RequestError(f"{here}: a tool call is a map, not {_kind(call)}")
        if not isinstance(call.get("id"), str):
            raise RequestError(f"{here}.id: must be text, not {_kind(call.get('id'))}")
        if call.get("type", "function") != "function":
            raise RequestError(f"{here}.type: must be `function`, not {_shown(call['type'])}")
        function = call.get("function")
        if not isinstance(function, Mapping):
            raise RequestError(f"{here}.function: must be a map of name and arguments, not {_kind(function)}")
        for key in ("name", "arguments"):
            if not isinstance(function.get(key), str):
                hint = "; arguments are JSON written as text" if key == "arguments" else ""
                raise RequestError(f"{here}.function.{key}: must be text, not {_kind(function.get(key))}{hint}")
        if not function["name"]:
            raise RequestError(f"{here}.function.name: is empty")


def _check_answer(call_id: Any, role: str, where: str) -> None:
    if role == "tool" and not isinstance(call_id, str):
        raise RequestError(f"{where}: a tool's message must say which call it answers, as text")
    if role != "tool" and call_id is not None:
        raise RequestError(f"{where}: only a tool's message answers a call, not one of role {role}")


def _kind(value: Any) -> str:
    """The name of a value's type; a key that is missing has none."""
    return "nothing" if value is None else kind_of(value)


def _shown(value: Any) -> str:
    return f"'{value[:40]}'" if isinstance(value, str) else _kind(value)
