"""Every strategy that comes along, over any transcript, behind the coordinator that holds the invariants."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from attrs import define, evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.components.compaction.strategies import Writes, semantic, strategy, summarize
from tests.transcripts import TRANSCRIPTS, callers
from victor_dsl.components.compaction._chain import Chain, Step
from victor_dsl.components.embedders import hashing
from victor_dsl.language.registry import Registry
from victor_dsl.runtime.coordinators.context import ContextCoordinator
from victor_dsl.values.history import group
from victor_dsl.values.message import Message
from victor_dsl.values.settings import Settings
from victor_dsl.values.tokens import messages_tokens
from victor_dsl.values.turn import Turn

WORDS = hashing.build(hashing.Config(dims=32), None)  # type: ignore[arg-type]
LIVE = {
    "recent": strategy("recent"),
    "truncate": strategy("truncate"),
    "keywords": strategy("keywords"),
    "semantic": semantic(WORDS),
    "summarize": summarize(Writes(["It was about orders."])),
    "chain": Chain([Step("a", semantic(WORDS), 0.7, 5.0), Step("b", strategy("keywords"), None, 5.0)]),
}
RATIOS = st.sampled_from([0.01, 0.1, 0.25, 0.5, 0.9, 1.0])


@define
class Told:
    """The errors that a turn recorded."""

    errors: list[str]

    def record(self, type: str, data: Any) -> None:
        if type == "error":
            self.errors.append(data["message"])


def test_every_component_of_the_kind_is_here() -> None:
    assert set(LIVE) == set(Registry(entry_points=False).types("compaction"))


@pytest.mark.parametrize("type", list(LIVE))
@given(messages=TRANSCRIPTS, ratio=RATIOS)
def test_recipe_4_the_invariants_hold_over_any_transcript(
    type: str, messages: tuple[Message, ...], ratio: float
) -> None:
    told = Told([])
    turn = Turn("t", "s", messages, settings=Settings(threshold=0.0, target_ratio=ratio), record=told.record)
    after = asyncio.run(ContextCoordinator(LIVE[type], type=type).compact(turn, None))
    kept = set(range(len(messages))) if after.kept is None else set(after.kept)
    for result, call in callers(messages).items():
        assert (result in kept) == (call in kept)
    users = [index for index, message in enumerate(messages) if message.role == "user"]
    must = {index for index, message in enumerate(messages) if message.role == "system" or message.pinned}
    assert must.union(users[:1], users[-1:]) <= kept
    sent = [message for message in after.messages if message not in messages]
    assert [message for message in after.messages if message in messages] == [messages[index] for index in sorted(kept)]
    assert len(sent) <= (type == "summarize")
    if after.compaction is not None:
        assert messages_tokens(after.messages) <= max(after.compaction.target, group(messages).fixed_tokens)
    assert [error for error in told.errors if "no room for a summary" not in error] == []


@pytest.mark.parametrize("type", list(LIVE))
@given(messages=TRANSCRIPTS)
def test_a_history_without_anything_that_may_go_is_left_whole(type: str, messages: tuple[Message, ...]) -> None:
    pinned = tuple(evolve(message, pinned=True) for message in messages)
    history = group(pinned)
    choice = asyncio.run(LIVE[type].choose(history, history.tokens, Turn("t", "s", pinned)))
    assert choice.summary is None


@pytest.mark.parametrize("type", list(LIVE))
def test_recipe_4_large_and_odd_contents_are_no_trouble(type: str) -> None:
    odd = [
        None,
        "",
        "x" * 1_000_000,
        "預訂明天的航班" * 2_000,
        "ไม่มีช่องว่าง" * 2_000,
        "🙂" * 5_000,
        "QUJD" * 50_000,
        "same",
        "same",
    ]
    messages = (Message("user", "task"), *(Message("assistant", text) for text in odd * 3), Message("user", "now?"))
    turn = Turn("t", "s", messages, settings=Settings(threshold=0.0, target_ratio=0.5))
    after = asyncio.run(ContextCoordinator(LIVE[type], type=type, deadline_s=60).compact(turn, None))
    assert after.compaction is not None
    assert (after.compaction.type, after.compaction.fallback) == (type, False)
    assert after.compaction.after <= after.compaction.target
