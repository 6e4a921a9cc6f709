"""OpenAI's tokenizers by the package `tiktoken`, if it is installed and its data was downloaded before.

tiktoken downloads data that is missing or damaged, so both are checked first: nothing is ever downloaded here.
"""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define, field

from victor_dsl.errors import ComponentError
from victor_dsl.lazy import Lazy

if TYPE_CHECKING:
    import tempfile
else:  # 4 ms that `validate` need not pay
    tempfile = Lazy("tempfile")

CACHED_TEXTS = 65_536
"""How many counts are cached, by the texts' hashes: about 8 MB."""

MAX_EXACT_CHARACTERS = 16_384
"""Longer texts are counted by samples, so that no text takes more than 2 ms."""

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
"""The URL and the SHA-256 of each encoding's data. tiktoken names the file in its cache by a hash of the URL."""


def token_counter(tokenizer: str, model: str) -> TextCounter | None:
    """The counter that a spec's `tokenizer` selects for a model; None where tokens are estimated.

    Raises ComponentError for an encoding that cannot be loaded.
    """
    if tokenizer == "estimate":
        return None
    try:
        if tokenizer != "auto":
            return _load(tokenizer)
        return _load(_package().encoding_name_for_model(model.rsplit("/", 1)[-1]))
    except KeyError:  # a model that tiktoken does not know
        return None
    except _Unavailable as error:
        if tokenizer == "auto":
            return None
        hint = "pip install 'victor_dsl[tiktoken]', let tiktoken load the encoding once, or write `tokenizer: estimate`"
        raise ComponentError(f"the tokenizer {tokenizer} cannot be used: {error}", hint=hint) from error


@define
class TextCounter:
    """Counts the tokens of texts, and caches the counts."""

    _encoding: Any
    _counts: dict[int, int] = field(factory=dict)

    def __call__(self, text: str) -> int:
        """The tokens of a text; those of a very long one are extrapolated from samples spread over it."""
        key = hash(text)
        count = self._counts.get(key)
        if count is None:
            count = self._count(text)
            if len(self._counts) >= CACHED_TEXTS:
                self._counts.clear()
            self._counts[key] = count
        return count

    def _count(self, text: str) -> int:
        if len(text) <= MAX_EXACT_CHARACTERS:
            return len(self._encoding.encode_ordinary(text))
        size = MAX_EXACT_CHARACTERS // _SAMPLES
        starts = [(len(text) - size) * nth // (_SAMPLES - 1) for nth in range(_SAMPLES)]
        sampled = sum(len(self._encoding.encode_ordinary(text[start : start + size])) for start in starts)
        return round(sampled * len(text) / (size * _SAMPLES))


class _Unavailable(Exception):
    """The tokenizer cannot be loaded; the message says why."""


def _load(encoding: str) -> TextCounter:
    tiktoken = _package()
    if encoding not in DATA:
        raise _Unavailable(f"there is no encoding '{encoding}'")
    url, digest = DATA[encoding]
    path = _cache_folder() / hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest()
    try:
        intact = hashlib.sha256(path.read_bytes()).hexdigest() == digest
    except OSError as error:
        raise _Unavailable(f"its data is missing: {path}") from error
    if not intact:
        raise _Unavailable(f"its data is damaged: {path}")
    return TextCounter(tiktoken.get_encoding(encoding))


def _package() -> Any:
    try:
        return importlib.import_module("tiktoken")  # optional, and 50 ms
    except ImportError as error:
        raise _Unavailable("the package tiktoken is not installed") from error


def _cache_folder() -> Path:
    """The folder in which tiktoken looks for its data."""
    for name in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        if name in os.environ:
            return Path(os.environ[name] or os.devnull)  # tiktoken reads an empty value as "no cache"
    return Path(tempfile.gettempdir()) / "data-gym-cache"
