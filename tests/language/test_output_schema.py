"""The schemas of events and rendered turns hold for what the program really gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator, ValidationError

from victor_dsl.interfaces.cli.app import victor
from victor_dsl.language.output_schema import DATA, event_schema, rendered_schema
from victor_dsl.values.event import Event, EventType, uuid7

SPEC = """\
victor: 1
name: support
models:
  main: {type: scripted, replies: [{error: overloaded}, Hello!]}
  spare: {type: echo, context_window: 400}
settings: {model: main, fallbacks: [spare], max_tokens: 20, threshold: 0.2}
contributors:
  - {type: text, text: Be brief.}
tenants:
  acme: {with: {settings: {temperature: 0.2}}}
variants:
  tone: {arms: {control: {}, warm: {with: {settings: {seed: 1}}}}}
exporters:
  - {type: jsonl, path: events.jsonl}
"""
REQUESTS = [
    {"id": 1, "session": "a", "message": "Hi"},
    {"id": "two", "session": "b", "tenant": "acme", "message": "Where is it?"},
    {"session": "c", "messages": [{"role": "user", "content": f"{n} {'word ' * 30}"} for n in range(12)]},
    {"session": "d", "message": 7},
]


@pytest.fixture
def lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command over the requests, and gives the objects of a file that it writes."""
    monkeypatch.chdir(tmp_path)
    Path("victor.yml").write_text(SPEC, encoding="utf-8")
    Path("in.jsonl").write_text("".join(json.dumps(request) + "\n" for request in REQUESTS), encoding="utf-8")

    def run(command: str, file: str) -> list[Any]:
        victor.main([command, "victor.yml", "--input", "in.jsonl", "--output", "out.jsonl"], standalone_mode=False)
        return [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]

    return run


def test_every_rendered_turn_is_as_its_schema_says(lines: Any) -> None:
    rendered = lines("render", "out.jsonl")
    assert len(rendered) == len(REQUESTS)
    for line in rendered:
        Draft202012Validator(rendered_schema()).validate(line)


def test_every_event_of_a_run_is_as_its_schema_says(lines: Any) -> None:
    events = lines("run", "events.jsonl")
    assert {"turn", "model_call", "token_usage", "exposure", "error"} <= {event["type"] for event in events}
    for event in events:
        Draft202012Validator(event_schema()).validate(event)


def test_every_type_of_event_is_described() -> None:
    assert DATA.keys() == set(get_args(EventType))


@pytest.mark.parametrize(
    "wrong",
    [{"id": "1"}, {"timestamp": 1.5}, {"type": "turns"}, {"variants": {"tone": 1}}, {"data": {}}, {"more": 1}],
    ids=str,
)
def test_what_is_no_event_is_refused(wrong: dict[str, Any]) -> None:
    event = Event(uuid7(), "exposure", 1.5, "s", None, "p", "d", {}, {"experiment": "tone", "arm": "warm"}).as_json()
    Draft202012Validator(event_schema()).validate(event)
    with pytest.raises(ValidationError):
        Draft202012Validator(event_schema()).validate({**event, **wrong})
