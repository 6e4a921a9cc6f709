"""The middleware that removes personal data and keys from conversations."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from victor_dsl.components.middleware.redact.handler import Redact
from victor_dsl.language.component import Context
from victor_dsl.language.config import MiddlewareConfig, Name
from victor_dsl.language.kinds import Middleware
from victor_dsl.values.redaction.pattern_check import check_pattern
from victor_dsl.values.redaction.redactor import Redactor

AROUND = ("turn", "model")
AFTER_AUTH = True
REQUIRED = True


class Config(MiddlewareConfig):
    """Removes e-mail addresses, phone numbers, card numbers, IBANs, API keys and private keys from conversations.

    Each is replaced by its name in brackets: `[email]`, `[card]`. By default it works in two places. Around the turn it
    keeps them out of inner middleware and of the stored history; around each model call it also covers the system
    prompt, few-shot messages and the results of tools. A stream is delayed only while its last characters may be the beginning of a match:
    usually by one word. It checks texts, but not images, files and tool definitions. Card numbers and IBANs count only
    with valid check digits. Full-width and other look-alikes of ASCII characters count as those, and invisible characters count as
    nothing.
    """

    patterns: list[Literal["email", "phone", "card", "iban", "api_key", "private_key"]] = Field(
        ["email", "phone", "card", "iban", "api_key", "private_key"],
        description="What is removed. The default is everything in this list.",
        examples=[["email", "card"]],
    )
    custom: dict[Name, str] = Field(
        {},
        description="Further regular expressions (Python's), by the name that replaces their matches. Each must have a "
        "maximum length of at most 1,000 characters (`{1,20}`, not `+`) and little backtracking, so that no text can make it slow; a stream is "
        "delayed by that length. `^` and `$` cannot be used; `\\b` can.",
        examples=[{"staff_number": "\\bEMP-\\d{6}\\b"}],
    )

    @field_validator("custom")
    @classmethod
    def _check_patterns(cls, custom: dict[str, str]) -> dict[str, str]:
        for name, pattern in custom.items():
            try:
                check_pattern(pattern)
            except ValueError as error:
                raise ValueError(f"'{name}': {error}") from error
        return custom


VERSION = 2
"""2: `patterns` has `private_key`; look-alikes and invisible characters do not hide a match."""

EXAMPLE = r"""
type: redact
patterns: [email, phone, card]
custom: {staff_number: '\bEMP-\d{6}\b'}
"""


def build(config: Config, context: Context) -> Middleware:
    """The middleware."""
    return Redact(Redactor(config.patterns, config.custom))
