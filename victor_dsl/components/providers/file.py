"""The provider that reads a YAML or JSON file, again when it has changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, field_validator

from victor_dsl.errors import ProviderError
from victor_dsl.language.component import Context
from victor_dsl.language.config import FilePath, ProviderConfig
from victor_dsl.lazy import Lazy
from victor_dsl.storage.file_value import FileValue, reason
from victor_dsl.storage.permissions import EXPOSED, exposure
from victor_dsl.values.settings import Layer
from victor_dsl.values.turn import Turn

if TYPE_CHECKING:
    import asyncio

    from victor_dsl.language import values_file
else:
    asyncio = Lazy("asyncio")
    values_file = Lazy("victor_dsl.language.values_file")

SUFFIXES = (".yml", ".yaml", ".json")
MOST_BYTES = 4 * 1024 * 1024
CHECK_SECONDS = 1.0
"""How long an outcome is used before the file is looked at again."""


class Config(ProviderConfig):
    """Gives settings and vars from a YAML or JSON file with the two keys `settings` and `vars`.

    The whole file is checked before any of its values is used: while it is faulty, the last good values stay in force and
    each fault is reported with its line. Nothing in the file is expanded: `${env:NAME}` is plain text there, so it is no
    place for secrets.
    """

    path: Annotated[str, FilePath(exists=True, values=True)] = Field(
        description="The file, relative to the spec. Its name ends in `.yml`, `.yaml` or `.json`.",
        examples=["settings.yml"],
    )
    watch: bool = Field(
        False,
        description="Whether to check the file for changes, at most once a second, and read it again. "
        "By default it is read once.",
    )

    @field_validator("path")
    @classmethod
    def _has_known_suffix(cls, path: str) -> str:
        if not path.lower().endswith(SUFFIXES):
            raise ValueError(f"must end in one of {', '.join(SUFFIXES)}, which says how it is read")
        return path


EXAMPLE = "{type: file, path: settings.yml, priority: 75, watch: true}"


def build(config: Config, context: Context) -> ValuesFile:
    """The provider; the file is read at the first turn."""
    return ValuesFile(config, context)


class ValuesFile:
    """The layer of one file. Between two looks at the file the last outcome is used, be it a layer or an error."""

    def __init__(self, config: Config, context: Context) -> None:
        self._context = context
        self._name = context.shown(config.path)
        self._watch = config.watch
        self._file = FileValue(Path(config.path), self._parsed, most_bytes=MOST_BYTES)
        self._looking = asyncio.Lock()
        self._fresh_until = 0.0
        self._outcome: Layer | ProviderError | None = None
        self._has_warned = False

    async def read(self, turn: Turn) -> Layer:
        if not self._is_fresh():
            async with self._looking:
                if not self._is_fresh():  # another turn may have looked meanwhile
                    self._outcome = await self._look()
                    self._fresh_until = self._context.clock.monotonic() + CHECK_SECONDS
        if isinstance(self._outcome, Layer):
            return self._outcome
        assert self._outcome is not None
        raise ProviderError(self._outcome.message, node=self._context.node) from self._outcome

    def _parsed(self, data: bytes) -> Layer:
        return values_file.read_values(data, name=self._name, source=self._context.node)

    def _is_fresh(self) -> bool:
        """Whether the last outcome can be used. After an error the file is always looked at again."""
        if isinstance(self._outcome, Layer) and not self._watch:
            return True
        return self._outcome is not None and self._context.clock.monotonic() < self._fresh_until

    async def _look(self) -> Layer | ProviderError:
        try:
            layer = await self._file.get()
            self._warn_if_others_may_write()
        except OSError as error:
            return ProviderError(f"cannot read '{self._name}': {reason(error)}")
        except ProviderError as error:
            return error
        return layer

    def _warn_if_others_may_write(self) -> None:
        if not self._has_warned and (problem := exposure(self._file.path, self._name, private=False)):
            self._has_warned = True
            self._context.report(problem, {"code": EXPOSED, "file": self._name})
