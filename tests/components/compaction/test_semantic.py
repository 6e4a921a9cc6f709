"""Semantic compaction covers the history, for vectors of all kinds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st

from tests.components.compaction.strategies import Counting, history, kept, semantic
from tests.components.context import TURN
from victor_dsl.components.compaction.semantic import covering
from victor_dsl.components.embedders import hashing, tfidf
from victor_dsl.errors import ComponentError, StoreError


async def test_repetitions_are_dropped_first() -> None:
    vectors: dict[str, list[float]] = {
        "task": [0, 0, 1],
        "and now?": [0, 0, 1],
        "a1": [1, 0, 0],
        "a2": [1, 0.1, 0],
        "a3": [1, 0, 0.1],
        "b1": [0, 1, 0],
    }
    given = history("a1", "b1", "a2", "a3")
    choice = await semantic(Counting(vectors), recent=0).choose(given, given.fixed_tokens + 10, TURN)
    chosen = kept(given, choice.groups)
    assert len(chosen) == 2
    assert "b1" in chosen


async def test_the_newest_get_their_share() -> None:
    given = history(*(f"message {n}" for n in range(20)))
    choice = await semantic(recent=0.5).choose(given, given.fixed_tokens + 10 * 7, TURN)
    assert kept(given, choice.groups)[-5:] == [f"message {n}" for n in range(15, 20)]


@pytest.mark.parametrize(
    "vector",
    [[1.0] * 8, [0.0] * 8, [-1.0] * 8, [1e-30] * 8, [1.0] * 1500],
    ids=["one", "zeros", "minus", "tiny", "long"],
)
@pytest.mark.parametrize("count", [10, 300])
async def test_recipe_4_identical_embeddings_are_handled(vector: Sequence[float], count: int) -> None:
    given = history(*(f"message {n}" for n in range(count)))
    texts = dict.fromkeys((*(f"message {n}" for n in range(count)), "task", "and now?"), vector)
    budget = given.fixed_tokens + (given.tokens - given.fixed_tokens) // 2
    choice = await semantic(Counting(texts)).choose(given, budget, TURN)
    tokens = sum(given.groups[position].tokens for position in choice.groups) + given.fixed_tokens
    assert budget - 8 < tokens <= budget


async def test_of_identical_messages_the_last_is_kept() -> None:
    given = history("same", "other", "same", "third", "same")
    choice = await semantic(recent=0).choose(given, given.fixed_tokens + 3 * 6, TURN)
    assert sorted(choice.groups - {0, 6}) == [2, 4, 5]


async def test_recipe_4_two_thousand_messages_take_few_passes_and_leave_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads: list[str] = []
    passes: list[int] = []
    real = np.argsort

    def noted(*arguments: Any, **options: Any) -> Any:
        threads.append(threading.current_thread().name)
        passes.append(len(arguments[0]))
        return real(*arguments, **options)

    monkeypatch.setattr(np, "argsort", noted)
    given = history(*(f"message {n} about {n * n}" for n in range(2_000)))
    built = semantic(hashing.build(hashing.Config(dims=64), None))  # type: ignore[arg-type]
    choice = await built.choose(given, given.tokens // 2, TURN)
    assert 900 < len(choice.groups) < 1_100
    assert threading.main_thread().name not in threads
    assert len(passes) <= 16
    assert sum(passes) <= 16 * 2_000


async def test_once_given_up_it_stops_at_the_next_round() -> None:
    vectors = list(np.eye(40, dtype=np.float32))
    tokens, free, stop = np.full(40, 5), np.ones(40, dtype=np.bool_), threading.Event()
    stop.set()
    assert covering(vectors, tokens, free, 100, stop) == []


async def test_a_cancelled_choice_tells_its_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    began, ended, told = threading.Event(), threading.Event(), []

    def waits(*arguments: Any) -> list[int]:
        began.set()
        told.append(arguments[-1].wait(10))
        ended.set()
        return []

    monkeypatch.setattr("victor_dsl.components.compaction.semantic.covering", waits)
    given = history(*(f"message {n}" for n in range(100)))
    task = asyncio.create_task(semantic().choose(given, given.tokens // 2, TURN))
    assert await asyncio.to_thread(began.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(ended.wait, 10)
    assert told == [True]


async def test_recipe_4_a_message_is_embedded_once() -> None:
    embedder = Counting()
    built = semantic(embedder)
    texts = [f"message {n}" for n in range(10)]
    for count in (8, 10, 10):
        given = history(*texts[:count])
        await built.choose(given, given.fixed_tokens + 30, TURN)
    assert sorted(embedder.asked) == sorted(["task", *texts, "and now?"])


async def test_after_a_deadline_the_next_turn_continues_the_work() -> None:
    class Fails(Counting):
        async def embed(self, texts: Sequence[str]) -> np.ndarray:
            if len(self.asked) == 512:
                self.asked.append("late")
                raise TimeoutError
            return await super().embed(texts)

    embedder = Fails()
    built = semantic(embedder)
    given = history(*(f"message {n}" for n in range(700)))
    with pytest.raises(TimeoutError):
        await built.choose(given, given.tokens // 2, TURN)
    await built.choose(given, given.tokens // 2, TURN)
    assert len(embedder.asked) == 512 + 1 + 702 - 512


async def test_the_cache_of_vectors_is_bounded() -> None:
    embedder = Counting()
    built = semantic(embedder, cache_size=3)
    given = history(*(f"message {n}" for n in range(10)))
    for _ in range(2):
        await built.choose(given, given.fixed_tokens + 30, TURN)
    assert len(embedder.asked) == 12 + 9


async def test_vectors_that_depend_on_their_neighbours_are_not_cached() -> None:
    embedder = tfidf.build(tfidf.Config(dims=64), None)  # type: ignore[arg-type]
    texts = [f"{word} and {word} again, order {n}" for n, word in enumerate(["refund", "invoice", "parcel"] * 8)]
    used, fresh = semantic(embedder), semantic(embedder)
    earlier, given = history(*texts[:10]), history(*texts)
    await used.choose(earlier, earlier.fixed_tokens + 90, TURN)
    choice = await used.choose(given, given.fixed_tokens + 90, TURN)
    assert choice == await fresh.choose(given, given.fixed_tokens + 90, TURN)


class Wrong:
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def embed(self, texts: Sequence[str]) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (np.ones((2, 3)), r"returned an array of \(2, 3\) for 5 texts"),
        (np.ones(5), r"returned an array of \(5,\) for 5 texts"),
        (np.full((5, 3), np.nan), "not finite"),
        (StoreError("the embedder is away"), "is away"),
    ],
)
async def test_a_faulty_embedder_is_an_error_for_the_fallback(answer: Any, what: str) -> None:
    given = history("one", "two", "three")
    with pytest.raises((ComponentError, StoreError), match=what):
        await semantic(Wrong(answer)).choose(given, given.fixed_tokens + 6, TURN)


async def test_nothing_is_embedded_if_no_message_fits() -> None:
    embedder = Counting()
    given = history("x" * 400, "y" * 400)
    assert (await semantic(embedder).choose(given, given.fixed_tokens + 50, TURN)).groups <= {0, 3}
    assert embedder.asked == []


@given_any(st.data())
def test_any_vectors_and_costs_stay_within_the_room(data: st.DataObject) -> None:
    rows, dims = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 600))
    vectors = np.random.default_rng(data.draw(st.integers(0, 99))).standard_normal((rows, dims)).astype(np.float32)
    vectors[data.draw(st.integers(0, rows - 1))] = vectors[0]
    tokens = np.array(data.draw(st.lists(st.integers(1, 500), min_size=rows, max_size=rows)))
    free = np.array(data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows)), dtype=np.bool_)
    room = data.draw(st.integers(0, 2_000))
    chosen = covering(list(vectors), tokens, free, room, threading.Event())
    assert len(set(chosen)) == len(chosen)
    assert all(free[row] for row in chosen)
    left = room - int(tokens[chosen].sum()) if chosen else room
    assert left >= 0
    assert not any(free[row] and tokens[row] <= left for row in set(range(rows)) - set(chosen))
