"""Tenants that the spec does not know, in every command that has a tenant."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from tests.interfaces.conftest import Victor

SPEC = """\
victor: 1
name: support
models: {main: {type: echo}}
variants: {tone: {arms: {plain: {}, warm: {}}}}
unknown_tenants: refuse
tenants: {acme: {}, globex: {with: {settings: {seed: 1}}}}
"""
ROWS = (
    SPEC + "databases: {app: {type: sqlite, path: app.db}}\nproviders: [{type: tenant, database: app, default: all}]\n"
)
TOLD = "there is no tenant 'acne' (did you mean 'acme'? tenants: acme, globex)"


@pytest.mark.parametrize(
    "arguments",
    [
        ("schema", "--requests", "victor.yml"),
        ("run", "victor.yml", "Hi"),
        ("render", "victor.yml", "--message", "Hi"),
        ("render", "victor.yml", "--example"),
        ("graph", "victor.yml"),
        ("assign", "victor.yml", "ann"),
    ],
)
def test_every_command_refuses_an_unknown_tenant_with_the_nearest(
    victor: Victor, folder: Path, arguments: tuple[str, ...]
) -> None:
    (folder / "victor.yml").write_text(SPEC)
    done = victor(*arguments, "--tenant", "acne")
    assert done.code == 3
    assert TOLD in done.out + done.err
    assert victor(*arguments, "--tenant", "acme").code == 0
    assert victor(*arguments).code == 0


def test_a_line_of_an_unknown_tenant_is_refused_and_the_others_run(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").write_text(SPEC)
    lines = [{"message": "a", "tenant": "acne"}, {"message": "b", "tenant": "globex"}, {"message": "c"}]
    (folder / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for command in ("run", "render"):
        done = victor(command, "victor.yml", "--input", "in.jsonl", "--output", f"{command}.jsonl")
        assert done.code == 3
        found = [json.loads(line) for line in (folder / f"{command}.jsonl").read_text().splitlines()]
        errors = {line["tenant"]: line["error"] for line in found}
        assert errors == {"acne": {"code": "refused", "message": TOLD}, "globex": None, None: None}


def test_a_tenant_with_an_active_row_is_known_and_a_default_row_makes_no_tenant(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").write_text(ROWS)
    assert victor("db", "migrate", "victor.yml").code == 0
    database = sqlite3.connect(folder / "app.db")
    database.executescript(
        "INSERT INTO tenant_configs (tenant_id, config, active) VALUES ('all', '{}', 1), ('north', '{}', 1), ('gone', '{}', 0);"
    )
    database.close()
    assert victor("run", "victor.yml", "Hi", "--tenant", "north").code == 0
    assert victor("run", "victor.yml", "Hi", "--tenant", "acme").code == 0
    assert victor("run", "victor.yml", "Hi").code == 0
    assert TOLD in victor("run", "victor.yml", "Hi", "--tenant", "acne").err
    assert "there is no tenant 'gone'" in victor("run", "victor.yml", "Hi", "--tenant", "gone").err
    assert victor("assign", "victor.yml", "ann", "--tenant", "north").code == 0, "only a turn asks the provider"


def test_connect_asks_providers_although_it_names_no_tenant_of_the_spec(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").write_text(ROWS)
    done = victor("validate", "victor.yml", "--connect")
    assert (done.code, "tenant_configs" in done.err) == (3, True)


def test_env_finds_variables_that_are_locked(victor: Victor, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "victor.yml").write_text(
        SPEC + "providers: [{type: env, prefix: S_}]\nlocked: [settings.seed]\n".replace("seed", "top_p")
    )
    monkeypatch.setenv("S_TOP_P", "0.1")
    assert victor("validate", "victor.yml").code == 0
    done = victor("validate", "victor.yml", "--env")
    assert done.code == 3
    assert "the variable S_TOP_P is locked by 'settings.top_p' (victor.yml:8); only the spec" in done.err
    done = victor("render", "victor.yml", "--message", "Hi")
    assert (done.code, "is locked by" in done.json["error"]["message"]) == (3, True)
