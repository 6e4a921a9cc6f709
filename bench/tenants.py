"""What ten thousand tenants cost one process: `python -m bench.tenants`.

Each tenant has its own row of settings and its own template in SQLite, or in PostgreSQL with `--dsn`, and runs two turns of a
session. Memory is the process's (RSS), and what Python allocated, after a garbage collection, above one with a single tenant.
Tracing allocations slows turns down: compare the two rounds with each other, not with other benchmarks.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

from bench.measure import machine, table
from victor_dsl.compiler import compile_spec
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.storage.migrations import migrate
from victor_dsl.storage.postgres_pool import PostgresPool
from victor_dsl.storage.sqlite_file import SqliteFile
from victor_dsl.values.request import Request

SPEC = """\
victor: 1
name: tenants
models: {main: {type: echo}}
databases: {app: DATABASE}
vars: {product: ours}
providers: [{type: tenant, database: app, ttl_seconds: 3600}]
contributors: [{type: tenant, database: app, max_tokens: 500, ttl_seconds: 3600}]
"""
CONFIG = "INSERT INTO tenant_configs (tenant_id, config) VALUES ($1, $2)"
TEMPLATE = "INSERT INTO tenant_prompt_templates (tenant_id, prompt_template) VALUES ($1, $2)"


def main(arguments: list[str]) -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.tenants", description=__doc__)
    parser.add_argument("--tenants", type=int, default=10_000)
    parser.add_argument("--dsn", help="an empty PostgreSQL database; the default is a SQLite file")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(_measure(Path(folder), options.tenants, options.dsn))
    print(machine("asyncpg", "jinja2"))
    print(table(["", "RSS, MB", "allocated, MB", "kB a tenant", "ms a turn"], rows))
    return 0


async def _measure(folder: Path, tenants: int, dsn: str | None) -> list[list[str]]:
    await _fill(folder, tenants, dsn)
    written = '{type: postgres, dsn: "${env:DSN}"}' if dsn else "{type: sqlite, path: app.db}"
    (folder / "victor.yml").write_text(SPEC.replace("DATABASE", written), encoding="utf-8")
    environment = {"DSN": dsn} if dsn else {}
    program = compile_spec(str(folder / "victor.yml"), environment=environment, require_environment=True).program
    assert program is not None
    tracemalloc.start()
    async with Orchestrator(program) as orchestrator:
        await orchestrator.chat("Hi!", tenant="tenant-0")
        base = _allocated()
        rows = [["one tenant", f"{_rss():.0f}", f"{base:.1f}", "", ""]]
        for name in (f"{tenants:,} tenants", "once more"):
            started = time.process_time()
            for number in range(tenants):
                answer = await orchestrator.answer(Request(message="Hi!", session="s", tenant=f"tenant-{number}"))
                assert answer.error is None, answer.error
            each = (time.process_time() - started) / tenants * 1000
            now = _allocated()
            share = (now - base) * 1000 / tenants
            rows.append([name, f"{_rss():.0f}", f"{now:.1f}", f"{share:.1f}", f"{each:.2f}"])
    return rows


async def _fill(folder: Path, tenants: int, dsn: str | None) -> None:
    database = PostgresPool(lambda: dsn or "", "databases/app") if dsn else SqliteFile(folder / "app.db")
    async with database:
        await migrate(database)
        statements = []
        for number in range(tenants):
            id, config = (
                f"tenant-{number}",
                {"settings": {"temperature": 0.5}, "vars": {"product": f"product {number}"}},
            )
            statements.append((CONFIG, (id, config if dsn else json.dumps(config))))
            statements.append((TEMPLATE, (id, f"You support {{{{ product }}}} of number {number}, kindly.")))
        await database.for_every_tenant().execute(statements)


def _allocated() -> float:
    gc.collect()
    return tracemalloc.get_traced_memory()[0] / 1e6


def _rss() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1e6


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
