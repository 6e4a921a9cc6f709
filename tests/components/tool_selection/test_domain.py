"""Tools by the domain of a request."""

from __future__ import annotations

import pytest

from tests.components.tool_selection.selecting import asking, names, strategy, tool
from victor_dsl.components.ranking.bm25 import Index
from victor_dsl.components.tool_selection import domain

TOOLS = (
    tool("git__blame", "Says who wrote a line of code.", domain="coding"),
    tool("run_tests", "Runs the tests of a module.", domain="coding"),
    tool("plot", "Draws a chart of a column.", domain="data"),
    tool("mean", "The average of a column of numbers.", domain="data"),
    tool("browse", "Opens a web page."),
    tool("clock", "What time it is."),
)


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("who wrote this line?", ["git__blame", "run_tests", "browse", "clock"]),
        ("the tests are failing", ["git__blame", "run_tests", "browse", "clock"]),
        ("draw me charts of the averages", ["plot", "mean", "browse", "clock"]),
        ("coding, please", ["git__blame", "run_tests", "browse", "clock"]),
    ],
)
async def test_the_tools_own_texts_identify_the_domains(text: str, offered: list[str]) -> None:
    assert await names(strategy("domain"), TOOLS, asking(text)) == offered
    assert await names(strategy("domain"), TOOLS, asking(text, k=1)) == offered[:1]


async def test_keywords_and_globs_of_the_spec_identify_domains() -> None:
    live = strategy(
        "domain", domains={"web": {"keywords": ["page", "pull request"], "tools": ["brow*"]}, "data": ["statistics"]}
    )
    assert await names(live, TOOLS, asking("open that page")) == ["browse", "clock"]
    assert await names(live, TOOLS, asking("some statistics")) == ["plot", "mean", "clock"]
    assert await names(live, TOOLS, asking("statistics of a column and charts")) == ["plot", "mean", "clock"]
    assert await names(live, TOOLS, asking("charts")) == [], "of a domain with keywords the tools' texts are not read"


@pytest.mark.parametrize("text", ["", "hello!", "quantum chromodynamics", "preset", "decoded"])
async def test_a_request_that_matches_no_domain_finds_nothing(text: str) -> None:
    live = strategy("domain", domains={"coding": ["code", "reset"], "data": ["number"]})
    assert await names(live, TOOLS, asking(text)) == []


async def test_a_domain_without_tools_is_ignored() -> None:
    live = strategy("domain", domains={"travel": ["flight"]})
    assert await names(live, TOOLS, asking("a flight to Berlin")) == []


async def test_a_request_may_belong_to_several_domains_and_ties_all_count() -> None:
    text = "who wrote the line of code that draws this chart?"
    assert (await names(strategy("domain"), TOOLS, asking(text)))[:2] == ["git__blame", "run_tests"]
    several = await names(strategy("domain", max_domains=2), TOOLS, asking(text))
    assert several == ["git__blame", "run_tests", "plot", "mean", "browse", "clock"]
    rules = {"coding": ["fix"], "data": ["fix"]}
    assert set(await names(strategy("domain", domains=rules), TOOLS, asking("fix it"))) == {t.name for t in TOOLS}


async def test_a_request_is_classified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    queries: list[object] = []
    scores = Index.scores
    monkeypatch.setattr(Index, "scores", lambda self, query: queries.append(query) or scores(self, query))  # type: ignore[func-returns-value]
    monkeypatch.setattr(domain, "CLASSIFICATIONS_REMEMBERED", 2)
    live = strategy("domain")
    for text in ("who wrote this line?", "Who wrote THIS line", "draw a chart", "draw a chart"):
        await live.select(TOOLS, asking(text))
    assert len(queries) == 2
    await live.select(TOOLS, asking("what is the average?"))
    await live.select(TOOLS, asking("who wrote this line?"))
    assert len(queries) == 4, "the oldest is forgotten"
