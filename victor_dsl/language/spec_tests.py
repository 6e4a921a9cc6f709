"""The grammar of a spec's tests: what a test gives, and what it expects of the rendered turn and of the reply.

An expectation is a value, which must be equal, or a map of checks, all of which must hold. One that no turn could meet, or
that every turn meets, is a fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Self

from attrs import evolve
from pydantic import Field, field_validator, model_validator

from victor_dsl.values.codec import json_faults, read_request
from victor_dsl.values.codec import read as read_value
from victor_dsl.values.faults import Fault, Faulty
from victor_dsl.values.message import StopReason
from victor_dsl.values.model import VAR_PATTERN, Model
from victor_dsl.values.request import Request
from victor_dsl.values.settings import SETTING_NAMES, Settings

MOST_REPEATS = 100
MOST_PATTERN = 1_000
"""The most characters of a regular expression."""
_UNLIKELY = "\x01\n~\x02"
"""A text that only a pattern which matches every text is found in, if it is found in the empty text, too."""

VarName = Annotated[str, Field(pattern=VAR_PATTERN)]
Text = Annotated[str, Field(min_length=1)]
Texts = Text | Annotated[list[Text], Field(min_length=1)]


def listed(value: Any) -> list[Any]:
    """One value or several, as a list."""
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]


Position = Annotated[int, Field(ge=0)]
Positions = Position | Annotated[list[Position], Field(min_length=1)]


class Written(Model):
    """A map in which whatever is written checks something. `NULLS` are the keys for which null is a value."""

    NULLS: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="after")
    def _has_values(self) -> Self:
        nulls = [name for name in type(self).model_fields if name in self.model_fields_set - self.NULLS]
        if faults := [
            Fault((name,), f"{name} is null, so it checks nothing", "write a value, or leave the key out")
            for name in nulls
            if getattr(self, name) is None
        ]:
            raise Faulty(faults)
        return self


class Checks(Written):
    """Checks of one value: at least one is written, and they do not contradict each other."""

    @model_validator(mode="after")
    def _can_pass_and_fail(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("it checks nothing, so it would always pass; write a check such as `contains`")
        both = set(listed(getattr(self, "contains", None))) & set(listed(getattr(self, "not_contains", None)))
        if both:
            raise ValueError(f"'{min(map(str, both))}' is both in `contains` and in `not_contains`")
        return self


def compiled(pattern: str) -> re.Pattern[str]:
    """The regular expression; `.` matches line breaks only with `(?s)`, `^` and `$` each line's ends only with `(?m)`.

    Raises ValueError for one that is none, or that every text matches.
    """
    if len(pattern) > MOST_PATTERN:
        raise ValueError(f"the pattern has more than {MOST_PATTERN:,} characters")
    try:
        made = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"it is no regular expression: {error}") from error
    if made.search("") and made.search(_UNLIKELY):
        raise ValueError("every text matches this pattern, so it checks nothing")
    return made


class TextChecks(Checks):
    """Checks of a text."""

    equals: str | None = Field(None, description="The whole text.")
    contains: Texts | None = Field(None, description="A text that must be in it, or several.")
    not_contains: Texts | None = Field(None, description="A text that must not be in it, or several.")
    matches: str | None = Field(
        None,
        description="A regular expression (Python's) that must be found in it; searching may take a second at most.",
        examples=["order \\d+"],
    )

    @field_validator("matches")
    @classmethod
    def _is_a_pattern(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            compiled(pattern)
        return pattern

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.equals is None:
            return self
        for text in listed(self.contains):
            if text not in self.equals:
                raise ValueError(f"`equals` does not contain '{text[:40]}', which `contains` asks for")
        for text in listed(self.not_contains):
            if text in self.equals:
                raise ValueError(f"`equals` contains '{text[:40]}', which `not_contains` forbids")
        return self


class ReplyChecks(TextChecks):
    """Checks of the reply's text."""

    json_schema: dict[str, Any] | None = Field(
        None,
        description="The JSON Schema of the reply, which must be JSON and nothing else.",
        examples=[{"type": "object", "required": ["topic"]}],
    )


class NumberChecks(Checks):
    """Checks of a number."""

    equals: float | None = Field(None, description="The number itself.")
    at_least: float | None = Field(None, description="The least value.")
    at_most: float | None = Field(None, description="The greatest value.")
    more_than: float | None = Field(None, description="It must be greater.")
    less_than: float | None = Field(None, description="It must be less.")

    @model_validator(mode="after")
    def _leave_room(self) -> Self:
        check_room(self)
        return self


def check_room(checks: Any) -> None:
    """Raises ValueError where no number can meet all the bounds."""
    low = [
        (bound, strict) for bound, strict in ((checks.at_least, False), (checks.more_than, True)) if bound is not None
    ]
    high = [
        (bound, strict) for bound, strict in ((checks.at_most, False), (checks.less_than, True)) if bound is not None
    ]
    if isinstance(checks.equals, int | float) and not isinstance(checks.equals, bool):
        low.append((checks.equals, False))
        high.append((checks.equals, False))
    for least, above in low:
        for most, below in high:
            if least > most or (least == most and (above or below)):
                raise ValueError("no number meets all of these bounds")


class CountChecks(NumberChecks):
    """Checks of a number that is never below 0."""

    @model_validator(mode="after")
    def _can_fail(self) -> Self:
        low = (self.at_least is not None and self.at_least <= 0) or (self.more_than is not None and self.more_than < 0)
        if low and self.equals is None and self.at_most is None and self.less_than is None:
            raise ValueError("it is never below 0, so this checks nothing")
        return self


class ListChecks(Checks):
    """Checks of a list of names."""

    equals: list[Text] | None = Field(None, description="The whole list, in its order.")
    contains: Texts | None = Field(None, description="A name that must be in it, or several.")
    not_contains: Texts | None = Field(None, description="A name that must not be in it, or several.")
    first: Texts | None = Field(None, description="The name that it begins with, or several, in their order.")
    count: int | CountChecks | None = Field(None, description="How many names it has.")


class IndexChecks(Checks):
    """Checks of positions in the conversation."""

    equals: list[Position] | None = Field(None, description="All positions.")
    contains: Positions | None = Field(None, description="A position that must be there, or several.")
    not_contains: Positions | None = Field(None, description="A position that must not be there, or several.")
    count: int | CountChecks | None = Field(None, description="How many there are.")


class TokenChecks(CountChecks):
    """Checks of the request's tokens: of all together, or of its parts."""

    system: int | CountChecks | None = Field(None, description="Those of the system prompt.")
    messages: int | CountChecks | None = Field(None, description="Those of the messages.")
    tools: int | CountChecks | None = Field(None, description="Those of the tools.")


class ValueChecks(Checks):
    """Checks of a value of any type: a setting, or an argument of a tool call."""

    equals: Any = Field(None, description="The value itself.")
    contains: Any = Field(None, description="A text in the text, or an item of the list; or several.")
    not_contains: Any = Field(None, description="A text that must not be in it, or an item; or several.")
    matches: str | None = Field(None, description="A regular expression that must be found in the text.")
    at_least: float | None = Field(None, description="The least value.")
    at_most: float | None = Field(None, description="The greatest value.")
    more_than: float | None = Field(None, description="It must be greater.")
    less_than: float | None = Field(None, description="It must be less.")

    WORDS: ClassVar[frozenset[str]] = frozenset()
    NULLS: ClassVar[frozenset[str]] = frozenset({"equals"})

    @model_validator(mode="after")
    def _are_sound(self) -> Self:
        check_room(self)
        if self.matches is not None:
            compiled(self.matches)
        for check in ("contains", "not_contains"):
            if getattr(self, check) == []:
                raise ValueError(f"`{check}` has no item, so it checks nothing")
        if "" in listed(self.contains):
            raise ValueError("every text contains the empty text, so `contains` checks nothing")
        return self


ValueChecks.WORDS = frozenset(ValueChecks.model_fields)


def is_checks(value: Any) -> bool:
    """Whether a map is checks and not a value: all of its keys are words of `ValueChecks`."""
    return isinstance(value, Mapping) and bool(value) and value.keys() <= ValueChecks.WORDS


def _value_faults(value: Any, path: tuple[str | int, ...]) -> Iterator[Fault]:
    """The faults of the checks anywhere in a value."""
    if is_checks(value):
        try:
            read_value(ValueChecks, dict(value), ".".join(map(str, path)), path)
        except Faulty as error:
            yield from error.faults
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _value_faults(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _value_faults(inner, (*path, index))


class CallChecks(Written):
    """Checks of one tool call."""

    name: Text = Field(description="The tool's name.", examples=["lookup_order"])
    arguments: dict[str, Any] | None = Field(
        None,
        description="Arguments that it must have: values, or maps of checks. Further ones may be there; `{}` says that it has none.",
        examples=[{"order": 7, "note": {"contains": "refund"}}],
    )

    @field_validator("arguments")
    @classmethod
    def _are_sound(cls, arguments: dict[str, Any] | None) -> dict[str, Any] | None:
        if faults := [*json_faults(arguments, ()), *_value_faults(arguments, ())]:
            raise Faulty(faults)
        return arguments


Call = Text | CallChecks


class ToolCallsChecks(Checks):
    """Checks of the tool calls of a turn, each written as the tool's name or as a map."""

    equals: list[Call] | None = Field(None, description="All calls, in their order.")
    contains: Call | Annotated[list[Call], Field(min_length=1)] | None = Field(
        None, description="A call that must be there, or several, in any order."
    )
    in_order: Annotated[list[Call], Field(min_length=2)] | None = Field(
        None, description="Calls that must be there in this order; others may stand between them."
    )
    not_contains: Texts | None = Field(None, description="A tool that must not be called, or several.")
    count: int | CountChecks | None = Field(None, description="How many calls there are.")

    @model_validator(mode="after")
    def _can_pass_and_fail(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("it checks nothing, so it would always pass; write a check such as `contains`")
        wanted = {call_name(call) for part in (self.equals, self.contains, self.in_order) for call in listed(part)}
        if both := wanted & set(listed(self.not_contains)):
            raise ValueError(f"'{min(both)}' is both expected and in `not_contains`")
        return self


def call_name(call: str | CallChecks) -> str:
    """The tool of an expected call."""
    return call if isinstance(call, str) else call.name


class ErrorChecks(Checks):
    """Checks of an error."""

    code: Text | None = Field(None, description="Its code.", examples=["over-budget"])
    message: Text | TextChecks | None = Field(None, description="Its message.")


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
        faults = [*json_faults(settings, ()), *_value_faults(settings, ())]
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
