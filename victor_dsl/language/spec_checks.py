"""The checks of expectations: what a test may say of a text, a number, a list, a call or an error.

A check that no turn could meet, or that every turn meets, is a fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from victor_dsl.values.codec import json_faults
from victor_dsl.values.codec import read as read_value
from victor_dsl.values.faults import Fault, Faulty
from victor_dsl.values.model import Model

MOST_PATTERN = 1_000
"""The most characters of a regular expression."""
_UNLIKELY = "\x01\n~\x02"
"""A text that only a pattern which matches every text is found in, if it is found in the empty text, too."""

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


def value_faults(value: Any, path: tuple[str | int, ...]) -> Iterator[Fault]:
    """The faults of the checks anywhere in a value."""
    if is_checks(value):
        try:
            read_value(ValueChecks, dict(value), ".".join(map(str, path)), path)
        except Faulty as error:
            yield from error.faults
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from value_faults(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from value_faults(inner, (*path, index))


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
        if faults := [*json_faults(arguments, ()), *value_faults(arguments, ())]:
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
