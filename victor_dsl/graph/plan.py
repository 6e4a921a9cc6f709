"""The Plan: the immutable value that the compiler makes and the runtime runs. It has no I/O and no secrets."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, islice, product
from pathlib import Path
from typing import Literal, cast

from attrs import field, frozen

from victor_dsl.errors import Refused
from victor_dsl.experiments.assignment import Experiment
from victor_dsl.graph.written import Writers, Written, nearest_origin
from victor_dsl.language.component import TextPlace
from victor_dsl.language.config import Around, Config, ProviderConfig
from victor_dsl.language.kinds import MESSAGES
from victor_dsl.language.lock import Lock
from victor_dsl.nearest import suggest
from victor_dsl.source.located import Span
from victor_dsl.source.reader import FileVersion
from victor_dsl.values.inputs import Inputs
from victor_dsl.values.settings import Layer, Origin

Overflow = Literal["drop", "truncate", "fail"]

Arms = tuple[tuple[str, str], ...]
"""Arms by experiment, sorted: a key of caches."""

PLANS_CACHED = 256
"""How many plans of a program are cached. The base plan always is."""

MOST_PLANS = 1_000
"""How many plans `distinct_nodes` looks at. Each tenant has its turn before the next combination of arms."""

BASE: tuple[None, Arms] = (None, ())
"""The key of the base plan: no overlay, no arms."""


@frozen(eq=False)
class Node:
    """One component of a plan. `id` is `section/name` (a nested one: `section/name.field` or `section/name.field.0`).

    `needs` are the ids of the nodes whose live objects `build` gets. In `config`, references are node ids, paths are
    absolute and secrets are references. `references` are the fields whose value is `${…}`, as they are written; `texts` are the places of its templates, by field;
    `files` are the contents of the files that the fingerprint covers, by path. `origin` has the layers that wrote it, where there are
    several. Nodes with equal (id, fingerprint) are one live object.
    """

    id: str
    type: str
    config: Config
    needs: tuple[str, ...]
    span: Span
    fingerprint: str
    references: Mapping[str, str] = field(factory=dict)
    texts: Mapping[str, TextPlace] = field(factory=dict)
    files: Mapping[str, bytes] = field(factory=dict, repr=False)
    origin: Origin | None = None

    @property
    def kind(self) -> str:
        """The kind of its component, which is the section; `contributors` for the messages of the spec."""
        section = self.id.split("/", 1)[0]
        return "contributors" if section in MESSAGES else section

    @property
    def name(self) -> str:
        """The name in the section."""
        return self.id.split("/", 1)[1]

    @property
    def place(self) -> str:
        """Where it was written: `victor.yml:12`."""
        return f"{self.span.file}:{self.span.line}"

    @property
    def places(self) -> str:
        """Where it was written, for messages: with overlays, `victor.yml:30 (tenant acme) over victor.yml:12`."""
        if self.origin is None:
            return self.place
        highest, *lower = self.origin.layers[::-1]
        return f"{highest} over {', '.join(map(str, lower))}"


@frozen
class Roles:
    """The ids of the nodes by the part they play.

    `providers` are in the order of precedence, the lowest first; `contributors` in the order of the prompt; `admission`
    (middleware up to and including `auth`) and `middleware` (with what each wraps) from the outermost inwards. `messages` are
    the few-shot messages in their order, `message` the template of what the user says.
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
    messages: tuple[str, ...] = ()
    message: str | None = None


@frozen
class PromptPolicy:
    """The budget of the whole system prompt in tokens, and what happens when it is exceeded."""

    max_tokens: int | None = None
    overflow: Overflow = "fail"


@frozen
class JournalPolicy:
    """How large the journal of events may become in MiB, what happens to new turns then, and whether each reply waits for the medium."""

    max_mb: int = 256
    when_full: Literal["block", "drop_oldest", "fail"] = "block"
    fsync: Literal["interval", "always"] = "interval"


@frozen(eq=False)
class Plan:
    """What turns of one tenant overlay and one set of arms run.

    `nodes` are in dependency order. The layer `spec` is below those of the providers; `overlays` (tenant, then arms) are
    above them, the lowest first. `models` are the layers of models with settings of their own: that of the model which
    answers is just above `spec`. `request` lists the settings that a request may set beyond the usual ones, `inputs` what it
    must or may give. `locked` has the globs of values that only the layers `spec` and `models` may set, each with its place.
    Where turns of unknown tenants are refused, `tenants` are those of the spec. `writers` says who wrote each node, each of its
    fields and each input (`inputs/plan`); it is no part of the digest. `written_name` is the name as drawings show
    it: a reference instead of its value. `digest`
    does not depend on how the spec is formatted.
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
    models: Mapping[str, Layer] = field(factory=dict)
    inputs: Inputs = field(factory=dict)
    writers: Mapping[str, Writers] = field(factory=dict)
    written_name: str = field(kw_only=True)
    locked: Mapping[str, str] = field(factory=dict)
    tenants: frozenset[str] | None = None
    by_id: Mapping[str, Node] = field(init=False, repr=False)

    def __str__(self) -> str:
        parts = [f"tenant {self.tenant}"] if self.tenant is not None else []
        parts += [f"arm {experiment}.{arm}" for experiment, arm in self.arms.items()]
        return f"the plan of {' with '.join(parts)}" if parts else "the base plan"

    def origin(self, id: str, field: str = "") -> Origin:
        """Who wrote a node or an input, or one of its fields (`model.temperature`); the default where nobody did."""
        return nearest_origin(self.writers.get(id, {}), field)

    def unknown_tenant(self, tenant: str | None, *, suggests: bool) -> Refused | None:
        """Why a turn of the tenant is refused, unless a provider knows it; `suggests` says that other tenants may be named."""
        if self.tenants is None or tenant is None or tenant in self.tenants:
            return None
        hint = suggest(tenant, self.tenants, what="tenants") if suggests else None
        return Refused(f"there is no tenant '{tenant[:80]}'", hint=hint)

    def tenant_providers(self) -> tuple[str, ...]:
        """The ids of the providers that can say whether there is a tenant."""
        return tuple(id for id in self.roles.providers if cast("ProviderConfig", self.by_id[id].config).knows_tenants)

    @by_id.default
    def _index(self) -> Mapping[str, Node]:
        return {node.id: node for node in self.nodes}

    def only_model(self) -> str | None:
        """The model that answers where no setting names one: the only one that is not a member of another; else None."""
        members = {need for id in self.roles.models.values() for need in self.by_id[id].needs}
        names = [name for name, id in self.roles.models.items() if id not in members]
        return names[0] if len(names) == 1 else None

    def with_needs(self, ids: Iterable[str]) -> tuple[Node, ...]:
        """The nodes of these ids and all that they need, in dependency order."""
        wanted = set(ids)
        for node in reversed(self.nodes):
            if node.id in wanted:
                wanted.update(node.needs)
        return tuple(node for node in self.nodes if node.id in wanted)


@frozen(eq=False)
class Program:
    """A compiled spec.

    `compile_plan` makes the plan of a tenant's overlay (None: no overlay) and arms; `plan_for` caches it. `all_written` gives
    what the layers of that plan write, the lowest first. `tenants` are
    those with an overlay of their own. `directory` is the spec's folder, `state` the folder of local state. `documents`
    are the spec and the files that it extends; `texts` are those whose content its plans hold: prompts, templates, what
    `${file:…}` names. `environment` is what `${env:…}` reads; secrets are looked up in it when nodes
    are opened. An `untrusted` spec gets no secrets. With a `lock` no turn runs whose servers list other tools.
    """

    name: str
    file: str
    directory: Path
    state: Path
    experiments: tuple[Experiment, ...]
    tenants: frozenset[str]
    opted_out: Mapping[str, frozenset[str]]
    compile_plan: Callable[[str | None, Arms], Plan]
    all_written: Callable[[str | None, Arms], Sequence[Written]]
    environment: Mapping[str, str] = field(repr=False)
    untrusted: bool = False
    documents: Mapping[str, FileVersion] = field(factory=dict, repr=False)
    texts: Mapping[str, FileVersion] = field(factory=dict, repr=False)
    lock: Lock | None = field(default=None, repr=False)
    journal: JournalPolicy = JournalPolicy()
    _plans: OrderedDict[tuple[str | None, Arms], Plan] = field(init=False, repr=False, factory=OrderedDict)
    _compiling: threading.Lock = field(init=False, repr=False, factory=threading.Lock)

    def plan_for(self, tenant: str | None, arms: Mapping[str, str]) -> Plan:
        """The plan of a tenant's turns with these arms. A tenant without an overlay has the base plan.

        It is the same object while it is cached. Compiling takes a millisecond or more; `cached_plan` never compiles.
        """
        plan = self.cached_plan(tenant, arms)
        if plan is None:
            with self._compiling:
                plan = self.cached_plan(tenant, arms)
                if plan is None:
                    key = self._key(tenant, arms)
                    plan = self._plans[key] = self.compile_plan(*key)
                    if len(self._plans) > PLANS_CACHED:
                        oldest = next(key for key in self._plans if key != BASE)
                        del self._plans[oldest]
        return plan

    def cached_plan(self, tenant: str | None, arms: Mapping[str, str]) -> Plan | None:
        """The plan, or None if it is not cached."""
        key = self._key(tenant, arms)
        plan = self._plans.get(key)
        if plan is not None and key != BASE:
            with suppress(KeyError):  # another thread may have forgotten it just now
                self._plans.move_to_end(key)
        return plan

    def distinct_nodes(self) -> Iterator[tuple[Plan, Node]]:
        """Every node of every plan, each (id, fingerprint) once, those of the base plan first. Of many plans, `MOST_PLANS`."""
        seen = set()
        arms = [[(experiment.name, arm) for arm in experiment.arms] for experiment in self.experiments]
        others = islice(product(product(*arms), (None, *sorted(self.tenants))), MOST_PLANS)
        for combination, tenant in chain([((), None)], others):
            plan = self.plan_for(tenant, dict(combination))
            for node in plan.nodes:
                if (node.id, node.fingerprint) not in seen:
                    seen.add((node.id, node.fingerprint))
                    yield plan, node

    def _key(self, tenant: str | None, arms: Mapping[str, str]) -> tuple[str | None, Arms]:
        overlay = tenant if tenant in self.tenants else None
        return (overlay, tuple(sorted(arms.items()))) if arms or overlay is not None else BASE
