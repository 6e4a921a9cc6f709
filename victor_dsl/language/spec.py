"""The grammar of a spec outside its components, version 1: the sections that are not kinds.

The sections of the kinds stand in `kinds.KINDS`; their items are checked against their component's own Config.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import (
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic.functional_validators import ModelWrapValidatorHandler

from victor_dsl.language.config import Name, TemplateConfig
from victor_dsl.language.kinds import KINDS
from victor_dsl.language.spec_tests import Test
from victor_dsl.values.additions import take_additions, with_additions
from victor_dsl.values.codec import json_faults
from victor_dsl.values.faults import Faulty
from victor_dsl.values.inputs import Input
from victor_dsl.values.model import VAR_PATTERN, Model
from victor_dsl.values.path_globs import MOST_GLOBS
from victor_dsl.values.settings import REQUEST_SETTINGS, SETTING_NAMES, Added, Settings

VERSION = 1

UNTOUCHABLE: frozenset[str] = frozenset(
    {
        "victor",
        "name",
        "description",
        "extends",
        "tests",
        "tenants",
        "variants",
        "databases",
        "exporters",
        "journal",
        "sessions",
        "request",
        "locked",
        "unknown_tenants",
    }
)
"""Sections that tenants and arms may not change."""

VarName = Annotated[str, Field(pattern=VAR_PATTERN)]


class Values(Model):
    """A layer of settings and vars."""

    settings: Settings | None = Field(
        None, description="Settings of this layer, written as in the spec's own `settings`."
    )
    vars: dict[VarName, Any] | None = Field(None, description="Variables of this layer, for templates.")
    _added: Added = PrivateAttr(frozenset())

    @field_validator("vars")
    @classmethod
    def _vars_are_json(cls, vars: dict[str, Any] | None) -> dict[str, Any] | None:
        if faults := list(json_faults(vars, ())):
            raise Faulty(faults)
        return vars

    @model_validator(mode="wrap")
    @classmethod
    def _take_additions(cls, written: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        plain, added = take_additions(written)
        values = handler(plain)
        values._added = added  # noqa: SLF001 - its own class
        return values

    @model_serializer(mode="wrap")
    def _with_additions(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = with_additions(handler(self), self._added)
        return values


class Prompt(Model):
    """The budget of the whole system prompt, and the order of its pieces."""

    max_tokens: int | None = Field(None, ge=1, description="The most tokens of the system prompt. Left out: no limit.")
    overflow: Literal["drop", "truncate", "fail"] = Field(
        "fail",
        description="What happens over it: contributors are dropped, lowest priority first, the prompt is cut at its "
        "end, or the turn fails.",
    )
    order: Literal["priority", "stability"] = Field(
        "priority",
        description="The order of contributors with equal priority. `priority`: as they are written. `stability`: those whose "
        "text is the same in all sessions of a tenant come first, so that providers' prompt caches reuse more.",
    )


class Journal(Model):
    """The journal of events on the local disk, from which exporters are served."""

    max_mb: int = Field(
        256, ge=8, le=1_048_576, description="The maximum size in MiB, over all processes of the spec on this machine."
    )
    when_full: Literal["block", "drop_oldest", "fail"] = Field(
        "block",
        description="What happens when exporters deliver so slowly that the journal has its maximum size, or the disk is full. "
        "`block`: a new turn waits for room, for at most 30 s. `fail`: it is refused at once. `drop_oldest`: the oldest events "
        "are dropped and counted. Turns that run always end, and their events are written.",
    )
    fsync: Literal["interval", "always"] = Field(
        "interval",
        description="When events are on the medium. `interval`: within a second; a killed process loses none, a machine without "
        "power may lose the last second's. `always`: before the reply to their turn is given.",
    )


class ExampleMessage(TemplateConfig):
    """One message of an example. Its text is `text`, or what a template writes; where that is nothing, the message is left out."""

    role: Literal["user", "assistant"] = Field(description="Whose message it is.")
    text: str | None = Field(None, description="The text, exactly as written.", examples=["Where is my parcel?"])

    @field_validator("text", "template")
    @classmethod
    def _is_not_blank(cls, text: str | None) -> str | None:
        if text is not None and not text.strip():
            raise ValueError("it must not be blank")
        return text


class MessageTemplate(TemplateConfig):
    """The template of what the user says. It sees the text as `message`, beside everything that contributors' templates see."""


class Arm(Model):
    """One arm of an experiment."""

    weight: float = Field(1.0, ge=0, description="Its share of the units, relative to the other arms' weights.")
    with_: dict[str, Any] | None = Field(
        None, alias="with", description="An overlay: the changes to the spec for units in this arm."
    )


class Metrics(Model):
    """What an experiment is judged by: names of metrics in the events."""

    goal: list[str] | None = Field(None, description="Metrics that should improve.")
    guard: list[str] | None = Field(None, description="Metrics that must not get worse.")


class Experiment(Model):
    """An experiment: weighted arms, each an overlay of the spec."""

    unit: Literal["session", "user", "tenant"] = Field(
        "session",
        description="The unit of assignment: session, user or tenant. Equal session ids of two users whom `auth` named are two units.",
    )
    arms: dict[Name, Arm] = Field(description="The arms by name.", min_length=1)
    control: str | None = Field(
        None, description="The arm to compare with. Left out: `control`, else the first. It has no effect yet."
    )
    coverage: float = Field(1.0, ge=0, le=1, description="The share of units that take part.")
    status: Literal["draft", "running", "stopped"] = Field(
        "running", description="Only a running experiment assigns units; in the others everyone has the base."
    )
    hash: Literal["rendezvous"] = Field(
        "rendezvous", description="How units are assigned: weighted rendezvous hashing."
    )
    metrics: Metrics | None = Field(None, description="The metrics of the experiment. They have no effect yet.")


class Tenant(Model):
    """A tenant: an overlay of the spec."""

    with_: dict[str, Any] | None = Field(
        None, alias="with", description="The changes to the spec for this tenant. `variants: {NAME: null}` stays out."
    )


class Spec(Model):
    """A spec outside the sections of the kinds."""

    victor: int = Field(
        description="The version of the language that the spec is written in: 1.", json_schema_extra={"const": VERSION}
    )
    name: Name = Field(description="The pipeline's name; it is on every event.")
    description: str | None = Field(None, description="What the pipeline is for.")
    extends: str | list[str] | None = Field(
        None,
        description="Specs that this one is laid upon: a path or a list, relative to this file, parents first. "
        "`${env:NAME}` in a path chooses a file inside this folder.",
    )
    settings: Settings | None = Field(None, description="Values in force for a turn; their lowest layer.")
    vars: dict[VarName, Any] | None = Field(None, description="Values for templates, by name.")
    inputs: dict[VarName, Input | None] | None = Field(
        None,
        description="Values that a request must or may give, by name; templates see them. A name is declared here or in `vars`.",
        examples=[
            {"customer": {"required": True, "max_length": 200}, "plan": {"enum": ["free", "pro"], "default": "free"}}
        ],
    )
    prompt: Prompt | None = Field(None, description="The budget of the whole system prompt, and its order.")
    messages: list[ExampleMessage] | None = Field(
        None,
        description="Few-shot examples: messages that are sent after the system prompt and before the conversation, in every "
        "request. Compaction never leaves them out.",
        examples=[
            [{"role": "user", "text": "Where is my parcel?"}, {"role": "assistant", "text": '{"topic": "delivery"}'}]
        ],
    )
    message: MessageTemplate | None = Field(
        None,
        description="A template around what the user says, in each turn.",
        examples=[{"template": "<question>{{ message }}</question>"}],
    )
    variants: dict[Name, Experiment] | None = Field(None, description="Experiments by name; several may run at once.")
    tenants: dict[str, Tenant] | None = Field(None, description="Tenants by id, each an overlay of the spec.")
    unknown_tenants: Literal["refuse", "base"] | None = Field(
        None,
        description="What happens to a turn of a tenant that is neither in `tenants` nor known to a `tenant` provider: it is "
        "refused, or it has the base, the spec without an overlay. By default it has the base.",
    )
    journal: Journal | None = Field(
        None,
        description="The journal that keeps events on the local disk, in the folder of local state, until every exporter has them.",
        examples=[{"max_mb": 1024, "when_full": "drop_oldest"}],
    )
    locked: list[str] | None = Field(
        None,
        description="Settings and vars that only this spec and what it extends may set, not providers, tenants, arms and "
        "requests: paths with `*`, each with everything below it.",
        max_length=MOST_GLOBS,
        examples=[["settings.model", "settings.limits.*", "vars.legal"]],
    )
    request: list[str] | None = Field(
        None,
        description="Settings that a request may set beyond "
        + ", ".join(f"`{name}`" for name in sorted(REQUEST_SETTINGS))
        + ".",
        json_schema_extra={"items": {"enum": [*sorted(SETTING_NAMES)]}},
    )
    tests: list[Test] | None = Field(
        None,
        description="Tests of the spec, which `victor test` runs. An item may also be a file with a list of tests, or a glob of such "
        "files, relative to this file. Nothing else depends on them, and commands that run the spec do not read them.",
        min_length=1,
        examples=[
            [
                "tests/*.yml",
                {
                    "name": "acme reads of HIPAA",
                    "given": {"message": "hi", "tenant": "acme"},
                    "expect": {"system": {"contains": "HIPAA"}},
                },
            ]
        ],
    )


OWN = "x-"
"""Begins the names of keys at the top of a spec that hold what its author wants, such as anchors."""

SECTIONS: frozenset[str] = frozenset({*Spec.model_fields, *KINDS})
"""Every key that may stand at the top of a spec."""

LISTS: frozenset[str] = frozenset(
    {kind.name for kind in KINDS.values() if kind.shape == "list"}
    | {
        name
        for name, field in Spec.model_fields.items()
        if name != "extends" and any(get_origin(arm) is list for arm in get_args(field.annotation))
    }
)
"""The sections that are lists, to which `+section` adds."""

ORDER = (
    *("victor", "name", "description", "extends"),
    "",  # keys of the author's own: an anchor comes before its aliases
    *("models", "databases", "embedders", "settings", "vars", "inputs", "request", "locked", "providers"),
    *("prompt", "contributors", "messages", "message", "tools", "tool_selection", "compaction", "middleware"),
    *("variants", "unknown_tenants", "tenants", "exporters", "journal", "sessions", "tests"),
)
"""The sections in the order in which people write them."""


def section_rank(key: str) -> int:
    """The place in `ORDER` of a key at the top of a spec; `+section` has the place of its section."""
    name = key.removeprefix("+")
    return ORDER.index(name if name in ORDER else "")
