"""Ways of compacting as a spec writes them, through run and render."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from attrs import define

from tests.runtime.stage import Says, Spy, Stage
from victor_dsl.errors import ModelError
from victor_dsl.language.off_loop import OffLoop
from victor_dsl.values.history import Choice, History
from victor_dsl.values.mending import NO_RESULT
from victor_dsl.values.message import Message, Reply, ToolCall, Usage
from victor_dsl.values.request import Request
from victor_dsl.values.turn import Handler, Turn

MESSAGES = (
    Message("user", "task"),
    *(Message("assistant", f"Fact {n}: order {n * 7} was sent. " + "And so on. " * 10) for n in range(40)),
    Message("user", "and now?"),
)
REQUEST = Request(messages=MESSAGES)


@define
class Store:
    """Sessions that a test looks into."""

    kept: dict[str, tuple[Message, ...]]

    async def load(self, tenant: str | None, session: str, before: str | None = None) -> tuple[Message, ...]:
        return self.kept[session]

    async def append(self, tenant: str | None, session: str, turn_id: str, messages: Any) -> None:
        self.kept[session] += tuple(messages)


def spec(compaction: str) -> str:
    return f"""
models: {{main: {{type: given}}, small: {{type: given}}}}
settings: {{model: main}}
embedders: {{words: {{type: hashing}}}}
exporters: [given]
compaction: {compaction}
"""


def live(stage: Stage, small: Any) -> tuple[Says, Says, Spy]:
    main, second, spy = Says(["Done."]), Says([small]), Spy()
    stage.objects |= {"models/main": main, "models/small": second, "exporters/given": spy}
    return main, second, spy


async def test_a_summary_s_call_counts_in_the_turn_and_rendering_keeps_the_same(stage: Stage) -> None:
    main, small, spy = live(stage, "Forty orders were sent.")
    async with stage.orchestrator(spec("{type: summarize, model: small, threshold: 0}")) as orchestrator:
        rendered = await orchestrator.render(REQUEST)
        assert small.turns == []
        answer = await orchestrator.answer(REQUEST)
    assert answer.usage == Usage(20, 10, 1.0)
    sent = main.turns[0].messages
    assert sent[1] == Message("user", "[Summary of earlier messages that are left out here]\nForty orders were sent.")
    assert sent[2:] == MESSAGES[-len(sent[2:]) :]
    assert rendered.error is None
    assert rendered.messages[2:] == sent[2:]
    assert [(data["model"], data.get("purpose")) for data in spy.data("model_call")] == [
        ("small", "summary"),
        ("main", None),
    ]
    assert spy.data("turn")[0]["input_tokens"] == 20
    assert spy.data("compaction")[0]["type"] == "summarize"


@define
class Sees:
    """A middleware around models that asks once more where a model fails, and keeps what each call was about."""

    seen: list[str | None]

    def wrap(self, handler: Handler) -> Handler:
        async def wrapped(turn: Turn) -> Reply:
            self.seen.append(turn.settings.model)
            try:
                return await handler(turn.replace(system=f"Seen. {turn.system or ''}"))
            except ModelError:
                return await handler(turn)

        return wrapped


async def test_the_middleware_around_models_sees_the_summary_s_call_too(stage: Stage) -> None:
    main, small, spy = live(stage, "")
    small.replies = [ModelError("is away", kind="unreachable"), "Forty orders were sent."]
    seen: list[str | None] = []
    stage.objects["middleware/given"] = Sees(seen)
    text = spec("{type: summarize, model: small, threshold: 0}") + "middleware: [{type: given, around: model}]\n"
    async with stage.orchestrator(text) as orchestrator:
        answer = await orchestrator.answer(REQUEST)
    assert answer.error is None
    assert seen == ["small", "main"]
    assert "Forty orders were sent." in main.turns[0].messages[1].text()
    assert [str(turn.system).startswith("Seen. ") for turn in (*small.turns, *main.turns)] == [True, False, True]
    calls = [(data["model"], data.get("purpose"), data["error"]) for data in spy.data("model_call")]
    assert calls == [("small", "summary", "unreachable"), ("small", "summary", None), ("main", None, None)]


async def test_a_model_that_cannot_summarise_does_not_fail_the_turn(stage: Stage) -> None:
    main, _, spy = live(stage, ModelError("is away", kind="unreachable"))
    compaction = "{type: summarize, model: small, threshold: 0, fallback: truncate}"
    async with stage.orchestrator(spec(compaction)) as orchestrator:
        answer = await orchestrator.answer(REQUEST)
    assert answer.error is None
    assert len(main.turns[0].messages) < len(MESSAGES)
    (record,) = spy.data("compaction")
    assert (record["type"], record["fallback"]) == ("truncate", True)
    assert "is away" in spy.data("error")[0]["message"]


async def test_a_chain_of_the_spec_runs_its_steps_in_order(stage: Stage) -> None:
    main, _, spy = live(stage, "Forty orders were sent.")
    steps = "[{type: semantic, embedder: words, target_ratio: 0.8}, {type: summarize, model: small}, truncate]"
    async with stage.orchestrator(
        spec(f"{{type: chain, threshold: 0, target_ratio: 0.4, steps: {steps}}}")
    ) as orchestrator:
        await orchestrator.answer(REQUEST)
    (record,) = spy.data("compaction")
    assert (record["type"], record["fallback"]) == ("chain", False)
    assert record["after"] <= record["target"]
    assert [message.text().split("\n")[-1] for message in main.turns[0].messages if message.role == "user"] == [
        "task",
        "Forty orders were sent.",
        "and now?",
    ]


def growing(turns: int) -> Request:
    """A conversation of the session `s` after so many turns."""
    said = (Message("user" if n % 2 == 0 else "assistant", f"{n} " * 20) for n in range(2 * turns + 1))
    return Request(session="s", messages=(Message("user", "task"), *said))


async def test_the_share_of_the_prefix_that_is_sent_again_is_told_and_outlives_a_reload(stage: Stage) -> None:
    *_, spy = live(stage, "")
    text = spec("{type: recent, threshold: 0}")
    async with stage.orchestrator(text) as orchestrator:
        await orchestrator.answer(growing(20))
        await orchestrator.answer(growing(20))
        await orchestrator.reload(stage.program(text.replace("settings: {", "settings: {temperature: 0.5, ")))
        await orchestrator.answer(growing(21))
        rendered = await orchestrator.render(growing(21))
    first, second, third = (data["prefix_kept"] for data in spy.data("compaction"))
    assert (first, second) == (None, 1.0)
    assert 0 < third < 1
    assert rendered.compaction is not None
    assert rendered.compaction.prefix_kept == 1.0


async def test_a_torn_conversation_is_sent_whole_and_told_in_the_turn_s_event(stage: Stage) -> None:
    main, _, spy = live(stage, "")
    call = Message("assistant", None, (ToolCall("a", "look_up", "{}"),))
    torn = (Message("user", "task"), call, Message("tool", "8", tool_call_id="b"), Message("user", "and now?"))
    async with stage.orchestrator(spec("recent")) as orchestrator:
        await orchestrator.answer(Request(messages=torn))
        await orchestrator.answer(Request(messages=torn[:1]))
        rendered = await orchestrator.render(Request(messages=(Message("system", "Be kind."), *torn)))
    stand_in = Message("tool", NO_RESULT, tool_call_id="a", name="look_up")
    assert main.turns[0].messages == (torn[0], call, stand_in, torn[3])
    assert [data.get("mending") for data in spy.data("turn")] == [{"closed": 1, "left_out": 1}, None]
    assert rendered.kept == (0, 1, 2, 4)
    assert rendered.to_dict()["mending"] == {"closed": [2], "left_out": [3]}


async def test_a_stand_in_is_not_stored_in_the_session(stage: Stage) -> None:
    main, *_ = live(stage, "")
    call = Message("assistant", None, (ToolCall("a", "look_up", "{}"),))
    store = Store({"s": (Message("user", "task"), call)})
    stage.objects["sessions/given"] = store
    async with stage.orchestrator(spec("recent") + "sessions: given\n") as orchestrator:
        await orchestrator.chat("and now?", session_id="s")
    assert [message.content for message in main.turns[0].messages] == ["task", None, NO_RESULT, "and now?"]
    assert [message.content for message in store.kept["s"]] == ["task", None, "and now?", "Done."]


async def test_indices_point_into_the_conversation_also_where_a_smaller_model_stands_in(stage: Stage) -> None:
    small = Says(["Done."])
    stage.objects |= {
        "models/main": Says([ModelError("is away", kind="unreachable")]),
        "models/small": small,
        "exporters/given": Spy(),
    }
    text = """
        models: {main: {type: given, context_window: 900}, small: {type: given, context_window: 300}}
        settings: {model: main, fallbacks: [small]}
        exporters: [given]
        compaction: truncate
    """
    async with stage.orchestrator(text) as orchestrator:
        answer = await orchestrator.answer(REQUEST)
    assert answer.error is None
    [turn] = small.turns
    assert turn.kept is not None
    assert turn.messages == tuple(MESSAGES[index] for index in turn.kept)
    assert turn.kept[0] == 0
    assert turn.kept[-1] == len(MESSAGES) - 1


async def test_a_strategy_that_is_late_is_not_begun_again_before_it_has_ended(stage: Stage) -> None:
    may_end, begun = threading.Event(), threading.Semaphore(0)
    times = []

    class Slow:
        def __init__(self) -> None:
            self.off_loop = OffLoop(threads=1)

        async def choose(self, history: History, budget: int, turn: Turn) -> Choice:
            work = asyncio.ensure_future(self.off_loop.run(self.work))
            has_begun = asyncio.ensure_future(asyncio.to_thread(begun.acquire))
            await asyncio.wait([work, has_begun], return_when="FIRST_COMPLETED")
            if work.done():
                begun.release()
                await has_begun
                return work.result()
            work.cancel()
            raise TimeoutError("it is late")

        def work(self) -> Choice:
            times.append(1)
            begun.release()
            may_end.wait(10)
            return Choice(frozenset())

    *_, spy = live(stage, "")
    stage.objects["compaction/given"] = Slow()
    try:
        async with stage.orchestrator(spec("{type: given, threshold: 0}")) as orchestrator:
            for _ in range(5):
                assert (await orchestrator.answer(REQUEST)).error is None
            may_end.set()
    finally:
        may_end.set()
    assert len(times) == 1
    assert [data["fallback"] for data in spy.data("compaction")] == [True] * 5
    assert [data["message"].rpartition(": ")[2] for data in spy.data("error")] == [
        "it is late",
        *["a previous call that timed out is still running"] * 4,
    ]
