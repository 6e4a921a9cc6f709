"""What every embedder that is slow can be told: how much of a text it takes, and where its vectors are kept."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from victor_dsl.language.config import EmbedderConfig, FilePath


class CachedConfig(EmbedderConfig):
    """What every embedder whose vectors are kept on disk can be told."""

    max_characters: int = Field(
        8000, ge=1, le=1_000_000, description="How much of a text is embedded; what comes after it has no say."
    )
    cache: Annotated[str | None, FilePath()] = Field(
        None,
        description=(
            "The SQLite file that vectors are kept in, by a hash of their text; texts are not. Processes and embedders may share "
            "it. Left out, it is `embeddings.db` in the folder of local state."
        ),
        examples=[".victor/embeddings.db"],
    )
    cache_entries: int = Field(
        20_000,
        ge=0,
        le=10_000_000,
        description=(
            "About how many vectors the file holds; over that, those not used for longest go. 0 keeps none on disk."
        ),
    )
