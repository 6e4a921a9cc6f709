"""The pipelines that are open: each plan's is opened when first needed, and the least recently used are closed."""

from __future__ import annotations

from attrs import define

from victor_dsl.graph.plan import Plan
from victor_dsl.language.component import Clock
from victor_dsl.runtime.build import Held, LiveObjects
from victor_dsl.runtime.coordinators.context import ContextMemory
from victor_dsl.runtime.pipeline import Pipeline, path_nodes
from victor_dsl.runtime.sessions import SessionLocks

OPEN_PLANS = 256
"""How many plans stay open while no turn holds them."""


@define(eq=False)
class _Open:
    pipeline: Pipeline
    held: Held
    turns: int = 0


class Pipelines:
    """Opens and closes pipelines for the turns that take them."""

    def __init__(
        self,
        live: LiveObjects,
        clock: Clock,
        *,
        answering: bool,
        memory: ContextMemory | None = None,
        most: int = OPEN_PLANS,
    ) -> None:
        self._live = live
        self._memory = memory or ContextMemory()
        self._clock = clock
        self._answering = answering
        self._most = most
        self._open: dict[Plan, _Open] = {}
        self._opening = SessionLocks()

    def __len__(self) -> int:
        return len(self._open)

    async def take(self, plan: Plan) -> Pipeline:
        """The plan's pipeline, held open until it is given back. Raises ComponentError where it cannot be opened."""
        entry = self._open.pop(plan, None)
        if entry is None:
            async with self._opening.hold(plan):
                entry = self._open.pop(plan, None) or await self._opened(plan)
        self._open[plan] = entry  # last: the most recently used
        entry.turns += 1
        return entry.pipeline

    def give_back(self, plan: Plan) -> None:
        """Says that a turn which took the pipeline is over."""
        self._open[plan].turns -= 1

    async def close(self) -> None:
        """Closes all, last opened first."""
        while self._open:
            _, entry = self._open.popitem()
            await self._live.release(entry.held)

    async def _opened(self, plan: Plan) -> _Open:
        idle = [old for old, entry in self._open.items() if not entry.turns]
        for old in idle[: max(0, len(self._open) + 1 - self._most)]:
            await self._live.release(self._open.pop(old).held)
        models = {name: await self._memory.estimates.window(plan.by_id[id]) for name, id in plan.roles.models.items()}
        held = await self._live.open(path_nodes(plan, answering=self._answering))
        return _Open(Pipeline(plan, held.objects, self._clock, self._memory.compactions, models), held)
