"""`victor validate`: its three formats and its exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.interfaces.conftest import ROOT, Done, Victor

FIVE_FAULTS = """\
victor: 1
name: demo
models:
  main: {type: ecko}
settings:
  temperture: 0.7
  max_tokens: many
contributors:
  - {type: text, text: hi, priority: high}
prompt: {max_tokens: 0}
"""

SECRET = """\
victor: 1
name: demo
models:
  main: {type: openai, model: m, context_window: 9000, api_key: "${env:A_KEY_THAT_IS_NOT_SET}"}
"""


def test_a_valid_spec_says_so(victor: Victor) -> None:
    done = victor("validate", "victor.yml")
    assert (done.code, done.out, done.err) == (0, "victor.yml is valid\n", "")


def test_every_fault_is_shown_at_its_line(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").write_text(FIVE_FAULTS)
    done = victor("validate", "victor.yml")
    assert done.code == 1
    for place in ("4:16", "6:3", "7:15", "9:38", "10:22"):
        assert f"victor.yml:{place}: error: " in done.out
    assert done.out.splitlines()[-1] == "5 errors in victor.yml"
    assert "\x1b" not in done.out


def test_the_last_line_names_the_files_that_the_faults_are_in(victor: Victor, folder: Path) -> None:
    text = "victor: 1\nname: s\nextends: base.yml\nmodels: {main: {type: echo}}\n"
    (folder / "victor.yml").write_text(text)
    (folder / "base.yml").write_text("vasr: {}\n")
    assert victor("validate", "victor.yml").out.splitlines()[-1] == "1 error in base.yml"
    (folder / "victor.yml").write_text(f"{text}sessoins: memory\n")
    assert victor("validate", "victor.yml").out.splitlines()[-1] in (
        "2 errors in victor.yml and base.yml",
        "2 errors in base.yml and victor.yml",
    )


def test_json_is_one_document_with_the_keys_of_the_contract(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").write_text(FIVE_FAULTS)
    done = victor("validate", "victor.yml", "--format", "json")
    assert done.code == 1
    assert done.err == ""
    assert list(done.json) == ["valid", "diagnostics", "omitted"]
    assert done.json["valid"] is False
    keys = [
        "code",
        "severity",
        "message",
        "file",
        "line",
        "column",
        "end_line",
        "end_column",
        "path",
        "hint",
        "related",
    ]
    assert [list(diagnostic) for diagnostic in done.json["diagnostics"]] == [keys] * 5
    first = done.json["diagnostics"][0]
    assert (first["file"], first["line"], first["column"], first["end_column"]) == ("victor.yml", 4, 16, 20)
    assert (first["code"], first["path"]) == ("unknown-component", "/models/main/type")


def test_several_specs_are_one_document(victor: Victor, folder: Path) -> None:
    (folder / "other.yml").write_text(FIVE_FAULTS)
    done = victor("validate", "victor.yml", "other.yml", "missing.yml", "--format", "json")
    assert done.code == 1
    assert {diagnostic["file"] for diagnostic in done.json["diagnostics"]} == {"other.yml", "missing.yml"}


def test_the_summary_counts_over_all_specs(victor: Victor, folder: Path) -> None:
    (folder / "other.yml").write_text(FIVE_FAULTS)
    assert victor("validate", "victor.yml", "other.yml").out.endswith("5 errors in 2 specs\n")
    assert victor("validate", "victor.yml", "victor.yml").out == "victor.yml is valid\n"


def test_github_annotations_are_escaped(victor: Victor, folder: Path) -> None:
    name = "a,b:c.yml"
    (folder / name).write_text('victor: 1\nname: demo\nmodels:\n  main: {"100%": 1, type: echo}\n')
    done = victor("validate", name, "--format", "github")
    assert done.code == 1
    first = done.out.splitlines()[0]
    assert first.startswith("::error file=a%2Cb%3Ac.yml,line=4,col=10,endLine=4,endColumn=16,title=unknown-key::")
    assert "100%25" in first
    assert "\n" not in first


def test_a_spec_that_github_finds_nothing_in_prints_nothing(victor: Victor) -> None:
    done = victor("validate", "victor.yml", "--format", "github")
    assert (done.code, done.out) == (0, "")


def test_warnings_are_fine_unless_strict(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").write_text(
        "victor: 1\nname: demo\nmodels: {main: {type: echo}}\ndatabases: {unused: {type: sqlite, path: a.db}}\n"
    )
    done = victor("validate", "victor.yml")
    assert done.code == 0
    assert "victor.yml is valid, with 1 warning" in done.out
    assert victor("validate", "victor.yml", "--strict").code == 1
    assert victor("validate", "victor.yml", "--strict", "--format", "json").json["valid"] is True


def test_secrets_are_needed_only_when_asked_for(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").write_text(SECRET)
    assert victor("validate", "victor.yml").code == 0
    done = victor("validate", "victor.yml", "--env")
    assert done.code == 3
    assert "A_KEY_THAT_IS_NOT_SET" in done.out


def test_an_env_file_gives_the_variables(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").write_text(SECRET)
    (folder / "keys.env").write_text("A_KEY_THAT_IS_NOT_SET=s3cret-text\n")
    done = victor("validate", "victor.yml", "--env", "--env-file", "keys.env")
    assert done.code == 0
    assert "s3cret-text" not in done.out + done.err


@pytest.mark.parametrize("name", ["missing.yml", ".", "missing/victor.yml"])
def test_a_spec_that_cannot_be_read_is_a_diagnostic(victor: Victor, name: str) -> None:
    done = victor("validate", name, "--format", "json")
    assert done.code == 1
    assert [diagnostic["code"] for diagnostic in done.json["diagnostics"]] == ["unreadable-file"]


def test_a_spec_may_come_from_stdin(victor: Victor) -> None:
    done = victor("validate", "-", stdin="victor: 1\nname: demo\nmodels: {main: {type: ecko}}\n")
    assert done.code == 1
    assert "-:3:23: error: " in done.out


def test_a_json_spec_is_held_to_the_same_rules(victor: Victor, folder: Path) -> None:
    spec = {"victor": 1, "name": "demo", "models": {"main": {"type": "echo"}}, "settngs": {}}
    (folder / "victor.json").write_text(json.dumps(spec, indent=2))
    done = victor("validate", "victor.json")
    assert done.code == 1
    assert "victor.json:9:3: error: " in done.out
    assert "did you mean 'settings'?" in done.out


def test_no_spec_at_all_is_wrong_usage(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").unlink()
    assert victor("validate").code == 2
    assert victor("validate", "victor.yml", "--format", "xml").code == 2


def test_the_way_of_validate_stays_free_of_what_it_does_not_need(folder: Path) -> None:
    program = (
        "import sys; from victor_dsl.interfaces.cli import main\n"
        "try: main(['validate', 'victor.yml'])\n"
        "except SystemExit: pass\n"
        "heavy = {'asyncio', 'rich', 'jinja2', 'cattrs', 'numpy', 'aiohttp', 'logging', 'sqlite3'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True, cwd=folder, env=environment
    )
    assert done.stdout == "victor.yml is valid\n[]\n"


def test_connect_opens_and_closes_every_component(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").write_text(
        "victor: 1\nname: demo\nmodels: {main: {type: echo}}\nsessions: {type: sqlite, path: s.db}\n"
    )
    assert victor("validate", "victor.yml").code == 0
    assert not (folder / "s.db").exists()
    done = victor("validate", "victor.yml", "--connect")
    assert (done.code, done.out) == (0, "victor.yml is valid\n")
    assert (folder / "s.db").exists()


def test_connect_warns_of_files_that_others_can_read_without_failing(victor: Victor, folder: Path) -> None:
    (folder / "keys.yml").write_text("keys: []")
    (folder / "keys.yml").chmod(0o644)
    (folder / "victor.yml").write_text(
        "victor: 1\nname: demo\nmodels: {main: {type: echo}}\nmiddleware: [{type: auth, keys: keys.yml}]\n"
    )
    done = victor("validate", "victor.yml", "--connect")
    assert done.code == 0
    assert "can read 'keys.yml'; run: chmod 600 keys.yml" in done.err


def test_connect_tells_what_cannot_be_opened_in_any_plan(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").write_text(
        "victor: 1\nname: demo\nmodels: {main: {type: echo}}\n"
        "tenants: {acme: {with: {contributors: {note: {type: file, path: note.md}}}}}\nunknown_tenants: base\n"
        "sessions: {type: sqlite, path: folder}\n"
    )
    (folder / "note.md").write_text("note")
    (folder / "folder").mkdir()
    done = victor("validate", "victor.yml", "--connect")
    assert done.code == 3
    assert done.out == "victor.yml is valid\n"
    assert done.err.startswith("error: sessions/sqlite: ")
    assert "folder" in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize("option", ["--env", "--connect"])
def test_providers_are_asked_without_the_inputs_that_requests_give(victor: Victor, folder: Path, option: str) -> None:
    (folder / "victor.yml").write_text(
        "victor: 1\nname: demo\nmodels: {main: {type: echo}}\nproviders: [{type: env, prefix: DEMO_}]\n"
        'inputs: {customer: {required: true}}\ncontributors: [{type: template, template: "For {{ customer }}."}]\n'
    )
    assert victor("validate", "victor.yml", option) == Done(0, "victor.yml is valid\n", "")


ASKED = """\
victor: 1
name: support
models: {main: {type: openai, model: gpt-6-luna, api_key: "${%s}"}}
providers: [{type: env, prefix: SUPPORT_}%s]
"""


@pytest.mark.parametrize(
    ("name", "text", "code", "said"),
    [
        ("K", "", 3, "the variable K is empty [missing-secret]"),
        ("K", " \n", 3, "the variable K is empty [missing-secret]"),
        ("K", "sk-1\nsk-2", 3, "the variable K has a line break or another control character in it [missing-secret]"),
        ("K", " sk-1\n", 0, ""),
        ("K", "\ufeffsk-1", 3, "the variable K has a line break or another control character in it [missing-secret]"),
        ("K", "sk-1\u200b2", 3, "the variable K has a line break or another control character in it [missing-secret]"),
        ("K", "sk-1\u2026", 3, "the variable K has a character in it that no header can carry [missing-secret]"),
        ("SUPPORT_TEMPERATURE", "hot", 3, "error: providers/env: the variable SUPPORT_TEMPERATURE must be a number"),
        ("SUPPORT_MODEL", "mian", 3, "the variable SUPPORT_MODEL: models has no 'mian'; did you mean 'main'?"),
        ("SUPPORT_TEMPERATURE", "0.2", 0, ""),
        ("SUPPORT_PORT", "tcp://10.96.0.12:80", 0, ""),
    ],
)
def test_env_judges_variables_and_secrets(
    victor: Victor, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, code: int, said: str
) -> None:
    monkeypatch.setenv("K", "sk-1")
    monkeypatch.setenv(name, text)
    (folder / "victor.yml").write_text(ASKED % ("env:K", ""))
    assert victor("validate", "victor.yml").code == 0
    done = victor("validate", "victor.yml", "--env")
    assert done.code == code
    assert said in done.out + done.err
    assert "sk-" not in done.out + done.err


@pytest.mark.parametrize(
    ("text", "fault"), [("", "is empty"), ("\n", "is empty"), ("one\ntwo\n", "has a line break"), ("sk-1\n", "")]
)
def test_env_judges_secrets_in_files(victor: Victor, folder: Path, text: str, fault: str) -> None:
    (folder / "key").write_text(text)
    (folder / "victor.yml").write_text(ASKED % ("file:key", ""))
    done = victor("validate", "victor.yml", "--env")
    assert (done.code, f"the file 'key' {fault}" in done.out) == ((3, True) if fault else (0, False))


def test_connect_asks_each_provider_once(victor: Victor, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K", "sk-1")
    (folder / "victor.yml").write_text(
        ASKED % ("env:K", ", {type: tenant, database: app}")
        + "databases: {app: {type: sqlite, path: empty.db}}\ntenants: {acme: {with: {vars: {a: 1}}}}\nunknown_tenants: refuse\n"
    )
    assert victor("validate", "victor.yml", "--env").code == 0
    done = victor("validate", "victor.yml", "--connect")
    assert (done.code, done.out) == (3, "victor.yml is valid\n")
    assert "tenant_configs" in done.err


def test_a_spec_with_stages_is_checked_with_each_and_run_with_one(victor: Victor, folder: Path) -> None:
    (folder / "base.yml").write_text((folder / "victor.yml").read_text())
    (folder / "victor.yml").write_text('victor: 1\nname: demo\nextends: "stages/${env:A_STAGE}.yml"\n')
    (folder / "stages").mkdir()
    for stage in ("dev", "prod"):
        (folder / "stages" / f"{stage}.yml").write_text(f"victor: 1\nname: {stage}\nextends: ../base.yml\n")
    (folder / "stage.env").write_text("A_STAGE=prod\n")
    done = victor("validate", "victor.yml")
    assert (done.code, done.out) == (0, "victor.yml is valid\n")
    assert done.err == "victor.yml: checked with A_STAGE=dev; A_STAGE=prod\n"
    for command in (("validate", "--env", "victor.yml"), ("run", "victor.yml", "hi"), ("graph", "victor.yml")):
        unset = victor(*command)
        assert unset.code == 3
        assert "the variable A_STAGE is not set" in unset.out + unset.err
        assert victor(*command, "--env-file", "stage.env").code == 0
    (folder / "stages" / "dev.yml").write_text("victor: 1\nname: dev\nextends: ../base.yml\nnmae: x\n")
    done = victor("validate", "--format", "json", "victor.yml")
    assert done.code == 1
    (fault,) = done.json["diagnostics"]
    assert (fault["file"], fault["path"]) == ("stages/dev.yml", "/nmae")
