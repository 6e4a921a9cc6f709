"""The kinds: what a spec is made of, and the one Protocol that each kind's live objects have.

A kind's name is its spec key, its folder under `components`, its entry-point group (`victor_dsl.<kind>`), its
test folder and its docs page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from attrs import frozen

from victor_dsl.language import config as configs

if TYPE_CHECKING:  # a spec is checked without the values that flow
    import numpy as np

    from victor_dsl.values.event import Event
    from victor_dsl.values.history import Choice, History
    from victor_dsl.values.message import Content, Message, Reply, ToolCall
    from victor_dsl.values.settings import Layer
    from victor_dsl.values.tool import Tool
    from victor_dsl.values.turn import Handler, Turn


@runtime_checkable
class Provider(Protocol):
    """A further layer of settings and vars."""

    async def read(self, turn: Turn) -> Layer:
        """The layer for this turn's tenant: the same object as long as nothing changed. Raises ProviderError."""
        ...


@runtime_checkable
class Contributor(Protocol):
    """A piece of the system prompt."""

    async def contribute(self, turn: Turn) -> str:
        """The text; empty if there is nothing to add. Raises ContributorError."""
        ...


@runtime_checkable
class ToolSource(Protocol):
    """One tool, or several from one place.

    A source whose tools never change may have them as its attribute `fixed_tools`; then `tools` is not called. One whose
    tools depend on the turn, such as on its tenant, may have a method `tools_for(turn)`, which is called instead.
    A source that is a Contributor, too, adds a piece to the end of the system prompt.
    """

    async def tools(self) -> Sequence[Tool]:
        """The definitions: the same object as long as nothing changed."""
        ...

    async def call(self, call: ToolCall, turn: Turn) -> Content:
        """The result, of any length: text, or a tuple of parts with text and images (`values.images`).

        The runtime limits the time, cuts the text, and leaves out images that are too many.

        Whatever it raises becomes an error for the model, which reads a ToolError's message as it is. `call.arguments` is
        a JSON object, not yet checked against the tool's parameters.
        """
        ...


@runtime_checkable
class ToolSelection(Protocol):
    """A way to choose the tools that a turn offers."""

    async def select(self, tools: Sequence[Tool], turn: Turn) -> Sequence[Tool]:
        """A part of `tools`, best first, at most `turn.settings.k` of them; empty if none fits."""
        ...


@runtime_checkable
class Compaction(Protocol):
    """A way to choose what of a long history stays. Invariants are enforced around it (`runtime.coordinators.context`)."""

    async def choose(self, history: History, budget: int, turn: Turn) -> Choice:
        """Groups to keep so that all kept, the fixed ones included, cost at most `budget` tokens."""
        ...


@runtime_checkable
class Middleware(Protocol):
    """Something that wraps a handler."""

    def wrap(self, handler: Handler) -> Handler:
        """A handler that does its part and calls `handler` once, or answers or raises by itself."""
        ...


@runtime_checkable
class Exporter(Protocol):
    """A place that events go to."""

    async def export(self, events: Sequence[Event]) -> None:
        """Writes a batch whole; an event that was written before is not written twice. Raises StoreError."""
        ...


@runtime_checkable
class Model(Protocol):
    """A back end that answers."""

    async def answer(self, turn: Turn) -> Reply:
        """The reply to `turn.system`, `turn.messages` and `turn.tools`, streamed to `turn.emit` where
        `turn.streaming`. Raises ModelError."""
        ...


@runtime_checkable
class ModelPool(Model, Protocol):
    """A model that passes each call on to one of its members, by `turn.call_member`; only those calls are recorded."""

    members: Sequence[str]
    """The members' names."""


@runtime_checkable
class Embedder(Protocol):
    """Texts as vectors."""

    async def embed(self, texts: Sequence[str]) -> np.ndarray:
        """float32, (texts, dims), unit rows (a text with nothing in it is a row of zeros)."""
        ...


@runtime_checkable
class Database(Protocol):
    """A database; `dialect` is `sqlite`, `postgres` or `redis`."""

    dialect: str


@runtime_checkable
class SqlDatabase(Database, Protocol):
    """A database that speaks SQL; parameters are written `$1`, `$2`, …

    JSONB is a Python value on its way in and out. Tables of tenants (`victor db migrate`) have row-level security in
    PostgreSQL: there, a statement sees rows only through `for_tenant` or `for_every_tenant`.
    """

    async def fetch(self, sql: str, *parameters: Any) -> list[Mapping[str, Any]]:
        """The rows of one statement. Raises StoreError."""
        ...

    async def execute(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> None:
        """Runs all statements in one transaction. Raises StoreError."""
        ...

    def for_tenant(self, tenant: str | None) -> SqlDatabase:
        """The same database as that tenant sees it, each call in a transaction of its own; None: rows without a tenant."""
        ...

    def for_every_tenant(self) -> SqlDatabase:
        """The same database without regard to tenants: for exporters, keys and reports, never for a turn's reads."""
        ...


@runtime_checkable
class RedisDatabase(Database, Protocol):
    """A database that speaks Redis; texts come back as bytes."""

    async def command(self, *words: str | bytes) -> Any:
        """The reply to a command. Raises StoreError."""
        ...

    async def run_script(self, script: str, keys: Sequence[str], arguments: Sequence[str | bytes]) -> Any:
        """The result of a Lua script, which runs atomically; `keys` lists every key that it uses. Raises StoreError."""
        ...


@runtime_checkable
class SessionStore(Protocol):
    """Histories, each under its tenant, its user and its session id.

    Without `user` a session belongs to all users of the tenant. It is passed where `auth` named one, unless sessions are
    `shared`.
    """

    async def load(
        self, tenant: str | None, session: str, before: str | None = None, *, user: str | None = None
    ) -> tuple[Message, ...]:
        """The history, oldest first; empty for a new session. Raises StoreError.

        `before` is the id of the turn that asks: where it is a turn that was added already and is tried again, the
        history ends before it.
        """
        ...

    async def append(
        self, tenant: str | None, session: str, turn_id: str, messages: Sequence[Message], *, user: str | None = None
    ) -> None:
        """Adds a turn's messages whole; a turn id that was added before adds nothing. Raises StoreError."""
        ...


MESSAGES = ("messages", "message")
"""The sections outside the kinds whose items become contributors: few-shot messages, and the template of what the user says."""

Shape = Literal["map", "list", "one"]


@frozen
class Kind:
    """One kind. `shape` is its section's: a map of named items, a list, or one item.

    `default` is the component meant where `type` is left out, `fallback` the one that stands in where `fallback`
    is. `own` are the fields that an overlay keeps when it changes an item's type.
    """

    name: str
    shape: Shape
    config: type[configs.Config]
    protocol: type[Any]
    default: str | None = None
    fallback: str | None = None

    @property
    def own(self) -> frozenset[str]:
        """The kind's own fields, which every component of it has."""
        return frozenset(self.config.model_fields)


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("models", "map", configs.ModelConfig, Model),
        Kind("databases", "map", configs.DatabaseConfig, Database),
        Kind("embedders", "map", configs.EmbedderConfig, Embedder),
        Kind("providers", "list", configs.ProviderConfig, Provider),
        Kind("contributors", "list", configs.ContributorConfig, Contributor),
        Kind("tools", "list", configs.ToolConfig, ToolSource),
        Kind("tool_selection", "one", configs.ToolSelectionConfig, ToolSelection, default="hybrid", fallback="all"),
        Kind("compaction", "one", configs.CompactionConfig, Compaction, default="salience", fallback="recent"),
        Kind("middleware", "list", configs.MiddlewareConfig, Middleware),
        Kind("exporters", "list", configs.ExporterConfig, Exporter),
        Kind("sessions", "one", configs.SessionConfig, SessionStore, default="memory"),
    )
}
