"""What every embedder that runs a model in this process can be told."""

from __future__ import annotations

import importlib.util
from typing import Annotated, Self

from pydantic import Field, model_validator

from victor_dsl.components.embedders._cached import CachedConfig
from victor_dsl.errors import ComponentError
from victor_dsl.language.config import FilePath


class LocalConfig(CachedConfig):
    """What every embedder that runs a model in this process can be told."""

    model: str | None = Field(
        None,
        min_length=1,
        description="The model's name on the Hugging Face hub. It must be on this machine already, unless `download` is true.",
    )
    path: Annotated[str | None, FilePath()] = Field(
        None,
        description="The folder of a saved model, relative to the spec, instead of a name.",
        examples=["models/minilm"],
    )
    download: bool = Field(
        False, description="Whether a model that is not on this machine is downloaded when it is first needed."
    )
    preload: bool = Field(
        False,
        description="Whether the model is loaded at the start. Otherwise the first text that is not in the cache waits for it.",
    )
    batch_size: int = Field(64, ge=1, le=10_000, description="How many texts are encoded at once.")

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        if (self.model is None) == (self.path is None):
            raise ValueError("give either 'model' or 'path'")
        if self.path is not None and self.download:
            raise ValueError("what is at 'path' cannot be downloaded: give its name as 'model'")
        return self


def needs_package(name: str, extra: str, node: str) -> None:
    """Raises ComponentError where the package is not installed; nothing is imported."""
    if importlib.util.find_spec(name) is None:
        hint = f"install it with: pip install 'victor_dsl[{extra}]'"
        raise ComponentError(f"needs the package {extra}", node=node, hint=hint)
