"""Recorded traffic: request lines without keys, and by default without personal data."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from attrs import evolve

from victor_dsl.values.message import Message, Part, without_lone_surrogates
from victor_dsl.values.redaction.detectors import DETECTORS
from victor_dsl.values.redaction.messages import MessageRedactor
from victor_dsl.values.redaction.redactor import Redactor
from victor_dsl.values.tool import Tool

MOST_LINE_BYTES = 32 << 20
"""The longest line that commands read."""

KEYS = ("api_key", "private_key")
"""The detectors that always run."""
VALUES = ("vars", "inputs", "settings", "tools")
"""The fields that have texts of any depth."""
MEDIA_KEYS = frozenset({"data", "file_data"})
"""Where parts have images, recordings and files as base64."""
_BASE64 = re.compile(r"data:[\w.+/;=-]{0,200};base64,[A-Za-z0-9+/=]*\Z")


class TrafficWriter:
    """Writes request lines. With `personal_data` only keys are removed from them.

    Text in which something is found has its name there: `[email]`. An id in which something is found becomes a pseudonym, the
    same for the same id and `key`, so that sessions and users stay apart.
    """

    def __init__(self, key: bytes, *, personal_data: bool = False) -> None:
        self._key = key
        self._redactor = Redactor(KEYS if personal_data else DETECTORS, {})
        self._within = MessageRedactor(self._redactor)

    def line(self, fields: Mapping[str, Any], messages: Sequence[Message]) -> bytes:
        """The line that has these fields, redacted, and the messages; fields that are None or empty are left out.

        `id`, `tenant`, `timestamp` and `recorded` are written as they are.
        """
        line: dict[str, Any] = {}
        for name, value in fields.items():
            if value is None or value in ({}, []):
                continue
            if name in ("session", "user"):
                line[name] = self._pseudonym(value)
            else:
                line[name] = self._within.value(value) if name in VALUES else value
            if name == "settings":  # a number there is no one's: redacted, a seed would be a text that no reader takes
                line[name] |= {key: one for key, one in value.items() if isinstance(one, int | float)}
        line["messages"] = [self._message(message).as_json() for message in messages]
        try:
            return orjson.dumps(line, default=str, option=orjson.OPT_APPEND_NEWLINE)
        except TypeError:  # orjson refuses lone surrogates and numbers over 64 bits
            text = json.dumps(line, default=str, ensure_ascii=False, separators=(",", ":"))
            return f"{without_lone_surrogates(text)}\n".encode()

    def _pseudonym(self, id: str) -> str:
        redacted = self._redactor.text(id)
        if redacted == id:
            return id
        digest = hmac.digest(self._key, id.encode("utf-8", "surrogatepass"), hashlib.sha256)
        return f"{redacted} {digest[:8].hex()}"

    def _message(self, message: Message) -> Message:
        message = self._within.message(message)
        changes: dict[str, Any] = {}
        if isinstance(message.content, tuple) and not message.is_text():
            changes["content"] = tuple(map(self._part, message.content))
        if message.extra:
            changes["extra"] = self._other(message.extra)
        if message.name is not None:
            changes["name"] = self._redactor.text(message.name)
        return evolve(message, **changes) if changes else message

    def _part(self, part: Part) -> Part:
        redacted: Part = part if part.get("type") == "text" else self._other(part)
        return redacted

    def _other(self, value: Any) -> Any:
        """A value with its texts redacted, but for base64."""
        if isinstance(value, Mapping):
            return {key: inner if key in MEDIA_KEYS else self._other(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._other(inner) for inner in value]
        if isinstance(value, str) and not _BASE64.match(value):
            return self._redactor.text(value)
        return value


def tool_to_json(tool: Tool) -> dict[str, Any]:
    """The tool as request lines and OpenAI's API write it."""
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}
