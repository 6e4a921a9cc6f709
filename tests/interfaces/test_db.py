"""`victor db migrate` makes tables, says what it did, and may be run again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interfaces.conftest import Victor
from tests.services import PASSWORD, PostgresServer
from victor_dsl.storage.migrations import migrations

POSTGRES = """\
victor: 1
name: demo
models: {main: {type: openai, model: m, api_key: "${env:NOT_THERE}"}}
databases: {app: {type: postgres, dsn: "${env:DATABASE_URL}"}}
sessions: {type: postgres, database: app}
"""
SQLITE = """\
victor: 1
name: demo
models: {main: {type: echo}}
databases:
  app: {type: sqlite, path: app.db}
  other: {type: sqlite, path: other.db}
providers: [{type: tenant, database: app}]
sessions: {type: sqlite, database: other}
"""


def test_it_makes_the_tables_once(
    victor: Victor, folder: Path, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres_dsn)
    (folder / "victor.yml").write_text(POSTGRES)
    assert victor("db", "migrate", "victor.yml").err == (
        f"databases/app: applied: {', '.join(map(str, migrations('postgres')))}\n"
    )
    assert victor("db", "migrate", "victor.yml").err == "databases/app: nothing to apply\n"


def test_a_dry_run_prints_the_sql_and_runs_none(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").write_text(SQLITE)
    done = victor("db", "migrate", "victor.yml", "--database", "app", "--dry-run")
    assert done.out.startswith("-- 1 tenants\n")
    assert "CREATE TABLE IF NOT EXISTS tenant_configs" in done.out
    assert done.err == "databases/app: to apply: 1 tenants, 3 events, 4 keys\n"
    assert victor("db", "migrate", "victor.yml", "--database", "app").err.startswith("databases/app: applied: 1")
    assert victor("db", "migrate", "victor.yml", "--database", "app", "--dry-run").out == ""


def test_a_server_that_is_away_is_an_error_without_its_password(
    victor: Victor, folder: Path, postgres: PostgresServer, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres_dsn)
    (folder / "victor.yml").write_text(POSTGRES)
    postgres.stop()
    done = victor("db", "migrate", "victor.yml")
    assert done.code == 3
    assert done.err.startswith("error: databases/app: cannot reach PostgreSQL at 127.0.0.1:")
    assert PASSWORD not in done.err


def test_a_role_above_row_level_security_is_warned_of(
    victor: Victor,
    folder: Path,
    postgres: PostgresServer,
    postgres_database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres.dsn(postgres_database, "postgres"))
    (folder / "victor.yml").write_text(POSTGRES)
    assert "warning: databases/app: the role of this dsn is a superuser" in victor("db", "migrate", "victor.yml").err


def test_a_runtime_role_gets_its_rights(
    victor: Victor,
    folder: Path,
    postgres: PostgresServer,
    postgres_database: str,
    postgres_dsn: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres_dsn)
    (folder / "victor.yml").write_text(POSTGRES)
    command = ("db", "migrate", "victor.yml", "--runtime-role", f"app_{postgres_database}")
    refused = victor(*command)
    assert refused.code == 3
    assert f"there is no role 'app_{postgres_database}' (create it: CREATE ROLE" in refused.err
    postgres.sql(f"CREATE ROLE app_{postgres_database}")
    assert f"GRANT SELECT, INSERT ON session_messages TO app_{postgres_database};" in victor(*command, "--dry-run").out
    assert victor(*command).code == 0
    may = f"SELECT has_table_privilege('app_{postgres_database}', 'session_messages', 'INSERT')"
    assert postgres.sql(may, database=postgres_database) == "t"
    postgres.sql(f"DROP OWNED BY app_{postgres_database}", database=postgres_database)
    postgres.sql(f"DROP ROLE app_{postgres_database}")


@pytest.mark.parametrize(
    ("spec", "arguments", "message"),
    [
        (SQLITE, ["--database", "app", "--runtime-role", "a"], "databases/app is of type sqlite, which has no roles"),
        (SQLITE, [], "the spec has several databases, choose with --database: app, other"),
        (SQLITE, ["--database", "ap"], "the spec has no SQL database 'ap'; did you mean 'app'?"),
        (None, [], "the spec has no database of type postgres or sqlite"),
    ],
)
def test_it_says_which_database_it_wants(
    spec: str | None, arguments: list[str], message: str, victor: Victor, folder: Path
) -> None:
    if spec:
        (folder / "victor.yml").write_text(spec)
    done = victor("db", "migrate", "victor.yml", *arguments)
    assert done.code == 2
    assert message in done.err


def test_a_missing_secret_is_said_with_its_place(victor: Victor, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    (folder / "victor.yml").write_text(POSTGRES)
    done = victor("db", "migrate", "victor.yml")
    assert done.code == 3
    assert "DATABASE_URL" in done.err
