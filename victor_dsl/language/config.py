"""What a component's `Config` is made of: the base models, and annotations that tell the compiler what a field means.

A field of a Config is ordinary pydantic. These annotations give it a meaning beyond its type. They stand on a field of
the Config itself, whose type is text, a list or map of text, or optional:

    database: Annotated[str, Ref("databases")]          a name in that section; becomes the node's id
    fallback: Annotated[str, Nested("compaction")]      a bare word or map; becomes the id of a child node
    path: Annotated[str, FilePath(included=True)]       resolved against the file that wrote it
    template: Annotated[str, TemplateText()]            Jinja2 source, checked when the spec is
    function: Annotated[str, FunctionName()]            `module:function`, looked up in its source, not imported
    command: Annotated[list[str], CommandLine()]        a program and its arguments, run as a process
    api_key: Secret                                     exactly one `${env:…}` or `${file:…}`

When `build` gets a Config, references and children are node ids and paths are absolute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, get_args

from attrs import frozen
from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from victor_dsl.values.model import NAME_PATTERN
from victor_dsl.values.model import Model as Model  # noqa: PLC0414 - components take it from here
from victor_dsl.values.tool import CostTier, Tool


@frozen
class Ref:
    """The field names an item of another section; the node needs it. Of databases, those of the `dialects` fit."""

    kind: str
    dialects: tuple[str, ...] = ()


@frozen
class Nested:
    """The field holds a component of that kind, written as a bare word or a map; the node needs it.

    `without` are fields of the kind that mean nothing there, and may not be written.
    """

    kind: str
    without: tuple[str, ...] = ()


@frozen
class FilePath:
    """The field is a path. Where `included`, its content belongs to the plan's digest and must exist to compile.

    Where it `exists`, the file must be there but its content is read at run time; where it is a `template`, it is
    Jinja2 source, and where it holds `values`, a map of `settings` and `vars`. `optional: true` or a `default` of the same Config lifts the must.
    """

    included: bool = False
    template: bool = False
    exists: bool = False
    values: bool = False


@frozen
class TemplateText:
    """The field is Jinja2 source."""


@frozen
class FunctionName:
    """The field is `module:function`; the module is found from the spec's folder, then from Python's path."""


@frozen
class CommandLine:
    """The field is a program and its arguments, which are run as a process."""


Annotation = Ref | Nested | FilePath | TemplateText | FunctionName | CommandLine


@frozen
class Secret:
    """A secret: where it will be found, never what it is. `source` is `env` or `file`.

    `name` is the variable, or the path as it was written; `path` that path made absolute.
    """

    source: Literal["env", "file"]
    name: str
    path: str = ""

    def __str__(self) -> str:
        return f"${{{self.source}:{self.name}}}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.is_instance_schema(
            cls,
            serialization=core_schema.plain_serializer_function_ser_schema(str, return_schema=core_schema.str_schema()),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {
            "type": "string",
            "pattern": r"^\$\{(env|file):[^}]+\}$",
            "description": "A secret: exactly one `${env:NAME}` or `${file:path}`.",
            "examples": ["${env:API_KEY}"],
        }


Around = Literal["turn", "model", "tool"]
"""What a middleware wraps: the whole turn, each model call or each tool call."""


Name = Annotated[str, Field(pattern=NAME_PATTERN)]
"""A name that people give: letters, digits, `_`, `-` and `.`, at most 64."""


class Config(Model):
    """Base of every component's Config. `type` is the component's name and is written in the spec, not here."""


class ListedConfig(Config):
    """Base of components in sections that are lists."""

    name: Name | None = Field(None, description="A name for overlays and reports. Left out, it is the type.")


class ProviderConfig(ListedConfig):
    """What every provider can be told."""

    priority: int = Field(50, description="Higher wins; of equals, the later in the list.")
    optional: bool = Field(
        False, description="Whether turns go on without this layer while it cannot be read. Otherwise they are refused."
    )


class ContributorConfig(ListedConfig):
    """What every contributor can be told."""

    priority: int = Field(50, description="Higher comes first; of equals, the earlier in the list.")
    max_tokens: int | None = Field(None, ge=1, description="The most tokens of this piece.")
    overflow: Literal["drop", "truncate", "fail"] = Field(
        "fail",
        description="What happens to a piece over its `max_tokens`: it is dropped, cut at the end, or the turn fails.",
    )
    optional: bool = Field(False, description="Whether the prompt may go without this piece when it cannot be made.")


class ToolConfig(Config):
    """The fields that every source of tools has."""

    name: Name | None = Field(
        None, description="The tool's name, or the prefix of its tools. Left out, it is the type."
    )
    cost: CostTier | None = Field(None, description="The cost tier of one call.")
    cost_usd: float | None = Field(None, ge=0, description="The price of one call, in US dollars.")
    domain: str | None = Field(None, description="A word for the field it serves; selection may use it.")
    max_tokens: int | None = Field(
        None, ge=1, description="The most tokens that its definitions may take; counted in the context budget."
    )
    timeout_seconds: float = Field(60.0, gt=0, description="The time limit of one call.")
    max_result_tokens: int = Field(
        8000, ge=1, description="The most tokens of a result; a longer one is cut, and a last line says so."
    )

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
    """What every way of selecting tools can be told."""

    k: int | None = Field(None, ge=1, description="How many tools are offered at most; the same as `settings.k`.")
    fallback: Annotated[str | dict[str, Any] | None, Nested("tool_selection")] = Field(
        None, description="What selects instead when this fails or finds nothing. Left out: all tools."
    )


class CompactionConfig(ListedConfig):
    """What every way of compacting the history can be told."""

    threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        description="The share of the context window that triggers it; the same as `settings.threshold`.",
    )
    target_ratio: float | None = Field(
        None, gt=0, le=1, description="The share of the history's tokens to keep; the same as `settings.target_ratio`."
    )
    deadline_seconds: float = Field(5.0, gt=0, description="How long it may take before the fallback does it.")
    fallback: Annotated[
        str | dict[str, Any] | None,
        Nested("compaction", without=("threshold", "target_ratio", "deadline_seconds", "fallback")),
    ] = Field(None, description="What compacts instead when this fails or is late. Left out: `recent`.")


class MiddlewareConfig(ListedConfig):
    """What every middleware can be told."""

    around: Around | None = Field(
        None, description="What it wraps: the whole turn, each model call or each tool call. Left out, its own default."
    )


class ExporterConfig(ListedConfig):
    """What every exporter can be told."""

    batch_size: int = Field(100, ge=1, le=100_000, description="How many events are written at once at most.")
    flush_seconds: float = Field(1.0, gt=0, description="How long an event waits for a batch to fill.")
    queue_size: int = Field(
        10_000, ge=1, description="How many events wait at most; over that the oldest are dropped, and counted."
    )
    retry_seconds: float = Field(
        300.0,
        ge=0,
        description="How long a batch is tried again while the place cannot take it. After that it goes to the dead "
        "letters (`victor dead-letters`).",
    )


class ModelConfig(Config):
    """What every model can be told."""

    context_window: int | None = Field(
        None, ge=1, description="The model's context window, in tokens. Left out, it is looked up by the model's name."
    )
    input_usd_per_million: float | None = Field(None, ge=0, description="The price of a million input tokens.")
    output_usd_per_million: float | None = Field(None, ge=0, description="The price of a million output tokens.")
    cached_usd_per_million: float | None = Field(
        None,
        ge=0,
        description="The price of a million input tokens read from a prompt cache. Left out, that of other input.",
    )

    def window(self) -> int | None:
        """The context window in tokens, None where it is not known."""
        return self.context_window

    def counter(self) -> Callable[[str], int] | None:
        """The model's own tokenizer, which gives a text's tokens; None where it is not here. Loading it may take a while.

        Raises ComponentError where the spec asks for one that cannot be loaded.
        """
        return None

    def price(self) -> tuple[float, float] | None:
        """US dollars for a million input and a million output tokens, None where either is not known."""
        if self.input_usd_per_million is None or self.output_usd_per_million is None:
            return None
        return self.input_usd_per_million, self.output_usd_per_million


class EmbedderConfig(Config):
    """What every embedder can be told."""


class DatabaseConfig(Config):
    """What every database can be told. `dialect` is what its live objects speak, where that is known of all of them."""

    dialect: ClassVar[str | None] = None


class SessionConfig(ListedConfig):
    """What every session store can be told."""


@cache
def annotated_fields(config: type[Config]) -> Mapping[str, Annotation | type[Secret]]:
    """The annotation of each field that has one; that of a secret field is the class `Secret`."""
    found: dict[str, Annotation | type[Secret]] = {}
    for name, field in config.model_fields.items():
        for part in (*field.metadata, *_parts(field.annotation)):
            if part is Secret or isinstance(part, Annotation):
                found[name] = part
    return found


def _parts(type: Any) -> Iterator[Any]:
    yield type
    for argument in (*get_args(type), *getattr(type, "__metadata__", ())):
        yield from _parts(argument)
