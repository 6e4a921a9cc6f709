"""The oldest messages replaced by a summary, which is carried on as the history grows."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from itertools import accumulate
from typing import Any

from attrs import frozen

from victor_dsl.components.compaction._newest import NEWEST, cost
from victor_dsl.components.compaction._summarizer import Summarizer
from victor_dsl.components.compaction._text import bounded, lines
from victor_dsl.errors import ComponentError
from victor_dsl.language.component import Context
from victor_dsl.values.history import Choice, History, newest, summary_message
from victor_dsl.values.message import Message
from victor_dsl.values.tokens import CHARACTERS_PER_TOKEN, text_tokens
from victor_dsl.values.turn import Turn

MOST_KEPT = 1_000
"""How many summaries a process keeps; the one not used for longest goes."""
LEAST_TOKENS = 32
"""A summary of fewer tokens says nothing."""


@frozen
class _Part:
    """A dropped group as the model reads it; `key` stands for it and all that was dropped before."""

    text: str
    key: bytes


class Summarize:
    """Keeps the newest groups and summarises the others, each of them once."""

    def __init__(self, config: Any, context: Context) -> None:
        self._most_tokens: int = config.max_tokens
        self._summarizer = Summarizer(config, context)
        self._kept: OrderedDict[bytes, str] = context.kept.setdefault("summaries", OrderedDict())

    async def choose(self, history: History, budget: int, turn: Turn) -> Choice:
        if history.tokens <= budget:
            return Choice(frozenset(range(len(history.groups))))
        room = budget - history.fixed_tokens
        reserve = min(summary_message("").tokens + self._most_tokens, room // 2)
        kept = newest(history, budget - reserve)
        dropped = [position for position in range(len(history.groups)) if position not in kept]
        # At most half of what it replaces: a summary that saves less is not worth a call.
        replaced = cost(history, dropped)
        limit = min(reserve, replaced // 2) - summary_message("").tokens
        if limit < LEAST_TOKENS:
            raise ComponentError(f"there is no room for a summary: it could have {max(limit, 0)} tokens")
        summary = await self._summary(self._parts(history, dropped, turn), limit, turn)
        tokens = summary_message(summary).tokens
        if tokens >= replaced:
            raise ComponentError(f"the summary has {tokens} tokens, no fewer than the {replaced} that it replaces")
        reasons = {p: NEWEST if p in kept else "in the summary" for p in range(len(history.groups))}
        return Choice(kept, summary, reasons if turn.rendering else {})

    async def _summary(self, parts: Sequence[_Part], limit: int, turn: Turn) -> str:
        """What is known of the parts, carried on over those that are new."""
        done = next((n for n in range(len(parts), 0, -1) if self._fits(parts[n - 1].key, limit)), 0)
        summary = self._kept[parts[done - 1].key] if done else ""
        if turn.rendering and done < len(parts):
            return self._summarizer.note(limit, len(parts))
        for piece in self._pieces(parts[done:], self._summarizer.room(limit)):
            summary = await self._summarizer.write(summary, [part.text for part in piece], limit, turn)
            self._kept[piece[-1].key] = summary
            self._kept.move_to_end(piece[-1].key)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return summary

    def _fits(self, key: bytes, limit: int) -> bool:
        return key in self._kept and text_tokens(self._kept[key]) <= limit

    def _parts(self, history: History, dropped: Sequence[int], turn: Turn) -> list[_Part]:
        texts = [
            "\n".join(line for index in history.groups[position].indices for line in _said(history.messages[index]))
            for position in dropped
        ]
        start = f"{self._summarizer.identity}\0{turn.tenant!r}"  # no tenant is given what another's messages became
        keys = accumulate(texts, _hash, initial=_hash(b"", start))
        next(keys)
        return [_Part(text, key) for text, key in zip(texts, keys, strict=True)]

    def _pieces(self, parts: Sequence[_Part], room: int) -> Iterator[list[_Part]]:
        """The parts in as many pieces as it takes for each to fit the room, in tokens, that the model has for them."""
        piece: list[_Part] = []
        left = room
        for part in parts:
            text = bounded(part.text, room * CHARACTERS_PER_TOKEN // 2)
            tokens = text_tokens(text) + 1
            if piece and tokens > left:
                yield piece
                piece, left = [], room
            piece.append(_Part(text, part.key))
            left -= tokens
        if piece:
            yield piece


def _said(message: Message) -> Iterator[str]:
    who = f"tool {message.name}" if message.role == "tool" and message.name else message.role
    return (f"{who}: {line}" for line in lines(message))


def _hash(key: bytes, text: str) -> bytes:
    return blake2b(key + text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
