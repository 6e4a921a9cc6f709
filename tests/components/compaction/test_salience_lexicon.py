"""What the lexicon makes of each token."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from victor_dsl.components.compaction.salience import lexicon as tokens
from victor_dsl.components.compaction.salience.lexicon import Lexicon


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
    (number,) = read(lexicon, text)
    assert lexicon.arrays.sort[number] == sort


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
    numbers = read(lexicon, " ".join(forms))
    assert len(set(numbers)) == len(forms)
    assert len(set(lexicon.arrays.term[numbers].tolist())) == 1


def test_the_keys_of_json_are_skipped() -> None:
    lexicon = Lexicon()
    read(lexicon, '{"user_id": "mia_3668", "seats":{"economy": 9}}')
    assert lexicon.tokens.keys() == {"mia_3668", "9"}


def test_a_long_run_without_spaces_is_stored_as_its_tokens() -> None:
    lexicon = Lexicon()
    run = ",".join(f"part{n}" for n in range(40))
    assert len(read(lexicon, run)) == 40
    assert run not in lexicon


@given(
    st.lists(st.one_of(st.text(max_size=60), st.from_regex(r"[a-z.,!?\-/\" :{}0-9]{0,90}", fullmatch=True)), max_size=5)
)
def test_reading_again_gives_the_same_tokens(texts: list[str]) -> None:
    lexicon = Lexicon()
    first = [read(lexicon, text) for text in texts]
    assert first == [read(lexicon, text) for text in texts]
    spelled = list(lexicon.tokens)
    for text, numbers in zip(texts, first, strict=True):
        place = 0
        for number in numbers:  # each stands in the text, in order; only unspaced scripts give what overlaps
            if text.isascii():
                place = text.index(spelled[number], place) + len(spelled[number])
    known = lexicon.arrays
    assert len(known.sort) == len(known.cues) == len(known.term) == len(lexicon.tokens)
    assert len(known.ends) == len(lexicon)


def read(lexicon: Lexicon, text: str) -> list[int]:
    """The numbers of the text's tokens."""
    runs = lexicon.read(text)
    numbers, counts = lexicon.arrays.tokens(runs)
    assert len(counts) == len(runs)
    assert sum(counts) == len(numbers)
    found: list[int] = numbers.tolist()
    return found
