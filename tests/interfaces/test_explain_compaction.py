"""`victor render --explain-compaction`: why each message is sent or not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.interfaces.conftest import Victor

SPEC = """\
victor: 1
name: demo
models:
  main: {type: echo, context_window: 150}
settings: {max_tokens: 40}
compaction: {type: keywords, words: [region], threshold: 0.6, target_ratio: 1.0}
"""
KEY = "sk-abcdefghijklmnopqrstuvwx"


def call(id: str) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": "look_up", "arguments": '{"order": 7}'}}


MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "I want to move\nmy account."},
    {"role": "assistant", "content": f"Region \x1b[31mkey: {KEY}. " + "And so on. " * 9},
    {"role": "assistant", "content": "The weather is fine. " + "And so on. " * 18},
    {"role": "tool", "tool_call_id": "gone", "content": "7"},
    {"role": "assistant", "content": None, "tool_calls": [call("a")]},
    {"role": "user", "content": "Frankfurt, then."},
]


@pytest.fixture(autouse=True)
def _files(folder: Path) -> None:
    (folder / "victor.yml").write_text(SPEC)
    (folder / "in.jsonl").write_text(json.dumps({"id": 1, "messages": MESSAGES}) + "\n")


def test_a_table_says_of_each_message_what_became_of_it(victor: Victor) -> None:
    done = victor("render", "victor.yml", "--input", "in.jsonl", "--explain-compaction")
    assert done.code == 0
    table = done.err.splitlines()
    assert table[0] == "line 1:"
    assert table[1].startswith("5 of 7 messages kept, ")
    assert "; by keywords, with a target of " in table[1]
    assert table[2] == "tool calls without a result, given a stand-in, in: 5"
    assert table[3] == "results without a call, left out: 4"
    assert table[4].split() == ["index", "role", "tokens", "kept", "why", "text"]
    rows = [row.split(maxsplit=4) for row in table[5:12]]
    assert [(row[0], row[1], row[3]) for row in rows] == [
        ("0", "system", "yes"),
        ("1", "user", "yes"),
        ("2", "assistant", "yes"),
        ("3", "assistant", "no"),
        ("4", "tool", "no"),
        ("5", "assistant", "yes"),
        ("6", "user", "yes"),
    ]
    assert rows[1][4].split("  ")[0] == "the task"
    assert rows[1][4].endswith("I want to move my account.")
    assert rows[2][4].startswith("has region ")
    assert rows[5][4].endswith('look_up({"order": 7})')


def test_the_table_shows_no_secret_and_does_not_drive_the_terminal(victor: Victor) -> None:
    done = victor("render", "victor.yml", "--input", "in.jsonl", "--explain-compaction")
    assert KEY not in done.err
    assert "\x1b" not in done.err
    assert "key: ***. And so on." in done.err


def test_a_private_key_is_hidden_to_its_end(victor: Victor, folder: Path) -> None:
    text = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADAN"
    (folder / "in.jsonl").write_text(json.dumps({"id": 1, "messages": [{"role": "user", "content": text}]}) + "\n")
    done = victor("render", "victor.yml", "--input", "in.jsonl", "--explain-compaction")
    assert "***" in done.err
    assert "MIIE" not in done.err


def test_the_rendered_turn_has_the_reasons_with_the_flag_alone(victor: Victor) -> None:
    [with_it] = victor("render", "victor.yml", "--input", "in.jsonl", "--explain-compaction").lines
    [without] = victor("render", "victor.yml", "--input", "in.jsonl").lines
    explained = with_it["compaction"].pop("messages")
    assert with_it == without
    assert with_it["mending"] == {"closed": [5], "left_out": [4]}
    assert [message["index"] for message in explained] == list(range(7))
    assert [message["index"] for message in explained if message["kept"]] == with_it["kept"] == [0, 1, 2, 5, 6]
    assert explained[1] == {"index": 1, "role": "user", "tokens": 11, "kept": True, "why": "the task"}
    assert [message["why"] for message in explained] == [
        "system",
        "the task",
        "has region",
        "has none of the words",
        "a result without a call",
        "among the newest",
        "latest user message",
    ]


def test_where_all_fits_the_table_says_so(victor: Victor) -> None:
    done = victor("render", "victor.yml", "--message", "Hello", "--explain-compaction")
    assert done.err.splitlines()[0] == "1 of 1 message kept, 6 of 6 tokens; no compaction was needed"
    assert done.err.splitlines()[2].split() == ["0", "user", "6", "yes", "all", "fits", "Hello"]
    assert done.json["compaction"] is None


def test_what_failed_before_compaction_has_no_rows_too_many(victor: Victor, folder: Path) -> None:
    (folder / "in.jsonl").write_text(
        '{"id": 1, "messages": []}\n{"id": 2, "message": "hi", "settings": {"model": "x"}}\n'
    )
    done = victor("render", "victor.yml", "--input", "in.jsonl", "--explain-compaction")
    assert done.code == 3
    assert "internal error" not in done.err
