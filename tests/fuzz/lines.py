"""Searches for request lines that a batch does not answer one by one, or that end in an internal error.

    python -m tests.fuzz.lines --count 100000

Files of twenty lines, mutated as values and as bytes, are answered and rendered as `victor run` and `victor render` do it.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterable
from contextlib import redirect_stderr
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from tests.fuzz._mutation import damaged, mutated, written
from tests.fuzz._running import random_of, run
from tests.runtime.stage import Stage
from victor_dsl.graph.plan import Program
from victor_dsl.interfaces.cli.batch import Batch
from victor_dsl.interfaces.cli.caller import Caller

SPEC = """
models: {main: {type: echo}, spare: {type: echo, prefix: "spare: "}}
settings: {model: main, limits: {tools: {deny: [x]}}}
vars: {product: Acme, tags: [a, b], order: {items: [1], open: true}}
inputs:
  plan: {enum: [free, pro], default: free}
  seats: {type: integer, min: 1, max: 500, default: 1}
  lines: {type: list, items: {type: number}, default: []}
message: {template: "<q plan={{ plan }}>{{ message }}</q>"}
contributors: [{type: template, template: "{{ product }} {{ tags | join }} {{ seats + 1 }} {{ order.items }}"}]
compaction: {type: recent, threshold: 0.8, target_ratio: 0.5}
tenants: {acme: {with: {vars: {product: Other}, message: null}}}
sessions: {type: memory}
request: [model, fallbacks, tool_choice]
"""
WHOLE: tuple[dict[str, Any], ...] = (
    {"id": "a", "message": "Hi", "session": "s1", "user": "ann", "tenant": "acme"},
    {"id": 7, "message": "Hi", "inputs": {"plan": "pro", "seats": 3, "lines": [1, 2.5]}, "settings": {"model": "spare"}},
    {"message": "Hi", "vars": {"product": "B", "tags": ["c"], "order": {"items": []}}, "settings": {"temperature": 0.5}},
    {
        "id": "m",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "data:,"}}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "done"},
            {"role": "user", "content": "And?"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "settings": {"tool_choice": "auto", "stop": ["END"], "max_tokens": 10},
    },
)  # fmt: skip
LINES = 20


def line_of(random: Random) -> bytes:
    """A mutated line, without its end."""
    value = mutated(random.choice(WHOLE), random)
    if random.random() < 0.5:
        value["id"] = str(random.random())  # else most would have the id of an earlier line
    line = written(value, random)
    return damaged(line, random) if random.random() < 0.2 else line


def search(numbers: Iterable[int], seed: int = 0) -> Counter[str]:
    """Answers or renders a file of twenty lines for each number; how the lines ended."""
    endings, said = Counter[str](), io.StringIO()
    with TemporaryDirectory() as folder:
        path = Path(folder)
        program = Stage(path).program(SPEC)
        for number in numbers:
            random = random_of(number, seed)
            data = b"\n".join(line_of(random) for _ in range(LINES))
            try:
                endings.update(_endings(program, path, data, said, renders=number % 2 == 1))
            except Exception as error:
                raise AssertionError(f"file {number} of seed {seed}:\n{data!r}") from error
    return endings


def _endings(program: Program, folder: Path, data: bytes, said: io.StringIO, *, renders: bool) -> Iterable[str]:
    given, written = folder / "in.jsonl", folder / "out.jsonl"
    given.write_bytes(data)
    written.unlink(missing_ok=True)
    with redirect_stderr(said):
        code = Batch(program, Caller(), str(given), str(written), renders=renders).run()
    answers = [json.loads(line) for line in written.read_bytes().split(b"\n")[:-1]]
    expected = [line for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()]
    assert len(answers) == len(expected), "a line out for each line in"
    assert "Traceback" not in said.getvalue()
    said.truncate(0)
    assert code == (3 if any(answer["error"] for answer in answers) else 0)
    for answer in answers:
        assert "internal error" not in str(answer["error"]), answer
    return [answer["error"]["code"] if answer["error"] else "rendered" if renders else "answered" for answer in answers]


if __name__ == "__main__":
    run(search, __doc__)
