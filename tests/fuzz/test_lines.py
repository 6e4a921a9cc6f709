"""The short form of the search."""

from __future__ import annotations

from tests.fuzz.lines import search


def test_each_line_has_an_answer_and_none_is_an_internal_error() -> None:
    assert {"answered", "rendered", "bad-request", "bad-line", "repeated-id"} <= set(search(range(30)))
