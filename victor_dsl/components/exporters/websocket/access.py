"""Access to the dashboard: tokens, the sessions of signed-in browsers, and allowed origins."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping

from attrs import define, field

from victor_dsl.components.exporters.websocket.hub import Scope
from victor_dsl.language.component import Clock

SESSION_SECONDS = 12 * 3600.0
SESSIONS = 1_000
WRONG_SECONDS = 1.0
"""How long the answer to a wrong token is delayed."""
DELAYED = 50
"""How many answers are delayed at a time. A further wrong token is refused at once."""


class TooManyWrongTokens(Exception):
    """The token is wrong, and so many others are that this answer cannot be delayed."""


@define(eq=False)
class Access:
    """Tokens, sessions and origins. Only hashes of the tokens are stored."""

    clock: Clock
    origins: set[str]
    _digests: tuple[tuple[bytes, Scope], ...]
    _sessions: dict[str, tuple[Scope, float]] = field(factory=dict)
    _delayed: int = 0

    @classmethod
    def of(cls, tokens: Iterable[tuple[str, Scope]], origins: Iterable[str], clock: Clock) -> Access:
        """Access with these tokens, each with its scope, for pages from these origins."""
        return cls(clock, set(origins), tuple((_digest(token), scope) for token, scope in tokens))

    def allow_this_machine(self, port: int) -> None:
        """Allows pages from this machine's own names at that port."""
        self.origins.update(f"http://{host}:{port}" for host in ("127.0.0.1", "localhost", "[::1]"))

    async def scope_of(self, token: str) -> Scope | None:
        """The token's scope, or None for a wrong token. Compares with every token, in constant time.

        A right token is answered at once, whatever else is tried; addresses do not count, since behind a proxy all are the
        same. A wrong one is answered after a delay. Raises TooManyWrongTokens.
        """
        scope = self._scope(token)
        if scope is None:
            if self._delayed >= DELAYED:
                raise TooManyWrongTokens
            self._delayed += 1
            try:
                await self.clock.sleep(WRONG_SECONDS)
            finally:
                self._delayed -= 1
        return scope

    def _scope(self, token: str) -> Scope | None:
        presented = _digest(token)
        found: Scope | None = None
        for digest, scope in self._digests:
            if hmac.compare_digest(digest, presented):
                found = scope
        return found

    def open_session(self, scope: Scope) -> str:
        """The id of a new session, for a cookie."""
        id = secrets.token_urlsafe(32)
        if len(self._sessions) >= SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[id] = (scope, self.clock.monotonic() + SESSION_SECONDS)
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
