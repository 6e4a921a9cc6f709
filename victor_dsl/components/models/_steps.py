"""One answer of a scripted model, as people write it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from victor_dsl.errors import ModelErrorKind
from victor_dsl.language.config import Model


def _text_as(field: str) -> Callable[[Any], Any]:
    """Reads a bare text as the map that has it as that field."""
    return lambda value: {field: value} if isinstance(value, str) else value


class Call(Model):
    """One tool call of an answer."""

    name: str = Field(min_length=1, description="The tool's name.", examples=["lookup_order"])
    arguments: dict[str, Any] | str = Field(
        default_factory=dict, description="Its arguments, as a map or as the very text that the model wrote."
    )
    id: str | None = Field(None, description="The call's id. Left out, it is made from the place in the script.")


class Failure(Model):
    """An error instead of an answer."""

    kind: ModelErrorKind = Field(description="What kind of error it is.")
    message: str = Field("the script says so", description="What it says.")
    status: int | None = Field(None, ge=100, le=599, description="The HTTP status that it would have had.")
    retry_after_seconds: float | None = Field(None, ge=0, description="How long it asks to wait.")


class Tokens(Model):
    """The usage of an answer, as a model would report it."""

    input_tokens: int | None = Field(None, ge=0, description="Tokens of input.")
    output_tokens: int | None = Field(None, ge=0, description="Tokens of output.")
    cached_tokens: int | None = Field(None, ge=0, description="Tokens of the input that came from a prompt cache.")


class Step(Model):
    """One answer of the script."""

    content: str | None = Field(None, description="The answer's text.")
    tool_calls: list[Call] = Field(default_factory=list, description="The tools that it calls.")
    error: Annotated[Failure, BeforeValidator(_text_as("kind"), Failure | ModelErrorKind)] | None = Field(
        None,
        description="An error, by its kind alone or in full. With `content`, the text is streamed before it fails.",
    )
    delay_seconds: float = Field(0.0, ge=0, description="How long the answer takes to begin.")
    stop_reason: Literal["stop", "length", "tool_calls", "content_filter"] | None = Field(
        None, description="Why it ends. Left out: `tool_calls` where there are any, else `stop`."
    )
    usage: Tokens | None = Field(None, description="The usage that it reports. Left out, it is estimated.")
    request: str | None = Field(
        None, description="The answer is for turns whose latest user message is this text, and no others."
    )


Written = Annotated[Step, BeforeValidator(_text_as("content"), str | Step)]
"""A step as it may be written: a bare text is its content."""
