"""The short form of the search."""

from __future__ import annotations

from tests.fuzz.imports import WHOLE, search


def test_each_file_is_refused_or_becomes_a_valid_spec_and_no_key_is_lost() -> None:
    assert {f"{kind}: imported" for kind, _ in WHOLE} <= set(search(range(60)))
