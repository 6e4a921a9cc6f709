"""Job 8 from a spec: the faults of hand-written tool selection are not here, and no tool's misdeed hurts a turn."""

from __future__ import annotations

import asyncio
import json
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.stage import Says, Spy, Stage, Toolbox, call
from victor_dsl.errors import VictorError
from victor_dsl.values.message import Message, Reply, ToolCall
from victor_dsl.values.request import Request
from victor_dsl.values.tool import Tool

WILD = Path(__file__).parent.parent / "components" / "tools" / "wild_server.py"
SPEC = """
models: {main: {type: given}}
embedders: {words: {type: tfidf}}
tools: [{type: given, name: box}]
exporters: [given]
"""
TOOLS = (
    Tool("review_code", "Reviews the code of a pull request.", cost="high", cost_usd=1.5, domain="coding"),
    Tool("run_tests", "Runs the tests of some code.", cost="low", domain="coding"),
    Tool("plot", "Draws a chart of numbers.", cost="free", domain="data"),
    Tool("likely", "Says how likely an event is.", cost="free", domain="data"),
)


@pytest.fixture
def spy(stage: Stage) -> Spy:
    async def give(vars: Any) -> str:
        return "done"

    box = Toolbox({tool.name: give for tool in TOOLS}, "tools/box")
    box.listed = [Tool(**{**vars_of(tool), "source": "tools/box"}) for tool in TOOLS]
    spy = Spy()
    stage.objects |= {"models/main": Says(["fine"]), "tools/box": box, "exporters/given": spy}
    return spy


def vars_of(tool: Tool) -> dict[str, Any]:
    return {name: getattr(tool, name) for name in ("name", "description", "parameters", "cost", "cost_usd", "domain")}


async def selected(stage: Stage, selection: str, text: str = "review the code", **request: Any) -> list[str]:
    """The names that a rendered turn offers."""
    async with stage.orchestrator(f"{SPEC}tool_selection: {selection}\n{request.pop('more', '')}") as orchestrator:
        rendered = await orchestrator.render(Request(message=text, **request))
    assert rendered.error is None
    return list(rendered.tools)


@pytest.mark.parametrize(
    "selection",
    [
        "{type: cost, max_cost: low}",
        "{type: cost, max_cost_usd: 1}",
        "{type: cost, max_cost: low, fallback: all}",
        "{type: chain, steps: [{type: cost, max_cost: low}, keyword]}",
        "{type: chain, steps: [keyword, {type: cost, max_cost_usd: 1, prefer_cheap: false}], fallback: all}",
    ],
)
async def test_recipe_8_the_maximum_cost_is_used(stage: Stage, spy: Spy, selection: str) -> None:
    for text in ("review the code", "nothing that any tool is for"):
        names = await selected(stage, selection, text)
        assert names
        assert "review_code" not in names


async def test_recipe_8_a_maximum_that_no_tool_meets_offers_none_and_says_so(stage: Stage, spy: Spy) -> None:
    stage.objects["tools/box"].listed = [Tool("dear", cost="high", source="tools/box")]
    spec = f"{SPEC}tool_selection: {{type: cost, max_cost: free}}"
    async with stage.orchestrator(spec) as orchestrator:
        answer = await orchestrator.answer(Request(message="go"))
    assert answer.text == "fine"
    assert spy.data("turn")[0]["tools"] == {
        "type": "cost",
        "candidates": 0,
        "offered": [],
        "fallback": False,
        "used": [],
    }


@pytest.mark.parametrize("fallback", ["", ", fallback: {type: cost, max_cost: free}"])
async def test_recipe_8_an_unknown_domain_falls_back_and_never_to_nothing(
    stage: Stage, spy: Spy, fallback: str
) -> None:
    names = await selected(stage, f"{{type: domain{fallback}}}", "the price of fish")
    assert names == (["plot", "likely"] if fallback else [tool.name for tool in TOOLS])


async def test_recipe_8_domains_and_their_tools_are_the_spec_s_and_no_names_are_built_in(
    stage: Stage, spy: Spy
) -> None:
    assert await selected(stage, "domain", "some code") == ["review_code", "run_tests"]
    stage.objects["tools/box"].listed = [
        Tool("x1", "Grinds beans.", domain="kitchen", source="tools/box"),
        Tool("x2", "Waters plants.", domain="garden", source="tools/box"),
    ]
    assert await selected(stage, "{type: domain, domains: {kitchen: [espresso]}}", "an espresso") == ["x1"]
    assert await selected(stage, "domain", "water the plants") == ["x2"]


async def test_recipe_8_hybrid_s_weights_are_a_setting_of_every_layer(stage: Stage, spy: Spy) -> None:
    stage.objects["tools/box"].listed = [
        Tool("m", "Previewer.", source="tools/box"),
        Tool(
            "w",
            "Says a review, among much else of every sort that nobody would have asked it for so far.",
            source="tools/box",
        ),
    ]
    hybrid = "{type: hybrid, embedder: chars, fallback: all%s}"
    more = (
        "tenants: {words: {with: {settings: {alpha: 0}}}, both: {with: {tool_selection: {alpha: 1}}}}\n"
        "request: [alpha]\n"
    )
    spec = SPEC.replace("{words: {type: tfidf}}", "{chars: {type: hashing}}")
    orders = {}
    async with stage.orchestrator(f"{spec}tool_selection: {hybrid % ', alpha: 1'}\n{more}") as orchestrator:
        for name, request in {
            "spec": Request(message="review"),
            "words": Request(message="review", tenant="words"),
            "both": Request(message="review", tenant="both"),
            "request": Request(message="review", settings={"alpha": 0}),
        }.items():
            orders[name] = (await orchestrator.render(request)).tools
    assert orders["spec"] == orders["both"] == ("m", "w")
    assert orders["words"] == orders["request"] == ("w", "m")


async def test_recipe_8_a_word_within_a_word_selects_nothing(stage: Stage, spy: Spy) -> None:
    """'unlikely' is neither 'likely' nor 'like', as little as a strategy is named by a word within a name."""
    for text in ("that is unlikely", "decoded", "precode"):
        assert await selected(stage, "{type: domain, domains: {coding: [code], data: [likely]}}", text) == [
            tool.name for tool in TOOLS
        ]
    compiled = stage.program(f"{SPEC}tool_selection: {{type: keyword}}\nvars: {{unlikely: semantic}}")
    assert compiled.plan_for(None, {}).roles.tool_selection == "tool_selection/keyword"


async def test_recipe_8_a_strategy_that_fails_never_leaves_a_turn_without_tools(stage: Stage, spy: Spy) -> None:
    class Broken:
        async def embed(self, texts: Any) -> Any:
            raise OSError("the embedder is away")

    stage.objects["embedders/words"] = Broken()
    spec = SPEC.replace("tfidf", "given")
    for selection, type, fallback in (("semantic", "keyword", True), ("hybrid", "hybrid", False)):
        async with stage.orchestrator(
            f"{spec}tool_selection: {{type: {selection}, embedder: words, fallback: {{type: keyword, k: 1}}}}"
        ) as orchestrator:
            await orchestrator.answer(Request(message="run the tests"))
        assert spy.data("turn")[-1]["tools"]["type"] == type, "hybrid's own words stand in"
        assert spy.data("turn")[-1]["tools"]["fallback"] is fallback
        assert spy.data("turn")[-1]["tools"]["offered"][0] == "run_tests"
        assert "the embedder is away" in spy.data("error")[-1]["message"]


async def test_recipe_8_what_was_selected_is_recorded_against_what_was_used(stage: Stage, spy: Spy) -> None:
    calls = [call("run_tests"), ToolCall("c2", "run_tests", "{}"), ToolCall("c3", "rm_rf", "{}")]
    stage.objects["models/main"] = Says([calls, "fine"])
    spec = f"{SPEC}tool_selection: {{type: domain, k: 2}}"
    async with stage.orchestrator(spec) as orchestrator:
        await orchestrator.answer(Request(message="look at the code"))
    [turn] = spy.data("turn")
    assert turn["tools"] == {
        "type": "domain",
        "candidates": 4,
        "offered": ["review_code", "run_tests"],
        "fallback": False,
        "used": ["run_tests"],
    }
    assert [(data["tool"], data["rank"]) for data in spy.data("tool_call")] == [("run_tests", 1)] * 2 + [(None, None)]


async def test_recipe_8_an_experiment_varies_the_strategy(stage: Stage, spy: Spy) -> None:
    more = """
    variants:
      how:
        arms:
          control: {}
          dear: {with: {tool_selection: {type: cost, max_cost: free, k: 1}}}
    """
    spec = f"{SPEC}tool_selection: {{type: keyword, k: 2}}\n{textwrap.dedent(more)}"
    async with stage.orchestrator(spec) as orchestrator:
        for arm in ("control", "dear"):
            await orchestrator.answer(Request(message="review the code", session="s", arms={"how": arm}))
    told = {event.variants["how"]: event.data["tools"] for event in spy.of("turn")}
    assert (told["control"]["type"], told["control"]["offered"]) == ("keyword", ["review_code", "run_tests"])
    assert (told["dear"]["type"], told["dear"]["offered"]) == ("cost", ["plot"])


async def test_recipe_8_tools_that_hang_die_print_and_answer_50_mb_are_errors_of_their_turn_alone(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    """Real processes; each misdeed in one turn, while others of other sessions go on."""
    spy = Spy()

    async def asks(turn: Any) -> Any:
        if turn.messages[-1].role == "tool":
            return Reply(Message("assistant", turn.messages[-1].text()[:200]))
        return Reply(Message("assistant", None, (call(f"wild__{turn.latest_user_text()}"),)), stop_reason="tool_calls")

    stage.objects |= {"models/main": Says([asks]), "exporters/given": spy}
    spec = f"""
    models: {{main: {{type: given}}}}
    exporters: [given]
    tool_selection: all
    tools:
      - type: mcp
        name: wild
        command: [{json.dumps(sys.executable)}, {json.dumps(str(WILD))}]
        timeout_seconds: 5
        max_result_tokens: 50
    """
    misdeeds = ["hang", "junk", "endless_junk", "huge", "huge_unnamed", "picture", "fail", "no_result"]
    async with stage.orchestrator(spec) as orchestrator:
        asked = [*misdeeds, *["echo"] * 4]
        turns = [Request(message=name, session=f"{n}", tenant="a") for n, name in enumerate(asked)]
        answers = await asyncio.gather(*(orchestrator.answer(turn) for turn in turns))
        dying = await orchestrator.answer(Request(message="die", tenant="a"))
        after = await orchestrator.answer(Request(message="echo", tenant="a"))
    told = dict(zip(asked, (answer.text for answer in answers), strict=True))
    assert [answer.error for answer in answers] == [None] * len(answers)
    assert told["hang"] == "Error: the tool 'wild__hang' exceeded its time limit of 5 s"
    assert told["junk"] == told["endless_junk"] == "after the junk"
    assert "longer than 16,777,216 bytes" in told["huge"]
    assert "longer than 16,777,216 bytes" in told["huge_unnamed"]
    assert told["picture"].startswith("A cat:\n[image: image/png, 3,000 bytes")
    assert told["fail"] == "Error: no such order"
    assert "result cannot be read" in told["no_result"]
    assert told["echo"] == after.text == "{}"
    assert "ended with exit code 3 before it answered the call" in dying.text
    assert capfd.readouterr().out == ""
    failed = [data["tool"] for data in spy.data("tool_call") if not data["ok"]]
    assert set(failed) == {f"wild__{name}" for name in ("hang", "huge", "huge_unnamed", "fail", "no_result", "die")}


async def test_recipe_8_a_server_that_cannot_start_names_its_place(stage: Stage) -> None:
    stage.objects["models/main"] = Says(["fine"])
    spec = "models: {main: {type: given}}\ntools:\n  - {type: mcp, name: wild, command: [no-such-program]}"
    with pytest.raises(VictorError, match=r"tools/wild: .*victor.yml:5: cannot be opened: .*'no-such-program'"):
        async with stage.orchestrator(spec):
            pass
