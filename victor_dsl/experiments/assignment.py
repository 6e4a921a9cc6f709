"""Assignment of units to arms: salted weighted rendezvous hashing, the same in every process and after a restart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from attrs import field, frozen

from victor_dsl.values.rendezvous import score, uniform

Unit = Literal["session", "user", "tenant"]


@frozen
class Experiment:
    """One experiment. `arms` maps each arm to its weight (≥ 0, not all 0); `coverage` is the share of units in it.

    `salt` is the experiment's name unless the spec says otherwise. An experiment that is not `running` assigns nobody.
    """

    name: str
    arms: Mapping[str, float] = field(hash=False)
    control: str
    unit: Unit = "session"
    coverage: float = 1.0
    status: str = "running"
    salt: str = ""


def assign(experiment: Experiment, unit: str) -> str | None:
    """The unit's arm; None where it is not in the experiment.

    Each arm draws u in (0, 1) from SHA-256 of salt, arm and unit, and scores -weight / ln u; the highest score wins
    (`values.rendezvous`).
    """
    if experiment.status != "running":
        return None
    salt = experiment.salt or experiment.name
    if experiment.coverage < 1.0 and uniform(f"{salt}\0coverage\0{unit}") >= experiment.coverage:
        return None
    best, best_score = None, -1.0
    for arm, weight in experiment.arms.items():
        if weight <= 0:
            continue
        drawn = score(weight, f"{salt}\0arm\0{arm}\0{unit}")
        if drawn > best_score:
            best, best_score = arm, drawn
    return best
