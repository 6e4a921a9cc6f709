"""The pipelines that are open: each plan's is opened when first needed, and the least recently used are closed."""

from __future__ import annotations

import asyncio
from typing import Any

from attrs import define

from victor_dsl.errors import ComponentError
from victor_dsl.graph.plan import Node, Plan
from victor_dsl.language.component import Clock
from victor_dsl.runtime.boundary import component_error, is_fault
from victor_dsl.runtime.build import Held, LiveObjects
from victor_dsl.runtime.coordinators.kept_before import KeptBefore
from victor_dsl.runtime.pipeline import Pipeline, path_nodes
from victor_dsl.runtime.sessions import SessionLocks
from victor_dsl.runtime.token_estimates import TokenEstimates
from victor_dsl.runtime.windows import Counted

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
        estimates: TokenEstimates | None = None,
        most: int = OPEN_PLANS,
    ) -> None:
        self._live = live
        self._estimates = estimates or TokenEstimates()
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
        models = {name: await self._counted(plan.by_id[id]) for name, id in plan.roles.models.items()}
        held = await self._live.open(path_nodes(plan, answering=self._answering))
        kept = self._live.kept(plan.roles.compaction).setdefault("kept before", KeptBefore())
        return _Open(Pipeline(plan, held.objects, self._clock, kept, models), held)

    async def _counted(self, node: Node) -> Counted:
        """How a model counts. What was learnt goes by what its server knows it as, whatever its name in a spec."""
        config: Any = node.config
        try:
            count = await asyncio.to_thread(config.counter)
        except BaseException as error:
            if not is_fault(error):
                raise
            failure = component_error(error)
            message = f"{node.place}: cannot be opened: {failure.message}"
            raise ComponentError(message, node=node.id, hint=failure.hint) from error
        named = getattr(config, "model", None) or node.id
        identity = (node.type, named, getattr(config, "base_url", None), count is not None)
        return Counted(config.window(), self._estimates.of(identity), count)
