"""The session store that ends with the process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import takewhile

from pydantic import Field

from victor_dsl.language.component import Context
from victor_dsl.language.config import SessionConfig
from victor_dsl.values.message import Message


class Config(SessionConfig):
    """Keeps histories in memory; they end with the process, and other processes do not see them.

    Both bounds below hold at all times: over the first the session that was unused longest is forgotten, over the
    second the oldest turns of a session are, each turn whole.
    """

    max_sessions: int = Field(
        10_000, ge=1, description="How many sessions are kept. Over that, the one unused longest is forgotten."
    )
    max_messages: int = Field(
        10_000,
        ge=1,
        description="How many messages of one session are kept. Over that, its oldest turns are forgotten; "
        "the newest turn always stays.",
    )


EXAMPLE = "{type: memory, max_sessions: 1000}"

Key = tuple[str | None, str]


class Session:
    """One history: the messages, and which turn added how many of them, oldest first."""

    __slots__ = ("messages", "turns")

    def __init__(self) -> None:
        self.messages: tuple[Message, ...] = ()
        self.turns: dict[str, int] = {}


class Memory:
    """Histories in a map that forgets the least recently used."""

    def __init__(self, max_sessions: int, max_messages: int) -> None:
        self._max_sessions = max_sessions
        self._max_messages = max_messages
        self._sessions: OrderedDict[Key, Session] = OrderedDict()

    async def load(self, tenant: str | None, session: str, before: str | None = None) -> tuple[Message, ...]:
        found = self._sessions.get((tenant, session))
        if found is None:
            return ()
        self._sessions.move_to_end((tenant, session))
        if before not in found.turns:
            return found.messages
        earlier = takewhile(lambda turn: turn != before, found.turns)
        return found.messages[: sum(found.turns[turn] for turn in earlier)]

    async def append(self, tenant: str | None, session: str, turn_id: str, messages: Sequence[Message]) -> None:
        kept = self._sessions.setdefault((tenant, session), Session())
        self._sessions.move_to_end((tenant, session))
        if turn_id not in kept.turns:
            kept.turns[turn_id] = len(messages)
            kept.messages += tuple(messages)
            self._forget_turns(kept)
        if len(self._sessions) > self._max_sessions:
            self._sessions.popitem(last=False)

    def _forget_turns(self, session: Session) -> None:
        surplus = len(session.messages) - self._max_messages
        cut = 0
        while cut < surplus and len(session.turns) > 1:
            cut += session.turns.pop(next(iter(session.turns)))
        session.messages = session.messages[cut:]


def build(config: Config, context: Context) -> Memory:
    """The store, empty."""
    return Memory(config.max_sessions, config.max_messages)
