"""The short form of the search."""

from __future__ import annotations

from tests.fuzz.reader import search


def test_whatever_is_read_gives_nothing_but_diagnostics() -> None:
    codes = search(1_000, steady=True)
    assert {"none", "duplicate-key", "yaml-syntax", "json-syntax", "not-utf8", "too-deep"} <= set(codes)
