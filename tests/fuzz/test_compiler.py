"""The short form of the search."""

from __future__ import annotations

from tests.fuzz.compiler import search


def test_whatever_is_compiled_gives_nothing_but_diagnostics() -> None:
    codes = search(range(150))
    assert {"valid", "unknown-key", "wrong-type", "unknown-component", "missing-key"} <= set(codes)
