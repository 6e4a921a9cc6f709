"""Many tenants at once on one PostgreSQL and one model, turns killed at random."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.isolation.findings import MARK, Findings, Tenant, look_at_memory, look_at_rows, mark_of
from victor_dsl.compiler import compile_spec
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.storage.migrations import migrate
from victor_dsl.storage.postgres_pool import PostgresPool
from victor_dsl.storage.tenant_key import tenant_key
from victor_dsl.values.request import Request

STRANGE = ("", " '; DROP TABLE sessions; --", ' "quoted"/../', "\0", "é\ud800", "%_*", "\\")
TOOL = "def whose(of: str) -> str:\n    '''Says whose it is.'''\n    return f'it is of {of}'\n"
SPEC = """
victor: 1
name: isolation
models: {main: {type: openai, base_url: "BASE", model: m, api_key: "${env:KEY}", context_window: 100000}}
databases: {app: {type: postgres, dsn: "${env:DSN}", max_connections: 20}}
vars: {mark: nobody's}
providers:
  - {type: tenant, database: app, ttl_seconds: 0.05, max_tenants: MOST}
contributors:
  - {type: template, template: "You serve {{ mark }}, who is {{ tenant }}."}
  - {type: tenant, database: app, max_tokens: 500, ttl_seconds: 0.05, max_tenants: MOST}
tools: [{type: python, name: whose, function: "isolation_tool:whose"}]
middleware: [logging]
exporters: [{type: postgres, database: app}, {type: jsonl, path: events.jsonl}]
sessions: {type: postgres, database: app}
variants:
  tone: {arms: {control: {weight: 1}, warm: {weight: 1, with: {settings: {temperature: 0.9}}}}}
tenants:
"""
OVERLAY = '  TENANT: {with: {contributors: {own: {type: text, text: "Only for MARK."}}}}\n'


class Records(logging.Handler):
    """The texts of all log records."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Stores a record with all its fields."""
        self.texts.append(f"{record.getMessage()} {record.__dict__!r}")


async def isolate(dsn: str, folder: Path, *, tenants: int, sessions: int, turns: int, seed: int = 1) -> Findings:
    """Runs all sessions of all tenants at once, cancels a quarter of the turns at random, and searches everything."""
    chance, findings, started = random.Random(seed), Findings(), time.monotonic()
    world = [_tenant(number, chance) for number in range(tenants)]
    asked: list[Any] = []
    async with PostgresPool(lambda: dsn, "databases/app") as database:
        await migrate(database)
        await _fill(database, world)
        with _logged() as records:
            async with _back_end(asked, chance) as base, _opened(folder, dsn, base, world) as orchestrator:
                async with asyncio.TaskGroup() as group:
                    for tenant in world:
                        for number in range(sessions):
                            script = _session(
                                orchestrator, tenant, f"s{number}", turns, random.Random(chance.random()), findings
                            )
                            group.create_task(script)
                for tenant in world:
                    rendered = await orchestrator.render(
                        Request(message=f"I am {tenant.mark}", session="s0", tenant=tenant.id)
                    )
                    findings.look("rendered prompt", tenant.mark, json.dumps(rendered.to_dict()))
                look_at_memory(findings)
        for body in asked:
            findings.look("prompt sent", MARK.findall(body["messages"][-1]["content"])[0], json.dumps(body))
        for text in records.texts:
            findings.look("log record", None, text)
        for line in (folder / "events.jsonl").read_text(encoding="utf-8").splitlines():
            findings.look("event in a file", mark_of(json.loads(line)["tenant"]), line)
        await look_at_rows(database, world, findings)
    findings.seconds = time.monotonic() - started
    return findings


def _tenant(number: int, chance: random.Random) -> Tenant:
    mark = f"MARK-{number:04d}-{chance.getrandbits(32):08x}"
    return Tenant(mark + STRANGE[number % len(STRANGE)], mark)


async def _fill(database: PostgresPool, world: Iterable[Tenant]) -> None:
    configs = "INSERT INTO tenant_configs (tenant_id, config) VALUES ($1, $2)"
    templates = "INSERT INTO tenant_prompt_templates (tenant_id, prompt_template) VALUES ($1, $2)"
    for tenant in world:
        key = tenant_key(tenant.id)
        config = {"vars": {"mark": tenant.mark}, "settings": {"stop": [tenant.mark + "-stop"]}}
        template = f"The secret of {tenant.mark}; {{{{ mark }}}} again."
        await database.for_tenant(tenant.id).execute([(configs, (key, config)), (templates, (key, template))])


@asynccontextmanager
async def _back_end(asked: list[Any], chance: random.Random) -> AsyncIterator[str]:
    """A model that calls the tool when a message asks for it, and otherwise repeats the message, after a random delay."""

    async def complete(request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        asked.append(body)
        await asyncio.sleep(chance.random() * 0.01)
        last = body["messages"][-1]
        message: dict[str, Any] = {"role": "assistant", "content": f"You said: {last['content']}"}
        if last["role"] == "user" and "tool" in last["content"]:
            call = {"name": "whose", "arguments": json.dumps({"of": MARK.findall(last["content"])[0]})}
            message = {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c", "type": "function", "function": call}],
            }
        reason = "tool_calls" if message["content"] is None else "stop"
        choice = {"index": 0, "message": message, "finish_reason": reason}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        return web.json_response(
            {"id": "r", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage}
        )

    application = web.Application(client_max_size=2**26)
    application.router.add_post("/chat/completions", complete)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _opened(folder: Path, dsn: str, base: str, world: list[Tenant]) -> AsyncIterator[Orchestrator]:
    (folder / "isolation_tool.py").write_text(TOOL, encoding="utf-8")
    spec = SPEC.replace("BASE", base).replace("MOST", str(max(1, len(world) // 2)))
    for tenant in world[:5]:
        if "\ud800" not in tenant.id:
            spec += OVERLAY.replace("TENANT", json.dumps(tenant.id)).replace("MARK", tenant.mark)
    (folder / "victor.yml").write_text(spec, encoding="utf-8")
    compilation = compile_spec(
        str(folder / "victor.yml"), environment={"DSN": dsn, "KEY": "k"}, require_environment=True
    )
    assert compilation.program is not None, [diagnostic.message for diagnostic in compilation.diagnostics]
    async with Orchestrator(compilation.program) as orchestrator:
        yield orchestrator


async def _session(
    orchestrator: Orchestrator, tenant: Tenant, session: str, turns: int, chance: random.Random, findings: Findings
) -> None:
    seen = tenant.seen.setdefault(session, [])
    for number in range(turns):
        text = f"{'use the tool' if chance.random() < 0.3 else 'say'}: turn {number} of {tenant.mark}"
        request = Request(message=text, session=session, tenant=tenant.id, user=f"user of {tenant.mark}")
        task = asyncio.create_task(orchestrator.answer(request))
        if chance.random() < 0.25:  # at any point of a turn's way
            asyncio.get_running_loop().call_later(chance.random() * 1.2 * findings.latency_s, task.cancel)
        await asyncio.wait([task])
        findings.turns += 1
        if task.cancelled():
            findings.killed += 1
            continue
        answer = task.result()
        findings.latency_s = answer.latency_ms / 1000
        findings.look("answer", tenant.mark, json.dumps(answer.to_dict()))
        if answer.error is None:
            seen.append(text)
        else:
            findings.lose(f"{tenant.mark}/{session}: a turn failed: {answer.error}")


@contextmanager
def _logged() -> Iterator[Records]:
    """All log records while it is open."""
    records, root = Records(), logging.getLogger()
    before = root.level
    root.addHandler(records)
    root.setLevel(logging.INFO)
    try:
        yield records
    finally:
        root.removeHandler(records)
        root.setLevel(before)
