"""What is said after an unknown name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from victor_dsl.nearest import Choices, nearest, suggest


@pytest.mark.parametrize(
    ("word", "valid", "near"),
    [
        ("mian", ["main", "spare"], "main"),
        ("MAIN", ["main"], "main"),
        ("rate-limit", ["rate_limit"], "rate_limit"),
        ("postgres", ["sqlite", "redis"], None),
        ("", ["main"], None),
        ("main", [], None),
    ],
)
def test_the_nearest_name_is_the_one_most_likely_meant(word: str, valid: list[str], near: str | None) -> None:
    assert nearest(word, valid) == near


def test_of_names_that_differ_in_case_alone_the_first_is_meant() -> None:
    assert nearest("mian", ["Main", "main"]) == "Main"


def test_a_suggestion_lists_the_names_sorted_and_once() -> None:
    assert suggest("x1", ["b", "a", "b"], what="names") == "names: a, b"


def test_a_long_list_is_cut_and_says_how_long_it_is() -> None:
    assert suggest("zz", "abcd", most=2) == "there are: a, b, … (4 in all)"


def test_nothing_to_list_is_said() -> None:
    assert (suggest("a", []), suggest("a", [], what="arms")) == ("there are none", "there are no arms")


def test_a_large_collection_is_read_once_for_many_unknown_names() -> None:
    class Read(list[str]):
        times = 0

        def __iter__(self) -> Iterator[str]:
            Read.times += 1
            return super().__iter__()

    choices, names = Choices(), Read(["main", "spare"])
    assert {suggest(f"mian{i}", choices.of(names)) for i in range(5)} == {
        "did you mean 'main'? there are: main, spare",
    }
    assert Read.times == 1
