"""The contributor that adds guidelines for languages and frameworks: one Markdown file each in this folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, computed_field

from victor_dsl.components.contributors.text import Text
from victor_dsl.components.named_texts import check_name, read_texts
from victor_dsl.language.component import Context
from victor_dsl.language.config import ContributorConfig

TEXTS = read_texts(Path(__file__).parent)
ALIASES = {
    "py": "python",
    "ts": "typescript",
    "js": "javascript",
    "nodejs": "node",
    "rs": "rust",
    "golang": "go",
    "kt": "kotlin",
    "c#": "csharp",
    "c++": "cpp",
    "rb": "ruby",
    "bash": "shell",
    "css": "html",
}
"""Other names in common use."""
NAMES = (*TEXTS, *ALIASES)


def _is_known(name: str) -> str:
    return check_name(name, NAMES)


Technology = Annotated[str, AfterValidator(_is_known), Field(json_schema_extra={"enum": [*NAMES]})]


class Config(ContributorConfig):
    """Adds short, practical guidelines for each language or framework of a project to the system prompt.

    They come in the order of the list, each once. The text is part of the plan's digest.
    """

    stack: list[Technology] = Field(
        min_length=1,
        description=f"The languages and frameworks of the project: {', '.join(TEXTS)}. Short names: {', '.join(ALIASES)}.",
        examples=[["python", "typescript"]],
    )

    @computed_field  # type: ignore[prop-decorator]
    @property
    def text(self) -> str:
        """The guidelines. As part of the config they are in the digest, which so changes when a release changes the wording."""
        names = dict.fromkeys(ALIASES.get(name, name) for name in self.stack)
        return "\n\n".join(["Guidelines for the languages and frameworks in use:", *(TEXTS[name] for name in names)])


EXAMPLE = "{type: tech_stack, stack: [python, typescript]}"


def build(config: Config, context: Context) -> Text:
    """The contributor of the text."""
    return Text(config.text)
