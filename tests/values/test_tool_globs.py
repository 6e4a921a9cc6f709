"""Globs over tools' names, and how the lists of two layers narrow one another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from victor_dsl.values.tool_globs import TOO_MANY, matches, narrowed

TEXTS = st.text("ab*?[]!", max_size=4)
GLOBS = st.lists(st.one_of(TEXTS, st.tuples(TEXTS, TEXTS).map(" & ".join)), max_size=4)
NAMES = st.lists(st.text("ab[]!", max_size=5), max_size=20)


@given(GLOBS, GLOBS, NAMES)
def test_what_is_narrowed_matches_exactly_what_both_match(lower: list[str], upper: list[str], names: list[str]) -> None:
    both = narrowed(lower, upper)
    for name in (*names, *lower, *upper):
        assert matches(name, both) == (matches(name, lower) and matches(name, upper)), name


@given(GLOBS, GLOBS, GLOBS, NAMES)
def test_the_order_of_narrowing_does_not_matter(
    one: list[str], two: list[str], three: list[str], names: list[str]
) -> None:
    first, second = narrowed(narrowed(one, two), three), narrowed(one, narrowed(two, three))
    assert [matches(name, first) for name in names] == [matches(name, second) for name in names]


@pytest.mark.parametrize(
    ("lower", "upper", "both"),
    [
        (["a", "b"], ["b", "c"], ["b"]),
        (["a", "b"], ["c"], []),
        (["a*"], ["ab", "b"], ["ab"]),
        (["*"], ["a*", "b"], ["b", "a*"]),
        (["a*"], [], []),
        (["github__*", "slack__*"], ["github__read_*", "jira__*"], ["github__read_*"]),
        (["github__*"], ["*_read"], ["github__* & *_read"]),
        (["github__* & *_read"], ["github__issues_*", "*_read"], ["*_read & github__issues_*", "github__* & *_read"]),
        (["a?"], ["a?"], ["a?"]),
    ],
)
def test_narrowed_lists_are_as_short_as_they_can_be_told(lower: list[str], upper: list[str], both: list[str]) -> None:
    assert narrowed(lower, upper) == both


def test_lists_that_would_make_too_many_pairs_allow_nothing() -> None:
    assert narrowed([f"a{i}*" for i in range(101)], [f"*b{i}" for i in range(100)]) == [TOO_MANY]
    assert narrowed([f"a{i}" for i in range(1_000)], [f"*{i}" for i in range(900, 1_000)])[-1] == "a999"
