"""The contributor that renders a Jinja2 template for each turn."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from victor_dsl.language.component import Context
from victor_dsl.language.config import ContributorConfig, FilePath, TemplateText
from victor_dsl.language.kinds import Contributor


class Config(ContributorConfig):
    """Renders a Jinja2 template into the system prompt, anew for each turn.

    The template sees every variable of `vars` by its name, and `session`, `tenant`, `user` and `settings`. A variable
    that is not there is an error, never an empty text. Templates run in a sandbox: they can read what they are
    given and nothing else, and what they may loop and write is bounded. A template file may include, import and
    extend files of its own folder, and is read again when one of them changes.
    """

    path: Annotated[str | None, FilePath(included=True, template=True)] = Field(
        None, description="The template's file, relative to the spec.", examples=["prompts/base.md.j2"]
    )
    template: Annotated[str | None, TemplateText()] = Field(
        None,
        description="The template itself, instead of a file; it can include no files.",
        examples=["You help users of {{ product }}."],
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.path is None) == (self.template is None):
            raise ValueError("give either 'path' or 'template'" + (", not both" if self.path is not None else ""))
        return self


EXAMPLE = "{type: template, template: 'You help users of {{ product }}.'}"


def build(config: Config, context: Context) -> Contributor:
    """The contributor; a file is read when the first turn asks."""
    from victor_dsl.components.contributors._template import FileTemplate, InlineTemplate

    if config.path is not None:
        return FileTemplate(config.path, context)
    return InlineTemplate(config.template or "", context)
