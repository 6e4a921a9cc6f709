"""Pieces of the system prompt from functions, good ones and bad ones."""

from __future__ import annotations

import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.components.context import TURN, surroundings
from victor_dsl.components.contributors.function import Config, build
from victor_dsl.errors import ComponentError, ContributorError, Refused
from victor_dsl.language.off_loop import THREAD_NAME

MODULE = """
import asyncio
import threading
from victor_dsl.errors import Refused

gate = threading.Event()

def greeting(turn):
    print("this is no output")
    return f"Greet {turn.session} from {threading.current_thread().name}."

async def later(turn):
    await asyncio.sleep(0)
    return f"Later, {turn.session}."

def nothing(turn):
    return ""

def number(turn):
    return 7

def breaks(turn):
    raise KeyError("prices")

def refuses(turn):
    raise Refused("not at night")

def leaves(turn):
    raise SystemExit(3)

async def is_cancelled(turn):
    raise asyncio.CancelledError

def cancels(turn):
    raise asyncio.CancelledError

def times_out(turn):
    raise TimeoutError("upstream")

def hangs(turn):
    gate.wait()
    return ""

async def sleeps(turn):
    await asyncio.Event().wait()

def takes_nothing():
    return ""
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path) -> Iterator[None]:
    (tmp_path / "prompts.py").write_text(textwrap.dedent(MODULE))
    yield
    sys.modules.pop("prompts", None)


async def contribute(tmp_path: Path, name: str, timeout: float = 10.0) -> str:
    config = Config(function=f"prompts:{name}", timeout_seconds=timeout)
    async with build(config, surroundings(tmp_path, "contributors/function").context) as live:
        return await live.contribute(TURN)


async def test_a_plain_function_runs_in_a_thread_and_prints_to_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await contribute(tmp_path, "greeting") == "Greet s1 from off-loop."
    assert capsys.readouterr() == ("", "this is no output\n")


async def test_an_async_function_runs_on_the_loop(tmp_path: Path) -> None:
    assert await contribute(tmp_path, "later") == "Later, s1."
    assert await contribute(tmp_path, "nothing") == ""


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("number", "returned int instead of text"),
        ("breaks", "failed: KeyError: 'prices'"),
        ("leaves", "failed: SystemExit: 3"),
        ("is_cancelled", "failed: CancelledError"),
        ("cancels", "failed: CancelledError"),
        ("times_out", "failed: TimeoutError: upstream"),
    ],
)
async def test_a_function_without_a_text_is_an_error_with_its_name(tmp_path: Path, name: str, what: str) -> None:
    with pytest.raises(ContributorError) as caught:
        await contribute(tmp_path, name)
    assert str(caught.value) == f"contributors/function: the function 'prompts:{name}' {what}"


async def test_an_error_of_our_own_is_passed_on_unchanged(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="not at night"):
        await contribute(tmp_path, "refuses")


@pytest.mark.parametrize("name", ["hangs", "sleeps"])
async def test_a_function_that_hangs_fails_in_time(tmp_path: Path, name: str) -> None:
    with pytest.raises(ContributorError, match=f"'prompts:{name}' took longer than 0.01 seconds"):
        await contribute(tmp_path, name, timeout=0.01)
    sys.modules["prompts"].gate.set()
    for thread in threading.enumerate():
        if thread.name == THREAD_NAME:
            thread.join()


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("greting", r"has no 'greting' \(did you mean 'greeting'\?"),
        ("takes_nothing", r"cannot be called with `\(turn\)`"),
    ],
)
async def test_recipe_2_a_function_that_cannot_contribute_is_an_error_when_it_is_opened(
    tmp_path: Path, name: str, what: str
) -> None:
    with pytest.raises(ComponentError, match=what):
        await contribute(tmp_path, name)
