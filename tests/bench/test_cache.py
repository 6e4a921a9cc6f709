"""The aims of prompt caches, measured on the wire."""

from __future__ import annotations

import asyncio
import json
from statistics import mean

import pytest

from bench.cache import SELECTIONS, SESSION, recorded, shares


def test_a_share_is_what_begins_a_request_as_it_began_the_one_before() -> None:
    assert list(shares(["abcd", "abcdefgh", "abxx"])) == [0.5, 0.5]
    assert list(shares(["abcd", "abcdefgh"], of_before=True)) == [1.0]


@pytest.mark.parametrize(
    ("selection", "calls"),
    [("k: 6", False), ("k: 6", True), ("k: 6, with an embedder", True), ("deferred", True), ("no section", True)],
)
def test_requests_of_a_session_begin_alike(selection: str, *, calls: bool) -> None:
    session = {**json.loads(SESSION.read_text(encoding="utf-8")), "window": None}
    requests = asyncio.run(recorded(session, session["turns"], SELECTIONS[selection], calls=calls))
    assert mean(shares(requests)) >= 0.9
    if not selection.startswith("k"):  # each request goes on where the one before it ended
        assert min(shares(requests, of_before=True)) == 1
