"""Bounds the CPU time and memory of compiling an untrusted spec, whatever it says: the last resort, where no other bound ends it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from victor_dsl.errors import EXIT_SPEC, VictorError

if sys.platform == "linux":
    import resource

MOST_SECONDS = 5.0
"""The most CPU time for all specs of a command."""
MOST_BYTES = 250 * 2**20
"""The most memory, beside what the process has before; enforced on Linux."""


class _TookTooLong(BaseException):
    """Raised by the timer wherever the program is; no handler of exceptions stops it on its way."""


@contextmanager
def bounded() -> Iterator[None]:
    """Raises VictorError where what runs inside takes too much. Only in the main thread, and where the system has timers."""
    if not hasattr(signal, "setitimer"):
        yield
        return
    before, hook = signal.signal(signal.SIGPROF, _raise), sys.unraisablehook
    sys.unraisablehook = lambda _: None  # generators that end without memory
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS, 1)  # again each second, where a finalizer swallowed it
    try:
        with _bounded_memory():
            yield
    except _TookTooLong:
        raise _exceeded(f"{MOST_SECONDS:g} seconds of CPU time") from None
    except MemoryError:
        raise _exceeded(f"{MOST_BYTES // 2**20} MiB of memory") from None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        sys.unraisablehook = hook


def _raise(_: int, __: FrameType | None) -> None:
    raise _TookTooLong


def _exceeded(what: str) -> VictorError:
    error = VictorError(
        f"compiling takes more than {what}, which an untrusted spec may not take",
        hint="fewer tenants, arms or files of extends make fewer combinations; or leave out `--untrusted`",
    )
    error.exit_code = EXIT_SPEC
    return error


@contextmanager
def _bounded_memory() -> Iterator[None]:
    status = Path("/proc/self/status")
    if sys.platform != "linux" or not status.exists():
        yield
        return
    used = 1024 * int(status.read_text().split("VmData:")[1].split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = used + MOST_BYTES
    least = min([wanted, *(limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY)])
    resource.setrlimit(resource.RLIMIT_DATA, (least, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
