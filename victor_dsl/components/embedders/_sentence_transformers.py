"""The library sentence-transformers: quiet, offline unless told otherwise, and imported only when a model is needed."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from victor_dsl.components.embedders._local_model import Encode, Library
from victor_dsl.components.embedders._vectors import Matrix

if TYPE_CHECKING:
    from victor_dsl.components.embedders.sentence_transformers import Config


def library(config: Config) -> Library:
    """How the Config's model is found and loaded."""

    def opened(place: str, *, download: bool = False) -> Any:
        transformers = importlib.import_module("transformers")
        importing = importlib.import_module("sentence_transformers")  # seconds: it brings PyTorch
        told = transformers.utils.logging.get_verbosity()
        transformers.utils.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        try:
            return importing.SentenceTransformer(place, device=config.device, local_files_only=not download)
        finally:
            transformers.utils.logging.set_verbosity(told)

    def locate() -> str:
        if config.path is not None:
            return config.path
        hub = importlib.import_module("victor_dsl.components.embedders._hub")
        download = (lambda: opened(str(config.model), download=True)) if config.download else None
        folder: str = hub.folder_of(config.model, download)
        return folder

    def load(folder: str) -> Encode:
        model = opened(folder)

        def encode(texts: list[str]) -> Matrix:
            rows: Matrix = model.encode(
                texts, batch_size=config.batch_size, show_progress_bar=False, convert_to_numpy=True
            )
            return rows

        return encode

    return Library("sentence-transformers", locate, load)
