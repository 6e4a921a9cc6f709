"""The middleware that lets nobody in without a key, and names tenant and user. It ends admission."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from victor_dsl.language.component import Context
from victor_dsl.language.config import FilePath, MiddlewareConfig, Ref
from victor_dsl.language.kinds import Middleware


class Config(MiddlewareConfig):
    """Asks every turn for an API key, and takes tenant and user from it.

    On the command line the key comes from `VICTOR_API_KEY`, in Python from `api_key`. Keys are kept as hashes, in a file or
    in the table `api_keys` of a database, each with `key_hash, tenant_id, user_id, active, expires_at`. A key is made, and
    its hash printed, by

        python -c "import hashlib, secrets; key = 'vk_' + secrets.token_urlsafe(32); print(key, 'sha256:' + hashlib.sha256(key.encode()).hexdigest())"

    A key of your own choice must be random as well: the hash is made for keys that cannot be guessed, and keys of fewer
    than 20 characters are refused. A request may name its key's tenant and user, never another's; a key without
    a user leaves the user to the request.
    """

    around: Literal["turn"] | None = Field(None, description="What it wraps: the whole turn, and nothing else.")
    keys: Annotated[str | None, FilePath(exists=True)] = Field(
        None,
        description='A file of keys, YAML or JSON: `keys: [{key_hash: "sha256:…", tenant_id: acme, user_id: ann, active: true, '
        "expires_at: 2027-01-01T00:00:00Z}]`. Only `key_hash` is needed. What changes in it holds from the next turn on.",
        examples=["keys.yml"],
    )
    database: Annotated[str | None, Ref("databases", ("postgres", "sqlite"))] = Field(
        None,
        description="The database with the table `api_keys`, of type `sqlite` or `postgres`; `victor db migrate` makes it.",
        examples=["app"],
    )
    cache_seconds: float = Field(
        60.0,
        ge=0,
        description="How long a key is taken for good without asking the database again: as long may a revoked key go on. "
        "The default is 60 seconds.",
    )
    outage_seconds: float = Field(
        600.0,
        ge=0,
        description="How long a key that was good goes on while the file or database cannot be asked. After that, and for keys "
        "not seen before, turns are refused. The default is 600 seconds.",
    )
    header: str | None = Field(
        None,
        min_length=1,
        pattern=r"^[A-Za-z0-9-]+$",
        description="Over HTTP, the header that holds the key. Left out, it is `Authorization: Bearer …`.",
        examples=["X-Api-Key"],
    )
    trust_session_prefix: bool = Field(
        False,
        description="Whether a key without a tenant acts for the one that the session's id begins with: `acme:42` is a session of "
        "`acme`. Only for callers that make up session ids themselves and may act for every tenant.",
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.keys is None) == (self.database is None):
            raise ValueError("give either 'keys' or 'database'" + ("" if self.keys is None else ", not both"))
        return self


EXAMPLE = "{type: auth, keys: keys.yml}"


def build(config: Config, context: Context) -> AbstractAsyncContextManager[Middleware]:
    """The middleware; its file is read when it is entered."""
    from victor_dsl.components.middleware._auth import open_auth

    return open_auth(config, context)
