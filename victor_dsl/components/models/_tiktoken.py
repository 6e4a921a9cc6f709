"""OpenAI's tokenizers by the package `tiktoken`, where it is installed and its data has been downloaded before.

Nothing is ever downloaded: tiktoken does that by itself for data that is missing or damaged, so both are looked at first.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import define, field

CACHED_TEXTS = 65_536
"""How many texts' counts are kept, by their hashes alone: about 8 MB."""

WHOLE_CHARACTERS = 16_384
"""The length above which a text is counted by samples: 2 ms of work at most for any text."""

_SAMPLES = 8
_BLOBS = "https://openaipublic.blob.core.windows.net/encodings"
_O200K = (f"{_BLOBS}/o200k_base.tiktoken", "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d")

DATA: Mapping[str, tuple[str, str]] = {
    "cl100k_base": (
        f"{_BLOBS}/cl100k_base.tiktoken",
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    ),
    "o200k_base": _O200K,
    "o200k_harmony": _O200K,
}
"""Where tiktoken has each encoding's data from, which names its file in the cache, and the data's SHA-256."""


class Unavailable(Exception):
    """A tokenizer that is not here; the message says why."""


@define
class TextCounter:
    """Counts the tokens of texts; a text that was counted lately is not counted again."""

    _encoding: Any
    _counts: dict[int, int] = field(factory=dict)

    def __call__(self, text: str) -> int:
        """The tokens of a text; of a very long one by samples spread over it."""
        key = hash(text)
        count = self._counts.get(key)
        if count is None:
            count = self._count(text)
            if len(self._counts) >= CACHED_TEXTS:
                self._counts.clear()
            self._counts[key] = count
        return count

    def _count(self, text: str) -> int:
        if len(text) <= WHOLE_CHARACTERS:
            return len(self._encoding.encode_ordinary(text))
        size = WHOLE_CHARACTERS // _SAMPLES
        starts = [(len(text) - size) * nth // (_SAMPLES - 1) for nth in range(_SAMPLES)]
        sampled = sum(len(self._encoding.encode_ordinary(text[start : start + size])) for start in starts)
        return round(sampled * len(text) / (size * _SAMPLES))


def for_model(model: str) -> TextCounter | None:
    """The counter of a model that tiktoken knows; None where it does not, or cannot count here."""
    try:
        tiktoken = _package()
        return load(tiktoken.encoding_name_for_model(model.rsplit("/", 1)[-1]))
    except (KeyError, Unavailable):
        return None


def load(name: str) -> TextCounter:
    """The counter of an encoding. Raises Unavailable."""
    tiktoken = _package()
    if name not in DATA:
        raise Unavailable(f"there is no encoding '{name}'")
    url, digest = DATA[name]
    path = _cache() / hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest()
    try:
        damaged = hashlib.sha256(path.read_bytes()).hexdigest() != digest
    except OSError as error:
        raise Unavailable(f"its data is not there: {path}") from error
    if damaged:
        raise Unavailable(f"its data is not what it should be: {path}")
    return TextCounter(tiktoken.get_encoding(name))


def _package() -> Any:
    try:
        return importlib.import_module("tiktoken")  # optional, and 50 ms
    except ImportError as error:
        raise Unavailable("the package tiktoken is not installed") from error


def _cache() -> Path:
    """The folder that tiktoken looks in."""
    for name in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        if name in os.environ:
            return Path(os.environ[name] or os.devnull)  # an empty name says that there is no cache
    return Path(tempfile.gettempdir()) / "data-gym-cache"
