"""Shows the log on stderr while a command runs: what `middleware: [logging]` writes, and what goes wrong beside the turns."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from victor_dsl.interfaces.cli.output import say

LOGGERS = ("victor", "victor_dsl")
"""The spec's own middleware log under the first, the package under the second."""


@contextmanager
def shown_log(*, quiet: bool, verbose: bool) -> Iterator[None]:
    """Lines of level info and above are shown; with `quiet` only warnings, with `verbose` all."""
    level = logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO
    handler = _Stderr()
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(level)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, (old, propagated) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(old)
            logger.propagate = propagated


class _Stderr(logging.Handler):
    """Each record as one line for people: `12:30:00 info turn session=s1 ms=812.4 outcome=stop`."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes the line to whatever stderr is now: a progress bar stands in for it while it is shown."""
        try:
            when = time.strftime("%H:%M:%S", time.localtime(record.created))
            say(f"{when} {record.levelname.lower()} {self.format(record)}")
        except Exception:  # noqa: BLE001 - a handler must not fail what it tells of
            self.handleError(record)
