"""A model's window: what is learnt of how it counts, and turns that are made to fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from attrs import define, field
from hypothesis import example, given
from hypothesis import strategies as st

from tests.runtime.stage import Says, Spy, Stage
from victor_dsl.compiler import compile_spec
from victor_dsl.errors import ModelError
from victor_dsl.language.component import Component
from victor_dsl.language.config import ModelConfig
from victor_dsl.language.kinds import KINDS
from victor_dsl.language.registry import Registry
from victor_dsl.runtime.context_window import MODELS, ModelWindow, TokenEstimates
from victor_dsl.runtime.model_tokens import HIDDEN_TOKENS, SESSIONS, ModelTokens, TooLong
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.values.message import Delta, Message, Reply, Usage, messages_tokens
from victor_dsl.values.request import Request
from victor_dsl.values.tokens import Size, text_size
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

SIZES = st.builds(
    lambda stated, share, whole: Size(stated, stated, int(stated * share), whole),
    st.integers(1, 500_000),
    st.floats(0, 80),
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
    return Size(stated, stated, stated * 32)


def test_the_stated_rule_holds_until_usage_is_reported() -> None:
    assert ModelTokens().estimate(english(1_000), "s") == 1_000


def test_other_scripts_count_more_from_the_first_request_on() -> None:
    assert ModelTokens().estimate(chinese(1_000), "s") == 4_200


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
    assert model.estimate(english(1_000), "s") == 1_000


def test_a_request_with_an_image_teaches_nothing() -> None:
    model = ModelTokens()
    model.learn(Size(1_000, 1_000, 0, False), "s", 1_800)
    assert model.estimate(english(1_000), "s") == 1_000


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
        assert min(1, size.stated // 4) <= tokens <= 4 * size.stated + size.extra / 2 + HIDDEN_TOKENS


@example(before=Size(1, 1, 0, False), size=Size(1, 1, 3, False), counted=None, window=None, known=1605, answer=0)
@given(SIZES, SIZES, SAID, SAID, st.none() | st.integers(1, 10**7), st.integers(0, 10**6))
def test_whatever_a_refusal_says_a_window_is_believed_only_if_the_request_can_exceed_it(
    before: Size, size: Size, counted: int | None, window: int | None, known: int | None, answer: int
) -> None:
    model = ModelTokens()
    model.learn(before, "s", before.stated)
    model.refused(size, "s", TooLong(counted, window, known, answer))
    longest = math.ceil(4 * size.stated + size.extra / 2) + HIDDEN_TOKENS
    assert model.window is None or 100 <= model.window <= longest + answer
    assert 1 <= model.estimate(size, "s") <= longest


@given(st.lists(SIZES, min_size=1, max_size=30), st.floats(0.3, 3))
@example([Size(1_707, 1_707, 27_312), Size(986, 986, 0, False)], 1.0)
def test_more_text_never_counts_less_in_the_same_session(sizes: list[Size], ratio: float) -> None:
    model = learnt([(size, int(size.stated * ratio)) for size in sizes], "s")
    size = sizes[-1]
    more = size + text_size("x" * 4_000)
    assert model.estimate(more, "s") >= model.estimate(size, "s")


def test_a_refusal_with_a_count_teaches_it() -> None:
    model = ModelTokens()
    model.refused(english(7_000), "s", TooLong(9_000, 8_192, 32_768, 0))
    assert model.window == 8_192
    assert model.estimate(english(7_000), "s") == 9_000


def test_a_refusal_without_a_count_is_taken_for_a_quarter_too_much() -> None:
    model = ModelTokens()
    model.refused(english(7_000), "s", TooLong(None, None, 8_192, 192))
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


SPEC = """
models: {main: {type: given, context_window: 2000}}
compaction: {type: recent, threshold: 0.9, target_ratio: 0.8}
exporters: [given]
"""
NO_WINDOW = SPEC.replace(", context_window: 2000", "")
LONG = tuple(Message("user" if nth % 2 else "assistant", f"{nth:03} " + "word " * 20) for nth in range(1, 52))
"""1,530 stated tokens."""


@define
class Counting:
    """A model whose tokens are `ratio` times the stated ones. Over its window it refuses, in words that `refusal` gives."""

    ratio: float
    window: int = 10**9
    refusal: Callable[[int, int], ModelError] | None = None
    sent: list[int] = field(factory=list)

    def says(self) -> Says:
        async def answer(turn: Turn) -> Reply:
            count = int(messages_tokens(turn.messages) * self.ratio)
            self.sent.append(count)
            if count > self.window:
                assert self.refusal is not None
                raise self.refusal(count, self.window)
            return Reply(Message("assistant", "Done."), Usage(count, 2, None))

        return Says([answer])


def too_long(counted: int | None = None, window: int | None = None) -> ModelError:
    return ModelError("the request is too long", kind="context_length", counted=counted, window=window)


def set_up(stage: Stage, counting: Counting) -> Spy:
    stage.objects |= {"models/main": counting.says(), "exporters/given": (spy := Spy())}
    return spy


async def ask(orchestrator: Orchestrator, session: str = "s", **more: Any) -> None:
    answer = await orchestrator.answer(Request(messages=LONG, session=session, **more))
    assert answer.error is None, answer.error


async def test_a_model_that_counts_more_is_sent_less_once_it_has_reported_usage(stage: Stage) -> None:
    counting = Counting(1.6)
    spy = set_up(stage, counting)
    async with stage.orchestrator(SPEC) as orchestrator:
        await ask(orchestrator)
        await ask(orchestrator)
        await ask(orchestrator, "another")
    assert counting.sent[0] > 2_000
    assert all(1_000 < count <= 1_800 for count in counting.sent[1:])
    assert len(spy.of("compaction")) == 2


async def test_a_model_that_counts_less_is_sent_more(stage: Stage) -> None:
    counting = Counting(0.7)
    set_up(stage, counting)
    async with stage.orchestrator(SPEC.replace("2000", "1600")) as orchestrator:
        await ask(orchestrator)
        await ask(orchestrator)
    assert counting.sent[0] < counting.sent[1] == int(messages_tokens(LONG) * 0.7)


async def test_what_one_tenant_teaches_holds_for_all_and_over_a_reload(stage: Stage) -> None:
    counting = Counting(1.6)
    set_up(stage, counting)
    async with stage.orchestrator(SPEC + "tenants: {a: {}, b: {}}\n") as orchestrator:
        await ask(orchestrator, tenant="a")
        await ask(orchestrator, tenant="b")
        await orchestrator.reload(stage.program(SPEC.replace("2000", "1900") + "tenants: {c: {}}\n"))
        await ask(orchestrator, tenant="c")
    assert [count > 2_000 for count in counting.sent] == [True, False, False]


async def test_events_say_what_was_expected_and_how_far_it_was_off(stage: Stage) -> None:
    counting = Counting(1.25)
    spy = set_up(stage, counting)
    async with stage.orchestrator(SPEC) as orchestrator:
        await ask(orchestrator)
        await ask(orchestrator)
    for type in ("model_call", "token_usage"):
        first, second = spy.data(type)
        assert (first["estimated_tokens"], first["estimate_error"]) == (1_530, pytest.approx(-0.2, abs=0.001))
        assert (second["input_tokens"], second["estimate_error"]) == (counting.sent[1], pytest.approx(0, abs=0.01))


async def test_the_error_is_not_known_where_no_usage_is_reported(stage: Stage) -> None:
    stage.objects |= {"models/main": Says(["Hi."], usage=Usage()), "exporters/given": (spy := Spy())}
    async with stage.orchestrator(SPEC) as orchestrator:
        await ask(orchestrator)
    assert [spy.data("model_call")[0][name] for name in ("estimated_tokens", "estimate_error")] == [1_530, None]


@pytest.mark.parametrize("refusal", [too_long, lambda counted, window: too_long()], ids=["counted", "wordless"])
async def test_a_request_refused_as_too_long_is_compacted_and_put_once_more(
    stage: Stage, refusal: Callable[[int, int], ModelError]
) -> None:
    counting = Counting(1.6, window=2_000, refusal=refusal)
    spy = set_up(stage, counting)
    async with stage.orchestrator(SPEC) as orchestrator:
        await ask(orchestrator)
        await ask(orchestrator)
    assert [count > 2_000 for count in counting.sent] == [True, False, False]
    assert [call["error"] for call in spy.data("model_call")] == ["context_length", None, None]
    assert [error["code"] for error in spy.data("error")] == ["model-context_length"]


async def test_a_window_that_nobody_wrote_is_learnt_from_the_refusal(stage: Stage) -> None:
    counting = Counting(1.1, window=1_200, refusal=too_long)
    set_up(stage, counting)
    async with stage.orchestrator(NO_WINDOW) as orchestrator:
        await ask(orchestrator)
        await ask(orchestrator, "another")
    assert [count > 1_200 for count in counting.sent] == [True, False, False]


async def test_a_second_refusal_is_final(stage: Stage) -> None:
    counting = Counting(1.0, window=10, refusal=lambda counted, window: too_long())
    set_up(stage, counting)
    async with stage.orchestrator(SPEC) as orchestrator:
        answer = await orchestrator.answer(Request(messages=LONG))
    assert len(counting.sent) == 2
    assert isinstance(answer.error, ModelError)
    assert answer.error.kind == "context_length"


async def test_what_cannot_be_shortened_is_not_put_again(stage: Stage) -> None:
    counting = Counting(1.0, window=10, refusal=too_long)
    set_up(stage, counting)
    async with stage.orchestrator(SPEC) as orchestrator:
        answer = await orchestrator.answer(Request(message="word " * 200))
    assert len(counting.sent) == 1
    assert isinstance(answer.error, ModelError)


async def test_an_unknown_window_is_found_within_a_few_refusals_without_a_number(stage: Stage) -> None:
    counting = Counting(1.0, 400, lambda counted, window: too_long())
    set_up(stage, counting)
    async with stage.orchestrator(NO_WINDOW) as orchestrator:
        answers = [await orchestrator.answer(Request(messages=LONG, session=f"s{nth}")) for nth in range(4)]
    assert [answer.error is None for answer in answers][-2:] == [True, True]
    assert len(counting.sent) <= 8


async def test_a_configured_window_that_is_too_large_is_found_within_a_few_refusals(stage: Stage) -> None:
    counting = Counting(1.0, 400, lambda counted, window: too_long())
    set_up(stage, counting)
    async with stage.orchestrator(SPEC) as orchestrator:
        answers = [await orchestrator.answer(Request(messages=LONG, session="s")) for _ in range(4)]
    assert [answer.error is None for answer in answers][-2:] == [True, True]


@pytest.mark.parametrize(
    ("kind", "status", "share", "asked"),
    [
        ("bad_request", 400, 0.9, 2),
        ("bad_request", 413, 0.9, 2),
        ("bad_request", 422, 0.9, 2),
        ("bad_request", 400, 0.5, 1),
        ("bad_request", 404, 0.9, 1),
        ("authentication", 400, 0.9, 1),
    ],
)
async def test_a_large_request_that_is_refused_for_no_known_reason_is_put_once_more(
    stage: Stage, kind: Any, status: int, share: float, asked: int
) -> None:
    window = int(messages_tokens(LONG) / share)
    counting = Counting(1.0, 1_000, lambda counted, window: ModelError("No.", kind=kind, status=status))
    set_up(stage, counting)
    async with stage.orchestrator(SPEC.replace("2000", str(window)).replace("0.9", "1.0")) as orchestrator:
        answer = await orchestrator.answer(Request(messages=LONG, session="s"))
    assert len(counting.sent) == asked
    assert (answer.error is None) == (asked == 2 and counting.sent[-1] <= 1_000)


async def test_what_is_refused_whatever_its_length_is_put_once_more_once_in_a_session(stage: Stage) -> None:
    error = ModelError("The image is broken.", kind="bad_request", status=400)
    counting = Counting(1.0, 1, lambda counted, window: error)
    set_up(stage, counting)
    async with stage.orchestrator(SPEC) as orchestrator:
        answers = [await orchestrator.answer(Request(messages=LONG, session="s")) for _ in range(3)]
    assert len(counting.sent) == 4
    assert all(answer.error is not None and "The image is broken." in answer.error.message for answer in answers)


def test_the_margin_shrinks_as_reports_agree_with_the_estimates() -> None:
    model = ModelTokens()
    first = model.margin(english(2_000), "s")
    for nth in range(1, 20):
        model.learn(english(2_000 + 100 * nth), f"s{nth}", 2_000 + 100 * nth)
    assert 0 < model.margin(english(2_000), "new") < first / 3
    model.learn(english(4_000), "s", 4_000)
    assert model.margin(english(4_000), "s") == 0


async def test_a_margin_is_left_for_the_answer_where_estimates_are_new(stage: Stage) -> None:
    counting = Counting(1.06)
    set_up(stage, counting)
    spec = SPEC.replace("threshold: 0.9", "threshold: 0.96").replace("2000", "1600")
    async with stage.orchestrator(spec + "settings: {max_tokens: 62}\n") as orchestrator:
        await ask(orchestrator)
    assert counting.sent[0] + 62 <= 1_600


@pytest.mark.parametrize(("written", "answer", "full"), [(40, 60, True), (60, 60, False), (20, None, False)])
async def test_an_answer_that_ended_with_the_window_says_so(
    stage: Stage, written: int, answer: int | None, full: bool
) -> None:
    reply = Reply(Message("assistant", "Once"), Usage(1_960, written), "length")
    stage.objects |= {"models/main": Says([reply]), "exporters/given": (spy := Spy())}
    settings = f"settings: {{max_tokens: {answer or 'null'}}}\n"
    async with stage.orchestrator(SPEC + settings) as orchestrator:
        await ask(orchestrator)
    (call,) = spy.data("model_call")
    assert call.get("window_full", False) is full


@pytest.mark.parametrize(
    ("counts", "reports"), [((38, 45, 38), 1), ((10, 10, 10), 0), ((38, 150, 150), 0), ((150, 160, 170), 0)]
)
async def test_a_server_that_seems_to_drop_tools_is_reported_once(
    stage: Stage, counts: tuple[int, ...], reports: int
) -> None:
    replies = [Reply(Message("assistant", "Hi."), Usage(count, 3)) for count in counts]
    stage.objects |= {"models/main": Says(replies), "exporters/given": (spy := Spy())}
    tools = (Tool("look_up", "Looks an order up by its number, and says when it was sent. " * 5),)
    async with stage.orchestrator(SPEC + "tool_selection: all\n") as orchestrator:
        for _ in counts:
            await orchestrator.answer(Request(message="Hi", tools=tools))
    found = [data["message"] for data in spy.data("error")]
    assert len(found) == reports
    assert all("seems to drop them" in message for message in found)


async def test_nothing_is_put_again_after_its_first_piece(stage: Stage) -> None:
    async def breaks(turn: Turn) -> Reply:
        await turn.emit(Delta("Well"))
        raise too_long(9_000, 2_000)

    async def heard(delta: Delta) -> None:
        pass

    model = Says([breaks])
    stage.objects |= {"models/main": model, "exporters/given": Spy()}
    async with stage.orchestrator(SPEC) as orchestrator:
        answer = await orchestrator.answer(Request(messages=LONG), heard)
    assert isinstance(answer.error, ModelError)
    assert len(model.turns) == 1


async def test_a_larger_model_stands_in_where_shortening_does_not_help(stage: Stage) -> None:
    counting = Counting(1.0, window=10, refusal=lambda counted, window: too_long())
    set_up(stage, counting)
    stage.objects["models/spare"] = Says(["I can."])
    spec = SPEC.replace("2000}", "2000}, spare: {type: given, context_window: 9000}")
    async with stage.orchestrator(spec + "settings: {model: main, fallbacks: [spare]}\n") as orchestrator:
        reply = await orchestrator.answer(Request(messages=LONG))
    assert reply.text == "I can."


async def test_a_request_that_cannot_fit_is_told_with_what_its_model_counts(stage: Stage) -> None:
    set_up(stage, Counting(2.0))
    async with stage.orchestrator(SPEC) as orchestrator:
        await ask(orchestrator)
        answer = await orchestrator.answer(Request(message="word " * 1_500, session="new"))
    assert answer.error is not None
    assert "the model's window has 2000, but it counts 1." in str(answer.error)


async def test_rendering_follows_what_its_process_has_learnt(stage: Stage) -> None:
    set_up(stage, Counting(1.6))
    async with stage.orchestrator(SPEC) as orchestrator:
        before = await orchestrator.render(Request(messages=LONG))
        await ask(orchestrator)
        after = await orchestrator.render(Request(messages=LONG))
    assert len(before.messages) == len(LONG) > len(after.messages)
    assert after.tokens.limit == 2_000


class Tokenized(ModelConfig):
    """A model with a tokenizer: a token a character."""

    def counter(self) -> Callable[[str], int]:
        return len


@pytest.mark.parametrize("words", [20, 2_400], ids=["on the loop", "in a thread"])
async def test_a_tokenizer_counts_from_the_first_request_on_and_in_rendering(tmp_path: Path, words: int) -> None:
    model = Says(["Hi."], usage=Usage())
    tokenized = Component(KINDS["models"], "tokenized", Tokenized, lambda config, context: model, "")
    registry = Registry([tokenized], entry_points=False)
    spec = tmp_path / "victor.yml"
    window = words * 5 * 6
    text = f"victor: 1\nname: s\nmodels: {{main: {{type: tokenized, context_window: {window}}}}}\ncompaction: recent\n"
    spec.write_text(text, encoding="utf-8")
    messages = tuple(Message("user", "word " * words) for _ in range(10))
    program = compile_spec(str(spec), environment={}, registry=registry).program
    assert program is not None
    async with Orchestrator(program, registry=registry) as orchestrator:
        rendered = await orchestrator.render(Request(messages=messages))
        await orchestrator.answer(Request(messages=messages))
    assert rendered.messages == model.turns[0].messages
    assert 2 <= len(rendered.messages) < 6


def test_two_turns_that_are_sized_at_once_each_have_their_own_tools() -> None:
    """A long turn is sized in a thread; here the other turn comes exactly between its tools and its texts."""
    short, long = Tool("a", "x" * 40), Tool("b", "x" * 4_000)
    others = [Turn("2", "other", (), tools=(long,))]

    def count(text: str) -> int:
        while text == "between" and others:
            window.size(others.pop())
        return len(text)

    window = ModelWindow(8_192, ModelTokens(), count)
    alone = ModelWindow(8_192, ModelTokens(), len)
    turn = Turn("1", "s", (Message("user", "hi"),), system="between", tools=(short,))
    assert window.size(turn) == alone.size(turn)
    assert not others
