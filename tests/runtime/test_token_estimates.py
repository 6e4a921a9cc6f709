"""What is learnt of how a model counts, and what is not believed."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from victor_dsl.runtime.token_estimates import HIDDEN_TOKENS, MODELS, SESSIONS, ModelTokens, Refusal, TokenEstimates
from victor_dsl.values.tokens import Size, text_size

SIZES = st.builds(
    lambda stated, share, whole: Size(stated, stated, int(stated * share), whole),
    st.integers(1, 500_000),
    st.floats(0, 12),
    st.booleans(),
)
TOLD = st.none() | st.integers(-(10**9), 10**12) | st.floats() | st.booleans()
SAID = st.none() | st.integers(0, 10**12)


def learnt(counts: Iterable[tuple[Size, int]], session: str = "other") -> ModelTokens:
    model = ModelTokens()
    for size, reported in counts:
        model.learn(size, session, reported)
    return model


def english(stated: int) -> Size:
    return Size(stated, stated)


def chinese(stated: int) -> Size:
    return Size(stated, stated, stated * 8)


def test_the_stated_rule_holds_until_usage_is_reported() -> None:
    assert ModelTokens().estimate(chinese(1_000), "s") == 1_000


@pytest.mark.parametrize("ratio", [0.7, 1.0, 1.3, 1.9])
def test_a_few_reports_teach_what_a_model_counts(ratio: float) -> None:
    model = learnt((english(stated), int(stated * ratio)) for stated in (400, 1_500, 3_000, 2_000, 5_000))
    assert model.estimate(english(10_000), "new") == pytest.approx(10_000 * ratio, rel=0.05)


def test_scripts_are_told_apart() -> None:
    random = Random(4)
    model = ModelTokens()
    for _ in range(40):
        stated = random.randint(300, 6_000)
        model.learn(english(stated), "e", int(stated * 1.1))
        model.learn(chinese(stated), "c", int(stated * 4.2))
    assert model.estimate(english(3_000), "new") == pytest.approx(3_300, rel=0.05)
    assert model.estimate(chinese(3_000), "new") == pytest.approx(12_600, rel=0.05)


def test_a_session_goes_on_from_its_last_count() -> None:
    model = learnt([(english(1_000), 1_100)] * 20)
    model.learn(english(4_000), "json", 6_000)
    assert model.estimate(english(4_000), "json") == 6_000
    assert model.estimate(english(4_100), "json") == pytest.approx(6_000 + 115, abs=20)
    assert model.estimate(english(2_000), "json") == pytest.approx(3_000, rel=0.01)
    assert model.estimate(english(4_000), "new") == pytest.approx(4_500, rel=0.1)


def test_short_requests_teach_nothing_but_of_their_session() -> None:
    model = learnt([(english(20), 400)])
    assert model.estimate(english(20), "other") == 400
    assert model.estimate(english(5_000), "new") == 5_000


@pytest.mark.parametrize("told", [None, 0, -5, 10, 10**9, True, 1_100.0, float("nan")])
def test_a_count_that_cannot_be_true_is_passed_over(told: object) -> None:
    model = ModelTokens()
    model.learn(english(1_000), "s", told)  # type: ignore[arg-type]
    assert not model.knows


def test_a_request_with_an_image_teaches_nothing() -> None:
    model = ModelTokens()
    model.learn(Size(1_000, 1_000, 0, False), "s", 1_800)
    assert not model.knows


def test_one_false_count_does_little() -> None:
    counts = [(english(2_000), 2_200)] * 20
    model = learnt([*counts, (english(2_000), 8_000)])
    assert model.estimate(english(2_000), "new") == pytest.approx(2_200, rel=0.25)
    model.learn(english(2_000), "other", 2_200)
    assert model.estimate(english(2_000), "other") == 2_200


def test_a_change_of_the_model_is_followed() -> None:
    model = learnt([(english(2_000), 2_000)] * 200 + [(english(2_000), 2_800)] * 40)
    assert model.estimate(english(2_000), "new") == pytest.approx(2_800, rel=0.05)


@given(st.lists(st.tuples(SIZES, st.sampled_from("ab"), TOLD), max_size=40), SIZES)
def test_whatever_is_reported_an_estimate_stays_within_what_can_be(
    reports: list[tuple[Size, str, object]], size: Size
) -> None:
    model = ModelTokens()
    for reported_of, session, told in reports:
        model.learn(reported_of, session, told)  # type: ignore[arg-type]
    for session in "abc":
        tokens = model.estimate(size, session)
        assert min(1, size.stated // 4) <= tokens <= 4 * size.stated + size.extra + HIDDEN_TOKENS


@given(SIZES, SIZES, SAID, SAID, st.none() | st.integers(1, 10**7), st.integers(0, 10**6))
def test_whatever_a_refusal_says_a_window_is_believed_only_if_the_request_can_exceed_it(
    before: Size, size: Size, counted: int | None, window: int | None, known: int | None, answer: int
) -> None:
    model = ModelTokens()
    model.learn(before, "s", before.stated)
    model.refused(size, "s", Refusal(counted, window, known, answer))
    longest = 4 * size.stated + size.extra + HIDDEN_TOKENS
    assert model.window is None or 100 <= model.window <= longest + answer
    assert 1 <= model.estimate(size, "s") <= longest


@given(st.lists(SIZES, min_size=1, max_size=30), st.floats(0.3, 3))
def test_more_text_never_counts_less_in_the_same_session(sizes: list[Size], ratio: float) -> None:
    model = learnt([(size, int(size.stated * ratio)) for size in sizes], "s")
    size = sizes[-1]
    more = size + text_size("x" * 4_000)
    assert model.estimate(more, "s") >= model.estimate(size, "s")


def test_a_refusal_with_a_count_teaches_it() -> None:
    model = ModelTokens()
    model.refused(english(7_000), "s", Refusal(9_000, 8_192, 32_768, 0))
    assert model.window == 8_192
    assert model.estimate(english(7_000), "s") == 9_000


def test_a_refusal_without_a_count_is_taken_for_a_quarter_too_much() -> None:
    model = ModelTokens()
    model.refused(english(7_000), "s", Refusal(None, None, 8_192, 192))
    assert model.estimate(english(7_000), "s") == 10_000
    assert model.estimate(english(7_000), "other") == 7_000


def test_the_number_of_sessions_and_models_is_bounded() -> None:
    model = ModelTokens()
    for session in range(SESSIONS + 10):
        model.learn(english(1_000), str(session), 1_500)
    assert len(model._last) == SESSIONS
    estimates = TokenEstimates()
    first = estimates.of("first")
    assert estimates.of("first") is first
    for name in range(MODELS):
        estimates.of(name)
    assert len(estimates._models) == MODELS
    assert estimates.of("first") is not first
