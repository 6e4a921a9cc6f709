"""What the last compaction of each conversation kept: so that the next one can begin with the same messages."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Sequence

from attrs import define, field, frozen

from victor_dsl.values.history import Before, Group
from victor_dsl.values.message import Message

MOST_CONVERSATIONS = 1_000
MOST_MESSAGES = 1_000_000
"""How much is remembered: of more, the conversations not compacted for longest go. A message takes 10 to 20 bytes."""

WIDTH = 8
"""The bytes of one message's mark."""


@frozen(eq=False)
class Past:
    """One compaction: marks of the conversation's messages and of those sent, and a byte for each message: was it kept?"""

    given: bytes
    kept: bytes
    sent: bytes
    tokens: int

    @classmethod
    def of(cls, given: bytes, places: Iterable[int | None], sent: bytes, tokens: int) -> Past:
        """The compaction of `given` that kept the messages at these places."""
        kept = bytearray(len(given) // WIDTH)
        for place in places:
            if place is not None:
                kept[place] = 1
        return cls(given, bytes(kept), sent, tokens)

    def before(self, given: bytes, groups: Sequence[Group], places: Sequence[int | None]) -> Before | None:
        """What it kept of the groups whose messages are the same still; `places` are the messages' in the conversation."""
        same = _same(self.given, given)
        kept: set[int] = set()
        for position, group in enumerate(groups):
            theirs = [place for index in group.indices if (place := places[index]) is not None]
            if theirs and theirs[-1] >= same:
                return Before(frozenset(kept), position) if position else None
            if not theirs or self.kept[theirs[0]]:
                kept.add(position)
        return Before(frozenset(kept), len(groups))

    def prefix_kept(self, sent: bytes, tokens: Sequence[int]) -> float:
        """The share of the tokens sent then that are the leading part of what is sent now; `tokens` are each message's."""
        return sum(tokens[: _same(self.sent, sent)]) / self.tokens if self.tokens else 1.0


@define(eq=False)
class KeptBefore:
    """The last compaction of each conversation, in this process. Marks are hashes that no other process can read."""

    _pasts: OrderedDict[Hashable, Past] = field(factory=OrderedDict)
    _messages: int = 0

    def of(self, conversation: Hashable) -> Past | None:
        """The conversation's last compaction."""
        return self._pasts.get(conversation)

    def note(self, conversation: Hashable, past: Past) -> None:
        """Remembers a compaction in the place of the conversation's last."""
        old = self._pasts.pop(conversation, None)
        self._pasts[conversation] = past
        self._messages += len(past.kept) - (len(old.kept) if old else 0)
        while len(self._pasts) > MOST_CONVERSATIONS or self._messages > MOST_MESSAGES:
            _, gone = self._pasts.popitem(last=False)
            self._messages -= len(gone.kept)

    def __len__(self) -> int:
        return len(self._pasts)


def marks(messages: Iterable[Message]) -> bytes:
    """A mark of `WIDTH` bytes for each message, which differs where its content does."""
    return array("q", map(_mark, messages)).tobytes()


def _mark(message: Message) -> int:
    content = message.content
    said = content if isinstance(content, str | None) else repr(content)
    return hash((message.role, said, message.tool_calls, message.tool_call_id))


def _same(one: bytes, other: bytes) -> int:
    """How many marks at the beginning are the same."""
    low, high = 0, min(len(one), len(other)) // WIDTH
    while low < high:
        middle = (low + high + 1) // 2
        if one[low * WIDTH : middle * WIDTH] == other[low * WIDTH : middle * WIDTH]:
            low = middle
        else:
            high = middle - 1
    return low
