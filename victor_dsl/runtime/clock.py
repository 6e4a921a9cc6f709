"""The system's clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable

from attrs import frozen


@frozen
class SystemClock:
    """Time as the machine tells it."""

    def now(self) -> float:
        """Unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Waits."""
        return asyncio.sleep(seconds)
