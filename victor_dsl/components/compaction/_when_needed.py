"""A strategy that is loaded when a history first needs it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from victor_dsl.language.kinds import Compaction
from victor_dsl.values.history import Choice, History
from victor_dsl.values.turn import Turn


class WhenNeeded:
    """Stands for a strategy whose parts take long to import, until it is first asked to choose."""

    def __init__(self, load: Callable[[], Compaction]) -> None:
        self._load = load
        self._loading = asyncio.Lock()
        self._strategy: Compaction | None = None

    async def choose(self, history: History, budget: int, turn: Turn) -> Choice:
        if self._strategy is None:
            async with self._loading:
                if self._strategy is None:
                    self._strategy = await asyncio.to_thread(self._load)
        return await self._strategy.choose(history, budget, turn)
