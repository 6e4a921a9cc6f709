"""The system prompt: its pieces, their order and their budgets."""

from __future__ import annotations

from typing import Any

import pytest

from tests.runtime.stage import Piece, Stage
from victor_dsl.errors import BudgetError, ContributorError, StoreError
from victor_dsl.runtime.coordinators.prompt import PromptCoordinator
from victor_dsl.values.message import Message
from victor_dsl.values.turn import Turn


def coordinator(stage: Stage, pieces: dict[str, Any], prompt: str = "{}", **fields: str) -> PromptCoordinator:
    """Contributors by name, highest priority first; `fields` are what an item says besides."""
    items = ", ".join(
        f"{{type: given, name: {name}, priority: {90 - i}, {fields.get(name, '')}}}" for i, name in enumerate(pieces)
    )
    plan = stage.program(f"models: {{main: {{type: echo}}}}\nprompt: {prompt}\ncontributors: [{items}]").plan_for(
        None, {}
    )
    nodes = [plan.by_id[id] for id in plan.roles.contributors]
    return PromptCoordinator([(node, _piece(pieces[node.name])) for node in nodes], plan.prompt)


def _piece(text: Any) -> Piece:
    return text if isinstance(text, Piece) else Piece(text)


def turn(errors: list[Any] | None = None, system: tuple[Message, ...] = ()) -> Turn:
    return Turn(
        "t",
        "s",
        (),
        system_messages=system,
        record=lambda type, data: (errors if errors is not None else []).append(data),
    )


async def test_pieces_are_joined_by_a_blank_line_in_their_order(stage: Stage) -> None:
    composed = await coordinator(stage, {"a": "one\n", "b": "", "c": "\n  two", "d": " \n"}).compose(turn())
    assert composed.system == "one\n\n  two"
    assert [(c.name, c.tokens, c.dropped) for c in composed.contributions] == [
        ("a", 1, False),
        ("b", 0, False),
        ("c", 2, False),
        ("d", 0, False),
    ]


async def test_the_requests_system_messages_end_the_prompt(stage: Stage) -> None:
    said = (Message("system", "Be kind."), Message("system", ({"type": "text", "text": "Be brief."},)))
    assert (await coordinator(stage, {"a": "one"}).compose(turn(system=said))).system == "one\n\nBe kind.\n\nBe brief."
    assert (await coordinator(stage, {}).compose(turn(system=said))).system == "Be kind.\n\nBe brief."
    assert (await coordinator(stage, {}).compose(turn())).system == ""


async def test_what_varies_is_known_from_its_second_text_on(stage: Stage) -> None:
    clock = Piece("at noon")
    prompt = coordinator(stage, {"a": "Be kind.", "b": "", "time": clock, "c": "Be brief."})
    assert (await prompt.compose(turn())).stable_system is None
    said = (Message("system", "One more thing."),)
    assert (await prompt.compose(turn(system=said))).stable_system == len("Be kind.\n\nat noon\n\nBe brief.")
    clock.text = "at one"
    for _ in range(2):
        for system in ((), said):
            assert (await prompt.compose(turn(system=system))).stable_system == len("Be kind.")
    clock.text = ""
    assert (await prompt.compose(turn())).stable_system == len("Be kind.")


@pytest.mark.parametrize(
    ("overflow", "system", "dropped"), [("drop", "short", True), ("truncate", "12345678\n\nshort", False)]
)
async def test_a_piece_over_its_budget_is_dropped_or_cut(
    stage: Stage, overflow: str, system: str, dropped: bool
) -> None:
    prompt = coordinator(stage, {"a": "123456789", "b": "short"}, a=f"max_tokens: 2, overflow: {overflow}")
    composed = await prompt.compose(turn())
    assert composed.system == system
    assert composed.contributions[0].dropped == dropped


async def test_a_piece_over_its_budget_fails_the_turn_unless_it_says_otherwise(stage: Stage) -> None:
    with pytest.raises(
        BudgetError, match=r"contributors/a: .*victor.yml:5: the piece has 3 tokens; its max_tokens allows 2"
    ):
        await coordinator(stage, {"a": "123456789"}, a="max_tokens: 2").compose(turn())


async def test_a_piece_within_its_budget_to_the_token_stays(stage: Stage) -> None:
    assert (await coordinator(stage, {"a": "12345678"}, a="max_tokens: 2").compose(turn())).system == "12345678"


async def test_over_the_whole_budget_the_lowest_priority_goes_first(stage: Stage) -> None:
    pieces = {"a": "a" * 40, "b": "b" * 40, "c": "c" * 40}
    composed = await coordinator(stage, pieces, "{max_tokens: 21, overflow: drop}").compose(turn())
    assert composed.system == "a" * 40 + "\n\n" + "b" * 40
    assert [c.dropped for c in composed.contributions] == [False, False, True]


async def test_over_the_whole_budget_the_prompt_is_cut_at_its_end(stage: Stage) -> None:
    pieces = {"a": "a" * 40, "b": "b" * 40, "c": "c" * 40}
    composed = await coordinator(stage, pieces, "{max_tokens: 12, overflow: truncate}").compose(turn())
    assert composed.system == "a" * 40 + "\n\n" + "b" * 6
    assert [(c.tokens, c.dropped) for c in composed.contributions] == [(10, False), (2, False), (0, True)]


@pytest.mark.parametrize("overflow", ["fail", "drop"])
async def test_a_prompt_that_cannot_fit_fails_the_turn_and_is_never_empty(stage: Stage, overflow: str) -> None:
    with pytest.raises(BudgetError, match=r"the system prompt has 10 tokens; prompt.max_tokens allows 5"):
        await coordinator(stage, {"a": "a" * 40}, f"{{max_tokens: 5, overflow: {overflow}}}").compose(turn())


@pytest.mark.parametrize("broken", [ContributorError("no file"), StoreError("no file"), KeyError("no file"), 7])
async def test_a_contributor_that_fails_fails_the_turn_with_its_place(stage: Stage, broken: Any) -> None:
    with pytest.raises(ContributorError, match=r"contributors/b: .*victor.yml:5: ") as raised:
        await coordinator(stage, {"a": "x", "b": broken}).compose(turn())
    assert raised.value.node == "contributors/b"


async def test_an_optional_contributor_that_fails_is_dropped_and_told(stage: Stage) -> None:
    errors: list[Any] = []
    prompt = coordinator(stage, {"a": "x", "b": ContributorError("no file")}, b="optional: true")
    composed = await prompt.compose(turn(errors))
    assert composed.system == "x"
    assert [(c.name, c.dropped) for c in composed.contributions] == [("a", False), ("b", True)]
    assert errors == [{"code": "contributor", "node": "contributors/b"}]


async def test_a_piece_that_comes_back_empty_after_a_failure_is_not_called_dropped(stage: Stage) -> None:
    prompt = coordinator(stage, {"a": "x", "b": ContributorError("no file")}, b="optional: true")
    await prompt.compose(turn())
    prompt._sources[1].contributor.text = ""  # type: ignore[attr-defined]
    assert [c.dropped for c in (await prompt.compose(turn())).contributions] == [False, False]


async def test_recipe_2_when_all_contributors_fail_the_turn_fails_and_optional_ones_are_told_of(stage: Stage) -> None:
    failing = {name: ContributorError("is gone") for name in ("a", "b")}
    with pytest.raises(ContributorError, match="is gone"):
        await coordinator(stage, failing).compose(turn())
    errors: list[Any] = []
    composed = await coordinator(stage, failing, a="optional: true", b="optional: true").compose(turn(errors))
    assert [(c.name, c.dropped) for c in composed.contributions] == [("a", True), ("b", True)]
    assert [error["code"] for error in errors] == ["contributor", "contributor"]
