"""The tools that a session was offered so far. The set only grows, so that requests begin alike and prompt caches hold.

A set follows from the conversation alone: each user message adds what is selected for it. So every process computes the same
set, and what is stored here is only a cache.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Hashable, Sequence

from attrs import define, field

from victor_dsl.runtime.coordinators.compaction_memory import fingerprints
from victor_dsl.values.frozen import value
from victor_dsl.values.message import Message
from victor_dsl.values.turn import Turn

MOST_SETS = 10_000
MOST_NAMES = 500_000
"""How much is cached; over that, the sets stored longest ago are forgotten. It is 10 to 30 MB at most."""

SESSION_MESSAGES = 12
"""How many of the latest messages identify a point in a session, whose store may remove the oldest ones."""


@value
class Offered:
    """The names of the tools offered up to a user message; `reset` says that the set began anew with this message."""

    names: frozenset[str] = frozenset()
    reset: bool = False

    def grown(self, selected: Collection[str], allowed: Collection[str], most: int | None) -> Offered:
        """The set after one more message. Names that are not `allowed` leave; over `most` names, those `selected` alone stay."""
        names = self.names.intersection(allowed).union(selected)
        if most is not None and len(names) > max(most, len(selected)):
            return Offered(frozenset(selected), reset=True)
        return self if names == self.names and not self.reset else Offered(names)


NOTHING_OFFERED = Offered()


@define(eq=False)
class OfferedTools:
    """The sets of offered tools, each by its place in a conversation (`Places`), in this process only."""

    _sets: OrderedDict[Hashable, Offered] = field(factory=OrderedDict)
    _names: int = 0

    def get(self, place: Hashable) -> Offered | None:
        """The set that was offered there."""
        return self._sets.get(place)

    def put(self, place: Hashable, offered: Offered) -> None:
        """Stores a set."""
        old = self._sets.pop(place, NOTHING_OFFERED)
        self._sets[place] = offered
        self._names += len(offered.names) - len(old.names)
        while len(self._sets) > MOST_SETS or self._names > MOST_NAMES:
            _, forgotten = self._sets.popitem(last=False)
            self._names -= len(forgotten.names)

    def __len__(self) -> int:
        return len(self._sets)


class Places:
    """The cache keys of a conversation's user messages, by index.

    In a stored session the session and its latest messages are the key: such a set outlives changes of the spec. For any
    other conversation the key is all its messages, and whatever else the selection depends on.
    """

    def __init__(self, turn: Turn, selection: Hashable) -> None:
        request = turn.request
        self._messages: Sequence[Message] = turn.messages
        self._stored = request.messages is None and request.session is not None
        self._owner: Hashable = (turn.tenant, turn.session) if self._stored else (turn.tenant, selection)
        self.users = [index for index, message in enumerate(turn.messages) if message.role == "user"]

    def key(self, index: int) -> Hashable:
        """The key of the conversation up to the message at `index`."""
        first = max(0, index + 1 - SESSION_MESSAGES) if self._stored else 0
        return self._owner, fingerprints(self._messages[first : index + 1])
