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
        late = await _end(self._tasks)
        self._tasks = {}
        well = [queue for queue in self.queues if queue.fault is None and queue not in late]
        for queue in self.queues:
            if queue not in well:
                await queue.put_rest_aside()
        # To put events aside is reported, and the reports are for those who take events.
        await _end({queue: asyncio.create_task(queue.run(), name=f"delivery to {queue.node}") for queue in well})
        for queue in self.queues:
            await queue.put_rest_aside()
        return {queue.node: queue.dropped for queue in self.queues if queue.dropped}


async def _end(tasks: Mapping[ExporterQueue, asyncio.Task[None]]) -> set[ExporterQueue]:
    """Waits for the tasks as long as FLUSH_SECONDS, and ends those that are late; says which these were."""
    if not tasks:
        return set()
    _, late = await asyncio.wait(tasks.values(), timeout=FLUSH_SECONDS)
    for task in late:
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)
    return {queue for queue, task in tasks.items() if task in late}
