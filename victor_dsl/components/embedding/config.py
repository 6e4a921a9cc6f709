"""The configuration of embedders that are slow enough to need a cache."""

from __future__ import annotations

import importlib.util
from typing import Annotated, Self

from pydantic import Field, model_validator

from victor_dsl.errors import ComponentError
from victor_dsl.language.config import EmbedderConfig, FilePath


class CachedConfig(EmbedderConfig):
    """The fields of every embedder with a cache."""

    max_characters: int = Field(
        8000, ge=1, le=1_000_000, description="How much of a text is embedded. The rest is ignored."
    )
    cache: Annotated[str | None, FilePath()] = Field(
        None,
        description=(
            "The SQLite file that caches vectors, by a hash of their text; it contains no texts. Processes and embedders may "
            "share it. The default is `embeddings.db` in the folder of local state."
        ),
        examples=[".victor/embeddings.db"],
    )
    cache_entries: int = Field(
        20_000,
        ge=0,
        le=10_000_000,
        description="About how many vectors the file may hold. Beyond that, the least recently used are deleted. 0 means no file.",
    )


class LocalConfig(CachedConfig):
    """The fields of every embedder that runs a model in this process."""

    model: str | None = Field(
        None,
        min_length=1,
        description="The model's name on the Hugging Face hub. It must be on this machine already, unless `download` is true.",
    )
    path: Annotated[str | None, FilePath()] = Field(
        None,
        description="The folder of a saved model, relative to the spec; instead of `model`.",
        examples=["models/minilm"],
    )
    download: bool = Field(
        False, description="Whether to download the model when it is first needed and not on this machine."
    )
    preload: bool = Field(
        False,
        description="Whether to load the model at the start. By default the first text that is not in the cache waits for it.",
    )
    batch_size: int = Field(64, ge=1, le=10_000, description="How many texts are encoded at once.")

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        if (self.model is None) == (self.path is None):
            raise ValueError("set either 'model' or 'path'")
        if self.path is not None and self.download:
            raise ValueError("the folder 'path' cannot be downloaded; set 'model' to the model's name")
        return self


def require_package(name: str, extra: str, node: str) -> None:
    """Raises ComponentError if the package is not installed. Imports nothing."""
    if importlib.util.find_spec(name) is None:
        hint = f"install it with: pip install 'victor_dsl[{extra}]'"
        raise ComponentError(f"needs the package {extra}", node=node, hint=hint)
