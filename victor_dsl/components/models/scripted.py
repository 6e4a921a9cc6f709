"""A model that answers from a script: a list in the spec, or a recording of another model's answers."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from victor_dsl.components.models._steps import Written
from victor_dsl.language.component import Context
from victor_dsl.language.config import FilePath, ModelConfig
from victor_dsl.language.kinds import Model as LiveModel


class Config(ModelConfig):
    """Answers from a script, each session from its beginning.

    An answer that names its `request` is for that request alone; all others are given in their order.
    """

    replies: list[Written] | None = Field(
        None,
        min_length=1,
        description="The answers, in order: texts, or maps with tool calls, errors and delays.",
        examples=[["Hello!", {"tool_calls": [{"name": "lookup_order", "arguments": {"id": 7}}]}, "It is on its way."]],
    )
    path: Annotated[str | None, FilePath(included=True)] = Field(
        None,
        description=(
            "A recording in JSON Lines. A line is an assistant's message in the OpenAI chat format, `{request, reply}` "
            "with the text of the request and such a message, or a map as in `replies`."
        ),
        examples=["recordings/support.jsonl"],
    )
    end: Literal["repeat", "loop", "fail"] = Field(
        "repeat",
        description="What follows the last answer: it is repeated, the script begins again, or the model fails.",
    )

    @model_validator(mode="after")
    def _one_script(self) -> Self:
        if (self.replies is None) == (self.path is None):
            raise ValueError("a scripted model needs either `replies` or the `path` of a recording")
        return self


EXAMPLE = "{type: scripted, replies: [Hello!, {error: rate_limited}, It is on its way.]}"


def build(config: Config, context: Context) -> AbstractAsyncContextManager[LiveModel]:
    """The live model; a recording is read when it is entered."""
    from victor_dsl.components.models._script import scripted

    return scripted(config, context)
