"""One program, open: what the orchestrator swaps whole when the spec changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from victor_dsl.graph.plan import Node, Program
from victor_dsl.language.component import Clock
from victor_dsl.runtime.build import Held, LiveObjects
from victor_dsl.runtime.coordinators.analytics import AnalyticsCoordinator
from victor_dsl.runtime.coordinators.context import ContextMemory
from victor_dsl.runtime.flight import Flight
from victor_dsl.runtime.middleware import chain
from victor_dsl.runtime.pipelines import Pipelines
from victor_dsl.runtime.runner import Runner
from victor_dsl.runtime.sessions import SessionLocks
from victor_dsl.storage.ending import to_the_end
from victor_dsl.values.turn import Handler


class Generation:
    """A program with its base plan held open, its pipelines, and the turns in flight on it.

    Live objects, session locks and what is remembered of contexts are the process's, shared with the generations before and after.
    """

    def __init__(
        self,
        program: Program,
        live: LiveObjects,
        locks: SessionLocks,
        analytics: AnalyticsCoordinator,
        clock: Clock,
        memory: ContextMemory,
        *,
        answering: bool,
    ) -> None:
        self.program = program
        self.flight = Flight()
        self.pipelines = Pipelines(live, clock, answering=answering, memory=memory)
        self.runner = Runner(program, self.pipelines, analytics, locks)
        self.handler: Handler = self.runner.run
        self._live = live
        self._answering = answering
        self._held: Held | None = None

    @property
    def trusts_callers(self) -> bool:
        """Whether callers are who they say: there is no `auth` to tell."""
        return not self.program.plan_for(None, {}).roles.admission

    async def open(self) -> None:
        """Opens the base plan. Raises ComponentError or SecretError, and then holds nothing."""
        base = self.program.plan_for(None, {})
        try:
            if self._answering:
                self._held = await self._live.open(base.nodes)
                self.handler = chain([(id, self._held.objects[id]) for id in base.roles.admission], self.runner.run)
            await self.pipelines.take(base)
        except BaseException:
            await to_the_end(self.close())
            raise

    def exporters(self) -> Mapping[str, tuple[Node, Any]]:
        """Each exporter's node and live object, by node id; none where nothing is answered."""
        base = self.program.plan_for(None, {})
        if self._held is None:
            return {}
        return {id: (base.by_id[id], self._held.objects[id]) for id in base.roles.exporters}

    async def close(self) -> None:
        """Closes the pipelines and lets go of the base plan. The turns in flight have ended before."""
        await self.pipelines.close()
        if self._held is not None:
            held, self._held = self._held, None
            await self._live.release(held)
