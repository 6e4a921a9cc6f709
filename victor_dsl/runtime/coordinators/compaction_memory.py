"""Remembers the last compaction of each conversation, so that later turns can repeat it and send the same messages again.

Prompt caches of providers hold only while a request begins as the one before it did.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Sequence
from operator import attrgetter

from attrs import define, field, frozen

from victor_dsl.values.history import Before, Group
from victor_dsl.values.message import Message

MOST_CONVERSATIONS = 1_000
MOST_MESSAGES = 1_000_000
"""How much is remembered; over that, the conversations compacted longest ago are forgotten. A message takes 10 to 20 bytes."""

WIDTH = 8
"""The bytes of one message's fingerprint."""


@frozen(eq=False)
class PastCompaction:
    """One compaction, and the messages last sent by it.

    `conversation` has the fingerprints of the conversation's messages at the time; `kept` has one byte for each: 1 if it was
    kept. `summary` replaces the others. `type` is the strategy that chose, and `fallback` is true if that was the fallback. `sent` are
    the fingerprints of the messages last sent, `tokens` their tokens.
    """

    conversation: bytes
    kept: bytes
    sent: bytes
    tokens: int
    type: str
    fallback: bool = False
    summary: str | None = None

    def before(self, conversation: bytes, groups: Sequence[Group], places: Sequence[int | None]) -> Before | None:
        """The result of the session's last compaction, for the leading groups whose messages have not changed since.

        `places` says where each message of the groups stands in the present conversation.
        """
        same = leading_same(self.conversation, conversation)
        kept: set[int] = set()
        for position, group in enumerate(groups):
            theirs = [place for index in group.indices if (place := places[index]) is not None]
            if theirs and max(theirs) >= same:
                return Before(frozenset(kept), position) if position else None
            if not theirs or self.kept[theirs[0]]:
                kept.add(position)
        return Before(frozenset(kept), len(groups))

    def repeated(
        self, conversation: bytes, groups: Sequence[Group], places: Sequence[int | None]
    ) -> frozenset[int] | None:
        """The groups that remain if the same messages are left out again; None where one of those up to the last has changed."""
        through = self.kept.rfind(0) + 1
        if not through or conversation[: through * WIDTH] != self.conversation[: through * WIDTH]:
            return None
        remaining: set[int] = set()
        for position, group in enumerate(groups):
            place = next((place for index in group.indices if (place := places[index]) is not None), None)
            if group.fixed or place is None or place >= through or self.kept[place]:
                remaining.add(position)
        return frozenset(remaining)

    def prefix_kept(self, sent: bytes, tokens: Sequence[int]) -> float:
        """The share of the tokens sent then that lead the messages sent now; `tokens` has each message's."""
        return sum(tokens[: leading_same(self.sent, sent)]) / self.tokens if self.tokens else 1.0


def kept_bytes(messages: int, places: Iterable[int | None]) -> bytes:
    """One byte for each message of a conversation: 1 if it is at one of the places."""
    kept = bytearray(messages)
    for place in places:
        if place is not None:
            kept[place] = 1
    return bytes(kept)


@define(eq=False)
class CompactionMemory:
    """The last compaction of each conversation, in this process only: its fingerprints are salted hashes.

    `of_renders` says that rendered turns are remembered too, as where nothing but rendering is done.
    """

    of_renders: bool = False
    _compactions: OrderedDict[Hashable, PastCompaction] = field(factory=OrderedDict)
    _messages: int = 0

    def get(self, conversation: Hashable) -> PastCompaction | None:
        """The conversation's last compaction."""
        return self._compactions.get(conversation)

    def put(self, conversation: Hashable, compaction: PastCompaction) -> None:
        """Remembers a compaction in place of the conversation's last one."""
        old = self._compactions.pop(conversation, None)
        self._compactions[conversation] = compaction
        self._messages += len(compaction.kept) - (len(old.kept) if old else 0)
        while len(self._compactions) > MOST_CONVERSATIONS or self._messages > MOST_MESSAGES:
            _, forgotten = self._compactions.popitem(last=False)
            self._messages -= len(forgotten.kept)

    def __len__(self) -> int:
        return len(self._compactions)


def fingerprints(messages: Iterable[Message]) -> bytes:
    """`WIDTH` bytes for each message, which differ where its content does."""
    return array("q", map(_fingerprint, messages)).tobytes()


_fingerprint = attrgetter("fingerprint")  # many times per turn: quicker than a comprehension


def leading_same(one: bytes, other: bytes) -> int:
    """How many leading fingerprints are the same."""
    low, high = 0, min(len(one), len(other)) // WIDTH
    while low < high:
        middle = (low + high + 1) // 2
        if one[low * WIDTH : middle * WIDTH] == other[low * WIDTH : middle * WIDTH]:
            low = middle
        else:
            high = middle - 1
    return low
