"""A spec that changes while it runs."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import victor_dsl.interfaces.watching
from victor_dsl.compiler import Compilation, compile_spec
from victor_dsl.interfaces.watching import Watcher, watched
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.values.request import Request

SPEC = """\
victor: 1
name: s
models: {{main: {{type: echo, reply: "{reply}"}}}}
contributors: [{{type: file, path: prompt.md}}]
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "prompt.md").write_text("Be brief.")
    (tmp_path / "victor.yml").write_text(SPEC.format(reply="one"))
    return tmp_path / "victor.yml"


def watcher(orchestrator: Orchestrator, path: Path) -> Watcher:
    return Watcher(orchestrator, lambda: compile_spec(str(path), environment={}))


async def test_what_the_files_say_now_is_put_into_force(path: Path) -> None:
    async with victor_dsl.open(path) as orchestrator:
        watching = watcher(orchestrator, path)
        path.write_text(SPEC.format(reply="two"))
        assert await watching.reload()
        assert (await orchestrator.chat("a")).message.text() == "two"


async def test_a_changed_prompt_is_another_plan(path: Path) -> None:
    async with victor_dsl.open(path) as orchestrator:
        watching, before = watcher(orchestrator, path), (await orchestrator.render(Request(message="a"))).plan
        (path.parent / "prompt.md").write_text("Be kind.")
        assert await watching.reload()
        rendered = await orchestrator.render(Request(message="a"))
        assert (rendered.system, rendered.plan != before) == ("Be kind.", True)


async def test_a_faulty_spec_is_refused_with_every_fault_and_the_old_one_goes_on(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with victor_dsl.open(path) as orchestrator:
        path.write_text(SPEC.format(reply="two") + "modles: 1\nextra: 2\n")
        assert not await watcher(orchestrator, path).reload()
        assert (await orchestrator.chat("a")).message.text() == "one"
    assert "victor.yml:5:1: the spec has no 'modles'" in caplog.text
    assert "victor.yml:6:1: the spec has no 'extra'" in caplog.text


async def test_a_watched_spec_reloads_by_itself_when_a_file_of_it_changes(path: Path) -> None:
    async with victor_dsl.open(path, watch=True) as orchestrator:
        path.write_text(SPEC.format(reply="three"))
        async with asyncio.timeout(30):
            while (await orchestrator.chat("a")).message.text() != "three":
                await asyncio.sleep(0.05)  # the watcher looks once a second, on the real clock


async def test_an_edit_that_is_saved_during_the_compilation_is_found_next(path: Path) -> None:
    async with victor_dsl.open(path) as orchestrator:
        replies = ["three", "two"]

        def compile_and_save() -> Compilation:
            compilation = compile_spec(str(path), environment={})
            if replies:
                path.write_text(SPEC.format(reply=replies.pop()))
            return compilation

        watching = Watcher(orchestrator, compile_and_save)
        path.write_text(SPEC.format(reply="one!"))
        for reply in ("one!", "two", "three"):
            assert await watching.reload(if_changed=True)
            assert (await orchestrator.chat("a")).message.text() == reply
        assert not await watching.reload(if_changed=True)


async def test_an_edit_of_a_file_that_is_new_to_the_spec_is_found_too(path: Path) -> None:
    async with victor_dsl.open(path) as orchestrator:
        new = path.parent / "new.md"

        def compile_and_save() -> Compilation:
            compilation = compile_spec(str(path), environment={})
            new.write_text("Be kind.")
            return compilation

        new.write_text("Be bold.")
        path.write_text(SPEC.format(reply="a").replace("prompt.md", "new.md"))
        watching = Watcher(orchestrator, compile_and_save)
        assert await watching.reload()
        assert await watching.reload(if_changed=True)
        assert (await orchestrator.render(Request(message="a"))).system == "Be kind."


async def test_watching_goes_on_after_any_error(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(victor_dsl.interfaces.watching, "LOOK_SECONDS", 0.001)
    compiled, errors = asyncio.Event(), [SystemExit(7), asyncio.CancelledError(), ZeroDivisionError("a bug")]
    loop = asyncio.get_running_loop()

    def compile_or_fail() -> Compilation:
        if errors:
            path.write_text(SPEC.format(reply=f"{len(errors)}"))
            raise errors.pop()
        loop.call_soon_threadsafe(compiled.set)
        return compile_spec(str(path), environment={})

    async with victor_dsl.open(path) as orchestrator, watched(orchestrator, compile_or_fail):
        path.write_text(SPEC.format(reply="changed"))
        async with asyncio.timeout(30):
            await compiled.wait()
    assert caplog.text.count("the spec cannot be reloaded, the previous spec stays in force: internal error") == 3


async def test_being_asked_reloads_at_once(path: Path) -> None:
    async with victor_dsl.open(path) as orchestrator:
        watching = watcher(orchestrator, path)
        task = asyncio.create_task(watching.run(files=False))
        path.write_text(SPEC.format(reply="four"))
        watching.request()
        async with asyncio.timeout(30):
            while (await orchestrator.chat("a")).message.text() != "four":
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])


def test_sighup_reloads_the_spec_of_a_chat(path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "victor_dsl", "run", str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as chat:
        to, by = chat.stdin, chat.stdout
        assert to is not None
        assert by is not None

        def said() -> str:
            to.write("a\n")
            to.flush()
            return by.readline().strip()

        assert said() == "one"
        path.write_text(SPEC.format(reply="two"))
        chat.send_signal(signal.SIGHUP)
        assert "two" in (said() for _ in range(2_000))
        to.close()
        assert chat.wait(30) == 0
