"""A chat: one session, message by message, from a terminal or from lines of standard input."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from attrs import evolve

from victor_dsl.errors import EXIT_OK
from victor_dsl.graph.plan import Program
from victor_dsl.interfaces.cli.caller import Caller
from victor_dsl.interfaces.cli.output import Page, say
from victor_dsl.interfaces.watching import Compile, Watcher, watched
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.values.event import uuid7
from victor_dsl.values.message import Reply
from victor_dsl.values.turn import Emit

PROMPT = "> "
QUIT = ("/quit", "/exit")

Ask = Callable[[str, Emit | None], Reply]


def chat(program: Program, caller: Caller, recompile: Compile, *, watch: bool, as_json: bool) -> int:
    """Answers messages until `/quit` or the end of the input; Ctrl-C stops an answer, not the chat.

    SIGHUP, and with `watch` a change of the spec's files, reloads the spec, which `recompile` compiles.

    The exit code: 0 on a terminal, where the user saw each error; elsewhere 3 when a message was not answered.
    """
    caller = evolve(caller, session=caller.session or uuid7())
    on_terminal = sys.stdin.isatty()
    if on_terminal:
        say(f"{program.name}: /quit or Ctrl-D ends the chat, Ctrl-C stops an answer.")
    page, worst = Page(), EXIT_OK
    with _conversation(program, caller, recompile, watch=watch) as ask:
        for message in _messages_typed() if on_terminal else _messages_piped():
            try:
                answer = ask(message, page.emit if page.streams and not as_json else None)
            except KeyboardInterrupt:
                page.break_off()
                if not on_terminal:
                    raise
                say("(stopped)")
                continue
            worst = max(worst, page.show(answer, as_json=as_json))
    return EXIT_OK if on_terminal else worst


def _messages_typed() -> Iterator[str]:
    with contextlib.suppress(ImportError):
        importlib.import_module("readline")  # where it exists, input() has editing and history
    prompt = PROMPT if sys.stdout.isatty() else ""
    while True:
        try:
            message = input(prompt).strip()
        except EOFError:
            say("")
            return
        except KeyboardInterrupt:
            say("\n(/quit or Ctrl-D ends the chat)")
            continue
        if message in QUIT:
            return
        if message:
            yield message


def _messages_piped() -> Iterator[str]:
    for text in sys.stdin:
        message = text.strip()
        if message in QUIT:
            return
        if message:
            yield message


@contextmanager
def _conversation(program: Program, caller: Caller, recompile: Compile, *, watch: bool) -> Iterator[Ask]:
    """A function that answers a message. The event loop runs in another thread, so that this one can wait for the keyboard.

    An interrupt while it waits for an answer cancels that answer, and is raised again when the answer has ended.
    """
    opened: Future[tuple[asyncio.AbstractEventLoop, Orchestrator, Watcher]] = Future()
    closing: list[Callable[[], object]] = []

    async def live() -> None:
        done = asyncio.Event()
        loop = asyncio.get_running_loop()
        async with Orchestrator(program) as orchestrator, watched(orchestrator, recompile, spec=watch) as watcher:
            closing.append(lambda: loop.call_soon_threadsafe(done.set))
            opened.set_result((loop, orchestrator, watcher))
            await done.wait()

    def serve() -> None:
        # Ctrl-C must reach the thread at the keyboard: delivered here, it would not wake that one. Threads and tool
        # servers that this thread starts inherit the mask.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            asyncio.run(live())
        except BaseException as error:  # noqa: BLE001 - passed to the thread that waits
            ended.set_exception(error)
            if not opened.done():
                opened.set_exception(error)
        else:
            ended.set_result(None)

    ended: Future[None] = Future()
    threading.Thread(target=serve, name="conversation").start()
    loop, orchestrator, watcher = opened.result()

    def ask(message: str, emit: Emit | None) -> Reply:
        async def answer() -> Reply:
            try:
                await watcher.look()  # a prompt that was just edited answers this message
                return await orchestrator.answer(caller.request(message), emit)
            finally:
                over.set()

        over = threading.Event()
        future = asyncio.run_coroutine_threadsafe(answer(), loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            over.wait()
            raise

    try:
        with _signals(lambda: loop.call_soon_threadsafe(watcher.request)):
            yield ask
    finally:
        closing[0]()
        ended.result()


@contextmanager
def _signals(reload: Callable[[], object]) -> Iterator[None]:
    """Lets SIGTERM end the chat with everything closed, and SIGHUP reload the spec."""

    def end(number: int, _: object) -> None:
        sys.exit(128 + number)

    def again(_: int, __: object) -> None:
        reload()

    handlers = {signal.SIGTERM: end, signal.SIGHUP: again}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
