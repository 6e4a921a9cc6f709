"""The prompt of a chat: on a terminal with editing, history, pasted text as one message, and log lines above it."""

from __future__ import annotations

import asyncio
import os
import sys
import termios
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Protocol

from victor_dsl.interfaces.cli.output import say
from victor_dsl.interfaces.cli.terminal import written_above
from victor_dsl.lazy import Lazy
from victor_dsl.workbench.batch.lines import chunks

if TYPE_CHECKING:
    import prompt_toolkit
    from prompt_toolkit import application, completion, key_binding
    from prompt_toolkit.output import vt100
else:
    prompt_toolkit = Lazy("prompt_toolkit")
    application = Lazy("prompt_toolkit.application")
    completion, key_binding = Lazy("prompt_toolkit.completion"), Lazy("prompt_toolkit.key_binding")
    vt100 = Lazy("prompt_toolkit.output.vt100")

PROMPT = "> "

HOW_TO_LEAVE = "(/quit or Ctrl-D ends the chat)"


class Asks(Protocol):
    """Where the messages of a chat come from."""

    def messages(self) -> AsyncIterator[str]:
        """The messages, until there are no more."""
        ...

    def interrupt(self) -> None:
        """Takes Ctrl-C while a message is waited for."""
        ...


class Prompt:
    """Asks for messages. What is written to the terminal meanwhile appears above the prompt, with what was typed so far."""

    def __init__(self, commands: Sequence[str]) -> None:
        self._stream = sys.stdout
        self._loop = asyncio.get_running_loop()
        output = vt100.Vt100_Output.from_pty(self._stream, os.environ.get("TERM"))
        output.enable_cpr = False  # asking where the cursor is leaves its answer behind on slow connections
        keys = key_binding.KeyBindings()
        keys.add("escape", "enter")(lambda event: event.current_buffer.insert_text("\n"))
        self._session: prompt_toolkit.PromptSession[str] = prompt_toolkit.PromptSession(
            PROMPT,
            output=output,
            key_bindings=keys,
            completer=completion.WordCompleter(list(commands), sentence=True),
            complete_while_typing=False,
            enable_suspend=True,
            reserve_space_for_menu=0,
            prompt_continuation="  ",
        )

    async def messages(self) -> AsyncIterator[str]:
        """What is typed, until Ctrl-D."""
        while True:
            try:
                with written_above(self):
                    message = await self._session.prompt_async(set_exception_handler=False, handle_sigint=False)
            except EOFError:
                return
            except KeyboardInterrupt:
                say(HOW_TO_LEAVE)
                continue
            yield message

    def interrupt(self) -> None:
        """Gives up what was typed so far, as Ctrl-C does."""
        if self._session.app.is_running:
            self._session.app.exit(exception=KeyboardInterrupt)

    def above(self, lines: str) -> None:
        """Shows lines above the prompt, and the prompt anew. Any thread may call it."""

        def write() -> None:
            self._stream.write(lines)
            self._stream.flush()

        self._loop.call_soon_threadsafe(application.run_in_terminal, write)


@contextmanager
def without_echo() -> Iterator[None]:
    """While it is entered, a terminal does not show what is typed, which would run into a reply."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    mode = [*before]
    mode[3] &= ~termios.ECHO
    termios.tcsetattr(sys.stdin, termios.TCSANOW, mode)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, before)


class Lines:
    """Takes each line of standard input as a message, with `prompt` before it."""

    def __init__(self, prompt: str) -> None:
        self._stream = sys.stdout
        self._prompt = prompt

    async def messages(self) -> AsyncIterator[str]:
        """The lines."""
        # Unbuffered: a thread that waits inside a buffered reader holds a lock that Python needs to exit.
        stream = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
        rest = b""
        async with aclosing(chunks(stream)) as read:
            self._ask()
            async for chunk in read:
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield line.decode("utf-8", "replace")
                    self._ask()
        if rest:
            yield rest.decode("utf-8", "replace")
        if self._prompt:
            say("")

    def interrupt(self) -> None:
        """Says how to leave; the terminal has discarded what was typed."""
        say(f"\n{HOW_TO_LEAVE}")
        self._ask()

    def _ask(self) -> None:
        self._stream.write(self._prompt)
        self._stream.flush()
