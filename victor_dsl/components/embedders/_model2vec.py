"""The library model2vec: offline unless told otherwise, and imported only when a model is needed."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from victor_dsl.components.embedders._local_model import Encode, Library
from victor_dsl.components.embedders._vectors import Matrix

if TYPE_CHECKING:
    from victor_dsl.components.embedders.model2vec import Config


def library(config: Config) -> Library:
    """How the Config's model is found and loaded."""

    def locate() -> str:
        if config.path is not None:
            return config.path
        hub = importlib.import_module("victor_dsl.components.embedders._hub")

        def download() -> None:
            importlib.import_module("model2vec").StaticModel.from_pretrained(config.model, force_download=False)

        folder: str = hub.folder_of(config.model, download if config.download else None)
        return folder

    def load(folder: str) -> Encode:
        # Each call makes a progress bar, even if it is not shown, and bars leave a thread behind that watches them.
        importlib.import_module("tqdm").tqdm.monitor_interval = 0
        model = importlib.import_module("model2vec").StaticModel.from_pretrained(folder, force_download=False)

        def encode(texts: list[str]) -> Matrix:
            rows: Matrix = model.encode(texts, batch_size=config.batch_size, use_multiprocessing=False)
            return rows

        return encode

    return Library("model2vec", locate, load)
