"""Shows what is waited for while the parts of a spec open and close: `opening tools/files (npx …) 2 s`, on a terminal alone."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import click

from victor_dsl.interfaces.cli.output import harmless, is_colourful
from victor_dsl.interfaces.cli.terminal import written_above
from victor_dsl.runtime.nodes import Waiting
from victor_dsl.runtime.orchestrator import Orchestrator

SHOWN_AFTER_S = 0.5
"""What takes less is not shown."""

PERIOD_S = 0.1


class Waits:
    """A line on stderr that is drawn from a thread, since an import may block the event loop. It is erased when nothing is waited for."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self._stream = sys.stderr
        self._open = ExitStack()
        self._lock = threading.RLock()
        self._line = ""
        self._active = True
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self._stream.isatty() and os.environ.get("TERM") != "dumb":  # what is drawn must be erased again
            self._open.enter_context(written_above(self))
            self._thread = threading.Thread(target=self._draw_on, name="waits", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        self._show("")
        self._open.close()

    def pause(self) -> None:
        """Leaves the terminal to others."""
        with self._lock:
            self._active = False
            self._show("")
            self._open.close()

    def resume(self) -> None:
        """Shows again what is waited for."""
        with self._lock:
            self._active = True
            if self._thread is not None:
                self._open.enter_context(written_above(self))

    def above(self, lines: str) -> None:
        """Shows lines above the line."""
        with self._lock:
            line = self._line
            self._show("")
            self._stream.write(lines)
            self._show(line)

    def _draw_on(self) -> None:
        while not self._ended.wait(PERIOD_S):
            with self._lock:
                if self._active:
                    self._show(waits_line(self._orchestrator.waiting(), time.monotonic()))

    def _show(self, line: str) -> None:
        if line or self._line:
            columns = max(10, shutil.get_terminal_size().columns - 1)
            shown = line if len(line) <= columns else f"{line[: columns - 1]}…"
            self._stream.write(
                "\r\x1b[K" + (click.style(shown, dim=True) if shown and is_colourful(self._stream) else shown)
            )
            self._stream.flush()
        self._line = line


def waits_line(waiting: list[Waiting], now: float) -> str:
    """What is waited for longest, and how many others; empty while that is short."""
    waiting = [each for each in waiting if now - each.since >= SHOWN_AFTER_S]
    if not waiting:
        return ""
    first, others = waiting[0], len(waiting) - 1
    command = getattr(first.node.config, "command", None)
    program = ""
    if isinstance(command, list | tuple) and command:
        program = f" ({harmless(str(command[0]))}{' …' if command[1:] else ''})"
    more = f", and {others} more" if others else ""
    return f"{first.verb} {first.node.id}{program}{more} {now - first.since:.0f} s"
