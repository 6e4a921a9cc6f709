"""The fields of a request that guide OpenAI's prompt cache."""

from __future__ import annotations

from hashlib import blake2b

from attrs import frozen

from victor_dsl.values.turn import Turn


@frozen
class CacheFields:
    """`key` is the spec's own; `per_session` gives each session one. `retention` is how long a prefix stays cached."""

    key: str | None = None
    per_session: bool = False
    retention: str | None = None

    def of(self, turn: Turn) -> dict[str, str]:
        """The fields of a turn's request.

        A session's key is a keyed hash, so that the server learns no session ids, and plans, tenants and users share none. A turn
        without a session has no key: the server then routes it by its beginning alone.
        """
        fields: dict[str, str] = {}
        if self.key is not None:
            fields["prompt_cache_key"] = self.key
        elif self.per_session and turn.request.session is not None:
            session = repr(turn.session_key).encode()
            fields["prompt_cache_key"] = blake2b(session, key=turn.plan.encode()[:64], digest_size=16).hexdigest()
        if self.retention is not None:
            fields["prompt_cache_retention"] = self.retention
        return fields
