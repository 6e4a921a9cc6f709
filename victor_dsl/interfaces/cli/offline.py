"""No network for commands that handle what strangers wrote: Python refuses sockets, and looking up names."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_REFUSED = frozenset(
    (
        *("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"),
        *("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"),
    )
)


@contextmanager
def no_network() -> Iterator[None]:
    """Connections, listening and looking up names raise PermissionError in this process while it lasts, in every thread."""
    refusals = _refusals()
    refusals.append(True)
    try:
        yield
    finally:
        refusals.pop()


@cache
def _refusals() -> list[bool]:
    """One item for each `no_network` that lasts. Python cannot remove an audit hook, so there is one for all."""
    lasting: list[bool] = []

    def refuse(event: str, _: tuple[Any, ...]) -> None:
        if lasting and event in _REFUSED:
            raise PermissionError(errno.EPERM, "an untrusted spec may not use the network")

    sys.addaudithook(refuse)
    return lasting
