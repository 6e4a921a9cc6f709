"""Assignment of units to arms."""

from __future__ import annotations

import subprocess
import sys

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from victor_dsl.experiments.assignment import Experiment, assign

TONE = Experiment("tone", {"control": 2.0, "warm": 1.0}, "control")


def test_arms_get_their_share_of_the_units() -> None:
    warm = sum(assign(TONE, f"session-{i}") == "warm" for i in range(9_000))
    assert abs(warm - 3_000) < 5 * (9_000 * (1 / 3) * (2 / 3)) ** 0.5


def test_another_process_with_another_hash_seed_agrees() -> None:
    program = (
        "from victor_dsl.experiments.assignment import *\n"
        "e = Experiment('tone', {'control': 2.0, 'warm': 1.0}, 'control')\n"
        "print(' '.join(assign(e, f's{i}') for i in range(500)))"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert runs == {" ".join(str(assign(TONE, f"s{i}")) for i in range(500)) + "\n"}


def test_a_changed_weight_moves_hardly_more_units_than_it_must() -> None:
    before = Experiment("e", {"a": 50.0, "b": 25.0, "c": 25.0}, "a")
    after = evolve(before, arms={"a": 60.0, "b": 20.0, "c": 20.0})
    moved = sum(assign(before, str(i)) != assign(after, str(i)) for i in range(20_000)) / 20_000
    assert 0.09 < moved < 0.115  # 10 % is the least possible


def test_the_order_of_the_arms_does_not_matter() -> None:
    turned = evolve(TONE, arms=dict(reversed([*TONE.arms.items()])))
    assert all(assign(TONE, str(i)) == assign(turned, str(i)) for i in range(500))


def test_experiments_with_different_names_are_independent() -> None:
    other = evolve(TONE, name="length")
    both = [(assign(TONE, str(i)), assign(other, str(i))) for i in range(9_000)]
    assert abs(both.count(("warm", "warm")) - 1_000) < 5 * (9_000 * (1 / 9) * (8 / 9)) ** 0.5


def test_only_a_running_experiment_assigns() -> None:
    assert {assign(evolve(TONE, status=status), "u") for status in ("draft", "stopped")} == {None}


def test_coverage_is_the_share_of_units_that_take_part() -> None:
    half = evolve(TONE, coverage=0.5)
    inside = sum(assign(half, str(i)) is not None for i in range(4_000))
    assert abs(inside - 2_000) < 5 * 1_000**0.5
    assert all(assign(half, str(i)) in (None, assign(TONE, str(i))) for i in range(500))


def test_an_arm_without_weight_gets_nobody() -> None:
    assert {assign(evolve(TONE, arms={"control": 1.0, "warm": 0.0}), str(i)) for i in range(200)} == {"control"}


@given(st.text())
def test_any_text_is_a_unit_and_its_arm_stays(unit: str) -> None:
    assert assign(TONE, unit) in TONE.arms
    assert assign(TONE, unit) == assign(TONE, unit)
