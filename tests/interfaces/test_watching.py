"""A spec that changes while it runs."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

import victor_dsl.interfaces.watching
from tests.components.context import StillClock
from victor_dsl.compiler import Compilation, compile_spec
from victor_dsl.interfaces.watching import Watcher, watched
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.source.reader import Files, Stamp, stamp
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
    return Watcher(orchestrator, partial(recompile, path))


def recompile(path: Path, files: Files) -> Compilation:
    return compile_spec(str(path), environment={}, files=files, require_environment=True)


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


async def test_the_file_that_a_variable_chose_is_followed(path: Path) -> None:
    path.rename(path.parent / "base.yml")
    path.write_text('victor: 1\nname: s\nextends: "stages/${env:STAGE}.yml"\n')
    stage = path.parent / "stages" / "dev.yml"
    stage.parent.mkdir()
    stage.write_text('victor: 1\nname: dev\nextends: ../base.yml\nmodels: {main: {reply: "dev"}}\n')
    environment = {"STAGE": "dev"}

    def again(files: Files) -> Compilation:
        return compile_spec(str(path), environment=environment, files=files, require_environment=True)

    async with victor_dsl.open(path, env=environment) as orchestrator:
        watching = Watcher(orchestrator, again)
        assert (await orchestrator.chat("a")).message.text() == "dev"
        stage.write_text(stage.read_text().replace('"dev"', '"other"'))
        await watching.look()
        assert (await orchestrator.chat("a")).message.text() == "other"
        stage.unlink()
        assert not await watching.reload()
        assert (await orchestrator.chat("a")).message.text() == "other"


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

        def compile_and_save(files: Files) -> Compilation:
            compilation = recompile(path, files)
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

        def compile_and_save(files: Files) -> Compilation:
            compilation = recompile(path, files)
            new.write_text("Be kind.")
            return compilation

        new.write_text("Be bold.")
        path.write_text(SPEC.format(reply="a").replace("prompt.md", "new.md"))
        watching = Watcher(orchestrator, compile_and_save)
        assert await watching.reload()
        assert await watching.reload(if_changed=True)
        assert (await orchestrator.render(Request(message="a"))).system == "Be kind."


PROMPTS = """\
victor: 1
name: s
models: {{main: {{type: echo, context_window: 8000}}}}
providers: [{{type: inline, values: {{vars: {{product: Acme}}}}}}]
exporters: [{{type: jsonl, path: events.jsonl}}]
contributors:
  - {item}
"""


@frozen
class Followed:
    """A contributor that takes a text from a file: how it is written, the file, and a text of the file as the prompt has it."""

    item: str
    file: str
    text: str = "{}"
    broken: bytes = b"\xff"


KINDS = {
    "file": Followed("{type: file, path: p.md}", "p.md"),
    "file with a default": Followed("{type: file, path: p.md, default: none}", "p.md"),
    "invisible characters": Followed("{type: file, path: p.md}", "p.md", broken=b"a\0"),
    "too large": Followed("{type: file, path: p.md, max_bytes: 20}", "p.md", broken=b"a" * 21),
    "standards": Followed("{type: standards, optional: true}", ".victor/standards.md"),
    "template": Followed("{type: template, path: p/t.j2}", "p/t.j2", "{{{{ product }}}} {}", b"{% if %}"),
    "misspelt variable": Followed("{type: template, path: p/t.j2}", "p/t.j2", "{{{{ product }}}} {}", b"{{ prodct }}"),
    "included template": Followed("{type: template, path: p/main.j2}", "p/part.j2", "{}", b"{% for %}"),
    "imported macro": Followed(
        "{type: template, path: p/macros.j2}",
        "p/part.j2",
        "{{% macro m() %}}{}{{% endmacro %}}{{% set s = 1 %}}",
        b"{{ x",
    ),
    "parent template": Followed("{type: template, path: p/child.j2}", "p/part.j2", "{}", b"{{ 'x' | nothing }}"),
    "text of a reference": Followed('{type: text, text: "${file:p.md}"}', "p.md"),
}
BESIDE = {
    "p/main.j2": "{% include 'part.j2' %}",
    "p/macros.j2": "{% from 'part.j2' import m %}{{ m() }}",
    "p/child.j2": "{% extends 'part.j2' %}",
}


class Running:
    """An orchestrator whose texts are followed, and the file that changes."""

    def __init__(self, folder: Path, kind: Followed, orchestrator: Orchestrator) -> None:
        self.spec, self.file, self.kind, self.orchestrator = (
            folder / "victor.yml",
            folder / kind.file,
            kind,
            orchestrator,
        )
        self.watcher = Watcher(orchestrator, partial(recompile, self.spec), spec=False)

    async def sent(self) -> str:
        """The prompt of a turn; its digest is that of a new compilation of the same texts."""
        rendered = await self.orchestrator.render(Request(message="a"))
        return rendered.system.removeprefix("Acme ")

    async def digest(self) -> str | None:
        return (await self.orchestrator.answer(Request(message="a"))).plan

    def events(self) -> list[dict[str, Any]]:
        lines = (self.spec.parent / "events.jsonl").read_text().splitlines()
        return [event for event in map(json.loads, lines) if event["type"] == "error"]


@asynccontextmanager
async def running(folder: Path, kind: Followed) -> AsyncIterator[Running]:
    for name, text in {**BESIDE, kind.file: kind.text.format("ONE")}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    (folder / "victor.yml").write_text(PROMPTS.format(item=kind.item))
    program = recompile(folder / "victor.yml", Files()).program
    assert program is not None
    async with Orchestrator(program) as orchestrator:
        yield Running(folder, kind, orchestrator)


def digest_of(spec: Path) -> str:
    program = recompile(spec, Files()).program
    assert program is not None
    return program.plan_for(None, {}).digest


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
async def test_a_plan_sends_the_texts_that_its_digest_covers(tmp_path: Path, kind: Followed) -> None:
    async with running(tmp_path, kind) as made:
        first = digest_of(made.spec)
        made.file.write_text(kind.text.format("TWO!"))
        assert (await made.sent(), await made.digest()) == ("ONE", first)
        assert await made.watcher.reload(if_changed=True)
        assert (await made.sent(), await made.digest()) == ("TWO!", digest_of(made.spec))
        assert await made.digest() != first
        assert not await made.watcher.reload(if_changed=True)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("fault", ["deleted", "emptied", "blank", "broken", "a folder"])
async def test_a_file_that_becomes_faulty_keeps_its_last_good_text(
    tmp_path: Path, kind: Followed, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path, kind) as made:
        first = await made.digest()
        made.file.unlink()
        if fault == "a folder":
            made.file.mkdir()
        elif fault != "deleted":
            made.file.write_bytes({"emptied": b"", "blank": b"\xef\xbb\xbf \n", "broken": kind.broken}[fault])
        for _ in range(2):
            assert not await made.watcher.reload(if_changed=True)
            assert (await made.sent(), await made.digest()) == ("ONE", first)
        assert caplog.text.count("the previous spec stays in force") == 1
        if fault == "a folder":
            made.file.rmdir()
        made.file.write_text(kind.text.format("TWO!"))
        assert await made.watcher.reload(if_changed=True)
        assert await made.sent() == "TWO!"
    (event,) = made.events()
    assert event["data"]["code"] == "spec"
    assert Path(kind.file).name in event["data"]["message"] or "main.j2" in event["data"]["message"]


async def test_the_same_text_again_makes_no_new_plan(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with running(tmp_path, KINDS["file"]) as made:
        made.file.write_text("")
        assert not await made.watcher.reload(if_changed=True)
        made.file.write_text("ONE")
        assert not await made.watcher.reload(if_changed=True)
    assert "the files of the spec are sound again" in caplog.text


async def test_a_changed_text_leaves_a_spec_that_is_not_watched_as_it_was(path: Path) -> None:
    async with victor_dsl.open(path) as orchestrator:
        path.write_text("no spec any more")
        (path.parent / "prompt.md").write_text("Be kind.")
        assert await Watcher(orchestrator, partial(recompile, path), spec=False).reload(if_changed=True)
        rendered = await orchestrator.render(Request(message="a"))
        assert (rendered.system, (await orchestrator.chat("a")).message.text()) == ("Be kind.", "one")


async def test_prompts_are_followed_without_watch(path: Path) -> None:
    async with victor_dsl.open(path) as orchestrator:
        (path.parent / "prompt.md").write_text("Be kind.")
        async with asyncio.timeout(30):
            while (await orchestrator.render(Request(message="a"))).system != "Be kind.":
                await asyncio.sleep(0.05)  # the watcher looks once a second, on the real clock


async def test_a_file_that_may_be_missing_is_found_when_it_is_written(path: Path) -> None:
    path.write_text(SPEC.format(reply="one").replace("prompt.md", "later.md, optional: true"))
    async with victor_dsl.open(path) as orchestrator:
        watching = Watcher(orchestrator, partial(recompile, path), spec=False)
        assert not await watching.reload(if_changed=True)
        (path.parent / "later.md").write_text("Be kind.")
        assert await watching.reload(if_changed=True)
        assert (await orchestrator.render(Request(message="a"))).system == "Be kind."


async def test_a_text_that_changes_before_it_is_watched_is_found(path: Path) -> None:
    program = recompile(path, Files()).program
    assert program is not None
    (path.parent / "prompt.md").write_text("Be bold.")
    async with Orchestrator(program) as orchestrator:
        assert await watcher(orchestrator, path).reload(if_changed=True)


async def test_watching_goes_on_after_any_error(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(victor_dsl.interfaces.watching, "LOOK_SECONDS", 0.001)
    compiled, errors = asyncio.Event(), [SystemExit(7), asyncio.CancelledError(), ZeroDivisionError("a bug")]
    loop = asyncio.get_running_loop()

    def compile_or_fail(files: Files) -> Compilation:
        if errors:
            path.write_text(SPEC.format(reply=f"{len(errors)}"))
            raise errors.pop()
        loop.call_soon_threadsafe(compiled.set)
        return recompile(path, files)

    async with victor_dsl.open(path) as orchestrator, watched(orchestrator, compile_or_fail):
        path.write_text(SPEC.format(reply="changed"))
        async with asyncio.timeout(30):
            await compiled.wait()
    assert caplog.text.count("the spec cannot be reloaded, the previous spec stays in force: internal error") == 3


async def test_being_asked_reloads_at_once(path: Path) -> None:
    async with victor_dsl.open(path) as orchestrator:
        watching = watcher(orchestrator, path)
        task = asyncio.create_task(watching.run())
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


def test_a_chat_answers_with_the_prompt_that_was_just_saved(path: Path) -> None:
    """And the digest of each line is that of the files as they were."""
    with subprocess.Popen(
        [sys.executable, "-m", "victor_dsl", "run", str(path), "--json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as chat:
        assert chat.stdin is not None
        assert chat.stdout is not None
        expected = ""
        for prompt in ("Be brief.", "Be kind.", "", "Be bold."):
            (path.parent / "prompt.md").write_text(prompt)
            expected = digest_of(path) if prompt else expected
            chat.stdin.write("a\n")
            chat.stdin.flush()
            assert json.loads(chat.stdout.readline())["plan"] == expected
        chat.stdin.close()
        assert chat.wait(30) == 0


async def test_a_file_is_read_when_nobody_has_written_to_it_for_a_moment(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(victor_dsl.interfaces.watching, "SETTLE_SECONDS", 0)
    prompt = path.parent / "prompt.md"
    compiled = []
    async with victor_dsl.open(path) as orchestrator:

        def compile_once(files: Files) -> Compilation:
            compiled.append(prompt.read_text())
            return recompile(path, files)

        watching = Watcher(orchestrator, compile_once)
        pieces = ["Be", "Be kind", "Be kind to all."]

        def write_on(file: str) -> Stamp | None:
            if file.endswith("prompt.md") and pieces:
                prompt.write_text(pieces.pop(0))
            return stamp(file)

        monkeypatch.setattr(victor_dsl.interfaces.watching, "stamp", write_on)
        await watching.look()
        assert compiled == ["Be kind to all."]
        pieces += ["x" * length for length in range(100)]
        await watching.look()
        assert len(compiled) == 1


async def test_the_last_good_values_of_a_provider_outlive_a_reload(path: Path) -> None:
    settings = path.parent / "settings.yml"
    settings.write_text("vars: {product: Acme}")
    spec = SPEC.format(reply="one") + "providers: [{type: file, path: settings.yml, watch: true}]\n"
    path.write_text(spec)
    clock = StillClock()
    program = recompile(path, Files()).program
    assert program is not None
    async with Orchestrator(program, clock=clock) as orchestrator:
        assert (await orchestrator.chat("a")).message.text() == "one"
        path.write_text(spec + "vars: {new: 1}\n")
        after = recompile(path, Files()).program
        assert after is not None
        settings.write_text("vars: [")
        clock.time += 2
        await orchestrator.reload(after)
        assert (await orchestrator.render(Request(message="a"))).error is None
