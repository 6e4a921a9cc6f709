"""The session store in the memory of the process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import takewhile

from pydantic import Field

from victor_dsl.language.component import Context
from victor_dsl.language.config import SessionConfig
from victor_dsl.values.message import Message


class Config(SessionConfig):
    """Stores histories in memory. They are lost when the process ends, and other processes do not see them.

    Memory is bounded: over `max_sessions` the least recently used session is removed, over `max_messages` the oldest turns
    of a session, each turn whole.
    """

    max_sessions: int = Field(
        10_000, ge=1, description="The largest number of sessions. Over that, the least recently used one is removed."
    )
    max_messages: int = Field(
        10_000,
        ge=1,
        description="The largest number of messages in a session. Over that, its oldest turns are removed; "
        "the newest turn is never removed.",
    )


EXAMPLE = "{type: memory, max_sessions: 1000}"


def build(config: Config, context: Context) -> MemorySessions:
    """An empty store."""
    return MemorySessions(config.max_sessions, config.max_messages)


Key = tuple[str | None, str | None, str]


class Session:
    """A history: its messages, and how many of them each turn added, oldest turn first."""

    __slots__ = ("messages", "turns")

    def __init__(self) -> None:
        self.messages: tuple[Message, ...] = ()
        self.turns: dict[str, int] = {}


class MemorySessions:
    """Histories in a map, in order of last use."""

    def __init__(self, max_sessions: int, max_messages: int) -> None:
        self._max_sessions = max_sessions
        self._max_messages = max_messages
        self._sessions: OrderedDict[Key, Session] = OrderedDict()

    async def load(
        self, tenant: str | None, session: str, before: str | None = None, *, user: str | None = None
    ) -> tuple[Message, ...]:
        key = tenant, user, session
        found = self._sessions.get(key)
        if found is None:
            return ()
        self._sessions.move_to_end(key)
        if before not in found.turns:
            return found.messages
        earlier = takewhile(lambda turn: turn != before, found.turns)
        return found.messages[: sum(found.turns[turn] for turn in earlier)]

    async def append(
        self, tenant: str | None, session: str, turn_id: str, messages: Sequence[Message], *, user: str | None = None
    ) -> None:
        key = tenant, user, session
        history = self._sessions.setdefault(key, Session())
        self._sessions.move_to_end(key)
        if turn_id not in history.turns:
            history.turns[turn_id] = len(messages)
            history.messages += tuple(messages)
            self._drop_old_turns(history)
        if len(self._sessions) > self._max_sessions:
            self._sessions.popitem(last=False)

    def _drop_old_turns(self, session: Session) -> None:
        surplus = len(session.messages) - self._max_messages
        cut = 0
        while cut < surplus and len(session.turns) > 1:
            cut += session.turns.pop(next(iter(session.turns)))
        session.messages = session.messages[cut:]
