"""The provider that reads a YAML or JSON file."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from victor_dsl.language.component import Context
from victor_dsl.language.config import FilePath, ProviderConfig
from victor_dsl.language.kinds import Provider

SUFFIXES = (".yml", ".yaml", ".json")


class Config(ProviderConfig):
    """Gives settings and vars from a YAML or JSON file with the two keys `settings` and `vars`.

    The file is checked whole before any of it holds: while it is broken, the last good values stay in force and each
    fault is reported with its line. Nothing in it is expanded, so it holds no secrets: `${env:NAME}` is plain text there.
    """

    path: Annotated[str, FilePath(exists=True, values=True)] = Field(
        description="The file, relative to the spec. Its name ends in `.yml`, `.yaml` or `.json`.",
        examples=["settings.yml"],
    )
    watch: bool = Field(
        False,
        description="Whether the file is looked at again, at most once a second, and read when it has changed. "
        "By default it is read once.",
    )

    @field_validator("path")
    @classmethod
    def _known_suffix(cls, path: str) -> str:
        if not path.lower().endswith(SUFFIXES):
            raise ValueError(f"must end in one of {', '.join(SUFFIXES)}, which says how it is read")
        return path


EXAMPLE = "{type: file, path: settings.yml, priority: 75, watch: true}"


def build(config: Config, context: Context) -> Provider:
    """The provider; the file is read when the first turn asks."""
    from victor_dsl.components.providers._values_file import ValuesFile

    return ValuesFile(config.path, context, watch=config.watch)
