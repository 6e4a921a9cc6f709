"""The short form of the search."""

from __future__ import annotations

from tests.fuzz.keys import search


def test_nobody_is_admitted_without_a_key_of_the_file() -> None:
    assert {"admitted", "the API key is unknown"} <= set(search(range(400)))
