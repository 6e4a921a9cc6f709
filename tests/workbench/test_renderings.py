"""What the two sides of a comparison are compared by, as the processes that render them write it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SPEC = """\
victor: 1
name: shop
models: {main: {type: echo, context_window: 4000, input_usd_per_million: 2}}
contributors: [{type: template, name: who, template: "You answer {{ session }}."}]
variants: {warmth: {arms: {control: {weight: 1}, warm: {weight: 1, with: {settings: {temperature: 0.5}}}}}}
"""

PROGRAM = """\
import asyncio
import orjson
from victor_dsl.compiler import compile_spec
from victor_dsl.workbench.plan.renderings import render_lines
program = compile_spec("victor.yml", environment={}).program
with open("traffic.jsonl", "rb", buffering=0) as lines:
    asyncio.run(render_lines(program, lines, lambda message: print(orjson.dumps(message).decode()), 0.0))
"""


def test_a_request_has_the_same_record_in_every_process(tmp_path: Path) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": "{}"}}
    said = [
        {"role": "user", "content": [{"type": "text", "text": "Find it."}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "Found."},
        {"role": "user", "content": "Where?"},
    ]
    find = {"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {}}}}
    lines = [
        {"id": 1, "message": "Hello"},
        {"id": 2, "session": "s", "user": "u", "messages": said, "tools": [find]},
        3,
    ]
    (tmp_path / "traffic.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "victor.yml").write_text(SPEC)
    first, second = (
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            cwd=tmp_path,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            check=False,
        )
        for seed in ("1", "2")
    )
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    rows = [row for line in first.stdout.splitlines() for row in json.loads(line)["rows"]]
    assert [(row[1], row[18] and row[18][0]) for row in rows] == [(1, None), (2, None), (3, "bad-line")]
    assert first.stdout == second.stdout
