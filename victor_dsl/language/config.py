"""The base classes of components' `Config`s. A Config is an ordinary pydantic model.

Components import all that their Configs need from here, `annotations` included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import Annotated, Any, ClassVar, Literal, Self

from attrs import frozen
from pydantic import Field, model_validator

from victor_dsl.language.annotations import (
    CommandLine,
    FilePath,
    FunctionName,
    Maxima,
    Nested,
    Ref,
    Secret,
    TemplateText,
    ValueGlobs,
)
from victor_dsl.values.model import NAME_PATTERN, Model
from victor_dsl.values.settings import ModelSettings, Settings
from victor_dsl.values.tool import CostTier, Tool

__all__ = [
    "Around",
    "CommandLine",
    "CompactionConfig",
    "Config",
    "ContributorConfig",
    "DatabaseConfig",
    "EmbedderConfig",
    "ExporterConfig",
    "FilePath",
    "FunctionName",
    "ListedConfig",
    "Maxima",
    "MiddlewareConfig",
    "Model",
    "ModelConfig",
    "Name",
    "Nested",
    "ProviderConfig",
    "Ref",
    "Secret",
    "SessionConfig",
    "SettingFault",
    "TemplateConfig",
    "TemplateText",
    "ToolConfig",
    "ToolSelectionConfig",
    "ValueGlobs",
]

Around = Literal["turn", "model", "tool"]
"""What a middleware wraps: the whole turn, each model call or each tool call."""


Name = Annotated[str, Field(pattern=NAME_PATTERN)]
"""A name that users choose: letters, digits, `_`, `-` and `.`, at most 64."""


class Config(Model):
    """The base of every component's Config. It has no field for `type`, which names the component."""


class TemplateConfig(Config):
    """The fields of what a template writes. A Config may add `text`, a third source."""

    path: Annotated[str | None, FilePath(included=True, template=True)] = Field(
        None, description="The template's file, relative to the spec.", examples=["prompts/base.md.j2"]
    )
    template: Annotated[str | None, TemplateText()] = Field(
        None,
        description="The template itself, instead of a file; it cannot include files.",
        examples=["You help users of {{ product }}."],
    )

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        sources = [name for name in ("text", "path", "template") if name in type(self).model_fields]
        given = [name for name in sources if getattr(self, name) is not None]
        if len(given) != 1:
            *first, last = [f"'{name}'" for name in sources]
            only = {0: "", 2: ", not both"}.get(len(given), ", not all three")
            raise ValueError(f"give either {', '.join(first)} or {last}{only}")
        return self


class ListedConfig(Config):
    """The base of Configs in sections that are lists."""

    name: Name | None = Field(None, description="The name in overlays and reports. By default the type.")


class ProviderConfig(ListedConfig):
    """The fields that every provider has. With `knows_tenants` its live objects have `async def knows(tenant: str) -> bool`,
    which says whether there is such a tenant."""

    knows_tenants: ClassVar[bool] = False

    priority: int = Field(50, description="The highest priority wins; among equals, the last in the list.")
    optional: bool = Field(
        False,
        description="Whether turns continue without this layer while it cannot be read, and without its values that are at "
        "fault while those were never good. By default they fail.",
    )


class ContributorConfig(ListedConfig):
    """The fields that every contributor has."""

    priority: int = Field(50, description="The highest priority comes first; equals keep the order of the list.")
    max_tokens: int | None = Field(None, ge=1, description="The maximum number of tokens of this piece.")
    overflow: Literal["drop", "truncate", "fail"] = Field(
        "fail",
        description="What happens to a piece over its `max_tokens`: it is dropped, cut at the end, or the turn fails.",
    )
    optional: bool = Field(
        False, description="Whether to leave this piece out when it cannot be made. By default the turn fails."
    )


class ToolConfig(Config):
    """The fields that every source of tools has."""

    name: Name | None = Field(None, description="The tool's name, or the prefix of its tools. By default the type.")
    cost: CostTier | None = Field(None, description="The cost tier of one call.")
    cost_usd: float | None = Field(None, ge=0, allow_inf_nan=False, description="The price of one call, in US dollars.")
    domain: str | None = Field(
        None, description="The subject area of the tools, as one word; tool selection may use it."
    )
    max_tokens: int | None = Field(
        None, ge=1, description="The maximum number of tokens of its definitions; counted in the context budget."
    )
    timeout_seconds: float = Field(60.0, gt=0, description="The time limit of one call.")
    max_result_tokens: int = Field(
        8000,
        ge=1,
        description="The maximum number of tokens of a result. A longer one is cut, and its last line says so.",
    )

    def lists_tools(self) -> bool:
        """Whether a server decides what the tools are, so that `victor.lock` has them. The live object then has its `server` name."""
        return False

    def tool(self, name: str, description: str, parameters: Mapping[str, Any], node: str) -> Tool:
        """A tool whose calls the node answers, with the item's cost and domain."""
        return Tool(
            name,
            description,
            parameters,
            cost=self.cost,
            cost_usd=self.cost_usd,
            domain=self.domain,
            source=node,
        )


class ToolSelectionConfig(ListedConfig):
    """The fields that every tool selection has."""

    k: int | None = Field(
        None, ge=1, description="The maximum number of tools that are selected for a turn; the same as `settings.k`."
    )
    most: int | None = Field(
        None,
        ge=1,
        description="The maximum number of tools that a session is offered before its set begins anew; by default three times "
        "`k`. The same as `settings.most`.",
        examples=[24],
    )
    fallback: Annotated[str | dict[str, Any] | None, Nested("tool_selection")] = Field(
        None,
        description="The selection to use when this one fails or finds nothing. By default all tools are offered; of more than `k`, those that the "
        "conversation has called most often, then the cheapest.",
    )

    @model_validator(mode="after")
    def _most_has_room_for_k(self) -> Self:
        if self.most is not None and self.k is not None and self.most < self.k:
            raise ValueError(f"'most' is {self.most}, less than the {self.k} tools of one turn ('k')")
        return self


class CompactionConfig(ListedConfig):
    """The fields that every compaction has."""

    threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        description="The share of the context window at which compaction begins; the same as `settings.threshold`.",
    )
    target_ratio: float | None = Field(
        None,
        gt=0,
        le=1,
        description="How far the history is reduced: a share of the tokens at which compaction begins; the same as "
        "`settings.target_ratio`.",
    )
    deadline_seconds: float = Field(5.0, gt=0, description="The time limit, after which the fallback compacts instead.")
    fallback: Annotated[
        str | dict[str, Any] | None,
        Nested("compaction", without=("threshold", "target_ratio", "deadline_seconds", "fallback")),
    ] = Field(
        None, description="The compaction to use when this one fails or exceeds its time limit. By default `recent`."
    )


class MiddlewareConfig(ListedConfig):
    """The fields that every middleware has."""

    around: Around | None = Field(
        None,
        description="What it wraps: the whole turn, each model call or each tool call. The default depends on the type.",
    )
    required: bool | None = Field(
        None,
        description="Whether tenants and arms may not change, move or remove it; they may change fields that are settings. By "
        "default only `auth`, `rate_limit` and `redact` are required. Overlays cannot write it.",
    )


class ExporterConfig(ListedConfig):
    """The fields that every exporter has."""

    batch_size: int = Field(100, ge=1, le=100_000, description="The maximum number of events in one write.")
    flush_seconds: float = Field(1.0, gt=0, description="How long an event waits for a batch to fill.")
    queue_size: int = Field(
        10_000,
        ge=1,
        description="The maximum number of events that wait in memory. Further ones wait in the journal.",
    )
    retry_seconds: float | None = Field(
        None,
        ge=0,
        description="How long a batch that cannot be written is retried. After that it becomes a dead letter "
        "(`victor dead-letters`). By default it is retried for as long as the journal keeps it.",
    )
    required: bool = Field(
        False,
        description="Whether the spec runs only if the exporter can be opened. By default one that cannot, as its port is in use or "
        "its file cannot be written, is a warning, and is tried again; its events wait in the journal.",
    )
    user_key: Secret | None = Field(
        None,
        description="The key of users' pseudonyms. Events have the HMAC-SHA-256 of the turn's user, so that the same user can be "
        "counted and forgotten. By default the key is a random one in the folder of local state.",
    )
    store_user: bool = Field(False, description="Whether events have the user's own id instead of a pseudonym.")

    def wants_contents(self) -> bool:
        """Whether its `turn` events come with what the turn was asked (`Event.contents`)."""
        return False


@frozen
class SettingFault:
    """A setting that a model cannot be sent as it is written: it is left out (`not sent`), sent as another value (`changed`),
    or the request fails (`refused`). `reason` is a clause that follows a colon; `hint` says what to do, where that is not
    simply to leave the setting out."""

    setting: str
    effect: Literal["not sent", "changed", "refused"]
    reason: str
    hint: str = ""


class ModelConfig(Config):
    """The fields that every model has. The `settings` are values of a turn: the live object is built without them."""

    settings: ModelSettings | None = Field(
        None,
        description="Settings in force when this model answers, also as a fallback or as a member of a pool. They override "
        "the spec's own `settings`; providers, tenants, arms and requests override them. `null` unsets a setting.",
        examples=[{"temperature": 1, "max_tokens": 800}],
    )
    context_window: int | None = Field(
        None, ge=1, description="The model's context window, in tokens. By default it is looked up by the model's name."
    )
    input_usd_per_million: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="The price of a million input tokens."
    )
    output_usd_per_million: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="The price of a million output tokens."
    )
    cached_usd_per_million: float | None = Field(
        None,
        ge=0,
        description="The price of a million input tokens read from a prompt cache. By default that of other input.",
        allow_inf_nan=False,
    )
    cache_write_usd_per_million: float | None = Field(
        None,
        ge=0,
        description="The price of a million input tokens written to a prompt cache. By default that of other input.",
        allow_inf_nan=False,
        examples=[3.75],
    )

    def retirement(self) -> tuple[date, str | None, bool] | None:
        """From when the model's provider refuses it, what it recommends instead, and whether the address is the provider's own."""
        return None

    def model_meant(self) -> str | None:
        """The model that was probably meant, where nothing is known of this one at its provider's own address."""
        return None

    def telemetry(self) -> Mapping[str, str]:
        """What events say of the model: its `provider` and the `request_model`, by OpenTelemetry's conventions; else nothing."""
        return {}

    def window(self) -> int | None:
        """The context window in tokens, or None if unknown."""
        return self.context_window

    def counter(self) -> Callable[[str], int] | None:
        """A function that counts a text's tokens with the model's own tokenizer, or None without one. Loading may be slow.

        Raises ComponentError if the spec names a tokenizer that cannot be loaded.
        """
        return None

    def price(self) -> tuple[float, float] | None:
        """US dollars for a million input and a million output tokens, or None if either is unknown."""
        if self.input_usd_per_million is None or self.output_usd_per_million is None:
            return None
        return self.input_usd_per_million, self.output_usd_per_million

    def loads_tools(self) -> bool:
        """Whether the model's provider loads deferred tools (`turn.deferred`) when the model needs them."""
        return False

    def setting_faults(self, settings: Settings) -> Iterator[SettingFault]:
        """What of these settings the model cannot be sent, as far as that is known."""
        most = self.output_limit()
        if most is not None and settings.max_tokens is not None and settings.max_tokens > most:
            yield SettingFault("max_tokens", "refused", f"its answers have at most {most:,} tokens")

    def output_limit(self) -> int | None:
        """The most tokens that an answer may have, or None if unknown."""
        return None

    def most_tools(self) -> int | None:
        """The number of tools that a request may offer, or None if unknown."""
        return None


class EmbedderConfig(Config):
    """The base of embedders' Configs; they share no fields."""


class DatabaseConfig(Config):
    """The base of databases' Configs. `dialect` is the dialect of its live objects, or None if not known."""

    dialect: ClassVar[str | None] = None


class SessionConfig(ListedConfig):
    """The fields that every session store has."""

    retry_seconds: float = Field(
        10.0,
        ge=0,
        allow_inf_nan=False,
        description="How long reading or storing a history is retried, with growing, random pauses, while the "
        "store is unreachable, locked or full. Only then does the turn fail.",
    )
    shared: bool = Field(
        False,
        description="Whether a tenant's users share its sessions. By default a session belongs to its tenant and the user that "
        "`auth` named: the same id of another user is another session. Without `auth` it belongs to the tenant alone.",
    )
