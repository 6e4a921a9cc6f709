"""The contributor that adds the project's own standards: a text file with a default path."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from victor_dsl.components.contributors import file
from victor_dsl.language.component import Context
from victor_dsl.language.config import FilePath


class Config(file.Config):
    """Adds the project's standards to the system prompt: the text of `.victor/standards.md`, or of another file.

    The text is part of the plan, as that of `type: file` is. When the spec is compiled the file must exist, unless the
    contributor is `optional` or has a `default`. `validate` warns where git ignores the file, and where a `standards.md` beside the spec
    is not the one that is used.
    """

    path: Annotated[str, FilePath(included=True, beside="standards.md")] = Field(
        ".victor/standards.md",
        description="The file, relative to the spec: UTF-8 text. The default is `.victor/standards.md` beside the spec.",
        examples=["docs/standards.md"],
    )


EXAMPLE = "{type: standards, priority: 60, max_tokens: 800, optional: true}"


def build(config: Config, context: Context) -> file.TextFile:
    """The contributor of the text that the plan holds."""
    return file.build(config, context)
