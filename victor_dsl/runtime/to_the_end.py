"""Work that a cancellation may not tear: it is finished first, and the cancellation goes on after."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Awaits the work in a task of its own, whole even when the caller is cancelled meanwhile.

    The cancellation is raised when the work is done; what the work raises is then lost to it.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # seen: a task that failed unseen is logged when it is collected
        raise cancelled
    return task.result()
