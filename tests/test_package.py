"""The package as Python programs use it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import victor_dsl
from victor_dsl.errors import SpecError

SPEC = """\
victor: 1
name: hello
models: {main: {type: echo}}
contributors: [{type: text, text: Be kind.}]
"""
SECRET = "exporters: []\nvars: {region: '${env:REGION}'}\n"
HEAVY = ("asyncio", "attrs", "cattrs", "pydantic", "jinja2", "aiohttp", "numpy", "ruamel.yaml")


async def test_a_spec_is_opened_and_answers(spec: Callable[..., Path]) -> None:
    async with victor_dsl.open(spec(SPEC), env={}) as orchestrator:
        reply = await orchestrator.chat("Hello!", session_id="s1")
    assert reply.message.text() == "Hello!"


async def test_a_spec_is_rendered(spec: Callable[..., Path]) -> None:
    rendered = await victor_dsl.render(spec(SPEC), "Hello!", env={})
    assert (rendered.system, rendered.messages[0].text()) == ("Be kind.", "Hello!")
    again = await victor_dsl.render(spec(SPEC), victor_dsl.Request(id=1, message="Hello!"), env={})
    assert again.plan == rendered.plan


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
