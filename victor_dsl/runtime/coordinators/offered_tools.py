"""The tools that a session was offered so far. The set only grows, so that requests begin alike and prompt caches hold.

A set follows from the conversation alone: each user message may add what is selected for it. So every process computes the same
set, and what is stored here is only a cache.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Hashable, Iterator

from attrs import define, field

from victor_dsl.runtime.coordinators.compaction_memory import WIDTH, fingerprints
from victor_dsl.values.frozen import value
from victor_dsl.values.turn import Turn

MOST_SETS = 10_000
MOST_NAMES = 500_000
"""How much is cached; over that, the sets stored longest ago are forgotten. It is 10 to 30 MB at most."""

SESSION_MESSAGES = 12
"""How many of the latest messages identify a point in a session, whose store may remove the oldest ones."""


@value
class Selected:
    """The tools that match a user message, best first; `matches` is false where they only stand in because none did.

    The first `k` are selected, and more may follow, up to `most`, for when the set grows. Without `k`, all are selected.
    """

    ranking: tuple[str, ...]
    k: int | None
    most: int | None
    matches: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """The selected names."""
        return self.ranking[: self.k]

    @property
    def best(self) -> tuple[str, ...]:
        """The names that must be offered: the best third, but at least two."""
        return self.names if self.k is None else self.names[: max(2, (self.k + 2) // 3)]


@value
class Offered:
    """The names of the tools offered up to a user message; `reset` says that the set began anew with this message."""

    names: frozenset[str] = frozenset()
    reset: bool = False

    def grown(self, selected: Selected, allowed: Collection[str]) -> Offered:
        """The set after one more message. Names that are not `allowed` leave.

        Every change costs the cached beginning of the request, whatever its size. So a set that has the best tools stays as
        it is, and one that must grow takes as many as there is room for. Where `most` has no room for all that are
        selected, these alone stay.
        """
        stay = self.names.intersection(allowed)
        if stay and (not selected.matches or stay.issuperset(selected.best)):
            return self if stay == self.names and not self.reset else Offered(stay)
        names = stay.union(selected.names)
        if selected.k is None or not stay:
            return Offered(names)
        most = len(names) if selected.most is None else selected.most
        if len(names) > most:
            return Offered(frozenset(selected.names), reset=True)
        others = [name for name in selected.ranking if name not in names]
        return Offered(names.union(others[: most - len(names)]))

    def shown(self, selected: Selected) -> tuple[str, ...]:
        """The selected names that are offered, best first; where better ones are not, the next best ones that are."""
        if self.names.issuperset(names := selected.names):
            return names
        return tuple([name for name in selected.ranking if name in self.names][: selected.k])


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
    """The user messages of a conversation, by index, with their cache keys. `latest` is the last one.

    In a stored session the session and its latest messages are the key: such a set outlives changes of the spec. For any
    other conversation the key is all its messages, and whatever else the selection depends on.
    """

    def __init__(self, turn: Turn, selection: Hashable) -> None:
        request = turn.request
        self._messages = turn.messages
        self.latest = next(self._users_before(len(turn.messages)), None)
        stored = request.messages is None and request.session is not None
        self._owner: Hashable = turn.session_key if stored else (turn.session_key[:2], selection)
        self._width = SESSION_MESSAGES if stored else len(turn.messages)
        self._first = max(0, (self.latest or 0) + 1 - 2 * SESSION_MESSAGES) if stored else 0
        self._marks = fingerprints(turn.messages[self._first :])

    def earlier(self) -> Iterator[int]:
        """The user messages before the latest one, going back."""
        return self._users_before(self.latest or 0)

    def _users_before(self, end: int) -> Iterator[int]:
        return (index for index in range(end - 1, -1, -1) if self._messages[index].role == "user")

    def key(self, index: int) -> Hashable:
        """The key of the conversation up to the message at `index`."""
        first, end = max(0, index + 1 - self._width), index + 1
        if first < self._first:
            return self._owner, fingerprints(self._messages[first:end])
        return self._owner, self._marks[(first - self._first) * WIDTH : (end - self._first) * WIDTH]
