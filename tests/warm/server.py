"""Imports Victor, and forks a process for each command that `client.py` passes on.

Each connection has a process that forks once more: the child becomes the command, and the parent passes signals on to it and
its exit code back. A client that dies kills its command.
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import importlib
import io
import marshal
import os
import pkgutil
import runpy
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

NOT_IMPORTED = ("__main__", "plan_side", "pytest_plugin")
"""Last names of modules that run as a program, or that nothing but pytest imports."""

SPEC = """\
victor: 1
name: warm
models: {main: {type: echo, context_window: 8000}}
contributors: [{type: template, name: role, template: "You help {{ session }}."}]
middleware: [logging, timeout]
variants: {tone: {arms: {a: {weight: 1}, b: {weight: 1, with: {settings: {temperature: 0.5}}}}}}
tenants: {acme: {with: {settings: {max_tokens: 5}}}}
unknown_tenants: base
"""


class Command(NamedTuple):
    """What a client wants to run: its open files by their numbers there, its folder, `sys.argv` and environment."""

    files: dict[int, int]
    folder: str
    arguments: list[str]
    environment: dict[str, str]


def warm_up(root: str) -> None:
    """Imports the package and what its commands use, and fills the caches of the compiler."""
    sys.path.append(root)
    package = importlib.import_module("victor_dsl")
    for module in pkgutil.walk_packages(package.__path__, "victor_dsl.", onerror=lambda _: None):
        if module.name.rpartition(".")[2] not in NOT_IMPORTED:
            try:
                importlib.import_module(module.name)
            except ImportError:  # of an extra that is not installed
                continue
    folder = Path(sys.argv[1]).parent
    (folder / "victor.yml").write_text(SPEC, encoding="utf-8")
    compiler: Any = importlib.import_module("victor_dsl.compiler")
    found = compiler.compile_spec(str(folder / "victor.yml"), environment={})
    assert not found.diagnostics, found.diagnostics
    sys.path.remove(root)
    assert threading.active_count() == 1
    gc.collect()
    gc.freeze()


def serve(path: str) -> Command:
    """Waits for clients until standard input is closed. Returns only in a process that is to become a command."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(64)
    os.write(1, b"ready\n")
    processes = 0
    while listener.fileno() in select.select([listener.fileno(), 0], [], [])[0]:
        connection, _ = listener.accept()
        processes += 1
        if os.fork() == 0:
            listener.close()
            return attend(connection)
        connection.close()
        processes -= reaped(processes)
    reaped(processes)
    os._exit(0)


def reaped(processes: int) -> int:
    """How many of this process's children have ended since it last asked; `processes` is how many there are."""
    found = 0
    while found < processes and os.waitpid(-1, os.WNOHANG)[0]:
        found += 1
    return found


def attend(connection: socket.socket) -> Command:
    """Receives a command and forks: the child returns it."""
    header, files, _, _ = socket.recv_fds(connection, 4, 256)
    message = bytearray()
    while len(message) < int.from_bytes(header, "big"):
        part = connection.recv(1 << 20)
        if not part:
            os._exit(1)
        message += part
    numbers, folder, arguments, environment = marshal.loads(message)
    noticed, notice = os.pipe()
    os.set_blocking(notice, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(notice)
    child = os.fork()
    if child == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for file in (noticed, notice, connection.detach()):
            os.close(file)
        return Command(dict(zip(numbers, files, strict=True)), folder, arguments, environment)
    for file in files:
        os.close(file)
    watch(connection, child, noticed)
    os._exit(0)


def watch(connection: socket.socket, child: int, noticed: int) -> None:
    """Passes signals on to a command until it ends, and its exit code back."""
    while True:
        ready, _, _ = select.select([connection.fileno(), noticed], [], [])
        if connection.fileno() in ready:
            numbers = connection.recv(16)
            for number in numbers or bytes([signal.SIGKILL]):
                os.kill(child, number)
            if not numbers:
                return
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            connection.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, "big", signed=True))
            return
        if noticed in ready:
            os.read(noticed, 16)


def become(command: Command, path: Sequence[str]) -> None:
    """Runs a command in this process. `path` is that of modules without the script's folder and PYTHONPATH."""
    spare = max(command.files) + 1
    moved = {number: fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, spare) for number, file in command.files.items()}
    for number, file in moved.items():
        os.dup2(file, number)
        os.close(file)
    for file in command.files.values():
        if file not in command.files:
            os.close(file)
    os.chdir(command.folder)
    os.environ.clear()
    os.environ.update(command.environment)
    time.tzset()
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), encoding="utf-8")
    sys.stdout = _writer(1, "strict", by_lines=os.isatty(1))
    sys.stderr = _writer(2, "backslashreplace", by_lines=True)
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]
    sys.dont_write_bytecode = bool(command.environment.get("PYTHONDONTWRITEBYTECODE"))
    program, *arguments = command.arguments
    folder = Path(program).parent
    sys.executable = str(folder / "python")
    isolated = arguments[:1] == ["-I"]
    added = [] if isolated else filter(None, command.environment.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:] = [*map(os.path.abspath, added), *path]
    if Path(program).name == "victor":
        sys.path.insert(0, str(folder))
        sys.argv = command.arguments
        importlib.import_module("victor_dsl.interfaces.cli").main()
    else:
        safe = isolated or arguments[0] == "-P"
        run(arguments[safe:], safe=safe)


def _writer(file: int, errors: str, *, by_lines: bool) -> io.TextIOWrapper:
    raw = io.BufferedWriter(io.FileIO(file, "w", closefd=False))
    return io.TextIOWrapper(raw, encoding="utf-8", errors=errors, line_buffering=by_lines)


def run(arguments: list[str], *, safe: bool) -> None:
    """Does what Python does with these arguments; `safe` leaves the script's folder out of `sys.path`."""
    what, *rest = arguments
    if what == "-m":
        if not safe:
            sys.path.insert(0, str(Path.cwd()))
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif what == "-c":
        if not safe:
            sys.path.insert(0, "")
        sys.argv = ["-c", *rest[1:]]
        main = type(sys)("__main__")
        sys.modules["__main__"] = main
        exec(compile(rest[0], "<string>", "exec"), main.__dict__)
    else:
        if not safe:
            sys.path.insert(0, str(Path(what).resolve().parent))
        sys.argv = arguments
        runpy.run_path(what, run_name="__main__")


def end(program: Callable[[], None]) -> NoReturn:
    """Runs a program and ends as Python does, without taking all modules apart, which needs 0.1 s."""
    code: Any = 0
    try:
        program()
    except SystemExit as error:
        code = error.code
    except KeyboardInterrupt:
        code = -signal.SIGINT
    except BaseException:  # noqa: BLE001 - Python prints every error
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    if not isinstance(code, int | None):
        sys.stderr.write(f"{code}\n")
        code = 1
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        code = 120
    if code == -signal.SIGINT:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit((code or 0) & 0xFF)


if __name__ == "__main__":
    path_ = list(sys.path)
    warm_up(sys.argv[2])
    command_ = serve(sys.argv[1])
    end(lambda: become(command_, path_))
