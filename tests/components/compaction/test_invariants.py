"""Every built-in strategy, over any conversation, behind the coordinator that enforces the invariants."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given

from tests.compacted import Trial, whole
from tests.invariants import Tally, attempt, search, strategies
from tests.transcripts import CONVERSATIONS, LARGE, message
from victor_dsl.language.registry import Registry
from victor_dsl.runtime.coordinators.context import ContextCoordinator
from victor_dsl.values.history import group
from victor_dsl.values.message import Message
from victor_dsl.values.settings import Settings
from victor_dsl.values.turn import Turn

TYPES = sorted(Registry(entry_points=False).types("compaction"))

ODD: dict[str, tuple[Message, ...]] = {
    "no content": (Message("assistant"),) * 9,
    "empty": (Message("assistant", ""),) * 9,
    "a megabyte": (Message("assistant", LARGE), Message("assistant", "short"), Message("assistant", "x" * 1_000_000)),
    "Chinese": (Message("assistant", "預訂明天的航班" * 2_000),) * 3,
    "Thai": (Message("assistant", "ไม่มีช่องว่าง" * 2_000),) * 3,
    "emoji": (
        Message("assistant", "🙂" * 5_000),
        Message("assistant", "👩‍👩‍👧‍👦" * 500),
        Message("assistant", "\ud83d"),
    ),
    "code": (Message("assistant", "def fix(x):\n    return {'id': x}  # A-4711\n" * 300),) * 3,
    "base64": (Message("assistant", "QUJD" * 50_000),) * 3,
    "all the same": (Message("assistant", "the same"),) * 300,
    "an image": (
        Message("user", ({"type": "image_url", "image_url": {"url": "data:,"}}, {"type": "text", "text": "?"})),
    )
    * 9,
    "a result without a call": (Message("tool", "7", tool_call_id="gone"), Message("tool", "8")) * 5,
    "a call without a result": (message("assistant", calls=["a", "b"]), message("tool", "7", answers="a")) * 5,
    "repeated ids": (message("assistant", calls=["a"]), message("tool", "7", answers="a")) * 9,
    "results in between": (
        message("assistant", calls=["a", "b"]),
        message("tool", "7", answers="b"),
        message("user", "hurry"),
        message("assistant", calls=["c"]),
        message("tool", "8", answers="a"),
        message("tool", "9", answers="c"),
    )
    * 4,
    "a system message in the middle": (message("assistant", "x" * 80), message("system", "Be kind.")) * 5,
    "all pinned": (Message("assistant", "x" * 80, pinned=True),) * 9,
    "one message": (),
}


@pytest.mark.parametrize("type", TYPES)
async def test_recipe_4_the_invariants_hold_over_any_conversation(type: str) -> None:
    [tally] = (await search(150, types=[type], steady=True)).values()
    assert tally.broken == {}
    assert tally.compactions > 50


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize("odd", ODD.values(), ids=list(ODD))
async def test_recipe_4_the_invariants_hold_over_odd_input(type: str, odd: tuple[Message, ...]) -> None:
    messages = (Message("user", "task"), *odd, Message("assistant", "well"), Message("user", "now?"))
    tally = Tally()
    async with strategies([type]) as alive:
        for ratio in (0.01, 0.5):
            await attempt(type, alive[type], Trial(messages, ratio, more=odd), tally)
    assert tally.broken == {}
    assert all("no room for a summary" in reason for reason in tally.reasons)


@pytest.mark.parametrize("type", TYPES)
@given(messages=CONVERSATIONS)
def test_a_history_of_fixed_groups_stays_whole(type: str, messages: tuple[Message, ...]) -> None:
    pinned = whole(tuple(evolve(message, pinned=True) for message in messages))
    history = group(pinned)

    async def choose() -> Any:
        async with strategies([type]) as alive:
            return await alive[type].choose(history, history.tokens, Turn("t", "s", pinned))

    assert asyncio.run(choose()).summary is None


async def test_a_task_larger_than_the_target_is_sent_and_recorded() -> None:
    messages = (Message("user", "x" * 4000), *[Message("assistant", "and so on " * 9)] * 9, Message("user", "now?"))
    turn = Turn("t", "s", messages, settings=Settings(threshold=0.0, target_ratio=0.1))
    async with strategies() as alive:
        for type, strategy in alive.items():
            record = (await ContextCoordinator(strategy, type=type).compact(turn, None)).compaction
            assert record is not None
            assert record.after == 1004 + 5 > record.target
