"""Parts of messages that callers write in the form of another API, in the form of the chat format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from victor_dsl.values.message import Part

OF_RESPONSES = frozenset({"input_text", "output_text", "input_image", "input_file"})
"""The types of the Responses API."""


def chat_part(part: Part) -> Part:
    """The part as the chat format writes it; one that has no such form stays as it is."""
    match part.get("type"):
        case "input_text" | "output_text":
            return {"type": "text", "text": str(part.get("text") or "")}
        case "image_url" if isinstance(part.get("image_url"), str):
            return _image(part["image_url"])
        case "input_image" if isinstance(part.get("image_url"), str):
            return _image(part["image_url"], part.get("detail"))
        case "input_file" if part.get("file_data") or part.get("file_id"):
            return {
                "type": "file",
                "file": {key: part[key] for key in ("filename", "file_data", "file_id") if part.get(key)},
            }
        case "image" if url := _url(part.get("source")):
            return _image(url)
        case "document" if isinstance(source := part.get("source"), Mapping):
            if source.get("type") == "text":
                return {"type": "text", "text": str(source.get("data") or "")}
            if source.get("type") == "base64" and (url := _url(source)):
                return {"type": "file", "file": {"filename": part.get("title") or "document", "file_data": url}}
    return part


def _image(url: str, detail: Any = None) -> Part:
    return {"type": "image_url", "image_url": {"url": url, "detail": detail} if detail else {"url": url}}


def _url(source: Any) -> str | None:
    """The address of a source of Anthropic's API, or its data as one."""
    if not isinstance(source, Mapping):
        return None
    if source.get("type") == "base64":
        return f"data:{source.get('media_type')};base64,{source.get('data')}"
    return source.get("url") if isinstance(source.get("url"), str) else None
