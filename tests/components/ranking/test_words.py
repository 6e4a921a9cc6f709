"""The terms of texts."""

from __future__ import annotations

import pytest

from victor_dsl.components.ranking.words import terms


def test_names_are_split_at_humps_underscores_and_digits() -> None:
    assert terms("getHTTPResponse2_for userID") == ["get", "http", "respons", "2", "user", "id"]


@pytest.mark.parametrize("words", ["fly flying", "cancel cancelled canceling", "city cities", "book books booking"])
def test_forms_of_one_word_are_one_term(words: str) -> None:
    assert len(set(terms(words))) == 1


def test_numbers_are_whole_terms() -> None:
    assert terms("4711 471 100 1000 2200 220") == ["4711", "471", "100", "1000", "2200", "220"]
