"""A tenant whose template takes too much gets its error, the exporters an event, and the other tenants their turns."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from victor_dsl.compiler import compile_spec
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.storage.migrations import migrate
from victor_dsl.storage.sqlite_file import SqliteFile
from victor_dsl.values.request import Request

SPEC = """\
victor: 1
name: s
models: {main: {type: echo}}
databases: {app: {type: sqlite, path: app.db}}
contributors: [{type: tenant, database: app, max_tokens: 500}]
exporters: [{type: jsonl, path: events.jsonl}]
"""
PUT = "INSERT INTO tenant_prompt_templates (tenant_id, prompt_template) VALUES ($1, $2)"
ROWS = {
    "clinic": "You help {{ session }}.",
    "trial": "{% set ns = namespace(x=['a']) %}\n{% for i in range(26) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}\n"
    "{{ session }}{{ ns.x|lower|length }}",
}


async def test_a_template_that_breaks_a_bound_is_the_error_of_its_own_turn(tmp_path: Path) -> None:
    (tmp_path / "victor.yml").write_text(SPEC)
    async with SqliteFile(tmp_path / "app.db") as database:
        await migrate(database)
        await database.for_every_tenant().execute([(PUT, row) for row in ROWS.items()])
    program = compile_spec(str(tmp_path / "victor.yml"), environment={}).program
    assert program is not None
    async with Orchestrator(program) as orchestrator:
        tenants = ["trial", *["clinic"] * 9, "trial"]
        requests = [Request(message="Hi!", session=str(n), tenant=tenant) for n, tenant in enumerate(tenants)]
        answers = await asyncio.gather(*map(orchestrator.answer, requests))
    wrong = [answer.error for answer in answers if answer.error is not None]
    assert [error.code for error in wrong] == ["contributor"] * 2
    assert 'tenant_prompt_templates["trial"]:3: makes a list of more than 100,000 items' in wrong[0].message
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    told = [event for event in events if event["type"] == "error"]
    assert [event["tenant"] for event in told] == ["trial"] * 2
    assert sum(event["type"] == "model_call" and event["tenant"] == "clinic" for event in events) == 9
