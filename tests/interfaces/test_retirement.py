"""Models that their providers retire: `validate` fails, what runs goes on with a warning."""

from __future__ import annotations

import logging
from datetime import date
from pathlib import Path

import orjson
import pytest

import victor_dsl
from tests.interfaces.conftest import Victor

NEW, OLD = "gpt-6.1-sol", "gpt-4"
GONE, GOING = date(2026, 10, 23), date(2026, 12, 11)


def spec(folder: Path, model: str, **fields: str) -> str:
    fields = {"api_key": '"${env:KEY}"', **fields}
    written = ", ".join(f"{name}: {value}" for name, value in fields.items())
    text = f"victor: 1\nname: demo\nmodels:\n  main: {{type: openai, model: {model}, {written}}}\n"
    (folder / "victor.yml").write_text(text, encoding="utf-8")
    return "victor.yml"


def found(victor: Victor, *arguments: str) -> tuple[int, list[tuple[str, str, str, str | None]]]:
    done = victor("validate", "victor.yml", "--format", "json", *arguments)
    diagnostics = orjson.loads(done.out)["diagnostics"]
    return done.code, [(d["code"], d["severity"], d["message"], d["hint"]) for d in diagnostics]


@pytest.mark.parametrize(
    ("model", "today", "code", "severity"),
    [
        ("gpt-5", "2026-12-10", "model-retires", "warning"),
        ("gpt-5", "2026-12-11", "model-retired", "error"),
        ("gpt-5", "2030-01-01", "model-retired", "error"),
        ("gpt-5-2025-08-07", "2026-12-11", "model-retired", "error"),
        ("GPT-5", "2026-12-11", "model-retired", "error"),
    ],
)
def test_a_retired_model_is_an_error_from_its_day_on(
    victor: Victor, folder: Path, model: str, today: str, code: str, severity: str
) -> None:
    spec(folder, model)
    verb = "retired" if code == "model-retired" else "retires"
    status, diagnostics = found(victor, "--today", today)
    assert diagnostics == [
        (
            code,
            severity,
            f"the provider {verb} '{model}' on 2026-12-11",
            f"use '{NEW}', which the provider recommends instead",
        )
    ]
    assert status == (severity == "error")


def test_a_model_that_stays_is_valid_at_any_date(victor: Victor, folder: Path) -> None:
    spec(folder, NEW)
    assert found(victor, "--today", "2040-01-01") == (0, [])
    assert found(victor, "--strict") == (0, [])


@pytest.mark.parametrize(
    "base_url", ["http://127.0.0.1:4000/v1", "https://acme.openai.azure.com/openai/v1", "https://openrouter.ai/api/v1"]
)
def test_at_another_address_than_the_providers_own_it_is_a_warning(victor: Victor, folder: Path, base_url: str) -> None:
    spec(folder, OLD, base_url=base_url)
    status, [(code, severity, message, _)] = found(victor, "--today", "2027-01-01")
    assert (status, code, severity) == (0, "model-retired", "warning")
    assert message == f"the provider retired '{OLD}' on {GONE}; this server may have another date"


def test_what_comes_from_the_environment_is_judged_only_where_it_is_known(victor: Victor, folder: Path) -> None:
    spec(folder, '"${env:MODEL}"')
    assert found(victor, "--today", "2027-01-01") == (0, [])
    spec(folder, OLD, base_url='"${env:SERVER}"')
    status, [(code, severity, *_)] = found(victor, "--today", "2027-01-01")
    assert (status, code, severity) == (0, "model-retired", "warning")


def test_models_of_tenants_and_arms_are_judged_too(victor: Victor, folder: Path) -> None:
    spec(folder, NEW)
    with (folder / "victor.yml").open("a") as file:
        file.write(f"tenants: {{acme: {{with: {{models: {{main: {{model: {OLD}}}}}}}}}}}\n")
    done = victor("validate", "victor.yml", "--today", "2027-01-01")
    assert done.code == 1
    assert f"victor.yml:5:48: error: the provider retired '{OLD}' on {GONE} [model-retired]" in done.out


@pytest.mark.parametrize("text", ["tomorrow", "2027-13-01", "2027-02-30", "01/02/2027", "", "2027"])
def test_another_text_than_a_date_is_wrong_usage(victor: Victor, folder: Path, text: str) -> None:
    spec(folder, NEW)
    done = victor("validate", "victor.yml", "--today", text)
    assert done.code == 2
    assert f"'{text}' is not a date; write it as 2027-01-31" in done.err


def test_render_warns_and_goes_on(victor: Victor, folder: Path) -> None:
    spec(folder, OLD)
    done = victor("render", "victor.yml", "--message", "Hi")
    assert done.code == 0
    assert f"warning: victor.yml:4: the provider retired '{OLD}' on {GONE}; use '{NEW}'" in done.err


async def test_what_runs_in_python_logs_it_and_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("KEY", "k")
    path = spec(folder, OLD)
    assert [d.severity for d in victor_dsl.compile(path, today=GONE).diagnostics] == ["error"]
    assert [d.severity for d in victor_dsl.compile(path, today=GONE, allow_retired=True).diagnostics] == ["warning"]
    with caplog.at_level(logging.WARNING):
        async with victor_dsl.open(path) as orchestrator:
            assert orchestrator.program.name == "demo"
    assert f"victor.yml:4: the provider retired '{OLD}' on {GONE}; use '{NEW}'" in caplog.text


async def test_a_reload_to_a_retired_model_is_logged_and_happens(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from victor_dsl.interfaces.watching import Watcher

    monkeypatch.setenv("KEY", "k")
    path = spec(folder, NEW)
    async with victor_dsl.open(path) as orchestrator:
        before = orchestrator.program
        spec(folder, OLD)
        watcher = Watcher(orchestrator, lambda files: victor_dsl.compile(path, allow_retired=True, files=files))
        with caplog.at_level(logging.WARNING):
            assert await watcher.reload()
        assert orchestrator.program is not before
    assert f"victor.yml:4: the provider retired '{OLD}' on {GONE}" in caplog.text
