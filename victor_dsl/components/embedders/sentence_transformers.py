"""Vectors by a sentence-transformers model in this process."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from pydantic import Field

from victor_dsl.components.embedders._local_config import LocalConfig, needs_package
from victor_dsl.language.component import Context
from victor_dsl.language.kinds import Embedder


class Config(LocalConfig):
    """Embeds with a sentence-transformers model: by meaning, on the processor or a graphics card of this machine.

    It needs the extra `sentence-transformers`, which brings PyTorch. No code that comes with a model is run.
    """

    device: str | None = Field(
        None,
        min_length=1,
        description="What it runs on, as PyTorch names it. Left out: a graphics card where there is one.",
        examples=["cpu", "cuda:1"],
    )


EXAMPLE = "{type: sentence_transformers, model: sentence-transformers/all-MiniLM-L6-v2}"


def build(config: Config, context: Context) -> AbstractAsyncContextManager[Embedder]:
    """The embedder, which owns its model's thread and its file of vectors while it is entered."""
    needs_package("sentence_transformers", "sentence-transformers", context.node)
    from victor_dsl.components.embedders._kept_on_disk import remembered
    from victor_dsl.components.embedders._local_model import LocalModel
    from victor_dsl.components.embedders._sentence_transformers import library

    model = LocalModel(
        library(config),
        context,
        batch_size=config.batch_size,
        path=config.path,
        preload=config.preload,
    )
    return remembered(model, config, context)
