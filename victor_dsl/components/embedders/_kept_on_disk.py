"""An embedder as its Config says that it remembers."""

from __future__ import annotations

from victor_dsl.components.embedders._cached import CachedConfig
from victor_dsl.components.embedders._remembered import Remembered, Source
from victor_dsl.components.embedders._vector_file import VectorFile
from victor_dsl.language.component import Context


def remembered(source: Source, config: CachedConfig, context: Context) -> Remembered:
    """The source with a memory, and a file where the Config does not rule it out."""
    path = config.cache or context.state / "embeddings.db"
    disk = VectorFile(path, context, entries=config.cache_entries) if config.cache_entries else None
    return Remembered(source, disk, context, max_characters=config.max_characters)
