"""The contributor that adds the project's own standards: a text file with a default path."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from victor_dsl.components.contributors import file
from victor_dsl.language.component import Context
from victor_dsl.language.config import FilePath


class Config(file.Config):
    """Adds the project's standards to the system prompt: the text of `.victor/standards.md`, or of another file.

    The file is read again when it changes. Its content is part of the plan's digest, so the file must exist when the
    spec is compiled, unless the contributor is `optional` or has a `default`.
    """

    path: Annotated[str, FilePath(included=True)] = Field(
        ".victor/standards.md",
        description="The file, relative to the spec: UTF-8 text. The default is `.victor/standards.md` beside the spec.",
        examples=["docs/standards.md"],
    )


EXAMPLE = "{type: standards, priority: 60, max_tokens: 800, optional: true}"


def build(config: Config, context: Context) -> file.TextFile:
    """The contributor; the file is read at the first turn."""
    return file.TextFile(config, context)
