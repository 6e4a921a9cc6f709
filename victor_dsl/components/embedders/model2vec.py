"""Vectors by a static model: each token's vector is looked up, and a text has their mean."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from victor_dsl.components.embedders._local_config import LocalConfig, needs_package
from victor_dsl.language.component import Context
from victor_dsl.language.kinds import Embedder


class Config(LocalConfig):
    """Embeds with a static model (model2vec): nearly as quick as counting words, and it knows what words mean.

    It needs the extra `model2vec`. A static model is distilled once from a sentence-transformers model.
    """


EXAMPLE = "{type: model2vec, model: minishlab/potion-base-8M}"


def build(config: Config, context: Context) -> AbstractAsyncContextManager[Embedder]:
    """The embedder, which owns its model's thread and its file of vectors while it is entered."""
    needs_package("model2vec", "model2vec", context.node)
    from victor_dsl.components.embedders._kept_on_disk import remembered
    from victor_dsl.components.embedders._local_model import LocalModel
    from victor_dsl.components.embedders._model2vec import library

    model = LocalModel(library(config), context, batch_size=config.batch_size, path=config.path, preload=config.preload)
    return remembered(model, config, context)
