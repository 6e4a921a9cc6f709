"""Embeds with a static model: a text's vector is the mean of its tokens' vectors, which are looked up in a table."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from victor_dsl.components.embedding.config import LocalConfig, require_package
from victor_dsl.language.component import Context
from victor_dsl.language.kinds import Embedder
from victor_dsl.lazy import Lazy

if TYPE_CHECKING:
    from victor_dsl.components.embedding.local_model import Encode
    from victor_dsl.components.embedding.vectors import Matrix

package: Any = Lazy("model2vec")
tqdm: Any = Lazy("tqdm")


class Config(LocalConfig):
    """Embeds with a static model (model2vec): nearly as fast as counting words, but by meaning.

    It needs the extra `model2vec`. A static model is distilled once from a sentence-transformers model.
    """


EXAMPLE = "{type: model2vec, model: minishlab/potion-base-8M}"


def build(config: Config, context: Context) -> AbstractAsyncContextManager[Embedder]:
    """The embedder. It owns its model's thread and its cache file while it is entered."""
    require_package("model2vec", "model2vec", context.node)
    from victor_dsl.components.embedding.cache import cached
    from victor_dsl.components.embedding.local_model import Library, LocalModel

    def download() -> None:
        package.StaticModel.from_pretrained(config.model, force_download=False)

    library = Library("model2vec", download, lambda folder: _encoder(folder, config.batch_size))
    return cached(LocalModel(library, config, context), config, context)


def _encoder(folder: str, batch_size: int) -> Encode:
    # Every call creates a progress bar, even a hidden one, and each bar would start a thread that monitors it.
    tqdm.tqdm.monitor_interval = 0
    model = package.StaticModel.from_pretrained(folder, force_download=False)

    def encode(texts: list[str]) -> Matrix:
        rows: Matrix = model.encode(texts, batch_size=batch_size, use_multiprocessing=False)
        return rows

    return encode
