"""Turns made to fit a window by what is known of how their model counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from tests.runtime.stage import Says, Spy, Stage
from victor_dsl.compiler import compile_spec
from victor_dsl.errors import ModelError
from victor_dsl.language.component import Component
from victor_dsl.language.config import ModelConfig
from victor_dsl.language.kinds import KINDS
from victor_dsl.language.registry import Registry
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.values.message import Delta, Message, Reply, Usage, messages_tokens
from victor_dsl.values.request import Request
from victor_dsl.values.turn import Turn

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
