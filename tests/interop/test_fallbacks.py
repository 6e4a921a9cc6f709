"""Sixteen faults of a model's server, each with a fallback beside it: all are to pass, whatever the mode."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.faults import FAULTS, MODES, SETTINGS, Fault, outcome_of

TYPES = ("openai", "anthropic")
HALF_WAY = ("S08", "S09", "S10", "S14")
"""The faults that come after some of the text."""


def _outcome(fault: Fault) -> str:
    return fault.name


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fault", FAULTS, ids=_outcome)
async def test_every_fault_passes_where_answers_are_held_back(
    tmp_path: Path, fault: Fault, mode: str, type: str
) -> None:
    outcome = await outcome_of(fault, tmp_path, type=type, mode=mode, setting="hold")
    assert outcome.verdict == "pass", outcome


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("mode", ["streamed", "whole"])
@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.name in HALF_WAY], ids=_outcome)
async def test_an_answer_that_breaks_off_half_way_ends_as_the_setting_says(
    tmp_path: Path, fault: Fault, mode: str, setting: str
) -> None:
    outcome = await outcome_of(fault, tmp_path, mode=mode, setting=setting)
    shown_before = setting == "error" and mode == "streamed"
    assert outcome.verdict == ("safe" if shown_before else "pass"), outcome
    if shown_before:
        [answer], [shown] = outcome.answers, outcome.shown
        assert answer.text == ""
        assert shown.startswith("word0 ")
        assert answer.usage.estimated
        assert outcome.second == 0
