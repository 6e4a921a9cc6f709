"""Work that must be ended although its caller is cancelled: closing what was opened."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """What `work` gives. Cancelled, it first lets the work end, and is cancelled then."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
        except Exception:  # noqa: BLE001 - `result` below raises it
            break
    if cancelled is not None:
        task.exception()  # it is looked at, so that asyncio does not complain
        raise cancelled
    return task.result()
