"""The time limit of a call, which begins anew whenever the callee reports progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from victor_dsl.lazy import Lazy

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = Lazy("asyncio")

MOST_TIMES = 10
"""How many times its limit a call may take, however much progress is reported."""

_renew: ContextVar[Callable[[], None] | None] = ContextVar("renew", default=None)


def renewal() -> Callable[[], None]:
    """What a callee calls when it makes progress; it may be called from any task of the loop, and after the call."""
    return _renew.get() or _nothing


@contextmanager
def renewable(limit: asyncio.Timeout, seconds: float) -> Iterator[None]:
    """Lets `renewal()` begin the limit's seconds anew while it is entered, inside of the limit."""
    now = asyncio.get_running_loop().time
    last = now() + MOST_TIMES * seconds
    running = True

    def renew() -> None:
        if running and not limit.expired():
            limit.reschedule(min(now() + seconds, last))

    token = _renew.set(renew)
    try:
        yield
    finally:
        running = False
        _renew.reset(token)


def _nothing() -> None:
    """Outside a call there is nothing to renew."""
