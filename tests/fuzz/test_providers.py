"""The short form of the search."""

from __future__ import annotations

from tests.fuzz.providers import search


def test_a_file_is_read_whole_or_the_last_good_values_stay() -> None:
    assert set(search(range(300))) == {"read", "the last good values stay"}
