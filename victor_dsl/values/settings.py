"""Settings: the values in force for one turn, and the layers that they come from.

`Settings` is the one definition of what a setting is: specs, the JSON Schema and every layer that is read at run time
are checked against it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, Self, get_args

from attrs import Factory, evolve, frozen
from pydantic import AfterValidator, BaseModel, Field, Strict, create_model, model_validator

from victor_dsl.values.frozen import freeze
from victor_dsl.values.model import Model, OrNull
from victor_dsl.values.tool_globs import narrowed

MOST_TOOL_CALLS = 128
"""The most tool calls of one answer that are read, and the most that `max_tool_calls` allows. Further ones are dropped, so
that no answer takes time and memory without end."""

Strings = Annotated[tuple[str, ...], Strict(False)]
"""A list of text. What is written is a list, what is in force a tuple."""


class ToolLimits(Model):
    """Which tools may be offered and called, as globs over their names. Deny wins."""

    allow: Strings | None = Field(
        None,
        description="Globs of the tools that may be used; `a* & *b` matches what both match. Left out, every tool may. A tool "
        "must be allowed by every layer that writes `allow`.",
    )
    deny: Strings | None = Field(
        None,
        description="Globs of the excluded tools; they take precedence over `allow`. Those of all layers add up.",
    )


class Limits(Model):
    """What a tenant, user, session or key may use. Without a value there is no limit."""

    requests_per_minute: float | None = Field(None, gt=0, description="Turns begun in a minute.")
    tokens_per_minute: float | None = Field(None, gt=0, description="Tokens, in and out, in a minute.")
    cost_usd_per_day: float | None = Field(None, gt=0, description="US dollars in a day (UTC). It has no effect yet.")
    concurrency: int | None = Field(None, ge=1, description="Turns at one time.")
    tools: ToolLimits | None = None


class Thinking(Model):
    """Extended thinking, where the model has it."""

    type: Literal["enabled", "adaptive", "disabled"] = Field(
        "enabled",
        description="`enabled` thinks within `budget_tokens`; with `adaptive` the model decides itself how long it thinks.",
    )
    budget_tokens: int | None = Field(
        None, ge=1, description="The most tokens that the model may think for; for `enabled` alone."
    )

    @model_validator(mode="after")
    def _has_its_budget(self) -> Self:
        if (self.type == "enabled") != (self.budget_tokens is not None):
            raise ValueError("`enabled` needs `budget_tokens`, and the other types have none")
        return self


class Settings(Model):
    """The values in force for one turn. None means not set: the component's or the model's own default applies."""

    model: str | None = Field(None, min_length=1, description="The model that answers; a name under `models`.")
    fallbacks: Strings | None = Field(
        None,
        description="Fallback models, in order, for when the model fails, does not exist, or lacks access or credit.",
    )
    fallbacks_on: Annotated[tuple[Literal["content_filter", "bad_request"], ...], Strict(False)] | None = Field(
        None,
        description="Further errors after which a fallback answers: `content_filter`, where the provider refused the content, "
        "and `bad_request`, where it refused the request for any other reason. By default such a turn fails.",
        examples=[["content_filter"]],
    )
    temperature: float | None = Field(None, ge=0, le=2, description="Sampling temperature.")
    top_p: float | None = Field(None, gt=0, le=1, description="Nucleus sampling: the cumulative probability.")
    max_tokens: int | None = Field(None, ge=1, description="The most tokens of one answer.")
    stop: Strings | None = Field(None, description="Texts at which the model stops.")
    frequency_penalty: float | None = Field(
        None, ge=-2, le=2, description="Above 0, tokens are less likely the more often the text has them already."
    )
    presence_penalty: float | None = Field(
        None, ge=-2, le=2, description="Above 0, tokens are less likely if the text has them already."
    )
    seed: int | None = Field(None, description="A seed for models that sample reproducibly.")
    response_format: Annotated[dict[str, Any], AfterValidator(freeze)] | None = Field(
        None, description="The answer's format, as the OpenAI API writes it."
    )
    thinking: Thinking | None = Field(None, description="Extended thinking, where the model has it.")
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = Field(
        None, description="How much a reasoning model thinks, where the model has such a parameter."
    )
    tool_choice: str | None = Field(
        None,
        min_length=1,
        description="Whether the model's first answer calls tools: `auto`, `none`, `required`, or the name of the tool "
        "that it must call. Answers to the results of tools are free to call others or not.",
    )
    parallel_tool_calls: bool | None = Field(
        None, description="Whether one answer may call several tools. By default the model's own default applies."
    )
    broken_stream: Literal["error", "hold", "restart", "continue"] | None = Field(
        None,
        description="What happens when an answer breaks off after some of its text was streamed. `error` fails the turn (the "
        "default). `hold` streams nothing until the answer is complete, so that another try can replace it. `restart` takes the "
        "text back and tries again. `continue` tries again and goes on where the new text agrees with the old.",
    )
    max_tool_rounds: Annotated[int, Field(ge=0), OrNull()] = Field(
        8, description="How often the model may call tools in one turn."
    )
    max_tool_calls: Annotated[int, Field(ge=1, le=MOST_TOOL_CALLS), OrNull()] = Field(
        32,
        description="How many tool calls of one answer are made. The model is told that the others were not. One turn makes at "
        "most `max_tool_rounds` times as many.",
    )
    limits: Annotated[Limits, OrNull()] = Field(
        default_factory=Limits, description="The caller's limits and allowed tools."
    )
    k: int | None = Field(None, ge=1, description="How many tools are offered at most; the same as `tool_selection.k`.")
    most: int | None = Field(
        None,
        ge=1,
        description="How many tools a session is offered at most before its set begins anew; `tool_selection.most`. "
        "By default three times `k`.",
    )
    alpha: float | None = Field(
        None, ge=0, le=1, description="The weight of meaning against words in selection; `tool_selection.alpha`."
    )
    threshold: Annotated[float, Field(ge=0, le=1), OrNull()] = Field(
        0.8, description="The share of the window that triggers compaction; `compaction.threshold`."
    )
    target_ratio: Annotated[float, Field(gt=0, le=1), OrNull()] = Field(
        0.5,
        description="How far compaction reduces the history: a share of the tokens at which it begins; "
        "`compaction.target_ratio`.",
    )

    def replace(self, **changes: Any) -> Self:
        """The same settings with other values, which are not checked."""
        return self.model_copy(update=changes)


@cache
def default_settings() -> Settings:
    """The settings where nothing is written: one object, made at its first use, since that builds the model (4 ms)."""
    return Settings()


SETTING_NAMES: frozenset[str] = frozenset(Settings.model_fields)

MODEL_SETTINGS: tuple[str, ...] = (
    *("temperature", "top_p", "max_tokens", "stop", "frequency_penalty", "presence_penalty", "seed", "response_format"),
    *("thinking", "reasoning_effort", "tool_choice", "parallel_tool_calls"),
)
"""What a request to a model says; a model may have such settings of its own, which are in force when it answers."""

_FIELDS: dict[str, Any] = {
    name: (Settings.model_fields[name].annotation, Settings.model_fields[name]) for name in MODEL_SETTINGS
}
ModelSettings = create_model("ModelSettings", __base__=Model, __module__=__name__, **_FIELDS)
ModelSettings.__doc__ = "Settings of one model, in force when it answers."


def setting_paths() -> Iterator[tuple[str, ...]]:
    """The path of every setting that is not itself a group of settings."""
    return (path for path, _ in _typed_paths(Settings, ()))


@cache
def numeric_settings() -> frozenset[tuple[str, ...]]:
    """The paths of the settings that are numbers."""
    return frozenset(path for path, types in _typed_paths(Settings, ()) if not {int, float}.isdisjoint(types))


def _typed_paths(group: type[BaseModel], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], tuple[Any, ...]]]:
    for name, field in group.model_fields.items():
        types = (field.annotation, *get_args(field.annotation))
        inner = next((found for found in types if isinstance(found, type) and issubclass(found, BaseModel)), None)
        if inner is None:
            yield (*above, name), types
        else:
            yield from _typed_paths(inner, (*above, name))


_RATES = ("requests_per_minute", "tokens_per_minute", "concurrency")

LIFTED: Mapping[tuple[str, str | None], Mapping[str, tuple[str, ...]]] = {
    ("tool_selection", None): {"k": ("k",), "most": ("most",), "alpha": ("alpha",)},
    ("compaction", None): {"threshold": ("threshold",), "target_ratio": ("target_ratio",)},
    ("middleware", "rate_limit"): {name: ("limits", name) for name in _RATES},
}
"""Settings that may be written on a component, by its section and type (None: any); there they mean that layer's setting.
Each field has the path of the setting that it is."""


def lifted_fields(section: str, type: str | None) -> Mapping[str, tuple[str, ...]]:
    """The fields of a component that are settings, each with the setting's path."""
    return LIFTED.get((section, None)) or LIFTED.get((section, type)) or {}


REQUEST_SETTINGS: frozenset[str] = frozenset({"temperature", "top_p", "max_tokens", "stop", "seed", "response_format"})
"""What a request over HTTP may set unless the spec's `request` names more; `max_tokens` only downwards."""


TOOL_LISTS = frozenset({("settings", "limits", "tools", "allow"), ("settings", "limits", "tools", "deny")})
"""Settings to which each layer adds its restriction, instead of replacing the value of lower layers."""


Added = frozenset[tuple[str, ...]]
"""The paths of the lists of a layer that add to those below: `("settings", "stop")`."""


@frozen
class Origin:
    """Where a value in force came from: `source` is `default`, `spec`, `request`, a model's or a provider's node id,
    `tenant acme` or `arm tone.warm`; `file` and `line` where it was written, if anywhere.

    Of a value that several layers make together, this is the highest, and `layers` are all of them, the lowest first.
    """

    source: str
    file: str | None = None
    line: int | None = None
    layers: tuple[Origin, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The origin as `victor render` shows it."""
        origin: dict[str, Any] = {"source": self.source, "file": self.file, "line": self.line}
        return {**origin, "layers": [layer.as_json() for layer in self.layers]} if self.layers else origin

    def __str__(self) -> str:
        if not self.file:
            return self.source
        return self.place if self.source == "spec" else f"{self.place} ({self.source})"

    @property
    def place(self) -> str:
        """Where it was written: `victor.yml:12`; empty where that is nowhere."""
        return self.file or "" if self.line is None else f"{self.file}:{self.line}"


def joined(origins: Sequence[Origin]) -> Origin:
    """One origin of a value that these layers make together, the highest first; the default if there is none."""
    if not origins:
        return DEFAULT
    return origins[0] if len(origins) == 1 else evolve(origins[0], layers=tuple(origins[::-1]))


DEFAULT = Origin("default")
"""The origin of what no layer writes."""


@frozen(eq=False)
class Layer:
    """What one source contributes to the values of a turn: partial maps that merge deep over lower layers.

    `origins` maps a dotted path (`settings.temperature`, `vars.product`) to its place; a path without an entry comes
    from the layer's own `source`. `called` has what messages call a value that has no path where it was written: `the variable
    SUPPORT_VARS__PRODUCT`; `name` is what they call the layer, where that is not the place of its provider. `added` are the
    paths of lists that add to those below them. Layers are compared by identity: a source that has nothing new must give
    the same object again, so that what was merged from it is not merged anew.
    """

    source: str
    settings: Mapping[str, Any] = Factory(dict)
    vars: Mapping[str, Any] = Factory(dict)
    origins: Mapping[str, Origin] = Factory(dict)
    called: Mapping[str, str] = Factory(dict)
    added: Added = frozenset()
    name: str | None = None

    def settings_upon(self, under: Mapping[str, Any]) -> dict[str, Any]:
        """Its settings laid upon those of lower layers. What one layer denies of tools, or does not allow, no other gives back."""
        merged = merge_deep(under, self.settings, self.added, ("settings",))
        lower, upper = _tool_lists(under), _tool_lists(self.settings)
        if not lower:
            return merged
        tools = {**lower, **upper}
        if "deny" in lower and "deny" in upper:
            tools["deny"] = list(dict.fromkeys([*lower["deny"], *upper["deny"]]))
        if "allow" in lower and "allow" in upper:
            tools["allow"] = narrowed(lower["allow"], upper["allow"])
        return {**merged, "limits": {**(merged.get("limits") or {}), "tools": tools}}

    def vars_upon(self, under: Mapping[str, Any]) -> dict[str, Any]:
        """Its vars laid upon those of lower layers."""
        return merge_deep(under, self.vars, self.added, ("vars",))


def merge_deep(
    under: Mapping[str, Any], over: Mapping[str, Any], added: Added = frozenset(), path: tuple[str, ...] = ()
) -> dict[str, Any]:
    """`over` laid upon `under`: maps merge deep, lists at the paths in `added` add, anything else replaces, None removes.

    `path` is that of the maps. Neither is changed.
    """
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            merged[key] = merge_deep(below if isinstance(below, Mapping) else {}, value, added, (*path, key))
        elif added and (*path, key) in added and isinstance(below, list | tuple):
            merged[key] = [*below, *value]
        else:
            merged[key] = value
    return merged


def _tool_lists(settings: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    here: Any = settings
    for step in ("limits", "tools"):
        here = here.get(step) if isinstance(here, Mapping) else None
    lists = here.items() if isinstance(here, Mapping) else ()
    return {
        name: globs
        for name, globs in lists
        if isinstance(globs, list | tuple) and all(isinstance(g, str) for g in globs)
    }
