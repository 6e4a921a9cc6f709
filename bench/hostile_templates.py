"""What a turn of one tenant takes while another tenant's template attacks: `python -m bench.hostile_templates`.

Tenants have their own templates in SQLite. `clinic` asks one turn after another, with pauses; beside it `trial` does nothing, or
sends turns without a pause, eight at a time: first with a template like that of `clinic`, then with those of the battery of
`tests/language/hostile_templates.py`, each for a part of the time. The model is `echo`, so a turn takes what we take.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.measure import machine, table
from tests.language.hostile_templates import templates
from victor_dsl.compiler import compile_spec
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.storage.migrations import migrate
from victor_dsl.storage.sqlite_file import SqliteFile
from victor_dsl.values.request import Request

SPEC = """\
victor: 1
name: attacked
models: {main: {type: echo}}
databases: {app: {type: sqlite, path: app.db}}
contributors: [{type: tenant, database: app, max_tokens: 500000, ttl_seconds: 3600}]
"""
PUT = "INSERT INTO tenant_prompt_templates (tenant_id, prompt_template) VALUES ($1, $2)"
PLAIN = "You help {{ user | default('patients') }} of the clinic. {{ session }}"
ATTACKERS = 8


def main(arguments: list[str]) -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.hostile_templates", description=__doc__)
    parser.add_argument("--turns", type=int, default=2000, help="of the clinic, in each round")
    parser.add_argument("--templates", type=int, default=300, help="of the battery, chosen by chance")
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    hostile = [text for _, text in templates()]
    chosen = random.Random(7).sample(hostile, options.templates)
    with tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(_measure(Path(folder), options.turns, chosen))
    print(machine("jinja2"))
    print(table(["beside", "p50, ms", "p99, ms", "most, ms", "turns of the others"], rows))
    return 0


async def _measure(folder: Path, turns: int, hostile: Sequence[str]) -> list[list[str]]:
    tenants = {"clinic": PLAIN, "plain": PLAIN, **{f"trial-{n}": text for n, text in enumerate(hostile)}}
    async with SqliteFile(folder / "app.db") as database:
        await migrate(database)
        await database.for_every_tenant().execute([(PUT, (tenant, text)) for tenant, text in tenants.items()])
    (folder / "victor.yml").write_text(SPEC, encoding="utf-8")
    program = compile_spec(str(folder / "victor.yml"), environment={}).program
    assert program is not None
    trials = [name for name in tenants if name.startswith("trial-")]
    rows = []
    async with Orchestrator(program) as orchestrator:
        for name, others in (("nobody", []), ("a like tenant", ["plain"]), ("an attacker", trials), ("nobody", [])):
            taken, sent = await _beside(orchestrator, others, turns)
            taken.sort()
            figures = (taken[len(taken) // 2], taken[len(taken) * 99 // 100], taken[-1])
            rows.append([name, *(f"{figure * 1000:.2f}" for figure in figures), f"{sent:,}"])
    return rows


async def _beside(orchestrator: Orchestrator, others: Sequence[str], turns: int) -> tuple[list[float], int]:
    """How long each turn of the clinic takes, and how many turns the others had; each other tenant attacks for a part of the time."""
    sent = 0
    attacking = others[0] if others else ""

    async def attack(number: int) -> None:
        nonlocal sent
        while True:
            await orchestrator.answer(Request(message="Hi!", session=f"{number}-{sent}", tenant=attacking))
            sent += 1
            await asyncio.sleep(0)

    taken = []
    await orchestrator.answer(Request(message="Hi!", session="first", tenant="clinic"))
    attackers = [asyncio.create_task(attack(number)) for number in range(ATTACKERS if others else 0)]
    for turn in range(turns):
        if others and turn * len(others) // turns != (turn - 1) * len(others) // turns:
            attacking = others[turn * len(others) // turns]
        await asyncio.sleep(0.005)
        started = time.perf_counter()
        answer = await orchestrator.answer(Request(message="Hi!", session=f"s{turn}", tenant="clinic"))
        taken.append(time.perf_counter() - started)
        assert answer.error is None, answer.error
    for task in attackers:
        task.cancel()
    await asyncio.gather(*attackers, return_exceptions=True)
    return taken, sent


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
