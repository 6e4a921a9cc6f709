"""The model, its tools and the models that stand in for it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.runtime.stage import Gate, HandClock, Says, Spy, Stage, Toolbox, call, settle
from victor_dsl.errors import ModelError, Refused, ToolError
from victor_dsl.values.message import Delta, Message, Reply, StopReason, ToolCall, Usage, messages_tokens
from victor_dsl.values.request import Request
from victor_dsl.values.settings import MOST_TOOL_CALLS
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Handler, Turn

ONE = """
models: {main: {type: given}}
tools: [{type: given}]
exporters: [given]
"""
TWO = """
models: {main: {type: given}, spare: {type: given}}
settings: {model: main, fallbacks: [spare]}
exporters: [given]
"""


NO_REPORT: Any = None


async def good(vars: Mapping[str, Any]) -> str:
    return "result"


async def bad(vars: Mapping[str, Any]) -> str:
    raise ValueError("out of paper")


async def number(vars: Mapping[str, Any]) -> Any:
    return 7


async def garbled(vars: Mapping[str, Any]) -> str:
    raise ValueError("bad \ud83d thing")


async def refused(vars: Mapping[str, Any]) -> str:
    raise ToolError("closed on Sundays")


def set_up(stage: Stage, *replies: Any) -> tuple[Says, Toolbox, Spy]:
    model, tools, spy = (
        Says(list(replies)),
        Toolbox({"good": good, "bad": bad, "number": number, "refused": refused, "garbled": garbled}),
        Spy(),
    )
    stage.objects |= {"models/main": model, "tools/given": tools, "exporters/given": spy}
    return model, tools, spy


async def told(stage: Stage, *replies: Any, spec: str = "") -> list[str | None]:
    """What the model was told after its first reply, call by call."""
    model, _, _ = set_up(stage, *replies, "done")
    async with stage.orchestrator(ONE + spec) as orchestrator:
        await orchestrator.chat("go")
    return [message.text() for message in model.turns[1].messages if message.role == "tool"]


async def test_a_fallback_answers_with_its_own_settings(stage: Stage) -> None:
    main, spare = Says([ModelError("down", kind="overloaded")]), Says(["from spare"])
    stage.objects |= {"models/main": main, "models/spare": spare, "exporters/given": Spy()}
    spec = TWO.replace("main: {type: given}", "main: {type: given, settings: {temperature: 0.3, stop: [M]}}")
    spec = spec.replace("spare: {type: given}", "spare: {type: given, settings: {temperature: 1, max_tokens: 800}}")
    async with stage.orchestrator(spec) as orchestrator:
        await orchestrator.chat("go")
    first, second = main.turns[0].settings, spare.turns[0].settings
    assert (first.model, first.temperature, first.stop, first.max_tokens) == ("main", 0.3, ("M",), None)
    assert (second.model, second.temperature, second.stop, second.max_tokens) == ("spare", 1.0, None, 800)


async def test_a_fallbacks_history_leaves_room_for_the_fallbacks_own_answer(stage: Stage) -> None:
    main, spare = Says([ModelError("down", kind="overloaded")]), Says(["ok"])
    stage.objects |= {"models/main": main, "models/spare": spare, "exporters/given": Spy()}
    spec = TWO.replace("main: {type: given}", "main: {type: given, context_window: 2000}")
    spec = spec.replace(
        "spare: {type: given}", "spare: {type: given, context_window: 1000, settings: {max_tokens: 600}}"
    )
    messages = tuple(Message("user" if i % 2 == 0 else "assistant", "x" * 200) for i in range(13))
    async with stage.orchestrator(spec + "compaction: {type: recent, threshold: 0.4}") as orchestrator:
        await orchestrator.answer(Request(messages=messages))
    sizes = [messages_tokens(model.turns[0].messages) for model in (main, spare)]
    assert sizes[0] == messages_tokens(messages)
    assert sizes[1] <= 400


async def test_a_tools_result_goes_back_to_the_model_and_into_the_session(stage: Stage) -> None:
    model, _, spy = set_up(stage, [call("good")], "done", "again")
    async with stage.orchestrator(ONE) as orchestrator:
        reply = await orchestrator.chat("go", session_id="s")
        await orchestrator.chat("on", session_id="s")
    assert reply.message.text() == "done"
    assert reply.usage == Usage(20, 10, 1.0)
    roles = [message.role for message in model.turns[-1].messages]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]
    assert spy.data("tool_call")[0] | {"latency_ms": 0} == {
        "tool": "good",
        "source": "tools/given",
        "rank": 0,
        "price_usd": None,
        "ok": True,
        "error": None,
        "latency_ms": 0,
    }


async def test_calls_run_side_by_side_and_their_results_keep_the_calls_order(stage: Stage) -> None:
    gate = Gate()

    async def first(vars: Mapping[str, Any]) -> str:
        await gate.pass_through()
        return "first"

    async def second(vars: Mapping[str, Any]) -> str:
        gate.opened.set()
        return "second"

    model, _, _ = set_up(stage, [call("first", id="1"), call("second", id="2")], "done")
    stage.objects["tools/given"] = Toolbox({"first": first, "second": second})
    async with stage.orchestrator(ONE) as orchestrator:
        await orchestrator.chat("go")
    results = [(m.tool_call_id, m.content) for m in model.turns[1].messages if m.role == "tool"]
    assert results == [("1", "first"), ("2", "second")]


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        (
            "god",
            "{}",
            "Error: there is no tool 'god'; did you mean 'good'? there are: bad, garbled, good, number, refused",
        ),
        ("good", "{", "Error: the arguments of 'good' are not JSON: "),
        ("good", "[1]", "Error: the arguments of 'good' are not a JSON object"),
        ("bad", "{}", "Error: the tool 'bad' failed: ValueError: out of paper"),
        ("number", "{}", "Error: the tool 'number' returned int instead of text"),
        ("refused", "{}", "Error: closed on Sundays"),
        ("garbled", "{}", "Error: the tool 'garbled' failed: ValueError: bad \ufffd thing"),
        ("good", "", "result"),
    ],
)
async def test_what_goes_wrong_with_a_call_is_told_to_the_model(
    stage: Stage, name: str, arguments: str, expected: str
) -> None:
    [result] = await told(stage, [call(name, arguments)])
    assert result is not None
    assert result.startswith(expected)
    [event] = stage.objects["exporters/given"].data("tool_call")
    assert event["ok"] == (expected == "result")
    assert event["error"] == (None if event["ok"] else "tool")


def cut_off(*calls: ToolCall, by: StopReason = "length") -> Reply:
    return Reply(Message("assistant", None, calls), stop_reason=by)


@pytest.mark.parametrize(
    ("reply", "called"),
    [
        (cut_off(call("good", "")), []),
        (cut_off(call("good", "{}")), []),  # an optional argument may have been cut off
        (cut_off(call("good", '{"path": "/a')), []),
        (cut_off(call("good", '{"path": "/a"}'), by="content_filter"), []),
        (cut_off(call("good", "{}", id="1"), call("good", "{}", id="2")), ["1"]),
        (cut_off(call("good", "", id="1"), call("good", "{}", id="2")), []),
        (cut_off(call("good", "{", id="1"), call("good", "{}", id="2")), []),
    ],
)
async def test_a_call_that_may_have_been_cut_off_is_not_made(stage: Stage, reply: Reply, called: list[str]) -> None:
    model, tools, spy = set_up(stage, reply, "done")
    async with stage.orchestrator(ONE) as orchestrator:
        await orchestrator.chat("go")
    assert [each.id for each in tools.called] == called
    last = model.turns[1].messages[-1].text()
    assert last.startswith("Error: your answer was cut off by ")
    assert last.endswith("make it again, shorter")
    assert [event["ok"] for event in spy.data("tool_call")].count(True) == len(called)


async def test_a_call_of_the_callers_tool_that_may_have_been_cut_off_is_not_passed_on(stage: Stage) -> None:
    model, _, _ = set_up(stage, cut_off(call("mine", "")), [call("mine", '{"a": 1}')])
    async with stage.orchestrator(ONE) as orchestrator:
        answer = await orchestrator.answer(Request(message="go", tools=(Tool("mine"),)))
    assert answer.message is not None
    assert [each.arguments for each in answer.message.tool_calls] == ['{"a": 1}']
    assert model.turns[1].messages[-1].text().startswith("Error: your answer was cut off by max_tokens")


async def test_a_denied_tool_is_neither_offered_nor_called(stage: Stage) -> None:
    [result] = await told(stage, [call("good")], spec="settings: {limits: {tools: {deny: [go*]}}}")
    assert result == "Error: the tool 'good' is not allowed"
    assert stage.objects["tools/given"].called == []
    assert "good" not in [tool.name for tool in stage.objects["models/main"].turns[0].tools]


async def test_a_tool_that_takes_too_long_is_told_to_the_model(stage: Stage) -> None:
    async def stuck(vars: Mapping[str, Any]) -> str:
        await asyncio.Event().wait()
        return "never"

    model, _, _ = set_up(stage, [call("stuck")], "done")
    stage.objects["tools/given"] = Toolbox({"stuck": stuck})
    async with stage.orchestrator(
        ONE.replace("{type: given}]", "{type: given, timeout_seconds: 0.001}]")
    ) as orchestrator:
        await orchestrator.chat("go")
    assert model.turns[1].messages[-1].text() == "Error: the tool 'stuck' exceeded its time limit of 0.001 s"


async def test_a_long_result_is_cut_and_says_so(stage: Stage) -> None:
    async def long(vars: Mapping[str, Any]) -> str:
        return "word" * 100

    model, _, _ = set_up(stage, [call("long")], "done")
    stage.objects["tools/given"] = Toolbox({"long": long})
    spec = ONE.replace("{type: given}]", "{type: given, max_result_tokens: 3}]")
    async with stage.orchestrator(spec) as orchestrator:
        await orchestrator.chat("go")
    assert model.turns[1].messages[-1].text() == "wordwordword\n[cut: only the first 3 tokens are shown]"


@pytest.mark.parametrize("results", [1, 3])
async def test_a_result_larger_than_the_window_is_cut_to_the_room_that_is_left(stage: Stage, results: int) -> None:
    async def long(vars: Mapping[str, Any]) -> str:
        return "word " * 6_000

    calls = [call("long", id=str(number)) for number in range(results)]
    model, _, _ = set_up(stage, calls, [call("long", id="again")], "done")
    stage.objects["tools/given"] = Toolbox({"long": long})
    spec = ONE.replace("main: {type: given}", "main: {type: given, context_window: 4000}")
    async with stage.orchestrator(spec + "settings: {max_tokens: 500}\n") as orchestrator:
        reply = await orchestrator.chat("go", session_id="s")
        assert reply.message.text() == "done"
        await orchestrator.chat("on", session_id="s")
    for turn in model.turns[1:]:
        assert messages_tokens(turn.messages) + sum(tool.tokens for tool in turn.tools) + 500 <= 4000
    first, second = ([m.text() for m in turn.messages if m.role == "tool"] for turn in model.turns[1:3])
    assert len(first) == results
    assert second  # an exchange before it may be left out, as of any history
    for text in first + second:
        assert text.startswith("word word")
        assert re.search(r"\n\[cut: only the first [\d,]+ tokens are shown\]$", text)
        assert text.count("[cut:") == 1


async def test_a_message_larger_than_the_window_is_refused_and_no_result_is_blamed(stage: Stage) -> None:
    set_up(stage, [call("good")], "done")
    spec = ONE.replace("main: {type: given}", "main: {type: given, context_window: 400}")
    async with stage.orchestrator(spec) as orchestrator:
        answer = await orchestrator.answer(Request(message="word " * 400))
    assert "the request cannot fit the context window of 400 tokens" in str(answer.error)


async def test_a_middleware_that_refuses_a_call_is_told_to_the_model(stage: Stage) -> None:
    class Never:
        def wrap(self, handler: Handler) -> Handler:
            async def wrapped(turn: Turn) -> Reply:
                raise Refused("not today")

            return wrapped

    stage.objects["middleware/given"] = Never()
    results = await told(stage, [call("good"), call("bad", id="2")], spec="middleware: [{type: given, around: tool}]")
    assert results == ["Error: not today"] * 2


async def test_a_middleware_that_breaks_around_a_tool_ends_the_turn(stage: Stage) -> None:
    class Broken:
        def wrap(self, handler: Handler) -> Handler:
            async def wrapped(turn: Turn) -> Reply:
                raise ModelError("broken", kind="bad_request")

            return wrapped

    set_up(stage, [call("good"), call("bad", id="2")], "done")
    stage.objects["middleware/given"] = Broken()
    async with stage.orchestrator(ONE + "middleware: [{type: given, around: tool}]") as orchestrator:
        with pytest.raises(ModelError, match="broken"):
            await orchestrator.chat("go")


@pytest.mark.parametrize("rounds", [0, 1, 3])
async def test_after_its_last_round_the_model_may_answer_once_more_without_tools(stage: Stage, rounds: int) -> None:
    model, tools, _ = set_up(stage, *[[call("good")]] * (rounds + 1), "what I know")
    async with stage.orchestrator(ONE + f"settings: {{max_tool_rounds: {rounds}}}") as orchestrator:
        reply = await orchestrator.chat("go")
    assert (reply.message.text(), reply.stop_reason) == ("what I know", "max_tool_rounds")
    assert len(tools.called) == rounds
    assert model.turns[-1].messages[-1].text().startswith("Error: no more tools can be called")


async def test_a_model_that_will_not_stop_calling_tools_is_stopped(stage: Stage) -> None:
    _, tools, _ = set_up(stage, [call("good")])
    async with stage.orchestrator(ONE) as orchestrator:
        reply = await orchestrator.chat("go")
    assert (reply.message, reply.stop_reason) == (Message("assistant", ""), "max_tool_rounds")
    assert len(tools.called) == 8


@pytest.mark.parametrize("count", [3, 20_000])
async def test_calls_over_the_limit_are_not_made_and_the_model_is_told(stage: Stage, count: int) -> None:
    calls = [call("good", id=f"c{number}") for number in range(count)]
    model, tools, spy = set_up(stage, calls, "done", "again")
    async with stage.orchestrator(ONE + "settings: {max_tool_calls: 2}") as orchestrator:
        await orchestrator.chat("go", session_id="s")
        await orchestrator.chat("on", session_id="s")
    assert [made.id for made in tools.called] == ["c0", "c1"]
    results = {message.tool_call_id: message.text() for message in model.turns[1].messages if message.role == "tool"}
    count = min(count, MOST_TOOL_CALLS)
    assert list(results) == [call.id for call in calls[:count]]
    assert list(results.values())[:2] == ["result", "result"]
    assert set(list(results.values())[2:]) == {
        "Error: not run: only the first 2 calls of one answer are made; make this one again if it is still needed."
    }
    assert [data["ok"] for data in spy.data("tool_call")] == [True, True, *[False] * (count - 2)]
    assert len(model.turns[2].messages) == 1 + 1 + count + 1 + 1


@pytest.mark.parametrize(("written", "made"), [("", 32), ("settings: {max_tool_calls: 128}", 100)])
async def test_calls_of_one_answer_are_limited_where_the_spec_sets_no_limit(
    stage: Stage, written: str, made: int
) -> None:
    _, tools, _ = set_up(stage, [call("good", id="same")] * 100, "done")
    async with stage.orchestrator(ONE + written) as orchestrator:
        await orchestrator.chat("go")
    assert len(tools.called) == made


async def test_a_call_of_the_callers_tool_among_others_must_be_made_again_alone(stage: Stage) -> None:
    model, _, _ = set_up(stage, [call("theirs", id="1"), call("good", id="2")], [call("theirs")])
    async with stage.orchestrator(ONE) as orchestrator:
        answer = await orchestrator.answer(Request(message="go", tools=(Tool("theirs"),)))
    first, second = model.turns[1].messages[-2:]
    assert first.text().startswith("Error: this tool is answered by the caller")
    assert second.text() == "result"
    assert answer.stop_reason == "tool_calls"


async def test_a_tool_of_the_request_may_not_hide_one_of_the_spec(stage: Stage) -> None:
    set_up(stage, "x")
    async with stage.orchestrator(ONE) as orchestrator:
        answer = await orchestrator.answer(Request(message="go", tools=(Tool("other"), Tool("good"))))
    assert str(answer.error) == "tools[1].function.name: the spec has a tool 'good' already"


FALLS_BACK = [
    "rate_limited",
    "overloaded",
    "timeout",
    "unreachable",
    "bad_response",
    "authentication",
    "model_not_found",
]
STAYS = ["bad_request", "content_filter"]


@pytest.mark.parametrize("kind", FALLS_BACK)
async def test_another_model_stands_in_for_one_that_failed(stage: Stage, kind: Any) -> None:
    spy = Spy()
    stage.objects |= {
        "models/main": Says([ModelError("no", kind=kind)]),
        "models/spare": Says(["yes"]),
        "exporters/given": spy,
    }
    async with stage.orchestrator(TWO) as orchestrator:
        assert (await orchestrator.chat("go")).message.text() == "yes"
    assert spy.data("error") == [{"code": f"model-{kind}", "node": "models/main", "status": None}]
    assert [(data["model"], data["error"]) for data in spy.data("model_call")] == [("main", kind), ("spare", None)]
    assert spy.data("turn")[0]["model"] == "spare"


@pytest.mark.parametrize("kind", STAYS)
async def test_no_other_model_is_asked_what_would_fail_there_too(stage: Stage, kind: Any) -> None:
    spare = Says(["yes"])
    stage.objects |= {
        "models/main": Says([ModelError("no", kind=kind)]),
        "models/spare": spare,
        "exporters/given": Spy(),
    }
    async with stage.orchestrator(TWO) as orchestrator:
        with pytest.raises(ModelError) as raised:
            await orchestrator.chat("go")
    assert raised.value.kind == kind
    assert spare.turns == []


@pytest.mark.parametrize("kind", STAYS)
async def test_the_spec_may_let_a_fallback_answer_after_further_errors(stage: Stage, kind: Any) -> None:
    stage.objects |= {
        "models/main": Says([ModelError("no", kind=kind)]),
        "models/spare": Says(["yes"]),
        "exporters/given": Spy(),
    }
    spec = TWO.replace("fallbacks: [spare]", f"fallbacks: [spare], fallbacks_on: [{kind}]")
    async with stage.orchestrator(spec) as orchestrator:
        assert (await orchestrator.chat("go")).message.text() == "yes"


async def test_a_fallback_answers_where_a_reply_was_filtered_if_the_spec_says_so(stage: Stage) -> None:
    filtered = Reply(Message("assistant", "I can't."), Usage(10, 5, 0.5), stop_reason="content_filter")
    stage.objects |= {"models/main": Says([filtered]), "models/spare": Says(["yes"]), "exporters/given": (spy := Spy())}
    async with stage.orchestrator(TWO) as orchestrator:
        assert (await orchestrator.chat("go")).message.text() == "I can't."
    async with stage.orchestrator(TWO.replace("[spare]", "[spare], fallbacks_on: [content_filter]")) as orchestrator:
        reply = await orchestrator.chat("go")
    assert (reply.message.text(), reply.usage) == ("yes", Usage(20, 10, 1.0))
    assert [data["error"] for data in spy.data("model_call")] == [None, "content_filter", None]


WINDOWS = {"unknown": ("", ""), "larger": ("4000", "8000"), "half known": ("", "8000"), "equal": ("4000", "4000")}


@pytest.mark.parametrize("windows", WINDOWS.values(), ids=WINDOWS.keys())
async def test_another_model_is_asked_where_the_request_was_too_long(stage: Stage, windows: tuple[str, str]) -> None:
    stage.objects |= {
        "models/main": Says([ModelError("too long", kind="context_length")]),
        "models/spare": Says(["yes"]),
        "exporters/given": Spy(),
    }
    spec = TWO
    for name, window in zip(("main", "spare"), windows, strict=True):
        field = f", context_window: {window}" if window else ""
        spec = spec.replace(f"{name}: {{type: given}}", f"{name}: {{type: given{field}}}")
    async with stage.orchestrator(spec) as orchestrator:
        assert (await orchestrator.chat("go")).message.text() == "yes"


@pytest.mark.parametrize(("window", "counted"), [(4000, 4100), (2000, None)])
async def test_a_model_with_no_larger_window_is_not_asked_what_was_too_long(
    stage: Stage, window: int, counted: int | None
) -> None:
    spare = Says(["yes"])
    stage.objects |= {
        "models/main": Says([ModelError("too long", kind="context_length", counted=counted)]),
        "models/spare": spare,
        "exporters/given": Spy(),
    }
    spec = TWO.replace("{type: given}", "{type: given, context_window: 4000}", 1)
    spec = spec.replace("{type: given}", f"{{type: given, context_window: {window}}}")
    async with stage.orchestrator(spec) as orchestrator:
        with pytest.raises(ModelError, match="too long"):
            await orchestrator.chat("go")
    assert spare.turns == []


async def test_a_message_that_only_a_fallback_can_hold_goes_there_at_once(stage: Stage) -> None:
    main, spare = Says(["main"]), Says([[call("good")], "yes"])
    stage.objects |= {
        "models/main": main,
        "models/spare": spare,
        "exporters/given": (spy := Spy()),
        "tools/given": Toolbox({"good": good}),
    }
    spec = TWO.replace("main: {type: given}", "main: {type: given, context_window: 2000}").replace(
        "spare: {type: given}", "spare: {type: given, context_window: 50000}"
    )
    async with stage.orchestrator(spec + "tools: [given]") as orchestrator:
        rendered = await orchestrator.render(Request(message="word " * 5_000))
        reply = await orchestrator.chat("word " * 5_000)
    assert (reply.message.text(), reply.model) == ("yes", "spare")
    assert rendered.error is None
    assert rendered.settings["model"] == "spare"
    assert main.turns == []
    assert [data["code"] for data in spy.data("error")] == ["over-budget"]


async def test_where_no_model_can_hold_a_message_the_error_names_the_largest_window(stage: Stage) -> None:
    models = {"main": 2000, "middle": 9000, "large": 30_000, "small": 1000}
    for name in models:
        stage.objects[f"models/{name}"] = Says([name])
    stage.objects["exporters/given"] = Spy()
    written = "".join(f"  {name}: {{type: given, context_window: {window}}}\n" for name, window in models.items())
    spec = f"models:\n{written}settings: {{model: main, fallbacks: [middle, large, small]}}\nexporters: [given]\n"
    async with stage.orchestrator(spec) as orchestrator:
        rendered = await orchestrator.render(Request(message="word " * 30_000))
        answer = await orchestrator.answer(Request(message="word " * 30_000))
        assert (await orchestrator.chat("word " * 20_000)).model == "large"
    assert rendered.error is not None
    assert answer.error is not None
    assert str(answer.error).startswith("models/large: the request cannot fit the context window of 30000 tokens")
    assert str(rendered.error) == str(answer.error)


async def test_a_result_is_cut_to_the_window_of_a_stand_in(stage: Stage) -> None:
    async def long(vars: Mapping[str, Any]) -> str:
        return "result " * 3_000

    main, spare = Says([[call("good")], ModelError("no", kind="overloaded")]), Says(["yes"])
    stage.objects |= {
        "models/main": main,
        "models/spare": spare,
        "exporters/given": Spy(),
        "tools/given": Toolbox({"good": long}),
    }
    spec = TWO.replace("spare: {type: given}", "spare: {type: given, context_window: 1000}") + "tools: [given]"
    async with stage.orchestrator(spec) as orchestrator:
        assert (await orchestrator.chat("go")).message.text() == "yes"
    assert "[cut: only the first" in spare.turns[0].messages[-1].text()


async def test_a_result_is_cut_where_the_model_refuses_it_as_too_long(stage: Stage) -> None:
    async def long(vars: Mapping[str, Any]) -> str:
        return "result " * 3_000

    refusal = ModelError("too long", kind="context_length", counted=6_000, window=1_000)
    model, _, _ = set_up(stage, [call("good")], refusal, "yes")
    stage.objects["tools/given"] = Toolbox({"good": long})
    async with stage.orchestrator(ONE) as orchestrator:
        assert (await orchestrator.chat("go")).message.text() == "yes"
    assert "[cut: only the first" in model.turns[-1].messages[-1].text()


async def test_a_stand_in_with_a_smaller_window_is_sent_less(stage: Stage) -> None:
    main, spare = Says([ModelError("no", kind="overloaded")]), Says(["yes"])
    stage.objects |= {"models/main": main, "models/spare": spare, "exporters/given": Spy()}
    spec = TWO.replace("spare: {type: given}", "spare: {type: given, context_window: 400}")
    said = tuple(Message("user" if n % 2 == 0 else "assistant", "words " * 20) for n in range(21))
    async with stage.orchestrator(spec) as orchestrator:
        answer = await orchestrator.answer(Request(messages=said))
    assert answer.text == "yes"
    assert len(main.turns[0].messages) == 21
    assert len(spare.turns[0].messages) < 21


@pytest.mark.parametrize(
    ("returned", "what"),
    [
        ("text", "returned str instead of a Reply"),
        (Reply(Message("assistant", "hi"), NO_REPORT), "has NoneType instead of a Usage"),
    ],
)
async def test_a_model_that_returns_something_else_fails_its_turn_alone(stage: Stage, returned: Any, what: str) -> None:
    class Wrong:
        async def answer(self, turn: Turn) -> Any:
            return returned

    _, _, spy = set_up(stage)
    stage.objects["models/main"] = Wrong()
    async with stage.orchestrator(ONE) as orchestrator:
        answer = await orchestrator.answer(Request(message="go"))
    assert answer.error is not None
    assert what in answer.error.message
    assert [data["stop_reason"] for data in spy.data("turn")] == ["error"]


async def test_when_all_models_fail_the_error_names_each(stage: Stage) -> None:
    stage.objects |= {
        "models/main": Says([ModelError("no key", kind="authentication", status=401)]),
        "models/spare": Says([ModelError("gone", kind="unreachable")]),
        "exporters/given": Spy(),
    }
    async with stage.orchestrator(TWO) as orchestrator:
        with pytest.raises(ModelError) as raised:
            await orchestrator.chat("go")
    assert str(raised.value) == "no model answered: models/main: no key; models/spare: gone"
    assert (raised.value.kind, raised.value.status) == ("authentication", 401)


async def test_when_all_models_fail_the_error_says_when_the_first_may_answer(stage: Stage) -> None:
    stage.objects |= {
        "models/main": Says([ModelError("full", kind="rate_limited", retry_after_s=30)]),
        "models/spare": Says([ModelError("resting", kind="circuit_open", retry_after_s=8)]),
        "exporters/given": Spy(),
    }
    async with stage.orchestrator(TWO) as orchestrator:
        answer = await orchestrator.answer(Request(message="go"))
    assert answer.error is not None
    error = answer.error.to_dict()
    assert (error["code"], error["retry_after_s"]) == ("model-rate_limited", 8)


async def test_nothing_stands_in_once_a_piece_was_streamed(stage: Stage) -> None:
    async def torn(turn: Turn) -> Any:
        await turn.emit(Delta("half a"))
        return ModelError("the stream broke", kind="bad_response")

    spare, pieces = Says(["yes"]), []

    async def emit(delta: Delta) -> None:
        pieces.append(delta.text)

    stage.objects |= {"models/main": Says([torn]), "models/spare": spare, "exporters/given": Spy()}
    async with stage.orchestrator(TWO) as orchestrator:
        answer = await orchestrator.answer(Request(message="go"), emit)
    assert answer.error is not None
    assert "the stream broke" in str(answer.error)
    assert (spare.turns, pieces) == ([], ["half a"])


@pytest.mark.parametrize("nothing", ["", Reply(Message("assistant", None))])
async def test_an_answer_that_is_empty_is_none(stage: Stage, nothing: Any) -> None:
    stage.objects |= {"models/main": Says([nothing]), "models/spare": Says(["yes"]), "exporters/given": (spy := Spy())}
    async with stage.orchestrator(TWO) as orchestrator:
        assert (await orchestrator.chat("go")).message.text() == "yes"
    assert spy.data("model_call")[0]["error"] == "bad_response"


@pytest.mark.parametrize("nothing", ["", Reply(Message("assistant", None))])
async def test_an_empty_answer_after_a_tools_result_is_a_reply(stage: Stage, nothing: Any) -> None:
    set_up(stage, [call("good")], nothing)
    async with stage.orchestrator(ONE) as orchestrator:
        reply = await orchestrator.chat("go")
    assert (reply.message.text(), reply.stop_reason) == ("", "stop")


async def test_an_empty_answer_that_was_cut_off_is_none_after_a_result_too(stage: Stage) -> None:
    set_up(stage, [call("good")], Reply(Message("assistant", ""), stop_reason="length"))
    async with stage.orchestrator(ONE) as orchestrator:
        with pytest.raises(ModelError, match="empty"):
            await orchestrator.chat("go")


async def test_a_stand_in_stays_for_the_rest_of_the_turn(stage: Stage) -> None:
    main, spare = Says([ModelError("no", kind="timeout"), "main again"]), Says([[call("good")], "done"])
    stage.objects |= {
        "models/main": main,
        "models/spare": spare,
        "exporters/given": Spy(),
        "tools/given": Toolbox({"good": good}),
    }
    async with stage.orchestrator(TWO + "tools: [given]") as orchestrator:
        assert (await orchestrator.chat("go")).message.text() == "done"
    assert (len(main.turns), len(spare.turns)) == (1, 2)


async def test_the_time_to_the_first_piece_is_measured_whether_anyone_listens_or_not(stage: Stage) -> None:
    clock = HandClock()

    async def slow(turn: Turn) -> str:
        clock.time += 0.25
        await turn.emit(Delta("a"))
        clock.time += 0.5
        await turn.emit(Delta("b"))
        return "ab"

    async def emit(delta: Delta) -> None:
        """Nobody looks."""

    stage.objects |= {"models/main": Says([slow]), "exporters/given": (spy := Spy())}
    orchestrator = stage.orchestrator(ONE.replace("tools: [{type: given}]", ""), clock=clock)
    async with orchestrator:
        await orchestrator.answer(Request(message="a"), emit)
        await orchestrator.answer(Request(message="b"))
        await settle()
        clock.move(2)
    first, second = spy.data("model_call")
    assert (first["ttft_ms"], first["latency_ms"], second["ttft_ms"]) == (250.0, 750.0, 250.0)


async def test_a_source_with_fixed_tools_is_not_asked_for_them_and_its_place_stays(stage: Stage) -> None:
    class Fixed(Toolbox):
        @property
        def fixed_tools(self) -> list[Tool]:
            return self.listed

        async def tools(self) -> list[Tool]:
            raise AssertionError("its tools never change")

    model = stage.objects["models/main"] = Says(["done"])
    stage.objects["tools/one"] = Toolbox({"first": good}, "tools/one")
    stage.objects["tools/two"] = Fixed({"second": good}, "tools/two")
    stage.objects["tools/three"] = Toolbox({"third": good}, "tools/three")
    stage.objects["exporters/given"] = Spy()
    tools = "tools: [{type: given, name: one}, {type: given, name: two}, {type: given, name: three}]"
    async with stage.orchestrator(ONE.replace("tools: [{type: given}]", tools)) as orchestrator:
        await orchestrator.chat("a")
    assert [tool.name for tool in model.turns[0].tools] == ["first", "second", "third"]
