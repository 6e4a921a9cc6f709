"""The chat on a terminal: a pseudo-terminal stands in for one."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.interfaces.conftest import ROOT

pytest.importorskip("pty")

PATIENCE_S = 60
"""After so long a test that waits for a text fails, and does not hang."""

SPAWN = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"


class Terminal:
    """A command on a terminal of its own: what is typed, and what is shown."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process, self.keys, self.screen = process, process.stdin, process.stdout
        self.shown = b""

    def type(self, text: str) -> None:
        """Types a text."""
        self.keys.write(text.encode())
        self.keys.flush()

    def wait_for(self, text: str, *, urging: str = "") -> str:
        """What is shown up to and including a text, from where the last wait ended.

        `urging` is typed again whenever nothing is shown for a second.
        """
        while text.encode() not in self.shown:
            patience = 1 if urging else PATIENCE_S
            if not select.select([self.screen], [], [], patience)[0]:
                assert urging, f"waited for {text!r}, got {self.shown!r}"
                self.type(urging)
                continue
            piece = os.read(self.screen.fileno(), 4096)
            assert piece, f"ended without {text!r}: {self.shown!r}"
            self.shown += piece
        before, self.shown = self.shown.split(text.encode(), 1)
        return (before + text.encode()).decode()

    def end(self) -> tuple[int, str]:
        """The exit code, and all that was still shown."""
        rest = self.process.communicate(timeout=PATIENCE_S)[0]
        return self.process.returncode, (self.shown + rest).decode()


@contextmanager
def terminal(folder: Path, *arguments: str, **environment: str) -> Iterator[Terminal]:
    command = [sys.executable, "-c", SPAWN, sys.executable, "-m", "victor_dsl", *arguments]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb", **environment}
    with subprocess.Popen(
        command, cwd=folder, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        try:
            yield Terminal(process)
        finally:
            process.kill()


def test_a_chat_answers_line_by_line_until_quit(folder: Path) -> None:
    with terminal(folder, "run", "victor.yml") as chat:
        chat.wait_for("/quit or Ctrl-D ends the chat, Ctrl-C stops an answer.")
        for text in ("one", "two"):
            chat.wait_for("> ")
            chat.type(f"{text}\n")
            chat.wait_for(f"{text}\r\n")
            assert chat.wait_for(f"{text}\r\n") == f"{text}\r\n"
        chat.wait_for("> ")
        chat.type("/quit\n")
        assert chat.end()[0] == 0


def test_ctrl_d_ends_the_chat(folder: Path) -> None:
    with terminal(folder, "run", "victor.yml") as chat:
        chat.wait_for("> ")
        chat.type("\x04")
        code, rest = chat.end()
        assert code == 0
        assert "Traceback" not in rest


def test_ctrl_c_at_the_prompt_says_how_to_leave(folder: Path) -> None:
    with terminal(folder, "run", "victor.yml") as chat:
        chat.wait_for("> ")
        chat.type("half a message")
        chat.wait_for("half a message")
        chat.type("\x03")
        # CPython sees a signal that comes between two of readline's waits only with the next key.
        chat.wait_for("(/quit or Ctrl-D ends the chat)", urging="\x03")
        chat.wait_for("> ")
        chat.type("whole\n")
        chat.wait_for("whole\r\n")
        chat.wait_for("whole\r\n")
        chat.wait_for("> ")
        chat.type("\x04")
        assert chat.end()[0] == 0


def test_ctrl_c_stops_an_answer_and_not_the_chat(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        (folder / "victor.yml").write_text(
            "victor: 1\nname: demo\nmodels:\n"
            f"  main: {{type: openai, base_url: 'http://127.0.0.1:{port}/v1', model: m, context_window: 9000}}\n"
        )
        with terminal(folder, "run", "victor.yml") as chat:
            for _ in range(2):
                chat.wait_for("> ")
                chat.type("hello\n")
                connection, _ = silent.accept()  # the answer is under way
                with connection:
                    chat.type("\x03")
                    chat.wait_for("(stopped)")
            chat.wait_for("> ")
            chat.type("/quit\n")
            assert chat.end()[0] == 0


def test_an_answer_cannot_drive_the_terminal(folder: Path) -> None:
    (folder / "victor.yml").write_text(
        'victor: 1\nname: demo\nmodels:\n  main: {type: echo, reply: "a\\e[31mb\\x07c\\td"}\n'
    )
    with terminal(folder, "run", "victor.yml", "hello") as shown:
        code, text = shown.end()
    assert code == 0
    assert text.replace("\ufffd", "?").split() == ["a?[31mb?c", "d"]


def test_colour_is_for_terminals_and_no_color_is_honoured(folder: Path) -> None:
    (folder / "victor.yml").write_text("victor: 1\nname: demo\nmodles: {}\n")
    with terminal(folder, "validate", "victor.yml", TERM="xterm") as shown:
        assert "\x1b[31m" in shown.end()[1]
    with terminal(folder, "validate", "victor.yml", TERM="xterm", NO_COLOR="1") as shown:
        assert "\x1b" not in shown.end()[1]
    with terminal(folder, "run", "missing.yml", "hi", TERM="xterm", NO_COLOR="1") as shown:
        assert "\x1b" not in shown.end()[1]


def test_a_batch_shows_its_progress_on_a_terminal(folder: Path) -> None:
    (folder / "in.jsonl").write_text('{"message": "one"}\n' * 500)
    arguments = ("run", "victor.yml", "--input", "in.jsonl", "--output", "out.jsonl")
    with terminal(folder, *arguments, TERM="xterm") as shown:
        code, text = shown.end()
    assert code == 0
    assert "lines" in text
    assert "500 lines answered, in " in text
