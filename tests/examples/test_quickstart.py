"""What is particular to the quickstart: its events, and its two spellings, which mean one thing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.examples.running import copy_of, outputs


@pytest.fixture
def example(tmp_path: Path) -> Path:
    return copy_of("quickstart", tmp_path)


def test_every_turn_of_the_quickstart_is_in_its_events(example: Path) -> None:
    outputs(example, "victor.yml")
    events = [json.loads(line) for line in (example / ".victor" / "events.jsonl").read_text().splitlines()]
    assert sum(event["type"] == "turn" for event in events) == 5


def test_the_json_spelling_has_the_same_digest(example: Path) -> None:
    yaml, as_json = (outputs(example, spec, plan=True)["replies.jsonl"] for spec in ("victor.yml", "victor.json"))
    assert yaml == as_json
