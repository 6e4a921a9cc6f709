"""A chat: one session, message by message, from a terminal or from lines of standard input."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable

import click
from attrs import define, evolve, field

from victor_dsl.errors import EXIT_OK, VictorError
from victor_dsl.graph.plan import Program
from victor_dsl.interfaces.cli import running
from victor_dsl.interfaces.cli.caller import Caller
from victor_dsl.interfaces.cli.output import error_line, harmless, print_json, say
from victor_dsl.interfaces.cli.pages import page_text
from victor_dsl.interfaces.cli.prompt import PROMPT, Asks, Lines, Prompt, without_echo
from victor_dsl.interfaces.cli.render_page import render_page
from victor_dsl.interfaces.cli.replies import Page
from victor_dsl.interfaces.cli.why_page import why_page
from victor_dsl.interfaces.watching import Compile, Watcher, imported_by_others, watched
from victor_dsl.interfaces.why import why
from victor_dsl.nearest import suggest
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.values.event import uuid7
from victor_dsl.values.message import Reply

COMMANDS = {
    "/help": "this list",
    "/render [MESSAGE]": "what the model would be sent for the next message",
    "/why KEY": "which layers set a value or a piece of the prompt",
    "/new": "begin a new session",
    "/quit": "end the chat; so does Ctrl-D",
}

A_MESSAGE = "(the next message)"
"""Stands for it in `/render`."""

_COMMAND = re.compile(r"(/[A-Za-z]+)(?:\s+(.*))?", re.DOTALL)


def chat(program: Program, caller: Caller, recompile: Compile, *, watch: bool, as_json: bool) -> int:
    """Answers messages until `/quit` or the end of the input; Ctrl-C stops an answer, not the chat.

    SIGHUP, and with `watch` a change of the spec's files, reloads the spec, which `recompile` compiles.

    The exit code: 0 on a terminal, where the user saw each error; elsewhere 3 when a message was not answered.
    """
    caller = evolve(caller, session=caller.session or uuid7())
    talk = _Chat(program, caller, recompile, watch=watch, as_json=as_json, on_terminal=sys.stdin.isatty())
    return running.run(talk.run(), on_signal=talk.interrupt)


@define(eq=False)
class _Chat:
    program: Program
    caller: Caller
    recompile: Compile
    watch: bool
    as_json: bool
    on_terminal: bool
    page: Page = field(factory=Page)
    worst: int = EXIT_OK
    answering: asyncio.Task[Reply] | None = None
    asks: Asks | None = None

    def interrupt(self, number: int) -> bool:
        """Takes SIGINT where it stops an answer, or belongs to the prompt."""
        if number != signal.SIGINT or self.asks is None or not self.on_terminal:
            return False
        if self.answering is not None:
            self.answering.cancel()
        else:
            self.asks.interrupt()
        return True

    async def run(self) -> int:
        """Answers until the end; the exit code."""
        if self.on_terminal:
            say(
                f"{harmless(self.program.name)}: /help lists the commands, Ctrl-C stops an answer, Ctrl-D ends the chat"
            )
        orchestrator = Orchestrator(self.program)
        others = imported_by_others(self.program) if self.watch else ()
        async with (
            running.shown_opening(orchestrator),
            watched(orchestrator, self.recompile, spec=self.watch, kept=others) as watcher,
        ):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, watcher.request)
            self.asks = self._asks()
            async for message in self.asks.messages():
                command = _COMMAND.fullmatch(message.rstrip())
                if command is not None and command[1] in ("/quit", "/exit"):
                    break
                if command is not None:
                    await self._command(command[1], (command[2] or "").strip(), orchestrator)
                elif message.strip():
                    await self._answer(message.strip(), orchestrator, watcher)
        return EXIT_OK if self.on_terminal else self.worst

    def _asks(self) -> Asks:
        shows = self.on_terminal and sys.stdout.isatty()
        if shows and os.environ.get("TERM") != "dumb":
            return Prompt([name.split()[0] for name in COMMANDS])
        return Lines(PROMPT if shows else "")

    async def _answer(self, message: str, orchestrator: Orchestrator, watcher: Watcher) -> None:
        emit = self.page.emit if self.page.streams and not self.as_json else None

        async def answer() -> Reply:
            await watcher.look()  # a prompt that was just edited answers this message
            return await orchestrator.answer(self.caller.request(message), emit)

        with without_echo(), self.page.answering():
            self.answering = asyncio.create_task(answer(), name="answer")
            try:
                reply = await self.answering
            except asyncio.CancelledError:
                self.page.break_off()
                if asyncio.current_task().cancelling():  # type: ignore[union-attr]
                    raise
                say("(stopped)")
            else:
                self.worst = max(self.worst, self.page.show(reply, as_json=self.as_json))
            finally:
                if not self.answering.done():
                    self.answering.cancel()
                    await asyncio.wait([self.answering])
                self.answering = None

    async def _command(self, name: str, rest: str, orchestrator: Orchestrator) -> None:
        commands: dict[str, Callable[[str, Orchestrator], Awaitable[None]]] = {
            "/help": self._help,
            "/render": self._render,
            "/why": self._why,
            "/new": self._new,
        }
        if name not in commands:
            say(
                f"there is no command {name}; {suggest(name, [*commands, '/quit'])}. A message may begin with '/' after a blank."
            )
            return
        try:
            await commands[name](rest, orchestrator)
        except VictorError as error:
            say(error_line(str(error)))

    async def _help(self, _: str, __: Orchestrator) -> None:
        width = max(map(len, COMMANDS))
        say("\n".join(f"{name:{width}}  {what}" for name, what in COMMANDS.items()))

    async def _new(self, _: str, __: Orchestrator) -> None:
        self.caller = evolve(self.caller, session=uuid7())
        say(f"a new session begins: {self.caller.session}")

    async def _render(self, message: str, orchestrator: Orchestrator) -> None:
        rendered = await orchestrator.render(self.caller.request(message or A_MESSAGE))
        if sys.stdout.isatty() and not self.as_json:
            click.echo(page_text(render_page(rendered, orchestrator.program.file)), nl=False, color=True)
        else:
            print_json(rendered.to_dict())

    async def _why(self, key: str, orchestrator: Orchestrator) -> None:
        if not key:
            say("name a setting, a var, an input or a piece of the prompt: /why temperature")
            return
        rendered = await orchestrator.render(self.caller.request(A_MESSAGE))
        found = why(orchestrator.program, rendered, key)
        if self.as_json:
            print_json(found.as_json())
        else:
            click.echo(page_text(why_page(found)), nl=False)
