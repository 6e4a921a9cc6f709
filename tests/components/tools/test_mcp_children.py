"""An MCP server and all that it started end with the process that started it, however that ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from attrs import evolve

from tests.components.context import surroundings
from tests.components.tools.test_mcp import WILD, RealClock, alive, call, eventually, wild
from tests.interfaces.conftest import in_a_process
from victor_dsl.components.tools.mcp import launch, supervisor
from victor_dsl.errors import ToolError
from victor_dsl.language.component import Context

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the process group is all that is ended")


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return evolve(surroundings(tmp_path, "tools/wild").context, clock=RealClock())


async def none_left(pids: list[int]) -> None:
    async def gone() -> bool:
        return not any(map(alive, pids))

    await eventually(gone)


async def test_children_that_left_the_session_end_with_the_connection(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "GRACE_SECONDS", 0.1)
    async with wild(context) as tools:
        pids = [int(pid) for pid in (await call(tools, "spawn_away")).split()]
        assert len(pids) == 4
        assert all(map(alive, pids))
    await none_left(pids)


async def test_children_of_a_server_that_died_end_and_it_is_started_again(context: Context) -> None:
    async with wild(context) as tools:
        pids = [int(pid) for pid in (await call(tools, "spawn_away")).split()]
        os.kill(pids[1], signal.SIGKILL)
        await none_left(pids)

        async def answers() -> bool:
            with suppress(ToolError):  # it was asked before its death was noticed
                return int(await call(tools, "pid")) not in pids
            return False

        await eventually(answers)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_a_server_and_its_children_end_with_victor_however_it_ends(tmp_path: Path, how: signal.Signals) -> None:
    spec = f"""
victor: 1
name: demo
models:
  main: {{type: scripted, replies: [{{tool_calls: [{{name: wild__spawn_away, arguments: {{}}}}]}}, done]}}
tools: [{{type: mcp, name: wild, command: {json.dumps(WILD)}}}]
"""
    (tmp_path / "victor.yml").write_text(spec)
    run = in_a_process("run", "victor.yml", cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert run.stdin is not None
    assert run.stdout is not None
    run.stdin.write(b"go\n")
    run.stdin.flush()
    assert b"done" in run.stdout.readline()
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert all(map(alive, pids))
    run.send_signal(how)
    run.wait()
    run.stdin.close()
    run.stdout.close()
    await none_left(pids)


async def test_a_server_ends_where_its_supervisor_is_killed(context: Context) -> None:
    async with wild(context) as tools:
        parent, server, *children = (int(pid) for pid in (await call(tools, "spawn_away")).split())
        os.kill(parent, signal.SIGKILL)
        await none_left([parent, server])
        for child in children:
            os.kill(child, signal.SIGKILL)


def supervised(*command: str) -> tuple[subprocess.Popen[bytes], int]:
    """A command under a supervisor, and the pipe to that."""
    read, write = os.pipe()
    script = [sys.executable, "-I", "-S", supervisor.__file__, str(read), *command]
    pipe = subprocess.PIPE
    started = subprocess.Popen(script, stdin=pipe, stdout=pipe, stderr=pipe, pass_fds=[read])
    os.close(read)
    return started, write


@pytest.mark.parametrize(
    ("script", "code", "printed"),
    [
        ("exit 0", 0, b""),
        ("exit 7", 7, b""),
        ("kill -9 $$", -signal.SIGKILL, b""),
        ("cat; echo end >&2; exit 3", 3, b"in"),
        ("yes | head -n 1", 0, b"y\n"),
        ("sleep 3600 & echo out", 0, b"out\n"),
    ],
)
def test_a_supervised_program_ends_as_it_would_alone(script: str, code: int, printed: bytes) -> None:
    started, control = supervised("sh", "-c", script)
    os.write(control, supervisor.CLOSING)
    out, _ = started.communicate(b"in")
    os.close(control)
    assert (started.returncode, out) == (code, printed)


def test_a_program_that_cannot_be_started_is_named(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF, but no more")
    program.chmod(0o755)
    started, control = supervised(str(program))
    out, errors = started.communicate()
    os.close(control)
    assert (started.returncode, out) == (supervisor.NOT_STARTED, b"")
    assert errors == f"{program}: Exec format error\n".encode()


@pytest.mark.parametrize("byte", [supervisor.KILL, b""])
def test_a_program_that_ignores_sigterm_is_killed_with_its_children(byte: bytes) -> None:
    started, control = supervised("sh", "-c", "trap '' TERM; setsid sh -c 'echo $$; exec sleep 3600' & wait; wait")
    assert started.stdout is not None
    child = int(started.stdout.readline())
    os.write(control, byte)
    os.close(control)
    assert started.wait() == -signal.SIGKILL
    assert not alive(child)
    started.communicate()


STUCK = """
import os, sys, pathlib, time
pathlib.Path("pid").write_text(str(os.getpid()))
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_while_a_server_starts_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "stuck.py").write_text(STUCK)
    tool = {"type": "mcp", "name": "stuck", "command": [sys.executable, "stuck.py"]}
    (tmp_path / "victor.yml").write_text(
        f"victor: 1\nname: t\nmodels: {{main: {{type: echo}}}}\ntools: [{json.dumps(tool)}]\n"
    )
    run = in_a_process("run", "victor.yml", "hello", cwd=tmp_path, stderr=subprocess.PIPE)

    async def started() -> bool:
        return (tmp_path / "pid").exists() and bool((tmp_path / "pid").read_text())

    await eventually(started)
    run.send_signal(number)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 128 + number, errors
    assert b"Traceback" not in errors
    await none_left([int((tmp_path / "pid").read_text())])


STUBBORN = """
import json, os, pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path("pid").write_text(str(os.getpid()))
for line in sys.stdin:
    call = json.loads(line)
    if call["method"] == "initialize":
        info = {"name": "stubborn", "version": "1"}
        result = {"protocolVersion": call["params"]["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": info}
    elif call["method"] == "tools/list":
        result = {"tools": []}
    else:
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": result}), flush=True)
pathlib.Path("closing").touch()
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_while_a_server_ends_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    tool = {"type": "mcp", "name": "stubborn", "command": [sys.executable, "stubborn.py"]}
    (tmp_path / "victor.yml").write_text(
        f"victor: 1\nname: t\nmodels: {{main: {{type: echo}}}}\ntools: [{json.dumps(tool)}]\n"
    )
    run = in_a_process("run", "victor.yml", "hello", cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    async def closing() -> bool:
        return (tmp_path / "closing").exists()

    await eventually(closing)
    run.send_signal(number)
    reply, errors = run.communicate(timeout=60)
    assert (run.returncode, reply) == (128 + number, b"hello\n"), errors
    assert b"Traceback" not in errors
    await none_left([int((tmp_path / "pid").read_text())])
