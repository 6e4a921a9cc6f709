"""The handler that only callers with a key reach, in the name of their tenant and user."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from victor_dsl.components.middleware._api_keys import ApiKey, FileKeys, TableKeys, hash_key
from victor_dsl.components.middleware._key_cache import KeyCache
from victor_dsl.errors import ComponentError, Refused, StoreError, Unauthenticated
from victor_dsl.language.component import Clock, Context
from victor_dsl.language.kinds import SqlDatabase
from victor_dsl.values.message import Reply
from victor_dsl.values.request import API_KEY, HEADERS, KEY_ID
from victor_dsl.values.turn import Handler, Turn

if TYPE_CHECKING:
    from victor_dsl.components.middleware.auth import Config

LEAST_CHARACTERS = 20
"""A shorter key could be found from its hash by trying."""
MOST_CHARACTERS = 4096
SESSION_PREFIX_END = ":"
RETRY_SECONDS = 5.0


@asynccontextmanager
async def open_auth(config: Config, context: Context) -> AsyncIterator[Auth]:
    """The middleware, its file read. Raises ComponentError where the file is bad or the database speaks no SQL."""

    def report(error: StoreError) -> None:
        context.report(f"keys cannot be checked; those seen before go on: {error}", {"code": error.code})

    source: FileKeys | TableKeys
    if config.database is not None:
        database = context.live(config.database)
        if not isinstance(database, SqlDatabase):
            raise ComponentError(f"{config.database} does not speak SQL; keys are kept in sqlite or postgres")
        source, fresh_s = TableKeys(database), config.cache_seconds
    else:
        path = Path(config.keys or "")
        source, fresh_s = FileKeys(path, context.shown(str(path))), 0.0
        await source.find("")
    keys = KeyCache(source, context.clock, fresh_s=fresh_s, stale_s=config.outage_seconds, report=report)
    yield Auth(config, keys, context.clock, context.node)


@frozen
class Auth:
    """Fails closed: whatever cannot be told is a refusal."""

    config: Config
    keys: KeyCache
    clock: Clock
    node: str

    def wrap(self, handler: Handler) -> Handler:
        async def authenticated(turn: Turn) -> Reply:
            key = await self._key(turn)
            tenant, user = self._tenant(key, turn), self._user(key, turn)
            # The key goes no further: what runs inside may be a stranger's function, and may be logged.
            metadata = _without_key(turn.metadata, self.config.header) | {KEY_ID: key.key_hash[7:19]}
            request = evolve(turn.request, metadata=metadata)
            return await handler(turn.replace(tenant=tenant, user=user, metadata=metadata, request=request))

        return authenticated

    async def _key(self, turn: Turn) -> ApiKey:
        presented = _presented(turn.metadata, self.config.header)
        if not presented:
            raise self._refusal("a key is needed", hint="set VICTOR_API_KEY, or send it as a Bearer token")
        if not LEAST_CHARACTERS <= len(presented) <= MOST_CHARACTERS:
            raise self._refusal("the key is too short or too long to be one")
        try:
            key = await self.keys.find(hash_key(presented))
        except StoreError as error:
            message = "keys cannot be checked at the moment"
            raise Refused(message, node=self.node, retry_after_s=RETRY_SECONDS) from error
        if key is None:
            raise self._refusal("the key is not known")
        if not key.active:
            raise self._refusal("the key has been revoked")
        if key.expires_at is not None and self.clock.now() >= key.expires_at:
            raise self._refusal("the key has expired")
        return key

    def _tenant(self, key: ApiKey, turn: Turn) -> str | None:
        tenant, asked = key.tenant_id, turn.request.tenant
        if tenant is None and self.config.trust_session_prefix:
            prefix, end, _ = (turn.request.session or "").partition(SESSION_PREFIX_END)
            tenant = prefix if end and prefix else None
        if asked is not None and asked != tenant:
            raise self._refusal("the request names another tenant than its key's")
        return tenant

    def _user(self, key: ApiKey, turn: Turn) -> str | None:
        asked = turn.request.user
        if key.user_id is None:
            return asked
        if asked is not None and asked != key.user_id:
            raise self._refusal("the request names another user than its key's")
        return key.user_id

    def _refusal(self, message: str, hint: str | None = None) -> Unauthenticated:
        return Unauthenticated(message, node=self.node, hint=hint)


def _presented(metadata: Mapping[str, Any], header: str | None) -> str | None:
    """The key that a request came with. Where a header is named and there are headers, no other place counts."""
    headers = metadata.get(HEADERS)
    key = metadata.get(API_KEY) if header is None or headers is None else headers.get(header.lower())
    return key.removeprefix("Bearer ").strip() if isinstance(key, str) else None


def _without_key(metadata: Mapping[str, Any], header: str | None) -> dict[str, Any]:
    rest = {name: value for name, value in metadata.items() if name not in (API_KEY, KEY_ID)}
    if HEADERS in rest:
        secret = {"authorization", (header or "").lower()}
        rest[HEADERS] = {name: value for name, value in rest[HEADERS].items() if name.lower() not in secret}
    return rest
