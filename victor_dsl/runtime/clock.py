"""The system's clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable

from attrs import frozen


@frozen
class SystemClock:
    """The machine's time. A turn asks for it some twenty times, so the functions of `time` are the methods."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Waits."""
        return asyncio.sleep(seconds)
