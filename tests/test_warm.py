"""A warm Python does what Python does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.warm import Warm


def _done(*command: str | Path, **options: Any) -> tuple[int, str, str]:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=60, **options)
    return done.returncode, done.stdout, done.stderr


SHOWN = "import json, os, sys; print(json.dumps([sys.argv, os.getcwd(), sys.path[:2], dict(os.environ), __name__]))"


@pytest.mark.parametrize("how", ["-c", "-P -c", "-I -c", "file"])
def test_a_program_has_its_arguments_folder_environment_and_path(how: str, warm: Warm, tmp_path: Path) -> None:
    (tmp_path / "shown.py").write_text(SHOWN)
    program = [tmp_path / "shown.py"] if how == "file" else [*how.split(), SHOWN]
    environment = {"LC_CTYPE": "C.UTF-8", "PYTHONPATH": "/elsewhere", "TZ": "Asia/Tokyo"}
    plain, found = (
        _done(python, *program, "a", "b c", cwd=tmp_path, env=environment) for python in (sys.executable, warm.python)
    )
    assert found == plain
    assert found[0] == 0


@pytest.mark.parametrize(
    "end", ["raise SystemExit(7)", "raise SystemExit('no')", "import os; os.kill(os.getpid(), 9)", ""]
)
def test_a_program_has_its_exit_code(end: str, warm: Warm) -> None:
    assert _done(warm.python, "-c", end) == _done(sys.executable, "-c", end)


def test_an_error_is_printed_and_what_is_registered_runs_at_the_end(warm: Warm) -> None:
    program = "import atexit; atexit.register(print, 'last'); print('first', end=' '); 1 / 0"
    code, out, err = _done(warm.python, "-c", program)
    assert (code, out) == (1, "first last\n")
    assert err.splitlines()[-1] == "ZeroDivisionError: division by zero"


def test_a_program_reads_its_input_and_writes_its_open_files(warm: Warm) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as output:
        program = f"import os; os.write({writing}, input().encode())"
        done = _done(warm.python, "-c", program, input="Grüße\n", pass_fds=[writing])
        os.close(writing)
        assert (done, output.read()) == ((0, "", ""), "Grüße")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_reach_the_program(number: int, warm: Warm) -> None:
    program = f"""if True:
        import signal
        def ended(*_):
            raise SystemExit(5)
        signal.signal({int(number)}, ended)
        print("ready", flush=True)
        signal.pause()"""
    with subprocess.Popen([warm.python, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        assert process.wait(60) == 5


def test_a_program_ends_with_the_process_that_started_it(warm: Warm) -> None:
    program = "import time; print('ready', flush=True); time.sleep(600)"
    with subprocess.Popen([warm.python, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.kill()
        assert process.stdout.read() == b""  # the program has closed its end, too


def test_the_package_is_imported_already_but_in_no_plain_python(warm: Warm) -> None:
    program = "import sys; print('victor_dsl.compiler' in sys.modules)"
    assert _done(warm.python, "-c", program)[1] == "True\n"
    assert _done(warm.python, "-E", "-c", program)[1] == "False\n"


def test_victor_is_a_command(warm: Warm) -> None:
    assert _done(warm.bin / "victor", "--version") == _done(sys.executable, "-m", "victor_dsl", "--version")
    assert _done(warm.python, "-m", "victor_dsl", "--versoin") == _done(sys.executable, "-m", "victor_dsl", "--versoin")
