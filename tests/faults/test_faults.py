"""Short forms of the searches for events that are lost or doubled."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults import damage, disk, exporters, poison
from tests.faults._counting import Run


@pytest.mark.parametrize(
    ("run", "times"),
    [(poison.run, 8), (damage.run, 5), (disk.run, 1), (exporters.run, 10)],
    ids=["poison", "damage", "disk", "exporters"],
)
def test_nothing_is_lost_or_doubled(tmp_path: Path, run: Run, times: int) -> None:
    found = run(times, tmp_path, random.Random(11))
    if not found:
        pytest.skip("the file system that this needs cannot be mounted here")
    for fault, one in found.items():
        assert one.is_good, (fault, one)
