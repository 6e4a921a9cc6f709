"""Runs a command's coroutine to its end; SIGTERM ends it as Ctrl-C does, with everything closed."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

import click

T = TypeVar("T")

EXIT_TERMINATED = 128 + signal.SIGTERM


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """The coroutine's result. Raises KeyboardInterrupt on SIGINT; ends the command with 143 on SIGTERM."""
    terminated = False

    async def guarded() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def terminate() -> None:
            nonlocal terminated
            terminated = True
            if task is not None:
                task.cancel()

        loop.add_signal_handler(signal.SIGTERM, terminate)
        try:
            return await coroutine
        finally:
            loop.remove_signal_handler(signal.SIGTERM)

    gc.freeze()
    gc.enable()
    try:
        return asyncio.run(guarded())
    except asyncio.CancelledError:
        if terminated:
            raise click.exceptions.Exit(EXIT_TERMINATED) from None
        raise
