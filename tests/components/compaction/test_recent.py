"""The newest messages, within a budget of tokens."""

from __future__ import annotations

from pathlib import Path

from tests.components.context import TURN, surroundings
from tests.transcripts import message
from victor_dsl.components.compaction.recent import Config, build
from victor_dsl.values.history import group


async def test_the_newest_messages_stay_beside_the_task(tmp_path: Path) -> None:
    recent = build(Config(), surroundings(tmp_path, "compaction/recent").context)
    history = group([message("user", "task"), *(message("assistant", f"step {n}" + "." * 74) for n in range(9))])
    choice = await recent.choose(history, 5 + 3 * 24, TURN)
    assert choice.groups == {0, 7, 8, 9}
    assert choice.summary is None


async def test_tokens_count_and_not_messages(tmp_path: Path) -> None:
    recent = build(Config(), surroundings(tmp_path, "compaction/recent").context)
    history = group([message("user", "task"), *(message("assistant", "x" * 4 * n) for n in range(1, 10))])
    one = await recent.choose(history, 5 + 13, TURN)
    assert one.groups == {0, 9}


async def test_a_history_that_fits_stays_whole(tmp_path: Path) -> None:
    recent = build(Config(), surroundings(tmp_path, "compaction/recent").context)
    history = group([message("user", "task"), message("assistant", "done"), message("user", "thanks")])
    assert (await recent.choose(history, history.tokens, TURN)).groups == {0, 1, 2}
