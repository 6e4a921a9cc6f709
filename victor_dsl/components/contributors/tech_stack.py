"""The contributor that adds guidelines for languages and frameworks."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, computed_field

from victor_dsl.components.contributors._chosen import one_of
from victor_dsl.components.contributors._tech_stack_texts import ALIASES, TEXTS
from victor_dsl.components.contributors.text import Text
from victor_dsl.language.component import Context
from victor_dsl.language.config import ContributorConfig

NAMES = (*TEXTS, *ALIASES)


def _known(name: str) -> str:
    return one_of(NAMES, name)


Technology = Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": [*NAMES]})]


class Config(ContributorConfig):
    """Adds short, practical guidelines for each language or framework of a project to the system prompt.

    They come in the order of the list, each once. The text belongs to the plan's digest.
    """

    stack: list[Technology] = Field(
        min_length=1,
        description=f"What the project is made of: {', '.join(TEXTS)}. Short names are {', '.join(ALIASES)}.",
        examples=[["python", "typescript"]],
    )

    @computed_field  # type: ignore[prop-decorator]
    @property
    def text(self) -> str:
        """The guidelines; as a part of the config they belong to the digest, also where a release words them anew."""
        names = dict.fromkeys(ALIASES.get(name, name) for name in self.stack)
        return "\n\n".join(["Guidelines for the languages and frameworks in use:", *(TEXTS[name] for name in names)])


EXAMPLE = "{type: tech_stack, stack: [python, typescript]}"


def build(config: Config, context: Context) -> Text:
    """The contributor of the text."""
    return Text(config.text)
