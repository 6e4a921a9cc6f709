"""What an MCP tool gives, as the text that a model is told."""

from __future__ import annotations

import json

from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
)


def text_of(result: CallToolResult) -> str:
    """Texts as they are, and what is no text described; the structured result where there is nothing else."""
    if not result.content and result.structured_content is not None:
        return json.dumps(result.structured_content, ensure_ascii=False)
    return "\n".join(_text(block) for block in result.content)


def _text(block: ContentBlock) -> str:
    match block:
        case TextContent():
            return block.text
        case ImageContent():
            return _described("image", block.mime_type, block.data)
        case AudioContent():
            return _described("audio", block.mime_type, block.data)
        case ResourceLink():
            return f"[a link to {block.title or block.name}: {block.uri}]"
        case EmbeddedResource():
            inner = block.resource
            if isinstance(inner, BlobResourceContents):
                return _described(f"resource {inner.uri}", inner.mime_type or "unknown type", inner.blob)
            return inner.text


def _described(what: str, type: str, base64: str) -> str:
    return f"[{what}: {type}, {len(base64) * 3 // 4:,} bytes; it cannot be shown as text]"
