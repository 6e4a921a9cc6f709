"""What the pipeline itself costs for one turn: `python -m bench.turn`.

Three providers, five contributors, five middleware, twenty tools, twenty messages of history, events to JSON Lines; the model
is `echo`. CPU of the whole process, exporters' work included, in rounds; the yardstick, interleaved, is the standard
library's `json.dumps` of the same history, for comparing machines.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from statistics import median

from bench.measure import machine, table
from victor_dsl.compiler import compile_spec
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.values.message import Message
from victor_dsl.values.request import Request

SPEC = """\
victor: 1
name: turn
models:
  main: MODEL
settings: {max_tokens: 1024, temperature: 0.7}
vars: {product: Acme Cloud}
providers:
  - {type: inline, values: {settings: {top_p: 0.9}, vars: {tier: standard}}}
  - {type: file, path: settings.yml, priority: 75}
  - {type: env, prefix: SUPPORT_}
contributors:
  - {type: file, name: standards, path: standards.md, priority: 60}
  - {type: text, name: tone, text: Be brief and kind.}
  - {type: text, name: law, text: Never give legal advice.}
  - {type: template, name: product, template: "You support {{ product }} for {{ tier }} customers."}
  - {type: template, name: caller, template: "The session is {{ session }}."}
tools:
TOOLS
tool_selection: {type: keyword, k: 8}
middleware:
  - {type: logging, name: first}
  - {type: logging, name: second}
  - {type: logging, name: third}
  - {type: logging, name: fourth}
  - {type: logging, name: fifth}
exporters:
  - {type: jsonl, path: events.jsonl, flush_seconds: 0.01}
sessions: memory
"""
MODEL = "{type: echo, context_window: 32768}"
TOOL = '  - {{type: python, name: tool_{i}, function: "bench_turn_desk:look_up_{i}"}}'
FUNCTION = '''
def look_up_{i}(order: str, limit: int = 5) -> str:
    """Looks order number {i} of a customer up."""
    return order * limit
'''
DRAIN_S = 0.5
"""How long after the last turn every event is written; waiting costs no CPU, writing does, and belongs to the turns."""
QUESTION = "Where is my order 4711, and when does it come?"


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.turn", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--turns", type=int, default=200, help="in each round")
    options = parser.parse_args()
    logging.getLogger("victor_dsl").setLevel(logging.WARNING)  # the middleware is measured, not the terminal
    with tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(_measure(write_spec(Path(folder)), options.rounds, options.turns))
    print(machine("victor_dsl", "pydantic", "attrs"), end="\n\n")
    print(table(["one turn", ""], rows))


def write_spec(folder: Path) -> Path:
    """Writes the spec and the files that it names into a folder; gives its path."""
    tools = "\n".join(TOOL.format(i=i) for i in range(20))
    (folder / "victor.yml").write_text(SPEC.replace("MODEL", MODEL).replace("TOOLS", tools), encoding="utf-8")
    (folder / "settings.yml").write_text("settings: {max_tool_rounds: 4}\nvars: {region: eu}\n", encoding="utf-8")
    (folder / "standards.md").write_text("# Standards\n\nCite the handbook.\n", encoding="utf-8")
    (folder / "bench_turn_desk.py").write_text("".join(FUNCTION.format(i=i) for i in range(20)), encoding="utf-8")
    return folder / "victor.yml"


def history() -> tuple[Message, ...]:
    """Twenty messages before the question, in turns of user and assistant."""
    said: list[Message] = []
    for i in range(10):
        said += Message("user", f"Question {i}: what about item {i}?"), Message("assistant", f"Item {i} is due. " * 9)
    return (*said, Message("user", QUESTION))


async def _measure(spec: Path, rounds: int, turns: int) -> list[list[str]]:
    compilation = compile_spec(str(spec), environment={"SUPPORT_SEED": "7"})
    if compilation.program is None:
        raise SystemExit("\n".join(f"{d.span.line}: {d.message}" for d in compilation.diagnostics))
    messages = history()
    plain = [{"role": message.role, "content": message.text()} for message in messages]
    async with Orchestrator(compilation.program) as orchestrator:

        async def turn(i: int) -> None:
            answer = await orchestrator.answer(Request(id=i, session=f"s{i % 50}", messages=messages))
            if error := answer.to_dict()["error"]:
                raise SystemExit(f"the turn failed: {error}")

        for i in range(turns):
            await turn(i)
        await asyncio.sleep(DRAIN_S)
        taken, yardstick = [], []
        for _ in range(rounds):
            start = time.process_time()
            for i in range(turns):
                await turn(i)
            await asyncio.sleep(DRAIN_S)
            middle = time.process_time()
            for _ in range(turns):
                json.dumps(plain)
            yardstick.append((time.process_time() - middle) / turns * 1e6)
            taken.append((middle - start) / turns * 1e6)
        gc.collect()
        blocks = sys.getallocatedblocks()
        for i in range(turns):
            await turn(i)
        await asyncio.sleep(DRAIN_S)
        gc.collect()
        kept = (sys.getallocatedblocks() - blocks) / turns
        tracemalloc.start()
        await turn(0)
        peaks = []
        for i in range(20):
            tracemalloc.reset_peak()
            resting, _ = tracemalloc.get_traced_memory()
            await turn(i)
            peaks.append((tracemalloc.get_traced_memory()[1] - resting) / 1024)
        tracemalloc.stop()
    return [
        ["CPU, µs (aim: 100), median of rounds", f"{median(taken):.0f}"],
        ["CPU, µs, best round", f"{min(taken):.0f}"],
        ["json.dumps of the history, µs", f"{median(yardstick):.0f}"],
        ["turn / json.dumps", f"{median(taken) / median(yardstick):.1f}"],
        ["memory above rest at its peak, KiB", f"{median(peaks):.0f}"],
        ["blocks still allocated afterwards", f"{kept:.2f}"],
    ]


if __name__ == "__main__":
    main()
