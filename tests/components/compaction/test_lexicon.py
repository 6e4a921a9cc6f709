"""Each token is told for what it looks like."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from victor_dsl.components.compaction import _lexicon as tokens
from victor_dsl.components.compaction._lexicon import Lexicon


@pytest.mark.parametrize(
    ("text", "sort"),
    [
        ("2024-05-24", tokens.IDENTIFIER),
        ("src/app/main.py", tokens.IDENTIFIER),
        ("main.py", tokens.IDENTIFIER),
        ("gift_card_8887175", tokens.IDENTIFIER),
        ("https://example.com/a", tokens.IDENTIFIER),
        ("mia@example.com", tokens.IDENTIFIER),
        ("M05KNL", tokens.IDENTIFIER),
        ("payment_id", tokens.SYMBOL),
        ("parseConfig", tokens.SYMBOL),
        ("ATL", tokens.SYMBOL),
        ("94107", tokens.SYMBOL),
        ("12", tokens.NUMBER),
        ("Lisbon", tokens.NAME),
        ("pottery", tokens.WORD),
        ("Œuvre", tokens.NAME),
        ("the", tokens.SMALL),
        ("Don\u2019t", tokens.SMALL),
        ("?!", tokens.ASK),
        ("؟", tokens.ASK),
        ("...", tokens.STOP),
    ],
)
def test_a_token_is_of_a_sort(text: str, sort: int) -> None:
    lexicon = Lexicon()
    (number,) = lexicon.read(text)
    assert lexicon.arrays[0][number] == sort


@pytest.mark.parametrize(
    "forms",
    [
        ["paint", "Painted", "painting", "paints"],
        ["city", "cities"],
        ["stop", "stopped"],
        ["Nadia", "Nadia's", "Nadia\u2019s"],
    ],
)
def test_forms_of_a_word_share_a_term(forms: list[str]) -> None:
    lexicon = Lexicon()
    numbers = lexicon.read(" ".join(forms))
    assert len(set(numbers.tolist())) == len(forms)
    assert len(set(lexicon.arrays[2][numbers].tolist())) == 1


def test_the_keys_of_json_are_passed_over() -> None:
    lexicon = Lexicon()
    lexicon.read('{"user_id": "mia_3668", "seats":{"economy": 9}}')
    assert lexicon.tokens.keys() == {"mia_3668", "9"}


def test_a_long_run_without_spaces_is_read_but_not_remembered() -> None:
    lexicon = Lexicon()
    run = ",".join(f"part{n}" for n in range(40))
    assert len(lexicon.read(run)) == 40
    assert run not in lexicon


@given(st.lists(st.text(max_size=40), max_size=5))
def test_reading_again_gives_the_same_numbers(texts: list[str]) -> None:
    lexicon = Lexicon()
    first = [lexicon.read(text).tolist() for text in texts]
    assert first == [lexicon.read(text).tolist() for text in texts]
    assert all(0 <= number < len(lexicon.tokens) for row in first for number in row)
    assert all(len(array) == len(lexicon.tokens) for array in lexicon.arrays)
