"""Deferred tools as Anthropic's API loads them: definitions with `defer_loading`, and its tool that searches them.

The API expands the references that a search returns, in later requests too. So an answer with a search goes back as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from victor_dsl.values.chat_format import CONTENT_BLOCKS
from victor_dsl.values.message import Message
from victor_dsl.values.tool import api_tool_name
from victor_dsl.values.turn import Turn

Block = dict[str, Any]

SEARCH_TOOL: Mapping[str, str] = {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"}
"""It comes last among the tools: a deferred tool cannot have the mark for the prompt cache."""

SEARCH_BLOCKS = ("server_tool_use", "tool_search_tool_result")

_OWN_BLOCKS = ("text", "thinking", "redacted_thinking", "tool_use", *SEARCH_BLOCKS)


def has_search(blocks: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the model searched for tools in this answer."""
    return any(block.get("type") in SEARCH_BLOCKS for block in blocks)


def own_blocks(message: Message, turn: Turn, model: str) -> list[Block] | None:
    """The blocks of an answer with a search, as this model wrote them, if the message was not changed since.

    None for any other message, and where this request cannot search. References to tools that are gone are left out: the API
    refuses them.
    """
    blocks = (message.extra or {}).get(CONTENT_BLOCKS)
    if turn.deferred is None or message.written_by not in (None, model) or not isinstance(blocks, list):
        return None
    if not all(isinstance(block, Mapping) and block.get("type") in _OWN_BLOCKS for block in blocks):
        return None
    names = [block.get("name") for block in blocks if block["type"] == "tool_use"]
    texts = [block.get("text") for block in blocks if block["type"] == "text"]
    if names != [api_tool_name(call.name) for call in message.tool_calls] or not all(map(_is_text, texts)):
        return None
    if "".join(texts) != message.text():
        return None
    present = {api_tool_name(tool.name) for tool in turn.deferred.tools}
    return [_with_references_to(present, block) for block in blocks]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _with_references_to(present: set[str], block: Mapping[str, Any]) -> Block:
    found = block.get("content")
    if block["type"] != "tool_search_tool_result" or not isinstance(found, Mapping):
        return dict(block)
    references = found.get("tool_references")
    if not isinstance(references, list):
        return dict(block)
    return {**block, "content": {**found, "tool_references": list(_known(present, references))}}


def _known(present: set[str], references: Sequence[Any]) -> Iterator[Any]:
    for reference in references:
        if isinstance(reference, Mapping) and reference.get("tool_name") in present:
            yield reference
