"""Processes are killed at random points, in a short form of `python -m tests.faults.kills`."""

from __future__ import annotations

from pathlib import Path

from tests.faults.kills import kills


def test_no_reply_that_was_seen_is_missing_from_the_events_and_none_counts_twice(tmp_path: Path) -> None:
    run = kills(6, tmp_path)
    assert run.kills
    for name, count in run.counts().items():
        assert (name, count.lost, count.doubled) == (name, 0, 0)
        assert count.seen >= 6_000
