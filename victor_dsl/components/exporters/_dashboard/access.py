"""Who may look: tokens, the sessions of browsers that gave one, the origins that pages may come from."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import deque
from collections.abc import Iterable, Mapping
from typing import TypeVar

from attrs import define, field

from victor_dsl.components.exporters._dashboard.hub import Scope
from victor_dsl.language.component import Clock

T = TypeVar("T")

SESSION_SECONDS = 12 * 3600.0
SESSIONS = 1_000
FAILURES = 10
"""So many wrong tokens from one address within FAILURE_SECONDS, and it is not listened to for that long."""
FAILURE_SECONDS = 60.0
ADDRESSES = 10_000


class TooManyFailures(Exception):
    """The address has tried too many wrong tokens."""


@define(eq=False)
class Access:
    """The doorkeeper. `tokens` are the tokens' texts with what they open; only their hashes are kept."""

    clock: Clock
    origins: set[str]
    _digests: tuple[tuple[bytes, Scope], ...]
    _sessions: dict[str, tuple[Scope, float]] = field(factory=dict)
    _failures: dict[str, deque[float]] = field(factory=dict)

    @classmethod
    def of(cls, tokens: Iterable[tuple[str, Scope]], origins: Iterable[str], clock: Clock) -> Access:
        """Access by these tokens, for pages of these origins."""
        return cls(clock, set(origins), tuple((_digest(token), scope) for token, scope in tokens))

    def allow_this_machine(self, port: int) -> None:
        """Lets pages of this machine's own names look, at that port."""
        self.origins.update(f"http://{host}:{port}" for host in ("127.0.0.1", "localhost", "[::1]"))

    def scope_of(self, token: str, address: str) -> Scope | None:
        """What the token opens, None for a wrong one. Every token is compared, in constant time. Raises TooManyFailures."""
        now = self.clock.monotonic()
        failures = self._failures.get(address, deque())
        while failures and failures[0] <= now - FAILURE_SECONDS:
            failures.popleft()
        if len(failures) >= FAILURES:
            raise TooManyFailures
        given = _digest(token)
        found: Scope | None = None
        for digest, scope in self._digests:
            if hmac.compare_digest(digest, given):
                found = scope
        if found is None:
            failures.append(now)
            _keep(self._failures, address, failures, ADDRESSES)
        return found

    def open_session(self, scope: Scope) -> str:
        """A session's id, for a cookie."""
        id = secrets.token_urlsafe(32)
        _keep(self._sessions, id, (scope, self.clock.monotonic() + SESSION_SECONDS), SESSIONS)
        return id

    def session(self, cookies: Mapping[str, str], name: str) -> Scope | None:
        """What the session of a cookie opens, None where there is none any more."""
        scope, end = self._sessions.get(cookies.get(name, ""), (None, 0.0))
        return scope if self.clock.monotonic() < end else None

    def close_session(self, cookies: Mapping[str, str], name: str) -> None:
        """Ends the session of a cookie."""
        self._sessions.pop(cookies.get(name, ""), None)

    def allows(self, origin: str | None, *, browser: bool) -> bool:
        """Whether a request of that Origin may go on. Only what is no browser may have none."""
        return origin in self.origins if origin is not None else not browser


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _keep(entries: dict[str, T], key: str, value: T, most: int) -> None:
    """Puts an entry last; the first goes where there are too many."""
    entries.pop(key, None)
    if len(entries) >= most:
        del entries[next(iter(entries))]
    entries[key] = value
