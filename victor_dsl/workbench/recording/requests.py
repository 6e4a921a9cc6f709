"""What requests of OpenAI's and Anthropic's APIs ask, as request lines have it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from victor_dsl.errors import RequestError
from victor_dsl.values.chat_format import EXTRA_KEYS, KEYS, message_from_json
from victor_dsl.values.codec import json_faults, read_settings
from victor_dsl.values.faults import Faulty
from victor_dsl.values.message import Message

Json = Mapping[str, Any]

SETTINGS = ("temperature", "top_p", "max_tokens", "stop", "seed", "response_format")
OTHER_NAMES = {
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "stop_sequences": "stop",
}
"""What the APIs call settings."""
READ = frozenset(
    {
        *("messages", "tools", "functions", "input", "instructions", "system", "text", "prompt", "conversation"),
        *("previous_response_id", "model", "user", "safety_identifier"),
    }
)
"""What readers take beside settings, or name themselves."""
OF_THE_CALL = frozenset(
    {
        *("stream", "stream_options", "store", "metadata", "service_tier", "include", "background"),
        *("prompt_cache_key", "prompt_cache_retention"),
    }
)
"""Fields about delivery and storage, which do not change the answer."""
MESSAGE_KEYS = frozenset({*KEYS, *EXTRA_KEYS}) - {"pinned"}
TEXT_PARTS = frozenset({"text", "input_text", "output_text"})


@frozen
class Asked:
    """What a request asks. `left_out` names what a request line cannot have, and why the line is less than the request."""

    messages: tuple[Message, ...]
    settings: dict[str, Any]
    tools: list[Json]
    user: str | None
    model: str | None
    left_out: tuple[str, ...]


def read_chat(body: Json) -> Asked:
    """A request of `/v1/chat/completions`. Raises RequestError."""
    left_out: list[str] = []
    messages = [
        _chat_message(message, f"messages[{index}]", left_out) for index, message in enumerate(_list(body, "messages"))
    ]
    functions = [{"type": "function", "function": one} for one in _list(body, "functions", optional=True)]
    return _asked(body, messages, [*_list(body, "tools", optional=True), *functions], left_out)


def read_responses(body: Json) -> Asked:
    """A request of `/v1/responses`. Raises RequestError."""
    left_out = [
        f"{key}: the server has the conversation" for key in ("previous_response_id", "conversation") if body.get(key)
    ]
    if body.get("prompt"):
        left_out.append("prompt: the server has the prompt")
    given = body.get("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else _list(body, "input")
    messages: list[Json] = []
    if body.get("instructions"):
        messages.append({"role": "system", "content": body["instructions"]})
    for index, item in enumerate(items):
        _add_item(messages, item, f"input[{index}]", left_out)
    text = body.get("text")
    wanted = text.get("format") if isinstance(text, Mapping) else None
    extra = {"response_format": _response_format(wanted)} if isinstance(wanted, Mapping) else {}
    tools = [
        {"type": "function", "function": {key: value for key, value in tool.items() if key != "type"}}
        if isinstance(tool, Mapping) and tool.get("type") == "function"
        else tool
        for tool in _list(body, "tools", optional=True)
    ]
    return _asked({**body, **extra}, messages, tools, left_out)


def read_anthropic(body: Json) -> Asked:
    """A request of `/v1/messages`. Raises RequestError."""
    left_out: list[str] = []
    messages: list[Json] = []
    if body.get("system"):
        messages.append({"role": "system", "content": _texts(body["system"])})
    for index, message in enumerate(_list(body, "messages")):
        _add_anthropic(messages, message, f"messages[{index}]", left_out)
    tools = [
        {
            "type": "function",
            "function": {
                "name": tool.get("name"),
                "description": tool.get("description"),
                "parameters": tool["input_schema"],
            },
        }
        if isinstance(tool, Mapping) and "input_schema" in tool
        else tool
        for tool in _list(body, "tools", optional=True)
    ]
    metadata = body.get("metadata")
    user = metadata.get("user_id") if isinstance(metadata, Mapping) else None
    return _asked({**body, "user": user}, messages, tools, left_out)


READERS: Mapping[str, Callable[[Json], Asked]] = {
    "/chat/completions": read_chat,
    "/v1/responses": read_responses,
    "/v1/messages": read_anthropic,
}
"""The reader of each API, by the end of its path."""


def _asked(body: Json, messages: Sequence[Json], tools: Iterable[Any], left_out: list[str]) -> Asked:
    settings = _settings(body, left_out)
    for fault in json_faults(messages, ("messages",)):
        raise RequestError(str(fault))
    read = tuple(message_from_json(message, f"messages[{index}]") for index, message in enumerate(messages))
    if not any(message.role != "system" for message in read):
        raise RequestError("there is no message to answer")
    user, model = body.get("safety_identifier") or body.get("user"), body.get("model")
    return Asked(
        read,
        settings,
        list(_functions(tools, left_out)),
        user if isinstance(user, str) and user else None,
        model if isinstance(model, str) else None,
        tuple(left_out),
    )


def _settings(body: Json, left_out: list[str]) -> dict[str, Any]:
    """The settings that request lines have; what else the request sets, or a spec refuses, is left out."""
    settings: dict[str, Any] = {}
    for name, value in body.items():
        if value is None or value == "auto" or name in READ or name in OF_THE_CALL:
            continue
        setting = OTHER_NAMES.get(name, name)
        if setting not in SETTINGS:
            left_out.append(f"{name[:40]}: request lines have no such setting")
            continue
        wanted = {setting: [value] if setting == "stop" and isinstance(value, str) else value}
        try:
            read_settings(wanted)
        except Faulty as error:
            left_out.append(str(error))
        else:
            settings |= wanted
    return settings


def _functions(tools: Iterable[Any], left_out: list[str]) -> Iterator[Json]:
    names = set()
    for index, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(name := function.get("name"), str) or name in names:
            type = tool.get("type") if isinstance(tool, Mapping) else None
            left_out.append(f"tools[{index}]: of type {str(type)[:40]}")
            continue
        names.add(name)
        kept = {"name": name}
        for key, wanted in (("description", str), ("parameters", dict), ("strict", bool)):
            if isinstance(function.get(key), wanted):
                kept[key] = function[key]
        yield {"type": "function", "function": kept}


def _list(body: Json, key: str, *, optional: bool = False) -> list[Any]:
    value = body.get(key)
    if value is None and optional:
        return []
    if not isinstance(value, list):
        raise RequestError(f"{key} is no list")
    return value


# OpenAI's messages and items


def _chat_message(message: Any, where: str, left_out: list[str]) -> Json:
    if not isinstance(message, Mapping):
        raise RequestError("a message is no map")
    if message.get("role") == "function":
        return {"role": "tool", "content": message.get("content") or "", "tool_call_id": str(message.get("name"))}
    kept = {key: value for key, value in message.items() if key in MESSAGE_KEYS and value is not None}
    if isinstance(call := message.get("function_call"), Mapping):
        kept["tool_calls"] = [{"id": str(call.get("name")), "type": "function", "function": dict(call)}]
    calls = kept.get("tool_calls")
    for index, call in enumerate(calls if isinstance(calls, list) else ()):
        if isinstance(call, Mapping) and call.get("type") == "custom":
            left_out.append(f"{where}.tool_calls[{index}]: of type custom")
            kept["tool_calls"] = [one for one in kept["tool_calls"] if one is not call]
    return kept if "content" in kept or message.get("role") != "tool" else {**kept, "content": ""}


def _add_item(messages: list[Json], item: Any, where: str, left_out: list[str]) -> None:
    type = item.get("type", "message") if isinstance(item, Mapping) else None
    if type == "message":
        messages.append({"role": item.get("role"), "content": _parts(item.get("content"), where, left_out)})
    elif type == "function_call":
        call = {"name": item.get("name"), "arguments": item.get("arguments")}
        _add_call(messages, {"id": item.get("call_id"), "type": "function", "function": call})
    elif type == "function_call_output":
        output = item.get("output")
        content = output if isinstance(output, str) else _parts(output, where, left_out)
        messages.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": content})
    else:
        left_out.append(f"{where}: of type {str(type)[:40]}")


def _add_call(messages: list[Json], call: Json) -> None:
    """Adds a call to the assistant's message at the end, or as a new one."""
    if messages and messages[-1].get("role") == "assistant":
        last = messages[-1]
        messages[-1] = {**last, "tool_calls": [*last.get("tool_calls", ()), call]}
    else:
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})


def _parts(content: Any, where: str, left_out: list[str]) -> Any:
    """Content in the parts of the chat format; text alone as text."""
    if not isinstance(content, list):
        return content
    parts: list[Json] = []
    for index, part in enumerate(content):
        type = part.get("type") if isinstance(part, Mapping) else None
        if type in TEXT_PARTS:
            parts.append({"type": "text", "text": part.get("text")})
        elif type == "refusal":
            parts.append({"type": "text", "text": part.get("refusal")})
        elif type == "input_image" and part.get("image_url"):
            parts.append({"type": "image_url", "image_url": {"url": part["image_url"]}})
        elif type == "input_file":
            parts.append({"type": "file", "file": {key: value for key, value in part.items() if key != "type"}})
        else:
            left_out.append(f"{where}.content[{index}]: of type {str(type)[:40]}")
    return _plain(parts)


def _plain(parts: list[Json]) -> Any:
    return parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts


def _response_format(wanted: Json) -> Json:
    """The chat format's `response_format`, which has a schema one level deeper."""
    if wanted.get("type") != "json_schema":
        return wanted
    return {"type": "json_schema", "json_schema": {key: value for key, value in wanted.items() if key != "type"}}


# Anthropic's messages


def _add_anthropic(messages: list[Json], message: Any, where: str, left_out: list[str]) -> None:
    if not isinstance(message, Mapping):
        raise RequestError(f"{where} is no map")
    content = message.get("content")
    if not isinstance(content, list):
        messages.append({"role": message.get("role"), "content": content})
        return
    parts: list[Json] = []
    calls: list[Json] = []
    for index, block in enumerate(content):
        here = f"{where}.content[{index}]"
        type = block.get("type") if isinstance(block, Mapping) else None
        if type == "tool_use":
            arguments = json.dumps(block.get("input"), ensure_ascii=False)
            calls.append(
                {
                    "id": block.get("id"),
                    "type": "function",
                    "function": {"name": block.get("name"), "arguments": arguments},
                }
            )
        elif type == "tool_result":
            result = block.get("content") or ""
            shown = result if isinstance(result, str) else _plain(list(_blocks(result, here, left_out)))
            messages.append({"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": shown})
        else:
            parts += _blocks([block], here, left_out)
    if calls:
        messages.append({"role": message.get("role"), "content": _plain(parts) if parts else None, "tool_calls": calls})
    elif parts:
        messages.append({"role": message.get("role"), "content": _plain(parts)})


def _blocks(blocks: Any, where: str, left_out: list[str]) -> Iterator[Json]:
    for block in blocks if isinstance(blocks, list) else ():
        type = block.get("type") if isinstance(block, Mapping) else None
        source = block.get("source") if isinstance(block, Mapping) else None
        source = source if isinstance(source, Mapping) else {}
        url = source.get("url") or f"data:{source.get('media_type')};base64,{source.get('data')}"
        if type == "text":
            yield {"type": "text", "text": block.get("text")}
        elif type == "image" and source.get("type") in ("base64", "url"):
            yield {"type": "image_url", "image_url": {"url": url}}
        elif type == "document" and source.get("type") == "text":
            yield {"type": "text", "text": source.get("data")}
        elif type == "document" and source.get("type") == "base64":
            yield {"type": "file", "file": {"filename": block.get("title") or "document", "file_data": url}}
        else:
            left_out.append(f"{where}: of type {str(type)[:40]}")


def _texts(system: Any) -> Any:
    if not isinstance(system, list):
        return system
    return _plain([{"type": "text", "text": block.get("text")} for block in system if isinstance(block, Mapping)])
