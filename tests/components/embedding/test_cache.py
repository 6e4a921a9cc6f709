"""A text is embedded once: for all turns that ask at the same time, and for all that ask later."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.components.context import surroundings
from tests.components.embedding.source import CountingSource, cached
from victor_dsl.components.embedding import cache
from victor_dsl.errors import ComponentError


@given(texts=st.lists(st.text(st.characters(), max_size=20), max_size=8))
async def test_each_text_has_a_unit_row_and_nothing_a_row_of_zeros(texts: list[str]) -> None:
    async with cached(CountingSource()) as embedder:
        rows = await embedder.embed(texts)
    assert rows.dtype == np.float32
    assert rows.shape == (len(texts), 8) or (not texts and rows.shape == (0, 0))
    cleaned = [text.encode("utf-8", "replace") for text in texts]
    for row, data in zip(rows, cleaned, strict=True):
        assert np.isclose(np.linalg.norm(row), 0 if not data or data.isspace() else 1)


async def test_a_text_is_asked_for_once_however_often_it_comes() -> None:
    source = CountingSource()
    async with cached(source) as embedder:
        first = await embedder.embed(["a", "b", "a"])
        again = await embedder.embed(["b", "c", "a"])
    assert source.texts == ["a", "b", "c"]
    assert np.array_equal(first[0], first[2])
    assert np.array_equal(again[2], first[0])


async def test_half_a_surrogate_pair_is_embedded_as_a_question_mark() -> None:
    source = CountingSource()
    async with cached(source) as embedder:
        await embedder.embed(["\ud800 hi"])
    assert source.texts == ["? hi"]


async def test_what_is_beyond_the_longest_text_has_no_say() -> None:
    source = CountingSource()
    async with cached(source, max_characters=5) as embedder:
        rows = await embedder.embed(["x" * 1_000_000, "xxxxx and more"])
    assert source.texts == ["xxxxx"]
    assert np.array_equal(rows[0], rows[1])


async def test_blank_texts_alone_have_rows_of_the_right_length() -> None:
    async with cached(CountingSource(dims=6)) as embedder:
        rows = await embedder.embed(["", " \n"])
    assert rows.shape == (2, 6)
    assert not rows.any()


async def test_batches_are_no_larger_than_the_source_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    source = CountingSource(batch_size=3)
    monkeypatch.setattr(cache, "BATCH_CHARACTERS", 10)
    async with cached(source) as embedder:
        await embedder.embed(["a", "b", "c", "d", "e" * 9, "f" * 20, "g"])
    assert source.asked == [["a", "b", "c"], ["d", "e" * 9], ["f" * 20], ["g"]]


async def test_turns_that_ask_at_the_same_time_ask_once() -> None:
    source = CountingSource()
    source.go.clear()
    async with cached(source) as embedder, asyncio.TaskGroup() as turns:
        first = turns.create_task(embedder.embed(["a", "b"]))
        await source.begun.wait()
        second = turns.create_task(embedder.embed(["b", "c"]))
        await asyncio.sleep(0)
        source.go.set()
    assert sorted(source.texts) == ["a", "b", "c"]
    assert np.array_equal(first.result()[1], second.result()[0])


async def test_what_a_cancelled_turn_gave_up_another_asks_for() -> None:
    source = CountingSource()
    source.go.clear()
    async with cached(source) as embedder:
        first = asyncio.create_task(embedder.embed(["a"]))
        await source.begun.wait()
        second = asyncio.create_task(embedder.embed(["a"]))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        source.go.set()
        rows = await second
    assert first.cancelled()
    assert source.texts == ["a", "a"]
    assert rows.any()


async def test_a_cancelled_waiter_leaves_the_one_who_asks_alone() -> None:
    source = CountingSource()
    source.go.clear()
    async with cached(source) as embedder:
        first = asyncio.create_task(embedder.embed(["a"]))
        await source.begun.wait()
        second = asyncio.create_task(embedder.embed(["a"]))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait([second])
        source.go.set()
        assert (await first).any()
    assert second.cancelled()
    assert source.texts == ["a"]


async def test_a_failure_is_told_to_all_who_wait_and_is_not_kept() -> None:
    source = CountingSource()
    source.failure = ComponentError("the model is away")
    source.go.clear()
    async with cached(source) as embedder:
        turns = [asyncio.create_task(embedder.embed(["a"])) for _ in range(2)]
        await source.begun.wait()
        await asyncio.sleep(0)
        source.go.set()
        outcomes = await asyncio.gather(*turns, return_exceptions=True)
        assert [str(outcome) for outcome in outcomes] == ["the model is away"] * 2
        assert source.texts == ["a"]
        source.failure = None
        assert (await embedder.embed(["a"])).any()


async def test_batches_that_were_made_before_one_failed_are_kept() -> None:
    class Second(CountingSource):
        async def rows(self, texts: list[str]) -> object:
            if "e" in texts and "e" not in self.texts:
                self.asked.append(texts)
                raise ComponentError("too much")
            return await super().rows(texts)

    source = Second()
    async with cached(source) as embedder:
        with pytest.raises(ComponentError, match="too much"):
            await embedder.embed(list("abcdefg"))
        await embedder.embed(list("abcdefg"))
    assert source.asked == [list("abcd"), list("efg"), list("efg")]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (np.ones((2, 3), dtype=np.float32), r"\(2, 3\) for 1 texts"),
        (np.ones(3, dtype=np.float32), r"\(3,\) for 1 texts"),
        (np.ones((1, 0), dtype=np.float32), r"\(1, 0\)"),
        (np.array([[1, np.nan]], dtype=np.float32), "not finite"),
    ],
)
async def test_an_array_of_another_shape_is_refused(given: object, told: str) -> None:
    class Wrong(CountingSource):
        async def rows(self, texts: list[str]) -> object:
            return given

    async with cached(Wrong()) as embedder:
        with pytest.raises(ComponentError, match=told):
            await embedder.embed(["a"])


async def test_a_model_with_longer_vectors_behind_the_name_makes_all_that_was_kept_worthless() -> None:
    source, around = CountingSource(dims=4), surroundings(Path("/nowhere"))
    async with cached(source, around=around) as embedder:
        assert (await embedder.embed(["a", "b"])).shape == (2, 4)
        source.dims = 6
        assert (await embedder.embed(["a", "c"])).shape == (2, 6)
    assert source.texts == ["a", "b", "c", "a"]
    assert [message for message, _ in around.reports] == [
        "vectors have 6 numbers now instead of 4: the cached ones were deleted"
    ]


async def test_a_model_that_cannot_decide_on_a_length_is_refused() -> None:
    class Changing(CountingSource):
        async def rows(self, texts: list[str]) -> object:
            self.dims += 1
            return await super().rows(texts)

    async with cached(Changing(batch_size=1)) as embedder:
        with pytest.raises(ComponentError, match="different lengths"):
            await embedder.embed(["a", "b"])


async def test_memory_holds_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MEMORY_BYTES", 2 * 8 * 4)
    source = CountingSource()
    async with cached(source) as embedder:
        await embedder.embed(["a", "b"])
        await embedder.embed(["a"])
        await embedder.embed(["c"])
        await embedder.embed(["a", "b"])
    assert source.texts == ["a", "b", "c", "b"]


async def test_many_texts_are_prepared_off_the_loop_and_come_out_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"text {n}" for n in range(30)]
    async with cached(CountingSource()) as embedder:
        expected = await embedder.embed(texts)
    monkeypatch.setattr(cache, "ON_LOOP_ROWS", 10)
    async with cached(CountingSource()) as embedder:
        assert np.array_equal(await embedder.embed(texts), expected)


async def test_a_batch_that_goes_on_without_its_turn_is_kept_and_others_wait_for_it() -> None:
    source = CountingSource(batch_size=2, cancellable=False)
    source.go.clear()
    async with cached(source) as embedder:
        first = asyncio.create_task(embedder.embed(["a", "b", "c"]))
        await source.begun.wait()
        first.cancel()
        await asyncio.wait([first])
        second = asyncio.create_task(embedder.embed(["a"]))
        await asyncio.sleep(0)
        source.go.set()
        assert (await second).any()
        await embedder.embed(["b"])
    assert first.cancelled()
    assert source.texts == ["a", "b"]


async def test_closing_waits_for_what_goes_on_and_it_is_on_disk(tmp_path: Path) -> None:
    source = CountingSource(cancellable=False)
    source.go.clear()
    async with cached(source, tmp_path) as embedder:
        turn = asyncio.create_task(embedder.embed(["a"]))
        await source.begun.wait()
        turn.cancel()
        await asyncio.wait([turn])
        source.go.set()
    async with cached(source, tmp_path) as embedder:
        await embedder.embed(["a"])
    assert source.texts == ["a"]


@pytest.mark.parametrize("given_up", [False, True])
async def test_a_failure_of_what_goes_on_is_told_to_who_waits(given_up: bool) -> None:
    source = CountingSource(cancellable=False)
    source.failure = ComponentError("no such tensor")
    source.go.clear()
    async with cached(source) as embedder:
        first = asyncio.create_task(embedder.embed(["a"]))
        await source.begun.wait()
        second = asyncio.create_task(embedder.embed(["a"]))
        await asyncio.sleep(0)
        if given_up:
            first.cancel()
            await asyncio.wait([first])
        source.go.set()
        outcomes = await asyncio.gather(*([second] if given_up else [first, second]), return_exceptions=True)
    assert {str(outcome) for outcome in outcomes} == {"no such tensor"}
