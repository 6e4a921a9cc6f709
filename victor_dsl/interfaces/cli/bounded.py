"""Bounds the CPU time and memory of compiling an untrusted spec, whatever it says: the last resort, where no other bound ends it."""

from __future__ import annotations

import signal
import sys
import time
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


PERIOD_SECONDS = 0.01
"""How often time and memory are looked at, in CPU time."""
HEADROOM_BYTES = 32 * 2**20
"""What the system allows above `MOST_BYTES`: for what is allocated between two looks, and to end in order."""


class _TookTooMuch(BaseException):
    """Raised by the timer wherever the program is; no handler of exceptions stops it on its way."""


@contextmanager
def bounded() -> Iterator[None]:
    """Raises VictorError where what runs inside takes too much. Only in the main thread, and where the system has timers."""
    if not hasattr(signal, "setitimer"):
        yield
        return
    most_seconds, before_bytes = time.process_time() + MOST_SECONDS, _data_bytes()

    def look(_: int, __: FrameType | None) -> None:
        if time.process_time() > most_seconds:
            raise _TookTooMuch(f"{MOST_SECONDS:g} seconds of CPU time")
        if _data_bytes() - before_bytes > MOST_BYTES:
            raise _TookTooMuch(f"{MOST_BYTES // 2**20} MiB of memory")

    before, hook = signal.signal(signal.SIGPROF, look), sys.unraisablehook
    sys.unraisablehook = lambda _: None  # a finalizer that the timer ends; the timer comes again
    signal.setitimer(signal.ITIMER_PROF, PERIOD_SECONDS, PERIOD_SECONDS)
    try:
        with _at_most(before_bytes + MOST_BYTES + HEADROOM_BYTES):
            yield
    except _TookTooMuch as error:
        raise _exceeded(str(error)) from None
    except MemoryError:
        raise _exceeded(f"{MOST_BYTES // 2**20} MiB of memory") from None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        sys.unraisablehook = hook


def _exceeded(what: str) -> VictorError:
    error = VictorError(
        f"compiling takes more than {what}, which an untrusted spec may not take",
        hint="fewer tenants, arms or files of extends make fewer combinations; or leave out `--untrusted`",
    )
    error.exit_code = EXIT_SPEC
    return error


def _data_bytes() -> int:
    """The memory of this process's data; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_bytes().split()[5])
    except OSError:
        return 0
    return pages * resource.getpagesize()


@contextmanager
def _at_most(wanted: int) -> Iterator[None]:
    """Lets the process have no more data than that; Python raises MemoryError where it would."""
    if sys.platform != "linux":
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    least = min([wanted, *(limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY)])
    resource.setrlimit(resource.RLIMIT_DATA, (least, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
