"""An answer that breaks off after some of its text was streamed, by `settings.broken_stream`."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import define, field

from tests.runtime.stage import Says, Spy, Stage, Toolbox, call
from victor_dsl.errors import ModelError
from victor_dsl.values.message import Delta, Message, Reply, Usage
from victor_dsl.values.request import Request
from victor_dsl.values.turn import Turn

TWO = """
models: {main: {type: given}, spare: {type: given}}
settings: {model: main, fallbacks: [spare], broken_stream: MODE}
exporters: [given]
tools: [given]
"""


@define
class Streams:
    """A model's reply that streams some pieces, and then its text, calls or error."""

    pieces: list[Any]
    then: Any = None

    async def __call__(self, turn: Turn) -> Any:
        text = ""
        for piece in self.pieces:
            delta = piece if isinstance(piece, Delta) else Delta(piece)
            text += delta.text
            await turn.emit(delta)
        if self.then is None:
            return text
        return self.then if isinstance(self.then, BaseException) else Reply(Message("assistant", text, (self.then,)))


@define
class Shown:
    """What a caller shows: a restart takes the text back."""

    text: str = ""
    thoughts: str = ""
    deltas: list[Delta] = field(factory=list)

    async def emit(self, delta: Delta) -> None:
        self.deltas.append(delta)
        self.text = delta.text if delta.restart else self.text + delta.text
        self.thoughts += delta.reasoning


def broken(kind: Any = "bad_response", **more: Any) -> ModelError:
    return ModelError("it broke off", kind=kind, **more)


async def run(stage: Stage, mode: str, main: list[Any], spare: list[Any], more: str = "") -> tuple[Reply, Shown, Spy]:
    async def good(vars: Any) -> str:
        return "result"

    spy, shown = Spy(), Shown()
    stage.objects |= {
        "models/main": Says(main),
        "models/spare": Says(spare),
        "exporters/given": spy,
        "tools/given": Toolbox({"good": good}),
    }
    async with stage.orchestrator(TWO.replace("MODE", mode) + more) as orchestrator:
        answer = await orchestrator.answer(Request(message="go"), shown.emit)
    return answer, shown, spy


MAIN = Streams(["one ", "two "], broken())
RETRY = "middleware: [{type: retry, attempts: 2, initial_seconds: 0}]"
OUTCOMES = {
    # mode: what the spare streams, the reply (None: an error), what the caller shows in the end
    "error": (["one ", "two ", "three"], None, "one two "),
    "hold": (["other"], "other", "other"),
    "restart": (["other"], "other", "other"),
    "continue": (["one ", "two ", "three"], "one two three", "one two three"),
    "continue in other pieces": (["one tw", "o three"], "one two three", "one two three"),
    "continue otherwise": (["one ", "too many"], None, "one two "),
    "continue with less": (["one "], None, "one two "),
}


@pytest.mark.parametrize("by", ["fallback", "retry"])
@pytest.mark.parametrize("case", OUTCOMES)
async def test_an_answer_that_breaks_off_ends_as_its_setting_says(stage: Stage, case: str, by: str) -> None:
    pieces, reply, shown_at_last = OUTCOMES[case]
    mode = case.split(maxsplit=1)[0]
    again = Streams(pieces)
    if by == "fallback":
        answer, shown, spy = await run(stage, mode, [MAIN], [again])
    else:
        answer, shown, spy = await run(stage, mode, [MAIN, again], ["never"], RETRY)
    assert (answer.text or None, shown.text) == (reply, shown_at_last)
    if reply is None:
        assert answer.error is not None
        assert answer.error.to_dict()["code"] == "model-bad_response"
    elif by == "fallback":
        assert answer.model == "spare"
    assert any(delta.restart for delta in shown.deltas) == (mode == "restart")
    first = spy.data("model_call")[0]
    assert (first["error"], first["output_tokens"], first["estimated"]) == ("bad_response", 2, True)


async def test_a_filter_in_the_middle_of_an_answer_is_not_replaced(stage: Stage) -> None:
    answer, shown, _ = await run(stage, "restart", [Streams(["one "], broken("content_filter"))], ["never"])
    assert answer.error is not None
    assert shown.text == "one "


async def test_a_restart_leaves_the_text_of_earlier_rounds(stage: Stage) -> None:
    main = [Streams(["I look. "], call("good")), Streams(["It "], broken())]
    answer, shown, _ = await run(stage, "restart", main, [Streams(["Rain."])])
    assert (answer.text, shown.text) == ("Rain.", "I look. Rain.")


async def test_text_held_back_goes_out_with_each_complete_answer(stage: Stage) -> None:
    main = [Streams(["I look. "], call("good")), Streams(["It "], broken())]
    answer, shown, _ = await run(stage, "hold", main, [Streams(["Ra", "in."])])
    assert (answer.text, shown.text) == ("Rain.", "I look. Rain.")
    pieces = [(delta.kind, str(delta)) for delta in shown.deltas]
    assert pieces == [("text", "I look. "), ("tool_call", ""), ("tool_result", ""), ("text", "Ra"), ("text", "in.")]


async def test_an_answer_is_not_continued_once_a_tool_call_began(stage: Stage) -> None:
    main = Streams(["one "], broken(in_tool_call=True))
    answer, shown, _ = await run(stage, "continue", [main], [Streams(["one two"])])
    assert answer.error is not None
    assert shown.text == "one "


async def test_a_tool_call_that_broke_off_before_any_text_stops_no_later_try(stage: Stage) -> None:
    calls_broke_off = Streams([], broken(in_tool_call=True))
    main = [calls_broke_off, Streams([], call("good")), calls_broke_off, MAIN, Streams(["one two ", "three"])]
    answer, shown, _ = await run(stage, "continue", main, ["never"], RETRY.replace("2", "3"))
    assert (answer.text, shown.text) == ("one two three", "one two three")


@pytest.mark.parametrize("mode", ["restart", "continue"])
async def test_a_fallback_that_streams_nothing_is_shown_all_the_same(stage: Stage, mode: str) -> None:
    answer, shown, _ = await run(stage, mode, [MAIN], ["one two three"])
    assert (answer.text, shown.text) == ("one two three", "one two three")


@pytest.mark.parametrize("order", [["retry", "redact"], ["redact", "retry"], ["redact"]], ids=" ".join)
async def test_a_redacted_stream_goes_on_where_the_text_that_went_out_ends(stage: Stage, order: list[str]) -> None:
    layers = {"retry": "{type: retry, attempts: 2, initial_seconds: 0}", "redact": "{type: redact}"}
    middleware = f"middleware: [{', '.join(layers[name] for name in order)}]"
    main = Streams(["I am ", "ann@exam"], broken())
    answer, shown, _ = await run(stage, "continue", [main], [Streams(["I am ann@example.org", ", hi"])], middleware)
    assert shown.text == answer.text == "I am [email], hi"


async def test_an_answer_that_does_not_go_on_is_billed_as_its_model_says(stage: Stage) -> None:
    short = Reply(Message("assistant", "one "), Usage(100, 7, 0.25))

    async def streams_too_little(turn: Turn) -> Reply:
        await turn.emit(Delta("one "))
        return short

    answer, _, spy = await run(stage, "continue", [MAIN], [streams_too_little])
    assert answer.error is not None
    last = spy.data("model_call")[-1]
    assert (last["input_tokens"], last["output_tokens"], last["cost_usd"]) == (100, 7, 0.25)
    assert "estimated" not in last


async def test_thoughts_alone_do_not_keep_a_fallback_from_answering(stage: Stage) -> None:
    main = Streams([Delta(reasoning="Hm. ")], broken())
    answer, shown, spy = await run(stage, "error", [main], [Streams([Delta(reasoning="Well."), "yes"])])
    assert (answer.text, shown.text, shown.thoughts) == ("yes", "yes", "Hm. Well.")
    assert spy.data("model_call")[1]["ttft_ms"] is not None


@pytest.mark.parametrize("around", ["turn", "model"])
@pytest.mark.parametrize("mode", ["hold", "restart"])
async def test_a_redacted_stream_begins_anew_with_the_answer(stage: Stage, mode: str, around: str) -> None:
    main = Streams(["I am ", "ann@exam"], broken())
    spare = Streams([Delta(reasoning="bob@example.org? "), "Mail bob@", "example.org!"])
    redact = f"middleware: [{{type: redact, around: {around}}}]"
    answer, shown, _ = await run(stage, mode, [main], [spare], redact)
    assert shown.text == answer.text
    assert "bob" not in shown.text + shown.thoughts
    assert shown.text.startswith("Mail [")
    assert shown.thoughts.startswith("[")
