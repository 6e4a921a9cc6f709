"""A batch's progress on a terminal: how much is done, how fast, with how many errors, and how long it will take."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from victor_dsl.workbench.batch import Tally


class Bar:
    """A progress bar on stderr. `size` is the input's length in bytes, None where it is not known."""

    def __init__(self, size: int | None) -> None:
        end = (TextColumn("{task.percentage:>3.0f} %  ETA"), TimeRemainingColumn(compact=True)) if size else ()
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            *end,
            TimeElapsedColumn(),
            console=Console(file=sys.stderr),
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=size)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._bar.stop()

    def show(self, tally: Tally, seconds: float) -> None:
        """Says how far the run is, after so many seconds."""
        rate = tally.answered / seconds if seconds > 0 else 0.0
        errors = f"  [red]{tally.errors:,} errors[/red]" if tally.errors else ""
        self._bar.update(
            self._task,
            completed=tally.done_bytes,
            description=f"{tally.answered + tally.skipped:,} lines  {rate:,.1f}/s{errors}",
        )
