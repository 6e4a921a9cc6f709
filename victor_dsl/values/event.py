"""Analytics events, and the UUIDv7s that identify them."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

from victor_dsl.values.frozen import value
from victor_dsl.values.message import Message
from victor_dsl.values.request import Request

EventType = Literal[
    "turn", "token_usage", "tool_call", "model_call", "compaction", "exposure", "feedback", "error", "reload"
]


Outcome = Literal["answered", "refused", "failed", "cancelled", "interrupted"]
"""How a turn ended. `refused`: by a rule of the spec, such as a limit or a key; `interrupted`: its process died."""


@value(eq=False)
class Contents:
    """What a turn was asked: its request, the user as admitted, and the whole conversation, empty where the turn failed earlier."""

    request: Request
    user: str | None
    conversation: tuple[Message, ...]


@value
class Event:
    """One thing that happened, in a turn or beside it. `timestamp` is in Unix seconds; `id` is a UUIDv7 as text.

    `session` is null for what happens outside of turns. `user` is as the caller gave it; exporters get a pseudonym, unless they
    `store_user`. `contents` are set in `turn` events for exporters whose Config wants them; they are no part of the event's JSON.
    """

    id: str
    type: EventType
    timestamp: float
    session: str | None
    tenant: str | None
    pipeline: str
    plan: str
    variants: Mapping[str, str]
    data: Mapping[str, Any]
    user: str | None = None
    contents: Contents | None = None

    def as_json(self) -> dict[str, Any]:
        """The event as `schemas/event.schema.json` describes it; the timestamp is RFC 3339 in UTC, with µs."""
        return {
            "id": self.id,
            "type": self.type,
            "timestamp": rfc3339(self.timestamp),
            "session": self.session,
            "tenant": self.tenant,
            "user": self.user,
            "pipeline": self.pipeline,
            "plan": self.plan,
            "variants": dict(self.variants),
            "data": dict(self.data),
        }


def rfc3339(seconds: float) -> str:
    """A Unix time as RFC 3339 text in UTC with microseconds: `2026-01-31T12:00:00.000000Z`."""
    fraction, whole = math.modf(seconds)
    microseconds = round(fraction * 1_000_000)
    if not 0 <= microseconds < 1_000_000:  # rounded up to the next second, or before 1970
        microseconds, whole = microseconds % 1_000_000, whole + microseconds // 1_000_000
    return f"{_date_and_time(int(whole))}.{microseconds:06d}Z"


@lru_cache(maxsize=64)
def _date_and_time(seconds: int) -> str:
    """`2026-01-31T12:00:00`: the part that all events of one second share."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()[: -len("+00:00")]


def uuid7(now: float | None = None, random: bytes | None = None) -> str:
    """A UUIDv7 (RFC 9562, §5.7) as text: 48 bits of Unix milliseconds, then 74 random bits."""
    milliseconds = int((time.time() if now is None else now) * 1000) & 0xFFFF_FFFF_FFFF
    time_bits, noise = f"{milliseconds:012x}", (os.urandom(10) if random is None else random).hex()
    return f"{time_bits[:8]}-{time_bits[8:]}-7{noise[:3]}-{_VARIANT[noise[3]]}{noise[4:7]}-{noise[7:19]}"


_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""A hexadecimal digit with its upper two bits set to 10, the variant of these UUIDs."""
