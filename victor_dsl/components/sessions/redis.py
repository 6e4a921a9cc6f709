"""The session store in Redis."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from victor_dsl.language.component import Context
from victor_dsl.language.config import Ref, SessionConfig
from victor_dsl.language.kinds import SessionStore


class Config(SessionConfig):
    """Keeps histories in Redis, so that several processes and machines share them; each ends some time after its last turn.

    A turn is written whole and only once however often it is tried. How long histories outlive the server is the
    server's own setting: see `appendonly` there.
    """

    database: Annotated[str, Ref("databases", ("redis",))] = Field(
        description="The database, of type `redis`, to keep them in.", examples=["cache"]
    )
    ttl_seconds: int | None = Field(
        None, ge=1, description="How long a history is kept after its last turn. Left out, it is kept for ever."
    )
    prefix: str = Field("victor:sessions:", description="What the keys begin with.")


EXAMPLE = "{type: redis, database: cache, ttl_seconds: 86400}"


def build(config: Config, context: Context) -> SessionStore:
    """The store; nothing is asked of the server before the first turn."""
    from victor_dsl.components.sessions._redis_turns import RedisTurns

    return RedisTurns(context.live(config.database), context.node, prefix=config.prefix, ttl_s=config.ttl_seconds)
