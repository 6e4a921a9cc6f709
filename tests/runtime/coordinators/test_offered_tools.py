"""What a conversation was offered stays offered, and goes out in the tools' own order: the beginnings of requests stay alike."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from tests.components.tool_selection.selecting import Counting, strategy
from tests.runtime.stage import Says, Spy, Stage, Toolbox
from victor_dsl.components.ranking.lexical import LexicalRanking
from victor_dsl.runtime.coordinators import offered_tools
from victor_dsl.runtime.coordinators.offered_tools import NOTHING_OFFERED, Offered, OfferedTools, Selected
from victor_dsl.runtime.coordinators.tool_selection import MOST_EARLIER, ToolSelectionCoordinator
from victor_dsl.values.message import Message
from victor_dsl.values.request import Request
from victor_dsl.values.settings import Limits, Settings, ToolLimits
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

SUBJECTS = ("weather", "invoice", "parcel", "flight", "hotel", "recipe", "garden", "music", "battery", "passport")
TOOLS = tuple(Tool(f"look_up_{subject}", f"Looks up the {subject}.", source="tools/box") for subject in SUBJECTS)
ORDER = {tool.name: place for place, tool in enumerate(TOOLS)}

subjects = st.lists(st.sampled_from(SUBJECTS), min_size=1, max_size=12)


def conversation(asked: Sequence[str]) -> tuple[Message, ...]:
    """Questions about these subjects, each but the last answered."""
    said = [
        m for subject in asked for m in (Message("user", f"what about the {subject}?"), Message("assistant", "Fine."))
    ]
    return tuple(said[:-1])


def turn(asked: Sequence[str], *, stored: bool = False, **changes: Any) -> Turn:
    settings = changes.pop("settings", Settings(k=2, most=5))
    messages = conversation(asked)
    request = Request(message="m", session="s") if stored else Request(messages=messages)
    return Turn("t", "s", messages, settings=settings, tools=TOOLS, request=request).replace(**changes)


def sent(coordinator: ToolSelectionCoordinator, turn: Turn) -> list[str]:
    return [tool.name for tool in asyncio.run(coordinator.select(turn)).tools]


def coordinator(live: Any = None, **options: Any) -> ToolSelectionCoordinator:
    return ToolSelectionCoordinator(LexicalRanking() if live is None else live, type="keyword", **options)


@given(subjects, st.integers(1, 4), st.integers(1, 9))
def test_tools_go_out_in_their_own_order_and_a_set_only_grows_until_it_begins_anew(
    asked: list[str], k: int, most: int
) -> None:
    one = coordinator()
    before: list[str] = []
    for count in range(1, len(asked) + 1):
        selected = asyncio.run(one.select(turn(asked[:count], stored=True, settings=Settings(k=k, most=most))))
        names = [tool.name for tool in selected.tools]
        assert names == sorted(names, key=ORDER.__getitem__)
        record = selected.selection
        assert record is not None
        assert set(record.offered) <= set(names)
        assert len(names) <= max(k, most)
        if record.reset:
            assert set(names) == set(record.offered)
            assert len({*before, *names}) > max(k, most)
        else:
            assert set(before) <= set(names)
        before = names


@given(subjects, st.booleans())
def test_a_conversation_has_the_same_set_in_every_process(asked: list[str], stored: bool) -> None:
    here = coordinator()
    sets = [sent(here, turn(asked[:count], stored=stored)) for count in range(1, len(asked) + 1)]
    assert sent(coordinator(), turn(asked, stored=stored)) == sets[-1]


@given(subjects, st.integers(0, 11))
def test_a_denied_tool_leaves_at_once_and_no_other_does(asked: list[str], denied: int) -> None:
    one = coordinator()
    before: list[str] = []
    for count in range(1, len(asked) + 1):
        before = sent(one, turn(asked[:count], stored=True, settings=Settings(k=2, most=20)))
    name = TOOLS[denied % len(TOOLS)].name
    limits = Limits(tools=ToolLimits(deny=(name,)))
    after = sent(one, turn([*asked, asked[-1]], stored=True, settings=Settings(k=2, most=20, limits=limits)))
    assert name not in after
    assert set(before) - {name} <= set(after)


def test_a_removed_tool_leaves_at_once_and_no_other_does() -> None:
    one = coordinator()
    before = sent(one, turn(["weather", "parcel"], stored=True))
    left = tuple(tool for tool in TOOLS if tool.name != "look_up_weather")
    after = sent(one, turn(["weather", "parcel", "parcel"], stored=True, tools=left))
    assert set(before) - {"look_up_weather"} <= set(after) <= {tool.name for tool in left}


def test_most_is_three_times_k_by_default() -> None:
    one = coordinator()
    asked = ["weather", "passport", "weather", "battery", "garden"]
    turns = [asyncio.run(one.select(turn(asked[:count], settings=Settings(k=1)))) for count in range(1, 6)]
    assert [len(selected.tools) for selected in turns] == [1, 3, 3, 1, 3]
    assert [bool(one.selection and one.selection.reset) for one in turns] == [False, False, False, True, False]


def test_a_set_that_has_the_best_tools_stays_as_it_is() -> None:
    """One change costs the cached beginning of the request, so a tool that fits third best does not make one."""
    offered = Offered(frozenset("abcdef"))
    assert offered.grown(Selected(("a", "b", "x", "y", "z", "w"), 6, 18), "abcdefwxyz") is offered
    assert offered.shown(Selected(("a", "x", "b"), 6, 18)) == ("a", "b")


def test_a_set_that_must_grow_takes_what_there_is_room_for() -> None:
    grown = Offered(frozenset("ab")).grown(Selected(("x", "a", "c", "d", "e"), 2, 4), "abcdex")
    assert grown == Offered(frozenset("abxc"))


def test_a_message_that_no_tool_matches_changes_nothing() -> None:
    offered = Offered(frozenset("xy"))
    assert offered.grown(Selected(("a", "b", "c", "d"), 2, 4, matches=False), "abcdxy") is offered


def test_rendering_sends_what_a_turn_would_and_stores_nothing() -> None:
    memory = OfferedTools()
    one = coordinator(memory=memory)
    asked = ["weather", "parcel", "music"]
    rendered = sent(one, turn(asked, stored=True, rendering=True))
    assert not len(memory)
    assert rendered == sent(one, turn(asked, stored=True))


def test_a_failed_turn_leaves_no_mark_on_the_set() -> None:
    """Its message is not in the history of the turn after it."""
    one = coordinator()
    sent(one, turn(["weather"], stored=True))
    sent(one, turn(["weather", "hotel"], stored=True))
    assert sent(one, turn(["weather", "parcel"], stored=True)) == sent(coordinator(), turn(["weather", "parcel"]))


def test_another_tenant_or_session_has_a_set_of_its_own() -> None:
    one = coordinator()
    limits = Limits(tools=ToolLimits(allow=("look_up_weather", "look_up_parcel")))
    narrow = Settings(k=2, most=5, limits=limits)
    sent(one, turn(["weather", "parcel"], stored=True, tenant="a", settings=narrow))
    expected = sent(coordinator(), turn(["weather", "parcel", "music"], stored=True))
    assert sent(one, turn(["weather", "parcel", "music"], stored=True, tenant="b")) == expected
    assert sent(one, turn(["weather", "parcel", "music"], stored=True, session="other")) == expected


def test_a_store_that_forgets_old_messages_does_not_change_the_set() -> None:
    one = coordinator()
    asked = [SUBJECTS[nth % 3] for nth in range(20)]
    most = Settings(k=2, most=8)
    before = sent(one, turn(asked, stored=True, settings=most))
    cut = turn([*asked, asked[-1]], stored=True, settings=most)
    after = sent(one, cut.replace(messages=cut.messages[10:]))
    assert set(before) <= set(after)


@define
class Slow:
    """A strategy that counts its selections, and fails for some messages."""

    failing: str = "nothing"
    texts: list[str] = field(factory=list)

    async def select(self, tools: Sequence[Tool], turn: Turn) -> Sequence[Tool]:
        text = turn.latest_user_text()
        self.texts.append(text)
        if self.failing in text:
            raise RuntimeError("down")
        return [tool for tool in tools if tool.name.removeprefix("look_up_") in text]


def test_each_message_of_a_conversation_is_selected_for_once() -> None:
    slow = Slow()
    one = coordinator(slow)
    for count in range(1, 7):
        sent(one, turn(SUBJECTS[:count]))
    assert len(slow.texts) == 6


def test_of_a_long_conversation_that_is_new_here_only_the_latest_messages_count() -> None:
    slow = Slow()
    sent(coordinator(slow), turn([SUBJECTS[nth % 10] for nth in range(MOST_EARLIER + 50)]))
    assert len(slow.texts) == MOST_EARLIER + 1


def test_a_failure_for_an_earlier_message_is_its_fallbacks_and_is_not_recorded() -> None:
    events: list[Any] = []
    asked = turn(["weather", "hotel", "parcel"], record=lambda type, data: events.append(type))
    names = sent(coordinator(Slow("weather"), fallback=Slow(), fallback_type="slow"), asked)
    assert names == ["look_up_weather", "look_up_parcel", "look_up_hotel"]
    assert not events


@pytest.mark.parametrize("type", ["semantic", "hybrid"])
def test_an_embedder_is_called_once_for_many_earlier_messages(type: str) -> None:
    words = Counting()
    words.inner.contextual = False  # type: ignore[attr-defined]
    live = strategy(type, {"embedders/words": words}, embedder="embedders/words")
    sent(coordinator(live), turn([SUBJECTS[nth % 10] for nth in range(12)]))
    assert len(words.calls) == 3  # the tools, the latest message, and all earlier ones


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offered_tools, "MOST_SETS", 3)
    memory = OfferedTools()
    for place in range(10):
        memory.put(place, Offered(frozenset({"a", "b"})))
    assert len(memory) == 3
    monkeypatch.setattr(offered_tools, "MOST_NAMES", 4)
    memory.put("next", Offered(frozenset({"a"})))
    assert len(memory) == 2
    memory.put("next", NOTHING_OFFERED)
    assert memory.get(9) is not None


SPEC = """
models: {main: {type: given}}
tools: [{type: given, name: box}]
exporters: [{type: given}]
sessions: {type: sqlite, path: sessions.db}
"""


def shop(folder: Path) -> tuple[Stage, Spy]:
    async def found(arguments: Any) -> str:
        return "found"

    box = Toolbox(dict.fromkeys(ORDER, found), "tools/box")
    box.listed = list(TOOLS)
    spy = Spy()
    return Stage(folder, {"models/main": Says(["fine"]), "tools/box": box, "exporters/given": spy}), spy


async def test_a_session_goes_on_in_another_process_and_render_says_what_run_sends(tmp_path: Path) -> None:
    spec = f"{SPEC}tool_selection: {{k: 2, most: 3}}\n"
    names: list[tuple[str, ...]] = []
    for subject in ("weather", "parcel", "hotel", "music"):
        stage, spy = shop(tmp_path)
        request = Request(message=f"what about the {subject}?", session="s")
        async with stage.orchestrator(spec) as orchestrator:
            rendered = await orchestrator.render(request)
            assert (await orchestrator.answer(request)).text == "fine"
        assert rendered.sent_tools == tuple(tool.name for tool in stage.objects["models/main"].turns[0].tools)
        assert rendered.tools[0] == f"look_up_{subject}"
        data = spy.data("turn")[0]
        assert data["tools"]["offered"] == list(rendered.tools)
        assert data.get("tools_reset") is (True if len(names) == 2 else None)
        names.append(rendered.sent_tools)
    assert [len(offered) for offered in names] == [2, 3, 2, 3]


async def test_without_a_section_all_tools_go_out_in_their_order_while_they_cost_little(tmp_path: Path) -> None:
    stage, _ = shop(tmp_path)
    async with stage.orchestrator(SPEC) as orchestrator:
        rendered = await orchestrator.render(Request(message="the hotel"))
    assert rendered.sent_tools == tuple(ORDER)
    assert rendered.tools[0] == "look_up_hotel"


@pytest.mark.parametrize("section", ["", "tool_selection: {type: keyword}\n", "tool_selection: {type: hybrid}\n"])
@pytest.mark.parametrize(
    "tools",
    [
        [Tool(f"tool_{nth}", "Does things.", source="tools/box") for nth in range(129)],
        [Tool(f"tool_{nth}", "Does things. " * 100, source="tools/box") for nth in range(20)],
    ],
    ids=["many", "long"],
)
async def test_without_k_the_best_are_selected_of_tools_that_cost_much(
    tmp_path: Path, section: str, tools: list[Tool]
) -> None:
    stage, _ = shop(tmp_path)
    stage.objects["tools/box"].listed = tools
    async with stage.orchestrator(SPEC + section) as orchestrator:
        rendered = await orchestrator.render(Request(message="tool 17"))
    assert len(rendered.sent_tools) == 16
    assert "tool_17" in rendered.sent_tools
    assert rendered.settings.get("k") is None
