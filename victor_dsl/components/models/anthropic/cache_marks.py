"""Where a request is marked for the prompt cache: at the ends of what the next request begins with, too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

MAX_MARKS = 4
"""How many marks the API accepts in one request."""

_THOUGHTS = ("thinking", "redacted_thinking")

Block = dict[str, Any]
Mark = dict[str, str]


def mark(body: dict[str, Any], own: Mark | None, *, in_session: bool, has_parts: bool, examples: int = 0) -> None:
    """Adds our marks to a request. It may have marks of the caller, if its messages have parts (`has_parts`); the first
    `examples` of these are the spec's few-shot messages, with which all sessions begin.

    Messages are marked in a session, and after the first answer: caching a single question costs money, and nothing would
    read it.

    A lookup goes back 20 blocks from a mark, and one answer may add more than that. So the place where the request before
    this one ended, and had its last mark, is marked again. What varies of the system prompt is its second block. Of more marks than the API accepts, the caller's come first, and of
    these the last ones.
    """
    blocks = list(_blocks(body)) if has_parts else []
    callers = [block for block in blocks if "cache_control" in block]
    for block in callers[:-MAX_MARKS]:
        del block["cache_control"]
    if own is None:
        return
    messages = body["messages"]
    answer = len(messages) - 1
    while answer >= examples and messages[answer]["role"] != "assistant":
        answer -= 1
    answered = answer >= examples
    wanted = [
        _last(messages[-1]["content"]) if in_session or answered else None,
        body["system"][0] if "system" in body else None,
        _last(messages[examples - 1]["content"]) if examples else None,
        _last(messages[answer - 1]["content"]) if answered and answer > examples else None,
        body["tools"][-1] if "tools" in body else None,
    ]
    unmarked = [block for block in wanted if block is not None and "cache_control" not in block]
    for block in unmarked[: max(0, MAX_MARKS - len(callers))]:
        block["cache_control"] = own
    if callers:
        _order_lifetimes(blocks, own)


def _order_lifetimes(blocks: list[Block], own: Mark) -> None:
    """Adapts our marks to the caller's: the API refuses a longer lifetime after a shorter one."""
    marked = [block for block in blocks if "cache_control" in block]
    for index, block in enumerate(marked):
        if block["cache_control"] is own:
            before = [other["cache_control"] for other in marked[:index] if other["cache_control"] is not own]
            after = [other["cache_control"] for other in marked[index + 1 :] if other["cache_control"] is not own]
            if any(_is_long(other) for other in after):
                block["cache_control"] = {**own, "ttl": "1h"}
            elif any(not _is_long(other) for other in before):
                block["cache_control"] = {key: value for key, value in own.items() if key != "ttl"}


def _is_long(mark: Any) -> bool:
    return isinstance(mark, dict) and mark.get("ttl") == "1h"


def _last(blocks: list[Block]) -> Block | None:
    """The last block that may be marked: the API refuses the mark on thoughts."""
    return next((block for block in reversed(blocks) if block["type"] not in _THOUGHTS), None)


def _blocks(body: dict[str, Any]) -> Iterator[Block]:
    """Every block that can have a mark, in the order in which the API reads the request."""
    if "tools" in body:
        yield body["tools"][-1]
    yield from body.get("system", ())
    for message in body["messages"]:
        for block in message["content"]:
            inner = block.get("content")
            if block["type"] == "tool_result" and isinstance(inner, list):
                yield from inner
            yield block
