"""Python modules of a spec's folder that change while it runs with `watch`."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

import victor_dsl
from victor_dsl.compiler import Compilation, compile_spec
from victor_dsl.interfaces.watching import Watcher
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.source.reader import Files

SPEC = """\
victor: 1
name: s
models: {main: {type: scripted, end: loop, replies: [{tool_calls: [{name: greet, arguments: {}}]}, {content: Done.}]}}
contributors: [{type: function, function: "watched_shop.texts:piece"}]
tools: [{type: python, name: greet, function: "watched_shop.tools:greet"}]
middleware: [{type: function, function: "watched_shop.guard:guard"}]
exporters: [{type: jsonl, path: events.jsonl}]
"""
TOOLS = '''\
"""Tools."""
import asyncio
from watched_shop import words

started, go_on, said = asyncio.Event(), asyncio.Event(), []

async def greet() -> str:
    """Greets."""
    started.set()
    await go_on.wait()
    said.append(words.WORD)
    return words.WORD
'''
FILES = {
    "victor.yml": SPEC,
    "watched_shop/__init__.py": "",
    "watched_shop/words.py": 'WORD = "one"\n',
    "watched_shop/tools.py": TOOLS,
    "watched_shop/texts.py": "from watched_shop.words import WORD\n\ndef piece(turn):\n    return WORD\n",
    "watched_shop/guard.py": "async def guard(turn, handler):\n    return await handler(turn)\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "watched_shop"]:
        del sys.modules[name]


def recompile(folder: Path, files: Files) -> Compilation:
    return compile_spec(str(folder / "victor.yml"), environment={}, files=files, require_environment=True)


def watcher(app: Orchestrator, folder: Path) -> Watcher:
    return Watcher(app, partial(recompile, folder))


async def system(app: Orchestrator) -> str:
    return (await app.render("a")).system


async def test_a_changed_module_and_those_that_import_it_are_imported_anew(folder: Path) -> None:
    async with victor_dsl.open(folder / "victor.yml") as app:
        watching = watcher(app, folder)
        for word in ("two", "six"):  # of equal length, within one second: Python's compiled files look current
            (folder / "watched_shop/words.py").write_text(f'WORD = "{word}"\n')
            await watching.look()
            assert await system(app) == word


async def test_a_turn_that_runs_ends_with_the_old_function(folder: Path) -> None:
    async with victor_dsl.open(folder / "victor.yml") as app:
        watching, old = watcher(app, folder), sys.modules["watched_shop.tools"]
        turn = asyncio.create_task(app.chat("a"))
        await old.started.wait()
        (folder / "watched_shop/words.py").write_text('WORD = "two"\n')
        await watching.look()
        later = asyncio.create_task(app.chat("a"))
        new = sys.modules["watched_shop.tools"]
        assert new is not old
        await new.started.wait()
        new.go_on.set()
        await later
        old.go_on.set()
        await turn
        assert (old.said, new.said) == (["one"], ["two"])


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("words.py", "WORD = undefined\n", "NameError"),
        ("words.py", "WORD = \n", "SyntaxError"),
        ("guard.py", "def guard(turn, handler): ...\n", "is not an `async def`"),
        ("texts.py", "def other(turn): ...\n", "has no 'piece'"),
    ],
)
async def test_a_module_that_cannot_be_used_keeps_the_last_good_one(
    folder: Path, file: str, text: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = folder / "watched_shop" / file
    async with victor_dsl.open(folder / "victor.yml") as app:
        watching, before = watcher(app, folder), dict(sys.modules)
        path.write_text(text)
        await watching.look()
        assert reason in caplog.text
        assert await system(app) == "one"
        assert {name: module for name, module in before.items() if sys.modules.get(name) is not module} == {}
        path.write_text(FILES[f"watched_shop/{file}"])
        (folder / "watched_shop/words.py").write_text('WORD = "two"\n')
        await watching.look()
        assert await system(app) == "two"
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert [event["data"]["ok"] for event in events if event["type"] == "reload"] == [False, True]


async def test_a_new_module_that_fails_is_followed_too(folder: Path) -> None:
    async with victor_dsl.open(folder / "victor.yml") as app:
        watching = watcher(app, folder)
        (folder / "watched_shop/new.py").write_text("WORD = \n")
        (folder / "watched_shop/words.py").write_text("from watched_shop.new import WORD\n")
        await watching.look()
        assert await system(app) == "one"
        (folder / "watched_shop/new.py").write_text('WORD = "new"\n')
        await watching.look()
        assert await system(app) == "new"


async def test_modules_that_the_program_imported_itself_stay(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(folder)
    mine = importlib.import_module("watched_shop.words")
    async with victor_dsl.open(folder / "victor.yml", watch=True) as app:
        (folder / "watched_shop/texts.py").write_text("def piece(turn):\n    return 'two'\n")
        async with asyncio.timeout(30):
            while await system(app) != "two":
                await asyncio.sleep(0.05)  # the watcher looks once a second, on the real clock
        assert sys.modules["watched_shop.words"] is mine


async def test_without_watch_modules_stay(folder: Path) -> None:
    async with victor_dsl.open(folder / "victor.yml") as app:
        watching = Watcher(app, partial(recompile, folder), spec=False)
        (folder / "watched_shop/words.py").write_text('WORD = "two"\n')
        await watching.look()
        assert not await watching.reload(if_changed=True)
        assert await system(app) == "one"
