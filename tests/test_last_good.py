"""The last good texts under load, in a short form of `python -m tests.last_good`."""

from __future__ import annotations

from tests.last_good import KINDS, last_good


def test_no_turn_fails_and_every_digest_covers_what_was_sent() -> None:
    found = last_good(2)
    assert (found.failed, found.wrong) == ([], [])
    assert found.turns > len(KINDS)
    assert len(found.sent) > 1
