"""The turns in flight, so that closing can wait for them."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any

DRAIN_SECONDS = 30.0
"""How long closing waits for the turns in flight before it cancels them."""


class Flight:
    """`with flight:` around a turn says that its task is in flight. A task may nest turns."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[Any], int] = {}
        self._landed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._tasks)

    def __enter__(self) -> None:
        task = _current()
        self._tasks[task] = self._tasks.get(task, 0) + 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task = _current()
        self._tasks[task] -= 1
        if not self._tasks[task]:
            del self._tasks[task]
            if not self._tasks:
                self._landed.set()

    async def drain(self) -> None:
        """Waits until no turn is in flight; those that take longer than `DRAIN_SECONDS` are cancelled."""
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await self.landed()
        except TimeoutError:
            for task in self._tasks:
                task.cancel()
            await self.landed()

    async def landed(self) -> None:
        """Waits until no turn is in flight."""
        while self._tasks:
            self._landed.clear()
            await self._landed.wait()


def _current() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None, "a turn runs inside a task"
    return task
