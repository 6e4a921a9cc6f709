"""The grammar of a spec's tests: what a test gives, and what it expects of the rendered turn and of the reply.

An expectation is a value, which must be equal, or a map of checks (`spec_checks.py`), all of which must hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from attrs import evolve
from pydantic import Field, field_validator, model_validator

from victor_dsl.language.spec_checks import (
    Call,
    CountChecks,
    ErrorChecks,
    IndexChecks,
    ListChecks,
    NumberChecks,
    ReplyChecks,
    Text,
    TextChecks,
    TokenChecks,
    ToolCallsChecks,
    Written,
    is_checks,
    value_faults,
)
from victor_dsl.values.codec import json_faults, read_request
from victor_dsl.values.codec import read as read_value
from victor_dsl.values.faults import Faulty
from victor_dsl.values.message import StopReason
from victor_dsl.values.model import VAR_PATTERN, Model
from victor_dsl.values.request import Request
from victor_dsl.values.settings import SETTING_NAMES, Settings

MOST_REPEATS = 100
VarName = Annotated[str, Field(pattern=VAR_PATTERN)]


class Judge(Model):
    """A model that judges the reply by a rubric, with a score from 0 to 1."""

    model: Text = Field(description="The name of the model that judges, one of `models`.")
    rubric: Text = Field(
        description="What makes a reply good, in words for the judge.",
        examples=["The answer is polite and does not promise a refund."],
    )
    at_least: float = Field(gt=0, le=1, description="The least score.")


class Expectation(Written):
    """What a test expects of the rendered turn and of the reply; everything that is written must hold.

    A test that expects something of the reply alone (`reply`, `tool_calls`, `stop_reason`, `latency_ms`, `cost_usd`, `judge`)
    asks the model, or its recording. All other tests call no model.
    """

    system: str | TextChecks | None = Field(None, description="The system prompt.")
    message: str | TextChecks | None = Field(None, description="The last message as it is sent.")
    contributors: list[Text] | ListChecks | None = Field(
        None, description="The names of the contributors whose text is in the system prompt, in its order."
    )
    tools: list[Text] | ListChecks | None = Field(
        None, description="The names of the tools that are selected, best first."
    )
    sent_tools: list[Text] | ListChecks | None = Field(None, description="The names of the tools that are sent.")
    kept: list[int] | IndexChecks | None = Field(
        None, description="The positions in the conversation of the messages that are sent."
    )
    tokens: int | TokenChecks | None = Field(None, description="The request's tokens.")
    settings: dict[str, Any] | None = Field(
        None,
        description="Settings in force, by name: values, or maps of checks.",
        examples=[{"model": "main", "max_tokens": {"at_most": 500}}],
    )
    model: Text | None = Field(
        None, description="The model of the turn; with an expectation on the reply, the one that answered."
    )
    plan: Text | TextChecks | None = Field(None, description="The plan's digest.")
    error: Text | ErrorChecks | None = Field(
        None, description="The error with which the turn fails: its code, or checks. Left out, the turn must not fail."
    )
    reply: str | ReplyChecks | None = Field(None, description="The reply's text.")
    tool_calls: list[Call] | ToolCallsChecks | None = Field(
        None,
        description="The tool calls of the turn: all of them in their order, each as the tool's name or as a map; or checks.",
        examples=[[{"name": "lookup_order", "arguments": {"order": 7}}]],
    )
    stop_reason: StopReason | None = Field(None, description="Why the reply ended.")
    latency_ms: CountChecks | None = Field(
        None,
        description="The turn's latency, in milliseconds; of a recorded answer, that of its calls when it was recorded.",
    )
    cost_usd: NumberChecks | None = Field(None, description="The turn's cost, in US dollars.")
    judge: Judge | None = Field(None, description="A model's judgement of the reply.")

    @field_validator("settings")
    @classmethod
    def _are_settings(cls, settings: dict[str, Any] | None) -> dict[str, Any] | None:
        if settings is None:
            return None
        faults = [*json_faults(settings, ()), *value_faults(settings, ())]
        plain = {
            name: _without_checks(value)
            for name, value in settings.items()
            if name not in SETTING_NAMES or not is_checks(value)
        }
        try:
            read_value(Settings, plain, "settings")
        except Faulty as error:
            faults += [
                evolve(fault, message=f"{fault.path[0]}: there is no such setting")
                if fault.code == "unknown-key" and len(fault.path) == 1
                else fault
                for fault in error.faults
            ]
        if faults:
            raise Faulty(faults)
        return settings

    @model_validator(mode="after")
    def _can_fail(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("it expects nothing, so the test would always pass")
        if self.error is not None and (also := sorted(self.model_fields_set - {"error"})):
            what = "has no reply" if also[0] in ON_REPLY else "is not compared further"
            raise ValueError(f"a turn that fails {what}, so `error` and `{also[0]}` cannot both hold")
        if self.settings == {}:
            raise ValueError("`settings` names none, so it checks nothing")
        return self

    @property
    def rendered(self) -> bool:
        """Whether something is expected of the rendered turn."""
        return bool(self.model_fields_set - ON_REPLY) and not self._fails_in_a_model

    @property
    def replied(self) -> bool:
        """Whether something is expected of the reply, so that a model has to answer."""
        return bool(self.model_fields_set & ON_REPLY) or self._fails_in_a_model

    @property
    def _fails_in_a_model(self) -> bool:
        code = self.error.code if isinstance(self.error, ErrorChecks) else self.error
        return code is not None and code.startswith("model-")


ON_REPLY = frozenset({"reply", "tool_calls", "stop_reason", "latency_ms", "cost_usd", "judge"})
"""Expectations for which a model has to answer."""


def _without_checks(value: Any) -> Any:
    """The maps of a value without the keys under which there are checks."""
    if not isinstance(value, Mapping):
        return value
    return {key: _without_checks(inner) for key, inner in value.items() if not is_checks(inner)}


class Given(Model):
    """The request of a test."""

    message: str | None = Field(None, description="The user's message.")
    messages: list[dict[str, Any]] | None = Field(None, description="A whole conversation, in the OpenAI chat format.")
    session: Text | None = Field(
        None, description="The session's id. Its history is empty. By default it is the test's name."
    )
    tenant: Text | None = Field(None, description="The tenant. `auth` is not asked.")
    user: Text | None = Field(None, description="The user.")
    arms: dict[str, str] | None = Field(None, description="Arms to force, by experiment.")
    vars: dict[VarName, Any] | None = Field(None, description="Vars of the request.")
    inputs: dict[VarName, Any] | None = Field(None, description="Inputs of the request.")
    settings: dict[str, Any] | None = Field(None, description="Settings of the request.")
    tools: list[dict[str, Any]] | None = Field(None, description="Tools of the request, as the OpenAI API writes them.")
    tool_results: dict[str, Any] | None = Field(
        None,
        description="What tools return in this test, by name, so that they are not called: text, or a value that the model gets as JSON.",
        examples=[{"lookup_order": {"state": "sent"}}],
    )

    @model_validator(mode="after")
    def _is_a_request(self) -> Self:
        if (self.message is None) == (self.messages is None):
            both = "" if self.message is None else ", not both"
            raise ValueError(f"a test gives either `message` or `messages`{both}")
        if faults := list(json_faults(self.tool_results, ("tool_results",))):
            raise Faulty(faults)
        return self

    def line(self) -> dict[str, Any]:
        """The request as a request line, which has no arms and no stand-ins for tools."""
        return self.model_dump(exclude_none=True, exclude={"arms", "tool_results"})

    def request(self, id: str) -> Request:
        """The request. Raises RequestError."""
        return evolve(read_request({**self.line(), "id": id}), arms=self.arms or {})


class Test(Model):
    """One test of the spec."""

    name: Text = Field(description="What the test checks, in one sentence. No other test of the spec has this name.")
    given: Given = Field(description="The request.")
    expect: Expectation = Field(description="The expected result.")
    each: Annotated[list[dict[VarName, Any]], Field(min_length=1)] | None = Field(
        None,
        description="Parameters: the test runs once with each of these maps. `((name))` anywhere in the test stands for the parameter's "
        "value; alone in its place, it keeps its type.",
        examples=[[{"tenant": "acme", "language": "French"}, {"tenant": "globex", "language": "German"}]],
    )
    repeats: int = Field(1, ge=1, le=MOST_REPEATS, description="How often the model is asked.")
    pass_rate: float = Field(1.0, gt=0, le=1, description="The share of repeats that must be as expected, such as 0.8.")
    skip: Text | None = Field(None, description="Why the test is not run.")

    @model_validator(mode="after")
    def _repeats_what_varies(self) -> Self:
        if self.repeats > 1 and not self.expect.replied:
            raise ValueError("`repeats` needs an expectation on the reply: the rendered turn is always the same")
        if self.pass_rate < 1 and self.repeats == 1:
            raise ValueError("`pass_rate` needs `repeats`")
        return self
