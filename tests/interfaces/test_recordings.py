"""Recordings of `victor test`: answers of models and tools, asked once and played from then on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.components.models.playback import Piece, Playback, whole
from tests.interfaces.conftest import ROOT, Done

TOOLS = '''\
"""A tool of the tests' spec, which notes its calls."""
from pathlib import Path

def lookup_order(order: int) -> str:
    """The state of an order."""
    with Path(__file__).with_name("called.txt").open("a") as called:
        called.write(f"{order}\\n")
    return "sent"
'''


def _statuses(done: Done) -> dict[str, str]:
    return {test["name"]: test["status"] for test in done.json["tests"]}


def _answer(text: str | None, *calls: dict[str, Any]) -> list[Piece]:
    """An answer of OpenAI's chat API."""
    message = {"role": "assistant", "content": text, **({"tool_calls": calls} if calls else {})}
    choice = {"index": 0, "finish_reason": "tool_calls" if calls else "stop", "message": message}
    usage = {"prompt_tokens": 20, "completion_tokens": 4}
    return whole({"id": "1", "object": "chat.completion", "model": "played", "choices": [choice], "usage": usage})


PLAYED = _answer("It was sent.")
OTHER = _answer("Who knows?")
CALLED = _answer(
    None, {"id": "c1", "type": "function", "function": {"name": "lookup_order", "arguments": '{"order": 7}'}}
)
KEY = "sk-test-0123456789abcdefghijklmnop"

pytestmark = pytest.mark.usefixtures("warm_python")

HOSTED = """\
victor: 1
name: hosted
models:
  main: {type: openai, model: gpt-x, base_url: "URL/v1", api_key: "${env:SHOP_KEY}", context_window: 32768, stream: false}
contributors:
  - {type: text, text: You help customers of Acme.}
tools:
  - {type: python, name: lookup_order, function: "shop:lookup_order"}
tests:
  - name: it knows its orders
    given: {message: Where is order 7?}
    expect:
      reply: {contains: sent}
      tool_calls: [{name: lookup_order, arguments: {order: 7}}]
      latency_ms: {more_than: 0}
"""


async def _victor(folder: Path, *arguments: str, **environment: str) -> Done:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "victor_dsl", "test", *arguments,
        cwd=folder, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**{k: v for k, v in os.environ.items() if k != "SHOP_KEY"}, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip
    out, err = await process.communicate()
    return Done(process.returncode or 0, out.decode(), err.decode())


def _hosted(folder: Path, url: str, spec: str = HOSTED) -> None:
    (folder / "victor.yml").write_text(spec.replace("URL", url))
    (folder / "shop.py").write_text(TOOLS)


def _recorded(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "recordings" / "hosted.jsonl").read_text().splitlines()]


async def test_answers_are_recorded_once_and_replayed_without_model_tool_or_key(tmp_path: Path) -> None:
    async with Playback(CALLED, PLAYED) as server:
        _hosted(tmp_path, server.url)
        done = await _victor(tmp_path, "victor.yml", "--format", "json")
        assert (done.code, _statuses(done)) == (1, {"it knows its orders": "error"})
        assert "victor test victor.yml --record" in done.json["tests"][0]["failures"][0]["got"]
        assert server.asked == []

        done = await _victor(tmp_path, "victor.yml", "--record", SHOP_KEY=KEY)
        assert (done.code, len(server.asked)) == (0, 2), done.out + done.err
        assert (tmp_path / "called.txt").read_text() == "7\n"
        calls = _recorded(tmp_path)
        assert [[*call][:3] for call in calls] == [
            ["test", "call", "request"],
            ["test", "call", "tool"],
            ["test", "call", "request"],
        ]
        assert calls[0]["request"]["model_id"] == "gpt-x"
        assert calls[2]["response"]["usage"] == {"input_tokens": 20, "output_tokens": 4}
        text = (tmp_path / "recordings" / "hosted.jsonl").read_text()
        assert KEY not in text

        done = await _victor(tmp_path, "victor.yml", "--record", SHOP_KEY=KEY)
        assert (done.code, len(server.asked)) == (0, 2)
        assert (tmp_path / "recordings" / "hosted.jsonl").read_text() == text
    done = await _victor(tmp_path, "victor.yml", "--format", "json")
    assert (done.code, done.json["passed"]) == (0, 1), done.out
    assert (tmp_path / "called.txt").read_text() == "7\n"


async def test_a_changed_request_is_a_failure_that_shows_the_difference(tmp_path: Path) -> None:
    async with Playback(CALLED, PLAYED, CALLED, PLAYED) as server:
        _hosted(tmp_path, server.url)
        assert (await _victor(tmp_path, "victor.yml", "--record", SHOP_KEY=KEY)).code == 0
        _hosted(tmp_path, server.url, HOSTED.replace("customers of Acme", "customers of Globex"))
        done = await _victor(tmp_path, "victor.yml", "--format", "json")
        assert (done.code, _statuses(done)) == (1, {"it knows its orders": "failed"})
        got = done.json["tests"][0]["failures"][0]["got"]
        assert got.startswith("changed-request:\n--- recorded\n+++ now\n")
        assert '- "system": "You help customers of Acme.",' in got
        assert '+ "system": "You help customers of Globex.",' in got
        assert (await _victor(tmp_path, "victor.yml", "--record", SHOP_KEY=KEY)).code == 0
        assert len(server.asked) == 4
        assert (await _victor(tmp_path, "victor.yml")).code == 0


async def test_live_asks_always_and_records_nothing(tmp_path: Path) -> None:
    async with Playback(PLAYED) as server:
        _hosted(
            tmp_path,
            server.url,
            HOSTED.replace("      tool_calls: [{name: lookup_order, arguments: {order: 7}}]\n", ""),
        )
        for number in (1, 2):
            assert (await _victor(tmp_path, "victor.yml", "--live", SHOP_KEY=KEY)).code == 0
            assert len(server.asked) == number
        assert not (tmp_path / "recordings").exists()
        done = await _victor(tmp_path, "victor.yml", "--live")
        assert (done.code, "SHOP_KEY" in done.err) == (3, True), done.err
    done = await _victor(tmp_path, "victor.yml", "--live", "--format", "json", SHOP_KEY=KEY)
    assert (done.code, _statuses(done)) == (3, {"it knows its orders": "error"})


async def test_recordings_that_no_test_needs_are_reported_then_removed(tmp_path: Path) -> None:
    async with Playback(CALLED, PLAYED, CALLED, PLAYED) as server:
        _hosted(tmp_path, server.url)
        assert (await _victor(tmp_path, "victor.yml", "--record", SHOP_KEY=KEY)).code == 0
        changed = HOSTED.replace("it knows its orders", "it knows orders").replace("Where is", "And where is")
        _hosted(tmp_path, server.url, changed)
        done = await _victor(tmp_path, "victor.yml")
        assert "no test needs 1 recording, such as that of 'it knows its orders'; --record removes them" in done.err
        assert (await _victor(tmp_path, "victor.yml", "--record", SHOP_KEY=KEY)).code == 0
        assert {call["test"] for call in _recorded(tmp_path)} == {"it knows orders"}


async def test_a_renamed_test_keeps_its_recording(tmp_path: Path) -> None:
    async with Playback(CALLED, PLAYED) as server:
        _hosted(tmp_path, server.url)
        assert (await _victor(tmp_path, "victor.yml", "--record", SHOP_KEY=KEY)).code == 0
        _hosted(tmp_path, server.url, HOSTED.replace("it knows its orders", "it knows orders"))
        done = await _victor(tmp_path, "victor.yml")
        assert (done.code, done.err) == (0, "")
        assert (await _victor(tmp_path, "victor.yml", "--record", SHOP_KEY=KEY)).code == 0
        assert len(server.asked) == 2
        assert [call["test"] for call in _recorded(tmp_path)] == ["it knows orders"] * 3


async def test_specs_of_one_name_leave_each_other_their_recordings(tmp_path: Path) -> None:
    async with Playback(CALLED, PLAYED, CALLED, OTHER) as server:
        _hosted(tmp_path, server.url)
        other = HOSTED.replace("URL", server.url).replace("contains: sent", "contains: Who")
        (tmp_path / "other.yml").write_text(other)
        for spec in ("victor.yml", "other.yml"):
            done = await _victor(tmp_path, spec, "--record", SHOP_KEY=KEY)
            assert done.code == 0, done.out + done.err
        assert [call["spec"] for call in _recorded(tmp_path)] == ["../other.yml"] * 3 + ["../victor.yml"] * 3
        done = await _victor(tmp_path, "victor.yml", "other.yml")
        assert (done.code, done.err) == (0, ""), done.out
    (tmp_path / "victor.yml").rename(tmp_path / "moved.yml")
    done = await _victor(tmp_path, "moved.yml")
    assert (done.code, done.err) == (0, ""), done.out


async def test_what_was_recorded_before_an_interruption_stays(tmp_path: Path) -> None:
    second = """  - name: it waits
    given: {message: Wait for me.}
    expect: {reply: {contains: sent}}
"""
    async with Playback(CALLED, PLAYED, ["hang"]) as server:
        _hosted(tmp_path, server.url, HOSTED + second)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "victor_dsl", "test", "victor.yml", "--record", "-n", "1", cwd=tmp_path,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT), "SHOP_KEY": KEY},
        )  # fmt: skip
        while len(server.asked) < 3:
            await asyncio.sleep(0.01)
        process.send_signal(signal.SIGINT)
        await process.communicate()
    assert [call["test"] for call in _recorded(tmp_path)] == ["it knows its orders"] * 3


@pytest.mark.parametrize(
    "line",
    [
        '{"test": "a", "call": 1, "request": 1}',
        '{"test": "a", "call": 1, "request": {}}',
        '{"test": "a", "call": 1, "request": {}, "response": 3}',
        '{"test": "a", "call": 1, "request": {}, "response": {"message": {"role": "assistant", "content": "x"}, "usage": {"a": 1}}}',
        '{"test": "a", "call": 1, "request": {}, "error": "x"}',
        '{"test": "a", "call": 1, "tool": "x"}',
        '{"test": "a", "call": 1, "tool": "x", "id": "1", "arguments": "{}"}',
    ],
)
async def test_a_line_that_no_answer_can_be_played_from_is_named(line: str, tmp_path: Path) -> None:
    _hosted(tmp_path, "http://127.0.0.1:9")
    (tmp_path / "recordings").mkdir()
    (tmp_path / "recordings" / "hosted.jsonl").write_text(line + "\n")
    done = await _victor(tmp_path, "victor.yml")
    assert (done.code, "hosted.jsonl:1: not the record of a call" in done.err) == (1, True), done.err


async def test_repeats_are_recorded_each_and_held_against_the_pass_rate(tmp_path: Path) -> None:
    spec = (
        HOSTED.replace("      tool_calls: [{name: lookup_order, arguments: {order: 7}}]\n", "")
        + "    repeats: 4\n    pass_rate: 0.75\n"
    )
    async with Playback(PLAYED, PLAYED, OTHER, PLAYED) as server:
        _hosted(tmp_path, server.url, spec)
        assert (await _victor(tmp_path, "victor.yml", "--record", SHOP_KEY=KEY)).code == 0
        assert [call.get("repeat", 1) for call in _recorded(tmp_path)] == [1, 2, 3, 4]
    (tmp_path / "victor.yml").write_text((tmp_path / "victor.yml").read_text().replace("0.75", "0.8"))
    done = await _victor(tmp_path, "victor.yml", "--format", "json")
    failures = done.json["tests"][0]["failures"]
    assert [(failure["expected"], failure["got"]) for failure in failures] == [
        ("80% of 4 repeats as expected", "3"),
        ("contains 'sent'", "'Who knows?'"),
    ]


async def test_a_broken_recording_is_named_with_its_line(tmp_path: Path) -> None:
    _hosted(tmp_path, "http://127.0.0.1:9")
    (tmp_path / "recordings").mkdir()
    (tmp_path / "recordings" / "hosted.jsonl").write_text(
        '{"test": "a", "request": {}, "response": {"message": {"role": "assistant", "content": "x"}}}\n<<<<<<< HEAD\n'
    )
    done = await _victor(tmp_path, "victor.yml")
    assert (done.code, "recordings/hosted.jsonl:2: not JSON" in done.err) == (1, True), done.err
