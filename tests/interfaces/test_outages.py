"""A batch whose sessions are in PostgreSQL, while the server crashes and connections are cut.

`VICTOR_OUTAGE_LINES=3000 VICTOR_OUTAGE_SECONDS=1.5 python -m pytest -s tests/interfaces/test_outages.py` is the long form.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections import Counter
from pathlib import Path
from signal import SIGQUIT

import pytest

from tests.interfaces.conftest import in_a_process
from tests.services import PASSWORD, PostgresServer

LINES = int(os.environ.get("VICTOR_OUTAGE_LINES", "300"))
DOWN_SECONDS = float(os.environ.get("VICTOR_OUTAGE_SECONDS", "0"))
"""How long the server stays down before it is started again, which takes a moment, too."""
SESSIONS = 30
SPEC = """\
victor: 1
name: demo
models: {main: {type: echo}}
databases: {app: {type: postgres, dsn: "${env:DSN}"}}
sessions: {type: postgres, database: app}
"""
KILL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'victor'"


def lines_in(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.parametrize("harm", ["crash", "killed connections"])
def test_no_line_of_a_batch_fails_in_an_outage_and_every_turn_is_stored_once(
    tmp_path: Path, postgres: PostgresServer, postgres_database: str, migrated_dsn: str, harm: str
) -> None:
    (tmp_path / "victor.yml").write_text(SPEC)
    (tmp_path / ".env").write_text(f"DSN={migrated_dsn}\n")
    requests = [{"id": n, "session": f"s{n % SESSIONS}", "message": f"m{n}"} for n in range(1, LINES + 1)]
    (tmp_path / "in.jsonl").write_text("".join(f"{json.dumps(request)}\n" for request in requests))
    command = ("run", "victor.yml", "--input", "in.jsonl", "--output", "out.jsonl", "--env-file", ".env")
    output = tmp_path / "out.jsonl"
    process = in_a_process(*command, cwd=tmp_path, stderr=subprocess.PIPE)
    for part in (1, 2, 3):
        while process.poll() is None and lines_in(output) < LINES * part // 5:
            pass
        if harm == "crash":
            postgres.stop(SIGQUIT)
            threading.Event().wait(DOWN_SECONDS)
            postgres.start()
        else:
            postgres.sql(KILL)
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()
    assert PASSWORD not in errors.decode()
    answers = [json.loads(line) for line in output.read_text().splitlines()]
    assert [answer["error"] for answer in answers if answer["error"]] == []
    assert Counter(answer["id"] for answer in answers) == dict.fromkeys(range(1, LINES + 1), 1)
    stored = postgres.sql("SELECT messages FROM session_messages ORDER BY number", database=postgres_database)
    said = [[message["content"] for message in json.loads(turn)] for turn in stored.splitlines()]
    assert Counter(turn[0] for turn in said) == {f"m{n}": 1 for n in range(1, LINES + 1)}
    by_session: dict[int, list[int]] = {}
    for user, _ in said:
        by_session.setdefault(int(user[1:]) % SESSIONS, []).append(int(user[1:]))
    assert all(numbers == sorted(numbers) for numbers in by_session.values())
