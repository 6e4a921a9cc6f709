"""Delivers events to every exporter, each at its own pace: none holds up another, or a turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from victor_dsl.runtime.delivery.queue import ExporterQueue
from victor_dsl.values.event import Event

FLUSH_SECONDS = 10.0
"""How long closing waits for the events that are still queued."""


@runtime_checkable
class Watching(Protocol):
    """An exporter that shows how the delivery to all exporters stands."""

    def watch(self, statuses: Callable[[], Sequence[Mapping[str, Any]]]) -> None:
        """Takes the function that tells, each time it is called, the status of every exporter's queue."""
        ...


class Delivery:
    """The queues of all exporters and their tasks, from `open` to `close`."""

    def __init__(self, queues: Sequence[ExporterQueue]) -> None:
        self.queues = tuple(queues)
        self._tasks: dict[ExporterQueue, asyncio.Task[None]] = {}

    def open(self) -> None:
        """Starts a task for each exporter."""
        for queue in self.queues:
            if queue not in self._tasks:
                self._tasks[queue] = asyncio.create_task(queue.run(), name=f"delivery to {queue.node}")
                if isinstance(queue.exporter, Watching):
                    queue.exporter.watch(self.statuses)

    def replace(self, queues: Sequence[ExporterQueue]) -> Delivery:
        """Delivers to these from now on. Those that are no more among them go on in the delivery given back, to close."""
        ending = Delivery([queue for queue in self.queues if queue not in queues])
        for queue in ending.queues:
            ending._tasks[queue] = self._tasks.pop(queue)
        self.queues = tuple(queues)
        self.open()
        return ending

    def put(self, event: Event) -> None:
        """Queues the event for every exporter. Never waits, never raises."""
        for queue in self.queues:
            queue.put(event)

    def statuses(self) -> list[dict[str, Any]]:
        """How the delivery to each exporter stands."""
        return [queue.status().as_json() for queue in self.queues]

    async def close(self) -> dict[str, int]:
        """Delivers what is queued, as far as `FLUSH_SECONDS` allow, and puts the rest into the dead letters.

        Says how many events each exporter has lost altogether.
        """
        for queue in self.queues:
            queue.close()
        if self._tasks:
            tasks = self._tasks.values()
            _, late = await asyncio.wait(tasks, timeout=FLUSH_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for queue in self.queues:
            await queue.put_rest_aside()
        self._tasks = {}
        return {queue.node: queue.dropped for queue in self.queues if queue.dropped}
