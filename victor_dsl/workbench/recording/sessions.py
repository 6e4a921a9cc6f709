"""Finds out which requests belong to one conversation: each repeats the messages of the one before it."""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict, deque
from collections.abc import Sequence

from victor_dsl.values.event import uuid7
from victor_dsl.values.message import Message

MOST_SESSIONS = 20_000
"""How many conversations are remembered. Over that, one is forgotten: the oldest of those whose requests so far are the same as
those of the conversation that was continued the longest ago."""


class Sessions:
    """The session of each request: that of the longest earlier request whose messages it begins with, else a new one.

    System messages do not count, since they may change from turn to turn. Two conversations that begin with the same words are
    two sessions. Digests of messages are kept, with a random key, and no text.
    """

    def __init__(self) -> None:
        self._key = os.urandom(32)
        self._last: OrderedDict[bytes, deque[str]] = OrderedDict()
        self._count = 0

    def session(self, user: str | None, messages: Sequence[Message]) -> str:
        """The id of the request's session, a UUIDv7."""
        chain = self._chain(user, messages)
        session = uuid7()
        for digest in reversed(chain[:-1]):
            if sessions := self._last.get(digest):
                session = self._take(digest, sessions)
                break
        self._last.setdefault(chain[-1], deque()).append(session)
        self._last.move_to_end(chain[-1])
        self._count += 1
        if self._count > MOST_SESSIONS:
            self._take(*next(iter(self._last.items())))
        return session

    def _take(self, digest: bytes, sessions: deque[str]) -> str:
        self._count -= 1
        session = sessions.popleft()
        if not sessions:
            del self._last[digest]
        return session

    def _chain(self, user: str | None, messages: Sequence[Message]) -> list[bytes]:
        """A digest of each beginning of the conversation."""
        running = hashlib.blake2b(repr(user).encode(), key=self._key, digest_size=16)
        chain = []
        for message in messages:
            if message.role != "system":
                about = (message.role, message.content, message.tool_calls, message.tool_call_id)
                running.update(repr(about).encode("utf-8", "surrogatepass"))
                chain.append(running.copy().digest())
        return chain
