"""Models that run in this process: found, loaded late, in a thread of their own, and known by their files."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model2vec import StaticModel
from pydantic import ValidationError
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from tests.components.context import surroundings
from victor_dsl.components.embedders import model2vec, sentence_transformers
from victor_dsl.components.embedding.config import LocalConfig
from victor_dsl.components.embedding.local_model import Library, LocalModel, fingerprint
from victor_dsl.errors import ComponentError

BOTH = pytest.mark.parametrize("module", [model2vec, sentence_transformers], ids=["model2vec", "sentence_transformers"])
WORDS = {"[UNK]": 0, "refund": 1, "money": 2, "weather": 3, "rain": 4}


@pytest.fixture
def static_model(tmp_path: Path) -> Path:
    """A static model of four words in a folder."""
    words = Tokenizer(WordLevel(WORDS, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    numbers = np.array([[0, 0, 0], [1, 0, 0.1], [0.9, 0.1, 0], [0, 1, 0], [0.1, 0.9, 0]], dtype=np.float32)
    StaticModel(numbers, words, normalize=False).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def built(module: Any, folder: Path, **fields: Any) -> Any:
    return module.build(module.Config.model_validate(fields), surroundings(folder, "embedders/main").context)


def loaded_by(load: Callable[[str], Any], folder: Path) -> LocalModel:
    """A model of a library that does what the test says, in a folder that exists."""
    config = LocalConfig.model_validate({"path": str(folder)})
    library = Library("test", lambda: None, load)
    return LocalModel(library, config, surroundings(folder, "embedders/main").context)


async def test_a_static_model_embeds_by_meaning_and_from_the_disk_the_next_time(
    tmp_path: Path, static_model: Path
) -> None:
    async with built(model2vec, tmp_path, path=str(static_model)) as embedder:
        rows = await embedder.embed(["refund", "money", "rain", "", "unknown words"])
        assert await embedder.embed([]) is not None
    assert rows.dtype == np.float32
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.5
    assert not rows[3:].any()
    assert np.allclose(np.linalg.norm(rows[:3], axis=1), 1)
    async with built(model2vec, tmp_path, path=str(static_model), batch_size=1) as embedder:
        assert np.array_equal(await embedder.embed(["refund", "money", "rain"]), rows[:3])


async def test_another_model_in_the_same_folder_is_another_embedder(tmp_path: Path, static_model: Path) -> None:
    async with built(model2vec, tmp_path, path=str(static_model)) as embedder:
        before = await embedder.embed(["money"])
    model = StaticModel.from_pretrained(static_model)
    model.embedding = model.embedding[:, ::-1].copy()
    model.save_pretrained(static_model)
    async with built(model2vec, tmp_path, path=str(static_model)) as embedder:
        after = await embedder.embed(["money"])
    assert np.allclose(after, before[:, ::-1])


async def test_long_and_broken_texts_are_embedded(tmp_path: Path, static_model: Path) -> None:
    async with built(model2vec, tmp_path, path=str(static_model)) as embedder:
        rows = await embedder.embed(["refund " * 200_000, "rain \ud800"])
    assert np.allclose(np.linalg.norm(rows, axis=1), 1)


async def test_a_folder_that_is_not_there_is_found_when_it_is_opened(tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match="the folder of the model does not exist"):
        async with built(model2vec, tmp_path, path=str(tmp_path / "nothing")):
            pass


@pytest.mark.parametrize(
    ("path", "told"), [("nothing", "does not exist: models/nothing"), ("empty", "files in models/empty")]
)
async def test_a_folder_is_told_as_it_lies_to_the_spec(
    path: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "empty").mkdir(parents=True)
    config = model2vec.Config.model_validate({"path": str(tmp_path / "models" / path), "preload": True})
    with pytest.raises(ComponentError) as raised:
        async with model2vec.build(config, surroundings(tmp_path, "embedders/main", place="victor.yml:4:3").context):
            pass
    assert told in str(raised.value)
    assert str(tmp_path) not in str(raised.value)


async def test_a_folder_without_a_model_is_told_by_the_text_that_needs_it(tmp_path: Path) -> None:
    async with built(model2vec, tmp_path, path=str(tmp_path)) as embedder:
        with pytest.raises(ComponentError, match="model2vec: ") as raised:
            await embedder.embed(["refund"])
    assert raised.value.node == "embedders/main"


async def test_with_preload_a_folder_without_a_model_is_told_when_it_is_opened(tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match="model2vec: "):
        async with built(model2vec, tmp_path, path=str(tmp_path), preload=True):
            pass


async def test_a_model_that_is_not_on_this_machine_is_not_downloaded_unasked(tmp_path: Path) -> None:
    async with built(model2vec, tmp_path, model="nobody/nothing") as embedder:
        with pytest.raises(ComponentError, match="the model nobody/nothing is not on this machine") as raised:
            await embedder.embed(["refund"])
    assert raised.value.hint == "write `download: true`, or the folder of a copy as `path`"


async def test_what_is_no_name_of_a_model_is_told(tmp_path: Path) -> None:
    async with built(model2vec, tmp_path, model="./models/one/two") as embedder:
        with pytest.raises(ComponentError, match=r"'\./models/one/two' is not a model's name"):
            await embedder.embed(["refund"])


@BOTH
async def test_without_its_package_the_extra_to_install_is_told(
    module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ComponentError, match="needs the package") as raised:
        built(module, tmp_path, model="a/b")
    extra = module.__name__.rpartition(".")[2].replace("_", "-")
    assert raised.value.hint == f"install it with: pip install 'victor_dsl[{extra}]'"


@BOTH
@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "either 'model' or 'path'"),
        ({"model": "a/b", "path": "/c"}, "either 'model' or 'path'"),
        ({"path": "/c", "download": True}, "cannot be downloaded"),
    ],
)
def test_a_model_is_named_in_one_way(module: Any, fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        module.Config.model_validate(fields)


async def test_a_turn_that_is_cancelled_while_the_model_loads_leaves_it_to_the_next(tmp_path: Path) -> None:
    loading, go, loads = threading.Event(), threading.Event(), []

    def load(folder: str) -> Any:
        loads.append(threading.current_thread().name)
        loading.set()
        go.wait()
        return lambda texts: np.ones((len(texts), 2), dtype=np.float32)

    async with loaded_by(load, tmp_path) as model:
        first = asyncio.create_task(model.rows(["a"]))
        await asyncio.to_thread(loading.wait)
        first.cancel()
        await asyncio.wait([first])
        go.set()
        assert (await model.rows(["b"])).shape == (1, 2)
    assert first.cancelled()
    assert [name.rpartition("_")[0] for name in loads] == ["embedder"]


async def test_a_library_s_own_error_is_told_in_one_line(tmp_path: Path) -> None:
    def load(folder: str) -> Any:
        raise ValueError("no\n  such\n  tensor")

    async with loaded_by(load, tmp_path) as model:
        with pytest.raises(ComponentError, match="test: no such tensor"):
            await model.rows(["a"])


def test_a_fingerprint_is_of_names_sizes_and_content_not_of_place_or_readme(tmp_path: Path) -> None:
    def folder(name: str, weights: bytes, readme: str = "") -> str:
        (tmp_path / name / "1_Pooling").mkdir(parents=True)
        (tmp_path / name / "model.bin").write_bytes(weights)
        (tmp_path / name / "1_Pooling" / "config.json").write_text("{}")
        (tmp_path / name / "README.md").write_text(readme)
        return str(tmp_path / name)

    large = os.urandom(5 * 1024 * 1024)
    changed = bytes(5 * 1024 * 1024)
    prints = [
        fingerprint(folder("a", large)),
        fingerprint(folder("b", large, "read me")),
        fingerprint(folder("c", changed)),
        fingerprint(folder("d", large[:-1])),
        fingerprint(folder("e", b"small")),
    ]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 4


async def test_a_sentence_transformers_model_embeds_by_meaning(tmp_path: Path) -> None:
    """Runs where a model is given by the environment: `SENTENCE_TRANSFORMERS_MODEL=folder`."""
    folder = os.environ.get("SENTENCE_TRANSFORMERS_MODEL")
    if not folder:
        pytest.skip("SENTENCE_TRANSFORMERS_MODEL names no folder of a model")
    async with built(sentence_transformers, tmp_path, path=folder, device="cpu") as embedder:
        rows = await embedder.embed(["Where is my refund?", "I want my money back.", "It rains in Oslo.", ""])
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.2
    assert not rows[3].any()
    async with built(sentence_transformers, tmp_path, path=folder, device="no such device") as embedder:
        assert np.array_equal(await embedder.embed(["It rains in Oslo."]), rows[2:3])
        with pytest.raises(ComponentError, match="sentence-transformers: "):
            await embedder.embed(["This is not in the cache."])
