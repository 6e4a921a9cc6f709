"""The package as Python programs use it."""

from __future__ import annotations

import ast
import asyncio
import copy
import inspect
import operator
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

import victor_dsl
from victor_dsl.errors import SpecError, UsageError

SPEC = """\
victor: 1
name: hello
models: {main: {type: echo}}
contributors: [{type: text, text: Be kind.}]
"""
SECRET = "exporters: []\nvars: {region: '${env:REGION}'}\n"
METHODS = ("answer", "chat", "render", "stream")
HEAVY = ("asyncio", "attrs", "cattrs", "pydantic", "jinja2", "aiohttp", "numpy", "ruamel.yaml")


async def test_a_spec_is_opened_and_answers(spec: Callable[..., Path]) -> None:
    async with victor_dsl.open(spec(SPEC), env={}) as orchestrator:
        reply = await orchestrator.chat("Hello!", session_id="s1")
    assert reply.message.text() == "Hello!"


def test_a_spec_is_rendered(spec: Callable[..., Path]) -> None:
    rendered = victor_dsl.render(spec(SPEC), "Hello!", env={})
    assert (rendered.system, rendered.messages[0].text()) == ("Be kind.", "Hello!")
    again = victor_dsl.render(spec(SPEC), victor_dsl.Request(id=1, message="Hello!"), env={})
    assert again.plan == rendered.plan


def test_a_script_without_async_gets_a_reply(spec: Callable[..., Path]) -> None:
    reply = victor_dsl.run(spec(SPEC), "Hello!", session_id="s1", env={})
    assert (reply.text, reply.session, reply.model) == ("Hello!", "s1", "main")
    with pytest.raises(victor_dsl.RequestError, match="temprature"):
        victor_dsl.run(spec(SPEC), "Hello!", settings={"temprature": 1}, env={})


async def test_in_an_event_loop_the_plain_functions_name_the_async_ones(spec: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match=re.escape("reply = await app.chat(…)")):
        victor_dsl.run(spec(SPEC), "Hello!", env={})
    with pytest.raises(UsageError, match=re.escape("await app.render(…)")):
        victor_dsl.render(spec(SPEC), "Hello!", env={})
    async with victor_dsl.open(spec(SPEC), env={}, answering=False) as app:
        assert (await app.render("Hello!")).system == "Be kind."
        with pytest.raises(UsageError, match="only renders"):
            await app.chat("Hello!")


def test_rendering_needs_no_secret(spec: Callable[..., Path]) -> None:
    path = spec(SPEC.replace("echo", "openai, model: gpt-5-mini, api_key: '${env:KEY}'"))
    assert victor_dsl.render(path, "Hello!", env={}).system == "Be kind."


async def test_one_spec_is_open_several_times_in_a_process(spec: Callable[..., Path]) -> None:
    path = spec(SPEC + "sessions: sqlite\ndatabases: {main: {type: sqlite, path: victor.db}}\n")
    async with victor_dsl.open(path, env={}) as one, victor_dsl.open(path, env={}) as other:
        replies = await asyncio.gather(
            *(app.chat(f"Hello {i}!", session_id="s") for i in range(5) for app in (one, other))
        )
        rendered = await one.render("How many?", session_id="s")
    assert len(replies) == 10
    assert len(rendered.messages) == 21


async def test_what_is_said_twice_is_refused(spec: Callable[..., Path]) -> None:
    hello = victor_dsl.Message("user", "Hello!")
    with pytest.raises(victor_dsl.RequestError, match="give one"):
        victor_dsl.Request(message="Hello!", messages=[hello])
    assert victor_dsl.Request(messages=[hello]).messages == (hello,)
    async with victor_dsl.open(spec(SPEC), env={}) as app:
        request = victor_dsl.Request(message="Hello!")
        for call in (app.chat, app.render):
            with pytest.raises(UsageError, match="it came with session_id, tenant"):
                await call(request, session_id="s", tenant="acme")
        assert (await app.chat(request)).text == "Hello!"


def test_the_package_shows_its_public_names_alone() -> None:
    assert dir(victor_dsl) == sorted(victor_dsl.__all__)
    assert [name for name in victor_dsl.__all__ if not hasattr(victor_dsl, name)] == []


@pytest.mark.parametrize(
    "name", [*sorted(set(victor_dsl.__all__) - {"__version__"}), *(f"Orchestrator.{name}" for name in METHODS)]
)
async def test_the_example_of_every_public_name_runs(
    name: str, spec: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An example is an indented block of the docstring; `app` is the spec, open."""
    spec(SPEC + "tenants: {acme: {}}\n")
    spec("victor: 1\nname: hello\nmodels: {main: {type: eco}}\n", "broken.yml")
    monkeypatch.chdir(tmp_path)
    docstring = inspect.getdoc(operator.attrgetter(name)(victor_dsl)) or ""
    example = "\n".join(re.findall(r"^ {4}(.*)$", docstring, flags=re.MULTILINE))
    assert example, f"{name} has no example"
    code = compile(example, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if inspect.CO_COROUTINE & code.co_flags:
        async with victor_dsl.open("victor.yml", env={}) as app:
            await FunctionType(code, {"victor_dsl": victor_dsl, "app": app})()
    else:
        await asyncio.to_thread(exec, code, {"victor_dsl": victor_dsl})


def test_a_spec_is_loaded(spec: Callable[..., Path], tmp_path: Path) -> None:
    program = victor_dsl.load(spec(SPEC), env={}, state=tmp_path / "state")
    assert (program.name, program.state) == ("hello", tmp_path / "state")


def test_a_faulty_spec_raises_every_diagnostic(spec: Callable[..., Path]) -> None:
    path = spec("victor: 1\nname: hello\nmodles: {}\nmodels: {main: {type: eco}}\n")
    with pytest.raises(SpecError) as raised:
        victor_dsl.load(path, env={})
    assert raised.value.exit_code == 1
    assert {d.code for d in raised.value.diagnostics} >= {"unknown-key", "unknown-component"}
    assert f"{path}:3:1: " in str(raised.value)
    assert victor_dsl.compile(path, env={}).program is None


def test_a_missing_variable_is_a_fault_outside(spec: Callable[..., Path]) -> None:
    with pytest.raises(SpecError, match="REGION") as raised:
        victor_dsl.load(spec(SPEC + SECRET), env={})
    assert raised.value.exit_code == 3
    assert victor_dsl.load(spec(SPEC + SECRET), env={"REGION": "eu"}).name == "hello"


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'opne'"):
        victor_dsl.opne  # noqa: B018


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = f"import sys, victor_dsl; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_path_may_be_bytes(spec: Callable[..., Path]) -> None:
    assert victor_dsl.load(os.fsencode(spec(SPEC)), env={}).name == "hello"  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [SpecError, UsageError, victor_dsl.LimitReached, victor_dsl.ModelError])
def test_errors_come_back_from_other_processes(kind: Any) -> None:
    given = {"node": "models/main", "hint": "try again"} if kind is not SpecError else {}
    error = kind("it failed", **given, **({"kind": "timeout", "status": 408} if kind is victor_dsl.ModelError else {}))
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (type(again), str(again), again.__dict__) == (kind, str(error), error.__dict__)
