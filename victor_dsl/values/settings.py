"""Settings: the values in force for one turn, and the layers they are settled from.

This is the one definition of what a setting is: the spec's schema (`language.settings`) and the check of values
that arrive at run time (`values.codec`) are both derived from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, MinLen
from attrs import Factory, fields, frozen
from typing_extensions import Doc

Strings = tuple[str, ...]


@frozen
class ToolLimits:
    """Which tools may be offered and called, as globs over their names. Deny wins."""

    allow: Annotated[Strings, Doc("Globs of the tools that may be used. Left out, every tool may.")] | None = None
    deny: Annotated[Strings, Doc("Globs of the tools that may not be used, whatever `allow` says.")] | None = None


@frozen
class Limits:
    """What a tenant, user, session or key may use. A limit that is not set does not hold."""

    requests_per_minute: Annotated[float, Gt(0), Doc("Turns begun in a minute.")] | None = None
    tokens_per_minute: Annotated[float, Gt(0), Doc("Tokens, in and out, in a minute.")] | None = None
    cost_usd_per_day: Annotated[float, Gt(0), Doc("US dollars in a day (UTC). It has no effect yet.")] | None = None
    concurrency: Annotated[int, Ge(1), Doc("Turns at one time.")] | None = None
    tools: ToolLimits | None = None


@frozen
class Thinking:
    """Extended thinking, where the model has it."""

    budget_tokens: Annotated[int, Ge(1), Doc("The most tokens that the model may think for.")]


@frozen
class Settings:
    """The values in force for one turn. None means: not set, the component's or the model's own default holds."""

    model: Annotated[str, MinLen(1), Doc("The model that answers; a name under `models`.")] | None = None
    fallbacks: Annotated[Strings, Doc("Models that stand in, in this order, when the model fails.")] | None = None
    temperature: Annotated[float, Ge(0), Le(2), Doc("Sampling temperature.")] | None = None
    top_p: Annotated[float, Gt(0), Le(1), Doc("Nucleus sampling: the share of probability kept.")] | None = None
    max_tokens: Annotated[int, Ge(1), Doc("The most tokens of one answer.")] | None = None
    stop: Annotated[Strings, Doc("Texts at which the model stops.")] | None = None
    seed: Annotated[int, Doc("A seed for models that sample reproducibly.")] | None = None
    response_format: Annotated[Mapping[str, Any], Doc("The answer's format, as the OpenAI API writes it.")] | None = (
        None
    )
    thinking: Annotated[Thinking, Doc("Extended thinking, where the model has it.")] | None = None
    max_tool_rounds: Annotated[int, Ge(0), Doc("How often the model may call tools in one turn.")] = 8
    limits: Annotated[Limits, Doc("What the caller may use.")] = Factory(Limits)
    k: Annotated[int, Ge(1), Doc("How many tools are offered at most; the same as `tool_selection.k`.")] | None = None
    alpha: (
        Annotated[float, Ge(0), Le(1), Doc("The weight of meaning against words in selection; `tool_selection.alpha`.")]
        | None
    ) = None
    threshold: Annotated[
        float, Ge(0), Le(1), Doc("The share of the window that triggers compaction; `compaction.threshold`.")
    ] = 0.8
    target_ratio: Annotated[
        float, Gt(0), Le(1), Doc("The share of the history's tokens that compaction keeps; `compaction.target_ratio`.")
    ] = 0.5


SETTING_NAMES: frozenset[str] = frozenset(f.name for f in fields(Settings))

_RATES = ("requests_per_minute", "tokens_per_minute", "concurrency")

LIFTED: Mapping[tuple[str, str | None], Mapping[str, tuple[str, ...]]] = {
    ("tool_selection", None): {"k": ("k",), "alpha": ("alpha",)},
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

LayerKind = Literal["default", "spec", "provider", "tenant", "arm", "request"]


@frozen
class Origin:
    """Where a value in force came from: `source` is `default`, `spec`, `request`, a provider's node id,
    `tenant acme` or `arm tone.warm`; `file` and `line` where it was written, if anywhere."""

    source: str
    file: str | None = None
    line: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The origin as `victor render` shows it."""
        return {"source": self.source, "file": self.file, "line": self.line}


@frozen(eq=False)
class Layer:
    """One source's say in the values of a turn: partial maps that merge deep over lower layers.

    `origins` maps a dotted path (`settings.temperature`, `vars.product`) to its place; a path without an
    entry has the layer's own `source`. Layers are compared by identity, so a source that has nothing new must
    give the same object again: what was settled from it is then not settled anew.
    """

    source: str
    settings: Mapping[str, Any] = Factory(dict)
    vars: Mapping[str, Any] = Factory(dict)
    origins: Mapping[str, Origin] = Factory(dict)


def merge_deep(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid upon `under`: maps merge deep, anything else replaces, None removes. Neither is changed."""
    merged = dict(under)
    for key, value in over.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            below = merged.get(key)
            merged[key] = merge_deep(below if isinstance(below, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged
