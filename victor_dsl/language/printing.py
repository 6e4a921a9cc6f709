"""Sends what a spec's functions print to standard error: standard output is for machines to read."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

IN_FUNCTION: ContextVar[bool] = ContextVar("IN_FUNCTION", default=False)


class RoutedOutput:
    """Stands in for `sys.stdout`: what runs in a function's context, or in a thread with it, gets `sys.stderr` instead.

    `users` counts the open functions; the last one puts the real standard output back.
    """

    def __init__(self, real: Any) -> None:
        self.real = real
        self.users = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr if IN_FUNCTION.get() else self.real, name)


@contextmanager
def routed_output() -> Iterator[None]:
    """Standard output is routed while it lasts; several may overlap."""
    routed = sys.stdout if isinstance(sys.stdout, RoutedOutput) else RoutedOutput(sys.stdout)
    routed.users += 1
    sys.stdout = routed
    try:
        yield
    finally:
        routed.users -= 1
        if routed.users == 0 and sys.stdout is routed:
            sys.stdout = routed.real


@contextmanager
def in_function() -> Iterator[None]:
    """What runs inside prints to standard error."""
    token = IN_FUNCTION.set(True)
    try:
        yield
    finally:
        IN_FUNCTION.reset(token)


@contextmanager
def out_of_function() -> Iterator[None]:
    """Inside, prints go to their usual stream again, even within `in_function`."""
    token = IN_FUNCTION.set(False)
    try:
        yield
    finally:
        IN_FUNCTION.reset(token)
