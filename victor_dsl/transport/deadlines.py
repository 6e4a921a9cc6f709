"""One time limit for many tasks, with one timer for all of them."""

from __future__ import annotations

import asyncio
from types import TracebackType

from attrs import define, field


@define
class Deadlines:
    """Limits the time of tasks that all have the same limit: `with deadlines.limit():` raises TimeoutError.

    `asyncio.timeout` sets a timer for each task. That is a twentieth of the cost of a model call, for timers of which
    almost none ever fires. A task may be inside one limit at a time.
    """

    seconds: float
    _limits: dict[asyncio.Task[object], _Limit] = field(init=False, factory=dict)  # the earliest deadline first
    _timer: asyncio.TimerHandle | None = field(init=False, default=None)

    def limit(self) -> _Limit:
        """The limit of the current task, from now on."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        if task is None:
            raise RuntimeError("a time limit needs a task")
        limit = self._limits[task] = _Limit(self._limits, task, loop.time() + self.seconds, task.cancelling())
        if self._timer is None:
            self._timer = loop.call_at(limit.deadline, self._cancel_late)
        return limit

    def close(self) -> None:
        """Stops the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _cancel_late(self) -> None:
        loop, self._timer = asyncio.get_running_loop(), None
        for task, limit in self._limits.items():
            if limit.deadline > loop.time():
                self._timer = loop.call_at(limit.deadline, self._cancel_late)
                return
            if not limit.expired:
                limit.expired = True
                task.cancel()


@define(eq=False)
class _Limit:
    limits: dict[asyncio.Task[object], _Limit]
    task: asyncio.Task[object]
    deadline: float
    cancelling: int  # how many cancellations the task had before this one
    expired: bool = False

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del self.limits[self.task]
        # As `asyncio.timeout` does it: a cancellation from elsewhere, at the same time, is passed on.
        if self.expired and self.task.uncancel() <= self.cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error
