"""Job 1, settings in files: known right answers, and the faults that a naive implementation has."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.stage import Layers, Spy, Stage
from victor_dsl.compiler import compile_spec
from victor_dsl.errors import ProviderError
from victor_dsl.runtime.coordinators.config import ConfigCoordinator
from victor_dsl.runtime.coordinators.provider_layers import REMEMBERED
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.storage import file_value
from victor_dsl.values.outcome import Rendered
from victor_dsl.values.request import Request
from victor_dsl.values.settings import Layer, merge_deep
from victor_dsl.values.turn import Turn

HEAD = "victor: 1\nname: demo\nmodels: {main: {type: echo}}\n"


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@asynccontextmanager
async def opened(folder: Path, spec: str, environment: Mapping[str, str] | None = None) -> AsyncIterator[Orchestrator]:
    (folder / "victor.yml").write_text(HEAD + spec, encoding="utf-8")
    compilation = compile_spec(str(folder / "victor.yml"), environment=environment or {}, require_environment=True)
    assert compilation.program is not None, [diagnostic.message for diagnostic in compilation.diagnostics]
    async with Orchestrator(compilation.program) as orchestrator:
        yield orchestrator


async def rendered(folder: Path, spec: str, environment: Mapping[str, str] | None = None, **request: Any) -> Rendered:
    async with opened(folder, spec, environment) as orchestrator:
        return await orchestrator.render(Request(message="Hi!", **request))


def files(folder: Path, **contents: str) -> None:
    for name, text in contents.items():
        (folder / f"{name}.yml").write_text(text, encoding="utf-8")


async def test_recipe_1_the_higher_priority_wins_and_the_lower_one_fills_in(tmp_path: Path) -> None:
    files(tmp_path, low="settings: {temperature: 0.3}", high="settings: {temperature: 0.7, max_tokens: 1024}")
    low, high = "{type: file, name: low, path: low.yml, priority: 10}", "{type: file, path: high.yml, priority: 100}"
    for order in (f"[{low}, {high}]", f"[{high}, {low}]"):
        told = await rendered(tmp_path, f"providers: {order}")
        assert (told.settings["temperature"], told.settings["max_tokens"]) == (0.7, 1024)


async def test_recipe_1_maps_merge_deep() -> None:
    under, over = {"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 20}, "e": 5}
    assert merge_deep(under, over) == {"a": 1, "b": {"c": 20, "d": 3}, "e": 5}
    assert (under, over) == ({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"c": 20}, "e": 5})


async def test_recipe_1_maps_of_files_merge_deep_and_lists_are_replaced(tmp_path: Path) -> None:
    files(
        tmp_path,
        low="{settings: {stop: [a, b]}, vars: {a: 1, b: {c: 2, d: 3}}}",
        high="{settings: {stop: [c]}, vars: {b: {c: 20}, e: 5}}",
    )
    spec = """
providers: [{type: file, name: low, path: low.yml, priority: 10}, {type: file, path: high.yml, priority: 100}]
contributors: [{type: template, template: "{{ a }} {{ b.c }} {{ b.d }} {{ e }}"}]
"""
    told = await rendered(tmp_path, spec)
    assert told.system == "1 20 3 5"
    assert list(told.settings["stop"]) == ["c"]


async def test_recipe_1_of_equal_priority_the_later_in_the_list_wins(tmp_path: Path) -> None:
    files(tmp_path, one="settings: {temperature: 0.1, seed: 1}", two="settings: {temperature: 0.2}")
    told = await rendered(tmp_path, "providers: [{type: file, name: one, path: one.yml}, {type: file, path: two.yml}]")
    assert (told.settings["temperature"], told.settings["seed"]) == (0.2, 1)


async def test_recipe_1_the_request_comes_last(tmp_path: Path) -> None:
    files(tmp_path, one="settings: {temperature: 0.1}")
    spec = "providers: [{type: file, path: one.yml, priority: 1000}]"
    assert (await rendered(tmp_path, spec, settings={"temperature": 0.5})).settings["temperature"] == 0.5


async def test_recipe_1_texts_of_the_environment_become_what_the_schema_says(tmp_path: Path) -> None:
    environment = {"A_TEMPERATURE": ".8", "A_MAX_TOKENS": "8192", "A_STOP": "true", "A_VARS__FLAG": "true"}
    spec = "providers: [{type: env, prefix: A_}]\ncontributors: [{type: template, template: '{{ flag }}'}]\nvars: {flag: x}"
    told = await rendered(tmp_path, spec, environment)
    settings = told.settings
    assert (settings["temperature"], settings["max_tokens"], list(settings["stop"])) == (0.8, 8192, ["true"])
    assert isinstance(settings["temperature"], float)
    assert isinstance(settings["max_tokens"], int)
    assert told.system == "true"


@pytest.mark.parametrize("text", ["settings: {temperature: 0.1", "settings: [1]", "temperature: 0.1", "\0", "- a"])
async def test_recipe_1_a_broken_file_refuses_the_turn_and_does_not_count_as_empty(text: str, tmp_path: Path) -> None:
    files(tmp_path, one=text)
    (tmp_path / "victor.yml").write_text(HEAD + "providers: [{type: file, path: one.yml}]", encoding="utf-8")
    compilation = compile_spec(str(tmp_path / "victor.yml"), environment={})
    assert compilation.program is None, "what is broken when the spec is checked is a fault of the spec"
    assert any(fault.span.file.endswith("one.yml") for fault in compilation.diagnostics)
    files(tmp_path, one="settings: {temperature: 0.5}")
    async with opened(tmp_path, "providers: [{type: file, path: one.yml}]") as orchestrator:
        files(tmp_path, one=text)
        answer = await orchestrator.answer(Request(message="Hi!"))
    assert isinstance(answer.error, ProviderError)
    assert "one.yml:1:" in str(answer.error)


async def test_recipe_1_a_file_that_turns_bad_keeps_its_last_good_values_and_is_told_once(stage: Stage) -> None:
    good, gives = Layer("providers/given", {"temperature": 0.5}), list[Any]()
    spy = Spy()
    stage.objects |= {"providers/given": Layers(lambda turn: gives[-1]), "exporters/given": spy}
    spec = "models: {main: {type: echo}}\nproviders: [given]\nexporters: [given]"
    async with stage.orchestrator(spec) as orchestrator:
        for given in (good, ProviderError("settings.yml:3:1: bad"), ProviderError("settings.yml:3:1: bad"), good):
            gives.append(given)
            assert (await orchestrator.answer(Request(message="Hi!", session="s"))).error is None
    assert [data["code"] for data in spy.data("error")] == ["provider"]


@pytest.mark.parametrize("name", ["settings.toml", "settings", "settings.yaml.bak"])
def test_recipe_1_an_unknown_suffix_is_a_fault_of_the_spec(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("settings: {}", encoding="utf-8")
    (tmp_path / "victor.yml").write_text(HEAD + f"providers: [{{type: file, path: {name}}}]", encoding="utf-8")
    compilation = compile_spec(str(tmp_path / "victor.yml"), environment={})
    assert compilation.program is None
    assert ".yml, .yaml, .json" in " ".join(fault.message for fault in compilation.diagnostics)


async def test_recipe_1_files_are_read_off_the_event_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readers: list[int] = []
    really = file_value.read

    def noted(*arguments: Any) -> Any:
        readers.append(threading.get_ident())
        return really(*arguments)

    files(tmp_path, one="settings: {temperature: 0.5}")
    monkeypatch.setattr(file_value, "read", noted)
    await rendered(tmp_path, "providers: [{type: file, path: one.yml}]")
    assert readers
    assert threading.get_ident() not in readers


async def test_recipe_1_paths_are_relative_to_the_spec_wherever_it_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    files(tmp_path, one="settings: {temperature: 0.5}")
    assert (await rendered(tmp_path, "providers: [{type: file, path: one.yml}]")).settings["temperature"] == 0.5


async def test_recipe_1_no_turn_can_change_what_the_next_one_gets(stage: Stage) -> None:
    layer = Layer("providers/given", {"stop": ["a"]}, {"colours": {"sky": ["blue"]}})
    stage.objects["providers/given"] = Layers(layer)
    plan = stage.program("models: {main: {type: echo}}\nproviders: [given]").plan_for(None, {})
    config = ConfigCoordinator(plan, [(plan.by_id["providers/given"], Layers(layer))])
    turn = await config.settle(Turn("t", "s", ()))
    given: Any = turn.vars
    with pytest.raises(TypeError, match="cannot be changed"):
        given.clear()
    with pytest.raises(TypeError, match="cannot be changed"):
        given["colours"]["sky"].append("red")
    assert (await config.settle(Turn("t", "s", ()))).vars == {"colours": {"sky": ["blue"]}}


async def test_recipe_1_what_is_remembered_of_layers_has_a_bound(stage: Stage) -> None:
    plan = stage.program("models: {main: {type: echo}}").plan_for(None, {})
    node = next(iter(plan.nodes))
    config = ConfigCoordinator(plan, [(node, Layers(lambda turn: Layer("p", {"seed": int(turn.id)})))])
    for number in range(REMEMBERED + 200):
        await config.settle(Turn(str(number), "s", ()))
    assert len(config._settled) == REMEMBERED
    assert len(config._provided._checked) == REMEMBERED


@pytest.mark.parametrize("optional", [False, True])
async def test_recipe_1_a_failing_provider_is_not_hidden_by_one_that_works(optional: bool, tmp_path: Path) -> None:
    files(tmp_path, one="settings: {temperature: 0.5}", two="settings: {seed: 1}")
    spec = f"""
providers: [{{type: file, name: one, path: one.yml}}, {{type: file, name: two, path: two.yml, optional: {str(optional).lower()}}}]
exporters: [{{type: jsonl, path: events.jsonl}}]
"""
    async with opened(tmp_path, spec) as orchestrator:
        (tmp_path / "two.yml").unlink()
        answer = await orchestrator.answer(Request(message="Hi!"))
    events = (tmp_path / "events.jsonl").read_text(encoding="utf-8")
    assert '"code":"provider"' in events.replace(" ", ""), "it is told, also where it may be missing"
    assert (answer.error is None) == optional


@pytest.mark.parametrize("value", ["true", ".nan", ".inf", "'0.5'", "-0.1", "2.1", "[0.5]"])
async def test_recipe_1_a_temperature_that_is_none_is_refused(value: str, tmp_path: Path) -> None:
    files(tmp_path, one="settings: {temperature: 0.5}")
    async with opened(tmp_path, "providers: [{type: file, path: one.yml}]") as orchestrator:
        files(tmp_path, one=f"settings: {{temperature: {value}}}")
        answer = await orchestrator.answer(Request(message="Hi!"))
    assert "temperature" in str(answer.error)


@pytest.mark.parametrize("value", ["warm", "true", "nan"])
async def test_recipe_1_a_variable_that_is_no_number_is_named(value: str, tmp_path: Path) -> None:
    told = await rendered(tmp_path, "providers: [{type: env, prefix: A_}]", {"A_TEMPERATURE": value})
    assert "the variable A_TEMPERATURE" in str(told.error)


async def test_recipe_1_nothing_in_a_file_is_expanded(tmp_path: Path) -> None:
    files(tmp_path, one='vars: {key: "${env:SECRET}"}')
    spec = "providers: [{type: file, path: one.yml}]\nvars: {key: x}\ncontributors: [{type: template, template: '{{ key }}'}]"
    assert (await rendered(tmp_path, spec, {"SECRET": "sesame"})).system == "${env:SECRET}"


@pytest.mark.parametrize(("mode", "is_told"), [(0o600, False), (0o640, True), (0o604, True)])
async def test_recipe_1_a_secret_that_others_may_read_is_warned_of(
    mode: int, is_told: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "key.txt").write_text("sesame", encoding="utf-8")
    (tmp_path / "key.txt").chmod(mode)
    spec = 'models: {main: {type: openai, model: m, base_url: "http://127.0.0.1:1", api_key: "${file:key.txt}"}}'
    (tmp_path / "victor.yml").write_text(f"victor: 1\nname: demo\n{spec}\n", encoding="utf-8")
    program = compile_spec(str(tmp_path / "victor.yml"), environment={}, require_environment=True).program
    assert program is not None
    with caplog.at_level(logging.WARNING):
        async with Orchestrator(program):
            pass
    assert ("can read 'key.txt'; run: chmod 600 key.txt" in caplog.text) == is_told
    assert "sesame" not in caplog.text
