"""Checks of JSON values from outside, whose shape is not guaranteed."""

from __future__ import annotations

import json
from typing import Any

import orjson

MOST_COUNTED = 2**53
"""Beyond it, numbers are not exact in every JSON reader, and nothing is counted that far."""


def parse_json(data: bytes) -> Any:
    """The JSON value, with what is not UTF-8 replaced, and with control characters in its texts; None where it is not JSON.

    Halves of surrogate pairs remain, since a stream may send the other half in its next event.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(data.decode("utf-8", "replace"), strict=False)
    except (ValueError, RecursionError):
        return None


def write_json(value: Any) -> str:
    """A value that `parse_json` read, as JSON. Raises Malformed where it nests too deeply."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # orjson refuses numbers over 64 bits, halves of surrogate pairs and more than 254 levels
        pass
    try:
        return json.dumps(value)
    except RecursionError as error:
        raise Malformed("it nests too deeply") from error


def is_shallow(value: Any, levels: int) -> bool:
    """Whether a JSON value nests no deeper than that."""
    if isinstance(value, str):
        return True
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels > 0 and all(is_shallow(part, levels - 1) for part in inner)


def join_surrogates(text: str) -> str:
    """The text with surrogate pairs joined, and each half of one that has no other half replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


class Malformed(ValueError):
    """The server's answer does not have the shape that its API documents. The message says how, without quoting it."""


def as_map(value: Any, what: str) -> dict[str, Any]:
    """The value if it is a map; None counts as an empty one. Raises Malformed."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Malformed(f"{what} is not an object")
    return value


def as_list(value: Any, what: str) -> list[Any]:
    """The value if it is a list; None counts as an empty one. Raises Malformed."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise Malformed(f"{what} is not a list")
    return value


def as_text(value: Any, what: str) -> str:
    """The value if it is text; None counts as empty. Raises Malformed."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Malformed(f"{what} is not text")
    return value


def as_count(value: Any) -> int | None:
    """The value if it is a count, None for anything else, such as a number that no count reaches."""
    if isinstance(value, float) and value.is_integer():  # as some languages write all numbers
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MOST_COUNTED else None
