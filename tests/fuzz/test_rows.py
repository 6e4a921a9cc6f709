"""The short form of the search."""

from __future__ import annotations

from tests.fuzz.rows import search


def test_a_row_is_read_whole_or_refused() -> None:
    assert set(search(range(1_000))) == {"read", "refused"}
