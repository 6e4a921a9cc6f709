"""Reads what MCP servers send: messages, and answers that break JSON or JSON-RPC in ways that can be repaired."""

from __future__ import annotations

import json
import re
from typing import Any

from attrs import frozen
from mcp_types import INTERNAL_ERROR, ErrorData, JSONRPCError, JSONRPCMessage, jsonrpc_message_adapter

from victor_dsl.values.message import without_lone_surrogates

MOST_MESSAGE_BYTES = 16 * 1024 * 1024
"""The most bytes of one message; images are in it as base64."""

END_BYTES = 256
"""How much is stored of each end of a line that is too long."""

_FIRST_ID = re.compile(rb'^\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d{1,15})\s*,')
_LAST_ID = re.compile(rb'"id"\s*:\s*(\d{1,15})\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$')


@frozen
class TooLong:
    """A line over the limit: its first and last bytes."""

    first: bytes
    last: bytes

    @property
    def answers(self) -> int | None:
        """The id of the request that the line answers, where it stands at the beginning or the end, as is usual."""
        found = _FIRST_ID.search(self.first) or _LAST_ID.search(self.last)
        return int(found.group(1)) if found else None


def read(content: bytes | TooLong, request: int | str | None = None) -> JSONRPCMessage | None:
    """The message; for an answer that cannot be read an error in its place; None for anything else.

    `request` is the id of the request that an answer without an id belongs to.
    """
    if isinstance(content, TooLong):
        if content.answers is None:
            return None
        return _error(content.answers, f"the answer is longer than {MOST_MESSAGE_BYTES:,} bytes")
    try:
        return jsonrpc_message_adapter.validate_json(content, by_name=False)
    except ValueError:
        pass  # what pydantic refuses, Python's parser may read: half a surrogate pair, bytes that are not UTF-8
    try:
        found = _completed(json.loads(content.decode("utf-8-sig", "replace")), request)
        text = without_lone_surrogates(json.dumps(found, ensure_ascii=False))
    except (ValueError, RecursionError):
        id = TooLong(content[:END_BYTES], content[-END_BYTES:]).answers if content.rstrip().endswith(b"}") else None
        return None if id is None else _error(id, "the answer is not JSON")
    try:
        return jsonrpc_message_adapter.validate_json(text, by_name=False)
    except ValueError:
        id = found.get("id") if isinstance(found, dict) and "method" not in found else None
        return _error(id, "the answer is not a JSON-RPC message") if isinstance(id, int) else None


def as_bytes(message: JSONRPCMessage) -> bytes:
    """The message as JSON."""
    return message.model_dump_json(by_alias=True, exclude_unset=True).encode("utf-8", "replace")


def mended(content: bytes, request: int | str | None = None) -> bytes:
    """What a server sent, repaired where it is not a message but can be read as one."""
    try:
        jsonrpc_message_adapter.validate_json(content, by_name=False)
    except ValueError:
        message = read(content, request)
        return content if message is None else as_bytes(message)
    return content


def _completed(found: Any, request: int | str | None) -> Any:
    """An answer with what JSON-RPC asks for: alone instead of in a batch of one, with its version, and with a whole error."""
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    if not isinstance(found, dict) or "method" in found or not found.keys() & {"result", "error"}:
        return found
    answer: dict[str, Any] = {"jsonrpc": "2.0", "id": request if found.get("id") is None else found["id"]}
    if isinstance(answer["id"], float) and answer["id"].is_integer():
        answer["id"] = int(answer["id"])
    error = found.get("error")
    if error is None:
        return {**answer, "result": found.get("result")}
    if not isinstance(error, dict):
        error = {"message": error}
    code, message = error.get("code"), error.get("message")
    return {
        **answer,
        "error": {
            "code": code if isinstance(code, int) else INTERNAL_ERROR,
            "message": message if isinstance(message, str) else json.dumps(error if message is None else message),
        },
    }


def _error(id: int, reason: str) -> JSONRPCError:
    return JSONRPCError(jsonrpc="2.0", id=id, error=ErrorData(code=INTERNAL_ERROR, message=reason))
