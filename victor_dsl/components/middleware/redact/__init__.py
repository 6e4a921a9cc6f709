"""The middleware that takes personal data and keys out of what is said."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from victor_dsl.components.middleware.redact.pattern_check import check_pattern
from victor_dsl.language.component import Context
from victor_dsl.language.config import MiddlewareConfig, Name
from victor_dsl.language.kinds import Middleware

AROUND = ("turn", "model")
AFTER_AUTH = True


class Config(MiddlewareConfig):
    """Takes e-mail addresses, phone numbers, card numbers, IBANs and API keys out of what is said, in both directions.

    Each is replaced by its name in brackets: `[email]`, `[card]`. Left to its default it stands in two places. Around
    the turn it keeps them from whatever the turn passes through and from the stored history; around each model call it
    also sees the system prompt and the results of tools. Streams are held back only as long as a piece may be the
    beginning of something: mostly the last word. It looks at texts, not into images and files, and not at tool
    definitions. Card numbers and IBANs count where their check digits are right.
    """

    patterns: list[Literal["email", "phone", "card", "iban", "api_key"]] = Field(
        ["email", "phone", "card", "iban", "api_key"],
        description="What is taken out. Left out, everything that it knows.",
        examples=[["email", "card"]],
    )
    custom: dict[Name, str] = Field(
        {},
        description="Further regular expressions (Python's), by the name that stands in their place. Each must have a "
        "greatest length (`{1,20}`, not `+`) and little to try again, so that no text can make it slow; a stream is held "
        "back by that length. `^` and `$` have no meaning here; `\\b` has.",
        examples=[{"staff_number": "\\bEMP-\\d{6}\\b"}],
    )

    @field_validator("custom")
    @classmethod
    def _bounded(cls, custom: dict[str, str]) -> dict[str, str]:
        for name, pattern in custom.items():
            try:
                check_pattern(pattern)
            except ValueError as error:
                raise ValueError(f"'{name}': {error}") from error
        return custom


EXAMPLE = r"""
type: redact
patterns: [email, phone, card]
custom: {staff_number: '\bEMP-\d{6}\b'}
"""


def build(config: Config, context: Context) -> Middleware:
    """The middleware; it holds nothing open."""
    from victor_dsl.components.middleware.redact.handler import Redact
    from victor_dsl.components.middleware.redact.redactor import Redactor

    return Redact(Redactor(config.patterns, config.custom))
