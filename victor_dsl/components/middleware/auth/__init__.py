"""The middleware that requires an API key and sets tenant and user from it. It ends admission."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from victor_dsl.errors import ComponentError, StoreError
from victor_dsl.language.component import Context
from victor_dsl.language.config import FilePath, MiddlewareConfig, Ref
from victor_dsl.language.kinds import Middleware, SqlDatabase

REQUIRED = True


class Config(MiddlewareConfig):
    """Requires an API key for every turn, and sets the turn's tenant and user from it.

    On the command line the key comes from `VICTOR_API_KEY`, in Python from `api_key`. Keys are stored as hashes, in a file
    or in the table `api_keys` of a database, with the fields `key_hash, tenant_id, user_id, active, expires_at`. This
    command creates a key and prints its hash:

        python -c "import hashlib, secrets; key = 'vk_' + secrets.token_urlsafe(32); print(key, 'sha256:' + hashlib.sha256(key.encode()).hexdigest())"

    Keys that you create in another way must be random too: the hash protects only keys that cannot be guessed, and keys
    shorter than 20 characters are refused. A request may name the tenant and user of its key, but no others; where the
    key has no user, the request may name any.
    """

    around: Literal["turn"] | None = Field(None, description="What it wraps: always the whole turn.")
    required: Literal[True] | None = Field(None, description="Always true: neither tenants nor arms can change it.")
    keys: Annotated[str | None, FilePath(exists=True)] = Field(
        None,
        description='A file of keys, YAML or JSON: `keys: [{key_hash: "sha256:…", tenant_id: acme, user_id: ann, active: true, '
        "expires_at: 2027-01-01T00:00:00Z}]`. Only `key_hash` is required. A change of the file takes effect with the next turn.",
        examples=["keys.yml"],
    )
    database: Annotated[str | None, Ref("databases", ("postgres", "sqlite"))] = Field(
        None,
        description="The database with the table `api_keys`, of type `sqlite` or `postgres`; `victor db migrate` creates the table.",
        examples=["app"],
    )
    cache_seconds: float = Field(
        60.0,
        ge=0,
        description="How long a key is valid before it is looked up in the database again; a revoked key works that much longer. "
        "The default is 60 seconds.",
    )
    outage_seconds: float = Field(
        600.0,
        ge=0,
        description="How long a key that was valid keeps working while the file or database cannot be read. After that, and "
        "with keys not seen before, turns are refused. The default is 600 seconds.",
    )
    header: str | None = Field(
        None,
        min_length=1,
        pattern=r"^[A-Za-z0-9-]+$",
        description="The HTTP header with the key. The default is `Authorization: Bearer …`.",
        examples=["X-Api-Key"],
    )
    trust_session_prefix: bool = Field(
        False,
        description="Whether a key without a tenant takes it from the beginning of the session id: `acme:42` is a session of "
        "`acme`. Use it only where callers choose session ids themselves and may act for every tenant.",
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.keys is None) == (self.database is None):
            raise ValueError("set either 'keys' or 'database'" + ("" if self.keys is None else ", not both"))
        return self


EXAMPLE = "{type: auth, keys: keys.yml}"


@asynccontextmanager
async def build(config: Config, context: Context) -> AsyncIterator[Middleware]:
    """The middleware. Entering it reads the file; it raises ComponentError for a faulty file or a database without SQL."""
    from victor_dsl.components.middleware.auth.handler import Auth
    from victor_dsl.components.middleware.auth.key_cache import KeyCache
    from victor_dsl.components.middleware.auth.key_sources import FileKeys, KeySource, TableKeys
    from victor_dsl.storage.permissions import EXPOSED, exposure

    def report(error: StoreError) -> None:
        context.report(f"the key source is unreachable; cached keys stay valid: {error}", {"code": error.code})

    def unchecked(error: StoreError) -> None:
        context.report(f"keys cannot be checked; turns are refused: {error}", {"code": error.code})

    source: KeySource
    if config.database is not None:
        database = context.live(config.database)
        if not isinstance(database, SqlDatabase):
            raise ComponentError(f"{config.database} is not an SQL database; keys are stored in sqlite or postgres")
        source, fresh_s = TableKeys(database), config.cache_seconds
    else:
        path = Path(config.keys or "")
        source, fresh_s = FileKeys(path, context.shown(str(path))), 0.0
        await source.find("")  # reads the file
        if problem := exposure(path, context.shown(str(path)), private=True):
            context.report(problem, {"code": EXPOSED, "file": context.shown(str(path))})
    keys = KeyCache(
        source, context.clock, context.random, fresh_s=fresh_s, stale_s=config.outage_seconds, report=report
    )
    yield Auth(
        keys,
        context.clock,
        context.node,
        unchecked=unchecked,
        header=config.header,
        trust_session_prefix=config.trust_session_prefix,
    )
