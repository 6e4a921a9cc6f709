"""Embeds with a sentence-transformers model in this process."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from pydantic import Field

from victor_dsl.components.embedding.config import LocalConfig, require_package
from victor_dsl.language.component import Context
from victor_dsl.language.kinds import Embedder
from victor_dsl.lazy import Lazy

if TYPE_CHECKING:
    from victor_dsl.components.embedding.local_model import Encode
    from victor_dsl.components.embedding.vectors import Matrix

package: Any = Lazy("sentence_transformers")  # takes seconds: it imports PyTorch
transformers: Any = Lazy("transformers")


class Config(LocalConfig):
    """Embeds with a sentence-transformers model: by meaning, on this machine's processor or graphics card.

    It needs the extra `sentence-transformers`, which installs PyTorch. Code that comes with a model is not run.
    """

    device: str | None = Field(
        None,
        min_length=1,
        description="The device that runs the model, by PyTorch's name. The default is a graphics card if there is one.",
        examples=["cpu", "cuda:1"],
    )


EXAMPLE = "{type: sentence_transformers, model: sentence-transformers/all-MiniLM-L6-v2}"


def build(config: Config, context: Context) -> AbstractAsyncContextManager[Embedder]:
    """The embedder. It owns its model's thread and its cache file while it is entered."""
    require_package("sentence_transformers", "sentence-transformers", context.node)
    from victor_dsl.components.embedding.cache import cached
    from victor_dsl.components.embedding.local_model import Library, LocalModel

    def download() -> None:
        _open(str(config.model), config.device, download=True)

    library = Library("sentence-transformers", download, lambda folder: _encoder(folder, config))
    return cached(LocalModel(library, config, context), config, context)


def _encoder(folder: str, config: Config) -> Encode:
    model = _open(folder, config.device)

    def encode(texts: list[str]) -> Matrix:
        rows: Matrix = model.encode(texts, batch_size=config.batch_size, show_progress_bar=False, convert_to_numpy=True)
        return rows

    return encode


def _open(name_or_folder: str, device: str | None, *, download: bool = False) -> Any:
    """The model, opened without log messages and progress bars."""
    logging = transformers.utils.logging
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        return package.SentenceTransformer(name_or_folder, device=device, local_files_only=not download)
    finally:
        logging.set_verbosity(verbosity)
