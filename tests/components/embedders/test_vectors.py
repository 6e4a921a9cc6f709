"""What both embedders promise: rows of unit length, alike in every call, thread and process."""

from __future__ import annotations

import asyncio
import sys
import threading
from asyncio.subprocess import PIPE
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.components.context import surroundings
from victor_dsl.components.embedders import hashing, tfidf
from victor_dsl.components.embedding.vectors import ON_LOOP_CHARACTERS, ComputedEmbedder
from victor_dsl.language.kinds import Embedder

Make = Callable[..., Embedder]
BOTH = [pytest.param(hashing, id="hashing"), pytest.param(tfidf, id="tfidf")]
CONTEXT = surroundings(Path()).context
TEXTS = st.lists(st.text(st.characters(), max_size=40), max_size=6)


@pytest.mark.parametrize("module", BOTH)
@given(texts=TEXTS, dims=st.sampled_from([16, 256, 1000]))
async def test_rows_are_float32_of_unit_length_or_zero(module: Any, texts: list[str], dims: int) -> None:
    rows = await module.build(module.Config(dims=dims), CONTEXT).embed(texts)
    assert rows.shape == (len(texts), dims)
    assert rows.dtype == np.float32
    lengths = np.linalg.norm(rows, axis=1)
    assert np.all(np.isclose(lengths, 1, atol=1e-5) | (lengths == 0))


@pytest.mark.parametrize("module", BOTH)
async def test_a_text_with_nothing_in_it_is_a_row_of_zeros(module: Any) -> None:
    rows = await module.build(module.Config(), CONTEXT).embed(["", " \n\t", "order"])
    assert list(rows.any(axis=1)) == [False, False, True]


@pytest.mark.parametrize("module", BOTH)
async def test_equal_texts_have_equal_rows_and_near_ones_near_rows(module: Any) -> None:
    texts = ["refund my last order", "refund my last order", "please refund the order", "weather in Oslo tomorrow"]
    rows = await module.build(module.Config(), CONTEXT).embed(texts)
    assert np.array_equal(rows[0], rows[1])
    assert rows[0] @ rows[2] > rows[0] @ rows[3] + 0.1


@pytest.mark.parametrize("module", BOTH)
async def test_a_query_of_its_own_can_be_compared_with_texts_of_another_call(module: Any) -> None:
    embedder = module.build(module.Config(), CONTEXT)
    texts = await embedder.embed(["cancel a flight reservation", "send an email", "the weather forecast"])
    query = await embedder.embed(["I want to cancel my reservation"])
    assert int(np.argmax(texts @ query[0])) == 0


async def test_vectors_are_the_same_in_another_process() -> None:
    texts = ["Bücher & 預訂", "order #7712 was cancelled", "x" * 100]
    program = (
        "import asyncio, sys; from pathlib import Path; from tests.components.context import surroundings;"
        f"from {hashing.__package__} import hashing, tfidf;"
        "made = [module.build(module.Config(dims=64), surroundings(Path()).context) for module in (hashing, tfidf)];"
        f"sys.stdout.buffer.write(b''.join(asyncio.run(one.embed({texts!r})).tobytes() for one in made))"
    )
    environment = {"PYTHONHASHSEED": "1", "PYTHONPATH": str(Path(__file__).parents[3])}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=PIPE, env=environment)
    output, _ = await process.communicate()
    assert process.returncode == 0
    rows = [await module.build(module.Config(dims=64), CONTEXT).embed(texts) for module in (hashing, tfidf)]
    assert np.array_equal(np.frombuffer(output, dtype=np.float32).reshape(2, len(texts), 64), rows)


async def test_a_hashed_vector_does_not_depend_on_the_other_texts() -> None:
    embedder = hashing.build(hashing.Config(), CONTEXT)
    alone = await embedder.embed(["order seven"])
    among = await embedder.embed(["order eight", "order seven"])
    assert np.array_equal(alone[0], among[1])


async def test_a_rare_word_weighs_more_than_a_common_one() -> None:
    embedder = tfidf.build(tfidf.Config(dims=4096), CONTEXT)
    rows = await embedder.embed(["order walrus", *(f"order number {n}" for n in range(20))])
    query = await embedder.embed(["walrus", "order"])
    assert rows[0] @ query[0] > rows[0] @ query[1]


async def test_hashing_finds_parts_of_words_and_scripts_without_spaces() -> None:
    rows = await hashing.build(hashing.Config(), CONTEXT).embed(
        ["refunds", "refunded", "weather", "预订机票", "机票预订"]
    )
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.2
    assert rows[3] @ rows[4] > rows[3] @ rows[2]


async def test_large_batches_leave_the_event_loop() -> None:
    threads: list[bool] = []

    def compute(texts: Sequence[str]) -> Any:
        threads.append(threading.current_thread() is threading.main_thread())
        return np.zeros((len(texts), 1), dtype=np.float32)

    embedder = ComputedEmbedder(compute)
    await embedder.embed(["x" * ON_LOOP_CHARACTERS])
    await embedder.embed(["x" * (ON_LOOP_CHARACTERS + 1)])
    assert threads == [True, False]
