"""Delivers events to every exporter, each at its own pace: none delays another, or a turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from attrs import evolve

from victor_dsl.language.boundary import internal_error, is_fault
from victor_dsl.runtime.delivery.queue import ExporterQueue
from victor_dsl.values.event import Event

FLUSH_SECONDS = 10.0
"""How long closing waits for the events that are still queued."""


@runtime_checkable
class Watching(Protocol):
    """An exporter that shows the state of the delivery to all exporters."""

    def watch(self, statuses: Callable[[], Sequence[Mapping[str, Any]]]) -> None:
        """Takes a function that returns the current status of every exporter's queue."""
        ...


class Delivery:
    """The queues of all exporters and their tasks, from `open` to `close`."""

    def __init__(self, queues: Sequence[ExporterQueue]) -> None:
        self.queues = tuple(queues)
        self.wants_contents = any(queue.wants_contents for queue in self.queues)
        self._tasks: dict[ExporterQueue, asyncio.Task[None]] = {}

    def open(self) -> None:
        """Starts a task for each exporter that has none."""
        for queue in self.queues:
            if queue not in self._tasks:
                self._tasks[queue] = asyncio.create_task(queue.run(), name=f"delivery to {queue.node}")
                if isinstance(queue.exporter, Watching):
                    try:
                        queue.exporter.watch(self.statuses)
                    except BaseException as error:
                        if not is_fault(error):
                            raise
                        internal_error(error, queue.node)  # logged; it takes events all the same

    def replace(self, queues: Sequence[ExporterQueue]) -> Delivery:
        """Delivers to these queues from now on. The other present ones go on in the returned delivery, to be closed."""
        leaving = Delivery([queue for queue in self.queues if queue not in queues])
        for queue in leaving.queues:
            leaving._tasks[queue] = self._tasks.pop(queue)
        self.queues = tuple(queues)
        self.wants_contents = any(queue.wants_contents for queue in self.queues)
        self.open()
        return leaving

    def put(self, event: Event) -> None:
        """Queues the event for every exporter, with contents for those that want them. Never waits, never raises."""
        plain = event if event.contents is None else evolve(event, contents=None)
        for queue in self.queues:
            queue.put(event if queue.wants_contents else plain)

    def statuses(self) -> list[dict[str, Any]]:
        """The status of the delivery to each exporter."""
        return [queue.status().as_json() for queue in self.queues]

    async def close(self) -> dict[str, int]:
        """Delivers what is queued; after `FLUSH_SECONDS`, moves the rest to the dead letters.

        Returns how many events each exporter has lost altogether.
        """
        for queue in self.queues:
            queue.close()
        late = await _end(self._tasks)
        self._tasks = {}
        # Putting events aside is reported, and a report is an event for every exporter. Those that work get it in a
        # second run; for the others it goes to the dead letters, too, or closing would wait for them again.
        working = [queue for queue in self.queues if queue.fault is None and queue not in late]
        for queue in self.queues:
            if queue not in working:
                await queue.put_rest_aside()
        await _end({queue: asyncio.create_task(queue.run(), name=f"delivery to {queue.node}") for queue in working})
        for queue in [*self.queues, *self.queues]:  # twice, for the reports that the first time makes
            await queue.put_rest_aside()
        return {queue.node: queue.dropped for queue in self.queues if queue.dropped}


async def _end(tasks: Mapping[ExporterQueue, asyncio.Task[None]]) -> set[ExporterQueue]:
    """Waits `FLUSH_SECONDS` for the tasks to end and cancels the late ones; returns the queues of those."""
    if not tasks:
        return set()
    _, late = await asyncio.wait(tasks.values(), timeout=FLUSH_SECONDS)
    for task in late:
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)
    return {queue for queue, task in tasks.items() if task in late}
