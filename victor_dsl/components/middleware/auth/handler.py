"""The handler that only callers with a valid API key reach, as the tenant and user of that key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import evolve, field, frozen

from victor_dsl.components.middleware.auth.key_cache import KeyCache
from victor_dsl.components.middleware.auth.key_sources import ApiKey, hash_key
from victor_dsl.errors import Refused, StoreError, Unauthenticated
from victor_dsl.language.component import Clock
from victor_dsl.values.message import Reply
from victor_dsl.values.request import API_KEY, HEADERS, KEY_ID
from victor_dsl.values.turn import Handler, Turn

LEAST_CHARACTERS = 20
"""A shorter key could be found from its hash by trying."""
MOST_CHARACTERS = 4096
SESSION_PREFIX_END = ":"
RETRY_SECONDS = 5.0


@frozen
class Auth:
    """Fails closed: where a key cannot be checked, the turn is refused."""

    keys: KeyCache
    clock: Clock
    node: str
    unchecked: Callable[[StoreError], None] = field(kw_only=True)
    """Called with the reason, which callers do not learn, when a key cannot be checked."""
    header: str | None = field(kw_only=True)
    trust_session_prefix: bool = field(kw_only=True)

    def wrap(self, handler: Handler) -> Handler:
        async def authenticated(turn: Turn) -> Reply:
            key = await self._key(turn)
            tenant, user = self._tenant(key, turn), self._user(key, turn)
            # The key goes no further: inner middleware may be third-party code, and may be logged.
            metadata = _without_key(turn.metadata, self.header) | {KEY_ID: key.key_hash[7:19]}
            request = evolve(turn.request, metadata=metadata)
            return await handler(turn.replace(tenant=tenant, user=user, metadata=metadata, request=request))

        return authenticated

    async def _key(self, turn: Turn) -> ApiKey:
        presented = _presented(turn.metadata, self.header)
        if not presented:
            raise self._refusal("an API key is required", hint="set VICTOR_API_KEY, or send it as a Bearer token")
        if not LEAST_CHARACTERS <= len(presented) <= MOST_CHARACTERS:
            raise self._refusal("the API key is too short or too long")
        try:
            key = await self.keys.find(hash_key(presented))
        except StoreError as error:
            self.unchecked(error)
            message = "API keys cannot be checked at the moment"
            raise Refused(message, node=self.node, retry_after_s=RETRY_SECONDS) from error
        if key is None:
            raise self._refusal("the API key is unknown")
        if not key.active:
            raise self._refusal("the API key has been revoked")
        if key.expires_at is not None and self.clock.now() >= key.expires_at:
            raise self._refusal("the API key has expired")
        return key

    def _tenant(self, key: ApiKey, turn: Turn) -> str | None:
        tenant, requested = key.tenant_id, turn.request.tenant
        if tenant is None and self.trust_session_prefix:
            prefix, end, _ = (turn.request.session or "").partition(SESSION_PREFIX_END)
            tenant = prefix if end and prefix else None
        if requested is not None and tenant is None:
            raise self._refusal("the request names a tenant, and its API key has none")
        if requested is not None and requested != tenant:
            raise self._refusal("the request names another tenant than its API key")
        return tenant

    def _user(self, key: ApiKey, turn: Turn) -> str | None:
        requested = turn.request.user
        if key.user_id is None:
            return requested
        if requested is not None and requested != key.user_id:
            raise self._refusal("the request names another user than its API key")
        return key.user_id

    def _refusal(self, message: str, hint: str | None = None) -> Unauthenticated:
        return Unauthenticated(message, node=self.node, hint=hint)


def _presented(metadata: Mapping[str, Any], header: str | None) -> str | None:
    """The key of a request. Where `header` is set and the request has headers, only that header counts."""
    headers = metadata.get(HEADERS)
    key = metadata.get(API_KEY) if header is None or headers is None else headers.get(header.lower())
    return key.removeprefix("Bearer ").strip() if isinstance(key, str) else None


def _without_key(metadata: Mapping[str, Any], header: str | None) -> dict[str, Any]:
    rest = {name: value for name, value in metadata.items() if name not in (API_KEY, KEY_ID)}
    if HEADERS in rest:
        secret = {"authorization", (header or "").lower()}
        rest[HEADERS] = {name: value for name, value in rest[HEADERS].items() if name.lower() not in secret}
    return rest
