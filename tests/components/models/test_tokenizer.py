"""OpenAI's tokenizers where their data is there, and never a download."""

from __future__ import annotations

import base64
import hashlib
import sys
from pathlib import Path
from typing import Any

import pytest

from victor_dsl.components.models.openai import Config, tokenizer
from victor_dsl.errors import ComponentError

tiktoken: Any = pytest.importorskip("tiktoken", reason="the extra tiktoken is not installed")
load: Any = pytest.importorskip("tiktoken.load")
registry: Any = pytest.importorskip("tiktoken.registry")

PATTERN = r"\w+|\W"
RANKS = {bytes([byte]): byte for byte in range(256)} | {b"to": 256, b"ke": 257, b"ken": 258, b"token": 259}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache; whatever is asked of the network is refused by its address."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(registry, "ENCODINGS", {})
    return tmp_path


@pytest.fixture
def tiny(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small encoding in the place of o200k_base, its data in the cache."""
    data = b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in RANKS.items())
    url, digest = "http://127.0.0.1:9/tiny.tiktoken", hashlib.sha256(data).hexdigest()

    def constructor() -> dict[str, Any]:
        ranks = load.load_tiktoken_bpe(url, expected_hash=digest)
        return {"name": "o200k_base", "pat_str": PATTERN, "mergeable_ranks": ranks, "special_tokens": {}}

    path = folder / hashlib.sha1(url.encode()).hexdigest()
    path.write_bytes(data)
    monkeypatch.setattr(tokenizer, "DATA", {"o200k_base": (url, digest)})
    monkeypatch.setattr(registry, "ENCODING_CONSTRUCTORS", {"o200k_base": constructor})
    return path


def config(**fields: Any) -> Config:
    return Config.model_validate({"model": "gpt-4o", "base_url": "http://127.0.0.1:1/v1", **fields})


@pytest.mark.parametrize("model", ["gpt-4o", "openai/gpt-4o-2024-08-06", "o3"])
def test_a_model_that_tiktoken_knows_is_counted_by_it(tiny: Path, model: str) -> None:
    count = config(model=model).counter()
    assert count is not None
    assert [count(text) for text in ("token", "tokens", "", "你好")] == [1, 2, 0, 6]


def test_an_encoding_can_be_named_for_any_model(tiny: Path) -> None:
    count = config(model="my-own", tokenizer="o200k_base").counter()
    assert count is not None
    assert count("token") == 1


@pytest.mark.parametrize(
    "fields", [{"model": "qwen3"}, {"tokenizer": "estimate"}], ids=["unknown to tiktoken", "switched off"]
)
def test_others_are_estimated(tiny: Path, fields: dict[str, Any]) -> None:
    assert config(**fields).counter() is None


def test_without_its_data_nothing_is_counted_or_downloaded(folder: Path) -> None:
    assert config().counter() is None
    assert list(folder.iterdir()) == []


def test_damaged_data_is_left_where_it_is(tiny: Path) -> None:
    tiny.write_bytes(b"dG9rZW4= 0\n")
    assert config().counter() is None
    assert tiny.read_bytes() == b"dG9rZW4= 0\n"


@pytest.mark.parametrize("name", ["cl100k_base", "o200k_base", "o200k_harmony"])
def test_an_encoding_that_is_named_but_not_there_is_an_error_with_a_way_out(name: str) -> None:
    with pytest.raises(ComponentError, match=f"the tokenizer {name} cannot be used: its data is missing") as raised:
        config(tokenizer=name).counter()
    assert raised.value.hint is not None
    assert "tokenizer: estimate" in raised.value.hint


def test_without_the_package_auto_estimates_and_a_name_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tiktoken", None)
    assert config().counter() is None
    with pytest.raises(ComponentError, match="the package tiktoken is not installed"):
        config(tokenizer="o200k_base").counter()


def test_an_empty_name_of_the_cache_means_that_there_is_none(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")
    assert config().counter() is None


def test_where_each_encoding_has_its_data_from_is_what_tiktoken_says(monkeypatch: pytest.MonkeyPatch) -> None:
    public: Any = pytest.importorskip("tiktoken_ext.openai_public")
    asked: list[tuple[str, str]] = []

    def loading(url: str, expected_hash: str) -> dict[bytes, int]:
        asked.append((url, expected_hash))
        return {}

    monkeypatch.setattr(public, "load_tiktoken_bpe", loading)
    for name in tokenizer.DATA:
        public.ENCODING_CONSTRUCTORS[name]()
    assert asked == list(tokenizer.DATA.values())


class Noting:
    """An encoding that notes what it is given; a token is a character."""

    def __init__(self) -> None:
        self.given: list[int] = []

    def encode_ordinary(self, text: str) -> str:
        self.given.append(len(text))
        return text


def test_a_text_is_counted_once() -> None:
    noting = Noting()
    count = tokenizer.TextCounter(noting)
    assert [count("again and again") for _ in range(3)] == [15, 15, 15]
    assert noting.given == [15]


def test_a_very_long_text_is_counted_by_samples() -> None:
    noting = Noting()
    assert tokenizer.TextCounter(noting)("x" * 1_000_003) == 1_000_003
    assert sum(noting.given) == tokenizer.MAX_EXACT_CHARACTERS


def test_the_counts_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer, "CACHED_TEXTS", 10)
    count = tokenizer.TextCounter(Noting())
    for length in range(100):
        assert count("x" * length) == length
    assert len(count._counts) <= 10
