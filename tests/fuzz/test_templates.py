"""The short form of the search."""

from __future__ import annotations

from tests.fuzz.templates import search


def test_whatever_a_template_is_it_ends_soon_and_in_a_known_way() -> None:
    assert {"rendered", "no template", "SecurityError", "UndefinedError", "TypeError"} <= set(search(range(150)))
