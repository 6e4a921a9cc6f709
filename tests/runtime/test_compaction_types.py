"""Ways of compacting as a spec writes them, through run and render."""

from __future__ import annotations

from typing import Any

from tests.runtime.stage import Says, Spy, Stage
from victor_dsl.errors import ModelError
from victor_dsl.values.message import Message, Usage
from victor_dsl.values.request import Request

MESSAGES = (
    Message("user", "task"),
    *(Message("assistant", f"Fact {n}: order {n * 7} was sent. " + "And so on. " * 10) for n in range(40)),
    Message("user", "and now?"),
)
REQUEST = Request(messages=MESSAGES)


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
