"""The Plan: one immutable value in which compiler and runtime meet. No I/O in it, and no secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from attrs import field, frozen

from victor_dsl.experiments.assignment import Experiment
from victor_dsl.language.config import Around, Config
from victor_dsl.source.located import Span
from victor_dsl.values.settings import Layer

Overflow = Literal["drop", "truncate", "fail"]


@frozen(eq=False)
class Node:
    """One component of a plan. `id` is `section/name` (a nested one: `section/name.field` or `section/name.field.0`).

    `needs` are the ids of the nodes that `build` is given; `config` has references as node ids, paths absolute
    and secrets as references. Nodes with equal (id, fingerprint) are one live object.
    """

    id: str
    type: str
    config: Config
    needs: tuple[str, ...]
    span: Span
    fingerprint: str

    @property
    def kind(self) -> str:
        """The section."""
        return self.id.split("/", 1)[0]

    @property
    def name(self) -> str:
        """The name in the section."""
        return self.id.split("/", 1)[1]

    @property
    def place(self) -> str:
        """Where it was written: `victor.yml:12`."""
        return f"{self.span.file}:{self.span.line}"


@frozen
class Roles:
    """Which nodes play which part, by id.

    `providers` come lowest precedence first, `contributors` first in the prompt first, `admission` (middleware up to
    and including `auth`) and `middleware` (with what each wraps) outermost first.
    """

    models: Mapping[str, str]
    providers: tuple[str, ...]
    contributors: tuple[str, ...]
    tools: tuple[str, ...]
    tool_selection: str
    compaction: str
    admission: tuple[str, ...]
    middleware: tuple[tuple[str, Around], ...]
    exporters: tuple[str, ...]
    sessions: str


@frozen
class PromptPolicy:
    """The budget of the whole system prompt, in tokens, and what happens over it."""

    max_tokens: int | None = None
    overflow: Overflow = "fail"


@frozen(eq=False)
class Plan:
    """What one (tenant overlay, arms) runs. `nodes` come in dependency order; `layers` lowest first, in two parts:
    `spec` stands below the providers, `overlays` (tenant, then arms) above them. `request` lists the
    settings that a request may set beyond the usual. `digest` is the same for every formatting of one meaning.
    """

    name: str
    tenant: str | None
    arms: Mapping[str, str]
    nodes: tuple[Node, ...]
    roles: Roles
    spec: Layer
    overlays: tuple[Layer, ...]
    prompt: PromptPolicy
    request: frozenset[str]
    digest: str
    by_id: Mapping[str, Node] = field(init=False, repr=False)

    @by_id.default
    def _index(self) -> Mapping[str, Node]:
        return {node.id: node for node in self.nodes}


@frozen(eq=False)
class Program:
    """A compiled spec: every plan it can run.

    `plan_for(tenant, arms)` is pure and cached; a tenant without an overlay has the base plan. `tenants` are those
    with an overlay of their own. `directory` is the spec's folder, `state` the folder of local state.
    `sources` are the files that it was compiled from. `environment` is what `${env:…}` reads; secrets are looked up in it when nodes are opened.
    """

    name: str
    file: str
    directory: Path
    state: Path
    experiments: tuple[Experiment, ...]
    tenants: frozenset[str]
    opted_out: Mapping[str, frozenset[str]]
    plan_for: Callable[[str | None, Mapping[str, str]], Plan]
    environment: Mapping[str, str] = field(repr=False)
    sources: tuple[str, ...] = ()
