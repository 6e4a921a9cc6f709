"""The chat on a terminal: a pseudo-terminal stands in for one."""

from __future__ import annotations

import hashlib
import json
import os
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyte
import pytest

from tests.interfaces.conftest import OFFLINE, ROOT, Victor

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
        self._screen = pyte.Screen(80, 200)  # so high that nothing scrolls away
        self._emulator = pyte.ByteStream(self._screen)

    def until(self, condition: Callable[[list[str]], bool]) -> list[str]:
        """The rows of the screen, once they fulfil a condition: what a user of the terminal sees."""
        while not condition(rows := self.rows()):
            ready = select.select([self.screen], [], [], PATIENCE_S)[0]
            piece = os.read(self.screen.fileno(), 4096) if ready else b""
            assert piece, "\n".join(["the terminal ended, or shows only:", *rows])
            self._emulator.feed(piece)
        return rows

    def rows(self) -> list[str]:
        """What the screen shows, without blanks at the ends."""
        rows = [row.rstrip() for row in self._screen.display]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    def prompt(self, typed: str = "") -> list[str]:
        """The rows of the screen, once the last is the prompt with what was typed."""
        return self.until(lambda rows: bool(rows) and rows[-1] == f"> {typed}".rstrip())

    def ended(self) -> tuple[int, list[str]]:
        """The exit code, and the rows of the screen at the end."""
        while piece := os.read(self.screen.fileno(), 4096):
            self._emulator.feed(piece)
        return self.process.wait(PATIENCE_S), self.rows()

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
def terminal(folder: Path, *arguments: str, pipe: str = "", **environment: str) -> Iterator[Terminal]:
    """A command on a terminal; with `pipe`, its stdout goes to that shell command, which has the terminal, too."""
    victor = [sys.executable, "-m", "victor_dsl", *arguments]
    command = [sys.executable, "-c", SPAWN, *(["sh", "-c", f"{shlex.join(victor)} | {pipe}"] if pipe else victor)]
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
        chat.wait_for("demo: /help lists the commands, Ctrl-C stops an answer, Ctrl-D ends the chat")
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


SHOP = """\
victor: 1
name: demo
models:
  main: {type: openai, base_url: "http://127.0.0.1:PORT/v1", model: m, context_window: 9000,
         input_usd_per_million: 0, output_usd_per_million: 0}
contributors: [{type: file, path: role.md}]
tools: [{type: python, name: lookup_order, function: "shop:lookup_order"}]
middleware: [{type: logging, level: debug}]
"""
TOOLS = '''
import asyncio, logging, pathlib

async def lookup_order(order: int) -> str:
    """Looks an order up."""
    logging.getLogger("shop").warning("the log of a tool")
    if order == 13:
        raise ValueError("no such order")
    print("printed by a tool")
    return f"order {order} is on its way"
'''


class Model:
    """A server that streams what a test says: `pieces` of a text, or a call of a tool."""

    def __init__(self) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.bodies: list[dict[str, Any]] = []

    def accept(self) -> Answering:
        """The next request, to be answered."""
        connection, _ = self.server.accept()
        connection.settimeout(PATIENCE_S)
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65536)
        head, _, body = received.partition(b"\r\n\r\n")
        length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])  # type: ignore[index]
        while len(body) < length:
            body += connection.recv(65536)
        self.bodies.append(json.loads(body))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        return Answering(connection)


class Answering:
    """An answer under way."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def send(self, delta: dict[str, Any], finish: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        self.connection.sendall(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n")

    def text(self, text: str) -> None:
        self.send({"content": text})

    def call(self, *calls: tuple[str, str]) -> None:
        """Calls tools, and ends the answer."""
        functions = [
            {"index": at, "id": f"c{at}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for at, (name, arguments) in enumerate(calls)
        ]
        self.send({"tool_calls": functions})
        self.end("tool_calls")

    def end(self, reason: str = "stop") -> None:
        self.send({}, reason)
        self.connection.sendall(b"data: [DONE]\n\n")
        self.connection.close()


@pytest.fixture
def model(folder: Path) -> Iterator[Model]:
    server = Model()
    (folder / "victor.yml").write_text(SHOP.replace("PORT", str(server.port)))
    (folder / "shop.py").write_text(TOOLS)
    (folder / "role.md").write_text("You help.")
    with server.server:
        yield server


@pytest.mark.parametrize("options", [(), ("-v",)])
def test_lines_of_others_never_run_into_a_reply(folder: Path, model: Model, options: tuple[str, ...]) -> None:
    with terminal(folder, "run", "victor.yml", *options, TERM="xterm") as chat:
        chat.prompt()
        chat.type("where is order 4711?\r")
        first = model.accept()
        first.text("Let me")
        chat.until(lambda rows: rows[-1] == "Let me")
        first.text(" look.")
        first.call(("lookup_order", '{"order": 4711}'))
        second = model.accept()
        second.text("It is\non its")
        chat.until(lambda rows: rows[-1] == "on its")
        second.text(" way.")
        second.end()
        rows = chat.prompt()
        chat.type("/quit\r")
        assert chat.ended()[0] == 0
    assert rows[1:3] == ["> where is order 4711?", "Let me look."]
    (tool,) = (at for at, row in enumerate(rows) if row.startswith("⚙ lookup_order(order=4711) … ok, "))
    (logged,) = (at for at, row in enumerate(rows) if row.endswith(" warning the log of a tool"))
    printed, said = rows.index("printed by a tool"), rows.index("It is")
    assert logged < tool < said
    assert printed < tool
    assert rows[said + 1] == "on its way."
    assert any(" debug turn session=" in row for row in rows) == (options == ("-v",))


def test_tool_calls_that_run_together_have_a_line_each(folder: Path, model: Model) -> None:
    with terminal(folder, "run", "victor.yml", "two orders", "-q", TERM="xterm") as run:
        model.accept().call(("lookup_order", '{"order": 1}'), ("lookup_order", '{"order": 13}'))
        second = model.accept()
        second.text("Done.")
        second.end()
        code, rows = run.ended()
    calls = [row.rpartition(",")[0] for row in rows if row.startswith("⚙")]
    assert (code, rows[-1]) == (0, "Done.")
    assert calls == ["⚙ lookup_order(order=1) … ok", "⚙ lookup_order(order=13) … failed"]
    results = [message["content"] for message in model.bodies[1]["messages"] if message["role"] == "tool"]
    assert results[0] == "order 1 is on its way"


def test_a_reload_is_said_above_the_prompt_and_what_was_typed_stays(folder: Path, model: Model) -> None:
    with terminal(folder, "run", "victor.yml", TERM="xterm") as chat:
        chat.prompt()
        chat.type("half a mess")
        chat.prompt("half a mess")
        (folder / "role.md").write_text("You help well.")
        chat.until(lambda rows: any("the spec is reloaded (role.md): plan " in row for row in rows))
        chat.prompt("half a mess")
        chat.type("age\r")
        answer = model.accept()
        answer.text("Yes.")
        answer.end()
        chat.prompt()
        (folder / "role.md").write_text("")
        chat.until(lambda rows: "the previous spec stays in force: role.md: the file is empty" in "".join(rows))
        chat.prompt()
        chat.type("/quit\r")
        assert chat.ended()[0] == 0
    sent = model.bodies[0]["messages"]
    assert [message["content"] for message in sent] == ["You help well.", "half a message"]


KEY = "vk_9kTjYp2vQe5sWm8xHc3aUd6f"


def test_render_and_why_show_the_caller_that_the_api_key_names(folder: Path) -> None:
    entry = {"key_hash": "sha256:" + hashlib.sha256(KEY.encode()).hexdigest(), "tenant_id": "acme", "user_id": "ann"}
    (folder / "keys.json").write_text(json.dumps({"keys": [entry]}))
    tenants = "tenants: {acme: {with: {settings: {temperature: 0.1}}}}\nunknown_tenants: refuse\n"
    (folder / "victor.yml").write_text(OFFLINE + tenants + "middleware: [{type: auth, keys: keys.json}]\n")
    with terminal(folder, "run", "victor.yml", TERM="xterm", VICTOR_API_KEY=KEY) as chat:
        chat.prompt()
        chat.type("the first message\r")
        chat.until(lambda rows: "the first message" in rows)
        chat.prompt()
        chat.type("/render\r")
        rows = chat.until(lambda rows: any(row.startswith("prompt cache") for row in rows))
        assert any("tenant acme" in row for row in rows)
        assert any(row.startswith("temperature") and "0.1" in row for row in rows)
        assert any(row.endswith("all fits  the first message") for row in rows)
        chat.prompt()
        chat.type("/why temperature\r")
        chat.until(lambda rows: "settings.temperature = 0.1" in rows)
        chat.type("/quit\r")
        assert chat.ended()[0] == 0


def test_pasted_lines_are_one_message_and_blanks_are_none(folder: Path) -> None:
    with terminal(folder, "run", "victor.yml", TERM="xterm") as chat:
        chat.prompt()
        chat.type("   \r")
        chat.type("\x1b[200~one\ntwo\x1b[201~")
        chat.until(lambda rows: rows[-2:] == ["> one", "  two"])
        chat.type("\r")
        rows = chat.prompt()
        chat.type("/quit\r")
        assert chat.ended()[0] == 0
    assert rows[1:] == [">", "> one", "  two", "one", "two", ">"]


def test_the_commands_of_a_chat(folder: Path) -> None:
    with terminal(folder, "run", "victor.yml", TERM="xterm") as chat:
        chat.prompt()
        chat.type("/help\r")
        chat.until(lambda rows: any("what the model would be sent for the next message" in row for row in rows))
        chat.prompt()
        chat.type("/hepl\r")
        chat.until(lambda rows: any("there is no command /hepl; did you mean '/help'?" in row for row in rows))
        chat.prompt()
        chat.type("/new\r")
        chat.until(lambda rows: any(row.startswith("a new session begins: ") for row in rows))
        chat.prompt()
        chat.type(" /etc is a folder\r")
        chat.until(lambda rows: "/etc is a folder" in rows)
        chat.prompt()
        chat.type("/render And now?\r")
        chat.until(lambda rows: any(row.startswith("prompt cache") for row in rows))
        chat.prompt()
        chat.type("/why model\r")
        chat.until(lambda rows: any('settings.model = "main"' in row for row in rows))
        chat.prompt()
        chat.type("/why models.main\r")
        chat.until(lambda rows: any("victor.yml:4" in row for row in rows))
        chat.prompt()
        chat.type("/why models.mian\r")
        chat.until(lambda rows: any(row.startswith("error: ") and "main" in row for row in rows))
        chat.prompt()
        chat.type("\x04")
        code, rows = chat.ended()
    assert code == 0
    assert not any("Traceback" in row for row in rows)


def test_a_chat_without_a_terminal_has_the_same_commands(victor: Victor) -> None:
    done = victor("run", "victor.yml", stdin="one\n  \n/new\n/hepl\ntwo\n/quit\nthree\n")
    assert (done.code, done.out) == (0, "one\ntwo\n")
    assert "a new session begins: " in done.err
    assert "there is no command /hepl; did you mean '/help'?" in done.err


def test_an_empty_message_is_not_sent(victor: Victor) -> None:
    done = victor("run", "victor.yml", " \n")
    assert (done.code, done.out) == (2, "")
    assert "the message is empty" in done.err


def test_keys_during_an_answer_do_not_run_into_it_and_are_typed_at_the_next_prompt(folder: Path, model: Model) -> None:
    with terminal(folder, "run", "victor.yml", TERM="xterm") as chat:
        chat.prompt()
        chat.type("hello\r")
        answer = model.accept()
        answer.text("One ")
        chat.until(lambda rows: rows[-1] == "One")
        chat.type("next")
        answer.text("two.")
        answer.end()
        rows = chat.prompt("next")
        chat.type("\x03")
        chat.prompt()
        chat.type("and\r")
        with model.accept().connection:  # the answer is under way
            chat.type("\x03")
            stopped = chat.until(lambda rows: "(stopped)" in rows)
        chat.prompt()
        chat.type("\x04")
        assert chat.ended()[0] == 0
    assert rows[-2:] == ["One two.", "> next"]
    assert not any("^C" in row or "cancelled" in row for row in stopped)


def test_ctrl_c_at_an_editing_prompt_gives_up_the_line(folder: Path) -> None:
    with terminal(folder, "run", "victor.yml", TERM="xterm") as chat:
        chat.prompt()
        chat.type("half a message")
        chat.prompt("half a message")
        chat.type("\x03")
        chat.until(lambda rows: "(/quit or Ctrl-D ends the chat)" in rows)
        chat.prompt()
        chat.type("\x04")
        assert chat.ended()[0] == 0


def test_a_signal_ends_a_chat_at_its_prompt(folder: Path) -> None:
    with terminal(folder, "run", "victor.yml", TERM="xterm") as chat:
        chat.prompt()
        spawner = chat.process.pid
        children = Path(f"/proc/{spawner}/task/{spawner}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGTERM)
        assert chat.ended()[0] == 128 + signal.SIGTERM


def test_what_is_waited_for_is_shown_and_erased(folder: Path) -> None:
    (folder / "slow.py").write_text("import time\ntime.sleep(600)\n")
    tool = {"type": "mcp", "name": "files", "command": [sys.executable, "slow.py"], "startup_seconds": 2}
    (folder / "victor.yml").write_text(f"{OFFLINE}tools: [{json.dumps(tool)}]\n")
    with terminal(folder, "run", "victor.yml", "hello", TERM="xterm") as run:
        run.until(lambda rows: any(row.startswith("opening tools/files (") for row in rows))
        code, rows = run.ended()
    assert code == 3
    assert rows[0].startswith("error: tools/files: ")
    assert "did not answer within 2 s" in "".join(rows)
    assert not any("opening" in row for row in rows)


def test_log_lines_are_above_the_progress_bar(folder: Path) -> None:
    (folder / "victor.yml").write_text(OFFLINE + "middleware: [logging]\n")
    (folder / "in.jsonl").write_text('{"message": "one"}\n' * 30)
    arguments = ("run", "victor.yml", "--input", "in.jsonl", "--output", "out.jsonl")
    with terminal(folder, *arguments, TERM="xterm") as run:
        code, rows = run.ended()
    begun = [row for row in rows if re.match(r"\d\d:\d\d:\d\d info turn session=", row)]
    assert (code, len(begun)) == (0, 30)
    assert sum("info turn" in row for row in rows) == 30
    assert rows[-1].startswith("30 lines answered, in ")


@pytest.mark.parametrize("pipe", ["", "cat"])
def test_reply_lines_on_a_terminal_are_whole(folder: Path, pipe: str) -> None:
    (folder / "victor.yml").write_text(OFFLINE + "middleware: [logging]\n")
    (folder / "in.jsonl").write_text('{"message": "one"}\n' * 30)
    with terminal(folder, "run", "victor.yml", "--input", "in.jsonl", pipe=pipe, TERM="xterm") as run:
        code, shown = run.end()
    lines = [json.loads(line) for line in shown.splitlines() if line.startswith("{")]
    assert (code, sorted(line["id"] for line in lines)) == (0, list(range(1, 31)))
    assert sum(" info turn session=" in line for line in shown.splitlines() if line[:1].isdigit()) == 30
