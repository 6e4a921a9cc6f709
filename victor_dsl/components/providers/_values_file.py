"""A layer read from a file, and read again when the file changed."""

from __future__ import annotations

import asyncio
import os
import stat
from functools import partial
from pathlib import Path

from victor_dsl.errors import ProviderError
from victor_dsl.language.component import Context
from victor_dsl.language.values_file import read_values
from victor_dsl.storage.file_value import FileValue, reason
from victor_dsl.values.settings import Layer
from victor_dsl.values.turn import Turn

MOST_BYTES = 4 * 1024 * 1024
CHECK_EVERY_S = 1.0


class ValuesFile:
    """The layer of one file. Between two looks at the file, the last outcome holds, be it a layer or an error."""

    def __init__(self, path: str, context: Context, *, watch: bool) -> None:
        self._context = context
        self._name = context.shown(path)
        self._file = FileValue(
            Path(path), partial(read_values, name=self._name, source=context.node), most_bytes=MOST_BYTES
        )
        self._watch = watch
        self._looking = asyncio.Lock()
        self._look_again_at = 0.0
        self._outcome: Layer | ProviderError | None = None
        self._warned = False

    async def read(self, turn: Turn) -> Layer:
        if not self._is_fresh():
            async with self._looking:
                if not self._is_fresh():
                    self._outcome = await self._look()
                    self._look_again_at = self._context.clock.monotonic() + CHECK_EVERY_S
        if isinstance(self._outcome, Layer):
            return self._outcome
        assert self._outcome is not None
        raise ProviderError(self._outcome.message, node=self._context.node) from self._outcome

    def _is_fresh(self) -> bool:
        """Whether the last outcome still holds. A file that could not be read is always looked at again."""
        if isinstance(self._outcome, Layer) and not self._watch:
            return True
        return self._outcome is not None and self._context.clock.monotonic() < self._look_again_at

    async def _look(self) -> Layer | ProviderError:
        try:
            layer = await self._file.get()
            self._warn_when_open_to_writers()
        except OSError as error:
            return ProviderError(f"cannot read '{self._name}': {reason(error)}")
        except ProviderError as error:
            return error
        return layer

    def _warn_when_open_to_writers(self) -> None:
        if not self._warned and os.name == "posix" and self._file.path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            self._warned = True
            message = f"others than its owner may write '{self._name}', and with it change settings; try chmod go-w"
            self._context.report(message, {"file": self._name})
