"""Compaction that keeps a diverse, representative share of the history, by the meaning of its messages."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from victor_dsl.language.component import Context
from victor_dsl.language.config import CompactionConfig, Ref
from victor_dsl.language.kinds import Compaction


class Config(CompactionConfig):
    """Keeps messages that together cover what the history speaks of, and few that say the same again.

    Messages are compared by their vectors, which are kept by content: a message is embedded once (except by `tfidf`,
    whose vectors depend on the texts beside it). The work grows in proportion to the history and is done off the event loop.
    """

    embedder: Annotated[str, Ref("embedders")] = Field(
        description="The embedder that gives the vectors; a name under `embedders`.", examples=["words"]
    )
    recent: float = Field(
        0.1, ge=0, le=1, description="The share of the room that the newest messages take, whatever they say."
    )
    cache_size: int = Field(
        20_000, ge=0, description="How many vectors are kept in memory. The default takes 80 MB at 1,024 dimensions."
    )


EXAMPLE = "{type: semantic, embedder: words, threshold: 0.8, target_ratio: 0.5}"


def build(config: Config, context: Context) -> Compaction:
    """The strategy; it keeps vectors."""
    from victor_dsl.components.compaction._semantic import Semantic

    return Semantic(context.live(config.embedder), recent=config.recent, cache_size=config.cache_size)
