"""Users as exporters get them: a pseudonym that is the same for the same user, and says nothing about them without the key."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from attrs import evolve

from victor_dsl.values.event import Event

KEY_FILE = "users.key"
"""In the folder of local state: the key of exporters that name none."""
MOST_REMEMBERED = 10_000


def pseudonym(key: bytes, user: str) -> str:
    """The user's HMAC-SHA-256 (RFC 2104), as 64 hexadecimal digits."""
    return hmac.digest(key, user.encode("utf-8", "surrogatepass"), hashlib.sha256).hex()


class Pseudonyms:
    """Puts pseudonyms in the place of users. `key` is called once, when the first user is seen; it may raise OSError."""

    def __init__(self, key: Callable[[], bytes]) -> None:
        self._find_key = key
        self._key: bytes | None = None
        self._known: dict[str, str] = {}

    def __call__(self, event: Event) -> Event:
        """The event with its user's pseudonym. Raises OSError where there is no key."""
        user = event.user
        if user is None:
            return event
        found = self._known.get(user)
        if found is None:
            if self._key is None:
                self._key = self._find_key()
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            found = self._known[user] = pseudonym(self._key, user)
        return evolve(event, user=found)


def as_they_are(event: Event) -> Event:
    """The event itself: the exporter stores users."""
    return event
