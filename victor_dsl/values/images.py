"""Images as parts of messages: recognised by their first bytes, and written as data addresses."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from victor_dsl.values.message import Part

MOST_IMAGE_BYTES = 5_000_000
"""The largest image that a tool may return; some providers refuse larger ones."""

_SIGNATURES = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"))
_DATA = "data:"


def image_type(content: bytes) -> str | None:
    """The media type of an image that models can see, by its first bytes; None for anything else."""
    for signature, type in _SIGNATURES:
        if content.startswith(signature):
            return type
    return "image/webp" if content[:4] == b"RIFF" and content[8:12] == b"WEBP" else None


def image_part(content: bytes) -> Part | None:
    """The image as a part; None where it is not one that models can see, or too large."""
    type = image_type(content)
    if type is None or len(content) > MOST_IMAGE_BYTES:
        return None
    return {"type": "image_url", "image_url": {"url": f"{_DATA}{type};base64,{base64.b64encode(content).decode()}"}}


def text_part(text: str) -> Part:
    """The text as a part."""
    return {"type": "text", "text": text}


def from_base64(text: str) -> bytes | None:
    """The bytes; None where the text is not base64. Line breaks and missing padding are accepted."""
    compact = "".join(text.split())
    try:
        return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def bytes_note(content: bytes, what: str = "") -> str:
    """A sentence in the place of bytes that a model cannot read. `what` is their media type, or what else is known of them."""
    size = f"{len(content):,} bytes"
    start = f"{what}, {size}" if what else size
    if len(content) > MOST_IMAGE_BYTES and image_type(content) is not None:
        return f"[{start}; an image of more than {MOST_IMAGE_BYTES:,} bytes cannot be shown]"
    return f"[{start}; {'it' if what else 'they'} cannot be shown as text]"


def is_image(part: Part) -> bool:
    """Whether the part is an image that is written into the message, as `image_part` does."""
    address = part.get("image_url")
    return (
        part.get("type") == "image_url" and isinstance(address, Mapping) and str(address.get("url")).startswith(_DATA)
    )
