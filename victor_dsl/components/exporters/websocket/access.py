"""Access to the dashboard: tokens, the sessions of signed-in browsers, and allowed origins."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import deque
from collections.abc import Iterable, Mapping
from typing import TypeVar

from attrs import define, field

from victor_dsl.components.exporters.websocket.hub import Scope
from victor_dsl.language.component import Clock

T = TypeVar("T")

SESSION_SECONDS = 12 * 3600.0
SESSIONS = 1_000
FAILURES = 10
"""After this many wrong tokens within FAILURE_SECONDS, an address is blocked for that time."""
FAILURE_SECONDS = 60.0
ADDRESSES = 10_000


class TooManyFailures(Exception):
    """The address sent too many wrong tokens."""


@define(eq=False)
class Access:
    """Tokens, sessions and origins. Only hashes of the tokens are stored."""

    clock: Clock
    origins: set[str]
    _digests: tuple[tuple[bytes, Scope], ...]
    _sessions: dict[str, tuple[Scope, float]] = field(factory=dict)
    _failures: dict[str, deque[float]] = field(factory=dict)

    @classmethod
    def of(cls, tokens: Iterable[tuple[str, Scope]], origins: Iterable[str], clock: Clock) -> Access:
        """Access with these tokens, each with its scope, for pages from these origins."""
        return cls(clock, set(origins), tuple((_digest(token), scope) for token, scope in tokens))

    def allow_this_machine(self, port: int) -> None:
        """Allows pages from this machine's own names at that port."""
        self.origins.update(f"http://{host}:{port}" for host in ("127.0.0.1", "localhost", "[::1]"))

    def scope_of(self, token: str, address: str) -> Scope | None:
        """The token's scope, or None for a wrong token. Compares with every token, in constant time. Raises TooManyFailures."""
        now = self.clock.monotonic()
        failures = self._failures.get(address, deque())
        while failures and failures[0] <= now - FAILURE_SECONDS:
            failures.popleft()
        if len(failures) >= FAILURES:
            raise TooManyFailures
        presented = _digest(token)
        found: Scope | None = None
        for digest, scope in self._digests:
            if hmac.compare_digest(digest, presented):
                found = scope
        if found is None:
            failures.append(now)
            _put(self._failures, address, failures, ADDRESSES)
        return found

    def open_session(self, scope: Scope) -> str:
        """The id of a new session, for a cookie."""
        id = secrets.token_urlsafe(32)
        _put(self._sessions, id, (scope, self.clock.monotonic() + SESSION_SECONDS), SESSIONS)
        return id

    def session(self, cookies: Mapping[str, str], name: str) -> Scope | None:
        """The scope of the session in a cookie, or None if it is unknown or has expired."""
        scope, end = self._sessions.get(cookies.get(name, ""), (None, 0.0))
        return scope if self.clock.monotonic() < end else None

    def close_session(self, cookies: Mapping[str, str], name: str) -> None:
        """Ends the session in a cookie."""
        self._sessions.pop(cookies.get(name, ""), None)

    def allows(self, origin: str | None, *, browser: bool) -> bool:
        """Whether requests with that Origin are allowed. Only programs that are not browsers may send none."""
        return origin in self.origins if origin is not None else not browser


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _put(entries: dict[str, T], key: str, value: T, most: int) -> None:
    """Adds an entry at the end; the oldest is removed where there are too many."""
    entries.pop(key, None)
    if len(entries) >= most:
        del entries[next(iter(entries))]
    entries[key] = value
