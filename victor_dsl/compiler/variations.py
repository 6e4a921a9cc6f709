"""Variations: what the spec is for one tenant and one set of arms, each a merged document with its layers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import combinations, product
from typing import Any, NamedTuple

from attrs import define, field, frozen

from victor_dsl.compiler.additions import Additions
from victor_dsl.compiler.check import Checker
from victor_dsl.compiler.checked import Checked, Item
from victor_dsl.compiler.guards import Guards
from victor_dsl.compiler.history import History
from victor_dsl.compiler.layers import layer_of, model_layers
from victor_dsl.compiler.overlays import Overlay, name_of, type_of
from victor_dsl.compiler.removals import Change, blamed, change, removal
from victor_dsl.compiler.work import Work
from victor_dsl.graph.written import Key, Writers, Written
from victor_dsl.language.kinds import KINDS
from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.located import Located, Path
from victor_dsl.values.inputs import Inputs
from victor_dsl.values.settings import LIFTED, Layer, merge_deep

MOST_COMBINATIONS = 256
"""Up to so many, every combination of tenant and arms is checked; over it every pair of overlays is."""

_LACKS = re.compile(r" lacks '([^']+)'$")

MOST_PAIRS = 4_096
"""Of arms of different experiments; a spec that has more is refused."""

Arms = tuple[tuple[str, str], ...]
"""Arms by experiment, in the order of the spec: a key of caches."""


class Piece(NamedTuple):
    """What one layer contributes to a setting: its place, what is written there, and the value that it comes to."""

    path: Path
    leaf: Located
    value: Any


@frozen(eq=False)
class Variation:
    """The spec for one tenant (None: no overlay) and some arms. `overlays` are the layers over the providers, `models` those
    of models with settings of their own; `source` is the document with its tenants and experiments, as it was written."""

    tenant: str | None
    arms: Arms
    source: Located
    checked: Checked
    spec: Layer
    overlays: tuple[Layer, ...]
    models: Mapping[str, Layer]
    history: History
    nulls: Mapping[Path, Located]

    @property
    def label(self) -> str:
        """Its name in messages: `tenant acme with arm tone.warm`; empty for the base."""
        return " with ".join(self._labels)

    @property
    def _labels(self) -> list[str]:
        tenant = [f"tenant {self.tenant}"] if self.tenant is not None else []
        return [*tenant, *(f"arm {experiment}.{arm}" for experiment, arm in self.arms)]

    def removal(self, *path: str) -> Change | None:
        """The `null` in an overlay, or in a file that extends another, which takes away what stands at a path."""
        return removal(self.source, self._overlays, self.nulls, path)

    def change(self, fault: Diagnostic, *path: str) -> Change | None:
        """What an overlay changes of an item, for a fault that comes of it and stands below."""
        return change(self.source, self._overlays, fault, path)

    def writers(self) -> Mapping[Key, Writers]:
        """Who wrote each item."""
        return self.history.writers(self._layers())

    def all_written(self) -> list[Written]:
        """All that its layers write, the lowest first."""
        return self.history.written(self._layers())

    def _layers(self) -> Iterator[tuple[str, Located]]:
        return ((name, self.source.at(path)) for name, path in self._overlays)

    @property
    def _overlays(self) -> Iterator[tuple[str, Path]]:
        return zip(self._labels, self.sources[1:], strict=True)

    @property
    def inputs(self) -> Inputs:
        """What a request must or may give."""
        written = self.checked.spec.inputs if self.checked.spec is not None else None
        return {name: declared for name, declared in (written or {}).items() if declared is not None}

    @property
    def sources(self) -> tuple[Path, ...]:
        """Where its layers were written: the spec itself, then its overlays."""
        tenant = [] if self.tenant is None else [_tenant_path(self.tenant)]
        return ((), *tenant, *(arm_path(*arm) for arm in self.arms))

    def declarations(self, var: str) -> Iterator[tuple[Path, Located]]:
        """Where its layers write a var."""
        for source in self.sources:
            vars = self.source.at(source).get("vars")
            if vars is not None and (found := vars.get(var)) is not None:
                yield (*source, "vars", var), found

    def blamed(self, fault: Diagnostic) -> Diagnostic:
        """A fault of this variation's document; where an overlay changes what was right below it, at that."""
        path = [str(step) for step in fault.path]
        if len(fault.path) > 1 and isinstance(fault.path[1], int) and path[0] in KINDS:
            path[1] = name_of(KINDS[path[0]], self.checked.document.at(fault.path[:2]))
        lacks = _LACKS.search(fault.message) if fault.code == "missing-key" else None
        removed = self.removal(*path, lacks[1]) if lacks is not None else None
        return blamed(fault, removed or self.change(fault, *path))

    def layer(self, name: str) -> Layer | None:
        """The layer that decides a setting, as far as the spec alone is concerned: providers may differ at run time."""
        for layer in reversed(self.overlays):
            if name in layer.settings:
                return layer
        return self.spec if name in self.spec.settings else None

    def value(self, name: str) -> Any:
        """The value in force of a setting that is not a map; None if no layer sets it."""
        values: Mapping[str, Any] = {}
        for layer in (self.spec, *self.overlays):
            if name in layer.settings:
                values = merge_deep(values, {name: layer.settings[name]}, layer.added, ("settings",))
        return values.get(name)

    def names(self, name: str) -> bool:
        """Whether a setting is written and not null, its value known or not."""
        overlays: list[Path] = [arm_path(*arm) for arm in self.arms[::-1]]
        overlays += [] if self.tenant is None else [_tenant_path(self.tenant)]
        found = (self._written(name, overlay) for overlay in (*overlays, ()))
        return next((leaf.value is not None for leaf in (one[1] for one in found if one)), False)

    def written(self, name: str) -> tuple[Path, Located] | None:
        """Where the value in force of a setting was written, as a setting or on its component."""
        return next(((piece.path, piece.leaf) for piece in self.pieces(name)), None)

    def pieces(self, name: str) -> Iterator[Piece]:
        """What the value in force of a setting was written as; where that adds to lists, those too, the highest layer first."""
        for layer, source in zip((*self.overlays[::-1], self.spec), self.sources[::-1], strict=True):
            if name in layer.settings:
                if (found := self._written(name, source)) is not None:
                    yield Piece(*found, layer.settings[name])
                if ("settings", name) not in layer.added:
                    return

    def _written(self, name: str, overlay: Path) -> tuple[Path, Located] | None:
        for section in (
            "settings",
            *(section for (section, _), fields in LIFTED.items() if fields.get(name) == (name,)),
        ):
            path = (*overlay, section)
            for key in (name, f"+{name}"):
                if (found := self.source.at(path).get(key)) is not None:
                    return (*path, key), found
        return None


@define
class Variations:
    """Makes and caches the variations of one document, and collects the faults of their overlays.

    `types` are those of the middleware, by the name that overlays call it by.
    """

    document: Located
    checker: Checker
    _nulls: Mapping[Path, Located]
    history: History
    _faults: list[Diagnostic] = field(factory=list)
    tenants: dict[str, Located] = field(init=False)
    experiments: dict[str, dict[str, Located]] = field(init=False)
    opted_out: dict[str, frozenset[str]] = field(init=False)
    types: Mapping[str, str] = field(init=False)
    _overlay: Overlay = field(factory=lambda: Overlay(guarded=True))
    _additions: Additions = field(factory=Additions)
    _guards: Guards = field(init=False)
    _spec: Layer = field(init=False)
    _layers: dict[str | tuple[str, str], Layer] = field(factory=dict)
    _documents: dict[tuple[str | None, Arms], Located] = field(factory=dict)
    _made: dict[tuple[str | None, Arms], Variation] = field(factory=dict)
    _models: dict[tuple[Item, ...], Mapping[str, Layer]] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.tenants = {name: _with(tenant) for name, tenant in _maps(self.document.get("tenants"))}
        self.experiments = {
            name: {arm: _with(body) for arm, body in _maps(experiment.get("arms"))}
            for name, experiment in _maps(self.document.get("variants"))
        }
        self.opted_out = {name: frozenset(_removed(overlay.get("variants"))) for name, overlay in self.tenants.items()}
        self.types = middleware_types(self.document)
        self._guards = Guards.of(self.checker.check(self.document))
        self._spec, faults = layer_of("spec", self.document, (), self.types)
        self._faults += faults

    @property
    def diagnostics(self) -> list[Diagnostic]:
        """The faults of the overlays made so far."""
        return self._faults + self._overlay.diagnostics + self._additions.diagnostics

    def make(self, tenant: str | None, arms: Mapping[str, str]) -> Variation:
        """The variation for a tenant and arms that the spec has; the same object for the same question."""
        return self._make(*self._key(tenant, arms))

    def _make(self, tenant: str | None, arms: Arms) -> Variation:
        key = (tenant, arms)
        if key not in self._made:
            layers = [] if tenant is None else [self._tenant_layer(tenant)]
            layers += [self._arm_layer(*arm) for arm in arms]
            before = len(self.checker.diagnostics) if layers else 0  # the base was checked for its guards
            checked = self.checker.check(self._merged(tenant, arms))
            models = self._model_layers(checked.sections["models"])
            self._made[key] = Variation(
                tenant, arms, self.document, checked, self._spec, tuple(layers), models, self.history, self._nulls
            )
            self.checker.diagnostics[before:] = [
                self._made[key].blamed(fault) for fault in self.checker.diagnostics[before:]
            ]
        return self._made[key]

    def has(self, tenant: str | None, arms: Mapping[str, str]) -> bool:
        """Whether the variation was made before."""
        return self._key(tenant, arms) in self._made

    def _key(self, tenant: str | None, arms: Mapping[str, str]) -> tuple[str | None, Arms]:
        return tenant, tuple((name, arms[name]) for name in self.experiments if name in arms)

    def all(self) -> Iterator[Variation]:
        """The variations to check: every combination, or where those are too many, every overlay and every pair."""
        for tenant, arms in self._combinations():
            yield self._make(tenant, arms)

    def too_many(self) -> Diagnostic | None:
        """The fault of a spec whose variations are too much work to check."""
        overlays = (
            [*([] if tenant is None else [self.tenants[tenant]]), *(self.experiments[name][arm] for name, arm in arms)]
            for tenant, arms in self._combinations()
        )
        if not Work(self.document).is_too_much(overlays):
            return None
        where = "tenants" if self.tenants else "variants"
        section = self.document.at((where,))
        counts = {"tenants": len(self.tenants), "arms": sum(map(len, self.experiments.values()))}
        what = " and ".join(f"{count:,} {name}" for name, count in counts.items() if count)
        return Diagnostic(
            "too-large",
            f"{what} are too many to check, with what they change",
            section.key_span or section.span,
            (where,),
            "remove experiments that have ended, keep tenants in a table (a `tenant` provider), or let overlays change "
            "shorter lists",
        )

    def pairs(self) -> int:
        """How many pairs of arms of different experiments there are."""
        arms = [len(arms) for arms in self.experiments.values()]
        return (sum(arms) ** 2 - sum(count**2 for count in arms)) // 2

    def _combinations(self) -> Iterator[tuple[str | None, Arms]]:
        choices = [[(name, arm) for arm in arms] for name, arms in self.experiments.items()]
        tenants: list[str | None] = [None, *self.tenants]
        total = len(tenants)
        for choice in choices:
            total *= len(choice) + 1
        if total <= MOST_COMBINATIONS:
            sets = [tuple(arm for arm in arms if arm) for arms in product(*([None, *choice] for choice in choices))]
        else:
            singles: list[Arms] = [(arm,) for choice in choices for arm in choice]
            pairs: list[Arms] = []
            if self.pairs() <= MOST_PAIRS:
                pairs += [pair for a, b in combinations(choices, 2) for pair in product(a, b)]
            sets = [(), *singles, *pairs]
        of_tenants = sets if total <= MOST_COMBINATIONS else [arms for arms in sets if len(arms) < 2]
        for tenant in tenants:
            out = self.opted_out.get(tenant, frozenset()) if tenant is not None else frozenset()
            for arms in sets if tenant is None else of_tenants:
                if not any(name in out for name, _ in arms):
                    yield tenant, arms

    def _merged(self, tenant: str | None, arms: Arms) -> Located:
        """The document with the overlays laid on, one after the other; each step is cached."""
        key = (tenant, arms)
        if key not in self._documents:
            if arms:
                name, arm = arms[-1]
                below = self._merged(tenant, arms[:-1])
                self._documents[key] = self._lay(below, self.experiments[name][arm], arm_path(name, arm))
            elif tenant is not None:
                self._documents[key] = self._lay(self.document, self.tenants[tenant], _tenant_path(tenant))
            else:
                self._documents[key] = self.document
        return self._documents[key]

    def _lay(self, below: Located, over: Located, at: Path) -> Located:
        """Lays the structure of an overlay; its values are a layer."""
        structure = {key: value for key, value in over.value.items() if key not in ("settings", "vars")}
        if not structure:
            return below
        laid = self._additions.settle(self._overlay.lay(below, Located(structure, over.span), at))
        if below is self.document:  # overlays that leave the guards alone do so together, too
            self._faults += self._guards.faults(over, laid, at)
        return laid

    def _tenant_layer(self, tenant: str) -> Layer:
        if tenant not in self._layers:
            self._layers[tenant] = self._layer(f"tenant {tenant}", self.tenants[tenant], _tenant_path(tenant))
        return self._layers[tenant]

    def _arm_layer(self, experiment: str, arm: str) -> Layer:
        key = (experiment, arm)
        if key not in self._layers:
            overlay, at = self.experiments[experiment][arm], arm_path(experiment, arm)
            self._layers[key] = self._layer(f"arm {experiment}.{arm}", overlay, at)
        return self._layers[key]

    def _model_layers(self, models: tuple[Item, ...]) -> Mapping[str, Layer]:
        if models not in self._models:
            self._models[models] = model_layers(models)
        return self._models[models]

    def _layer(self, source: str, overlay: Located, at: Path) -> Layer:
        layer, faults = layer_of(source, overlay, at, self.types, self._spec)
        self._faults += faults
        return layer


def middleware_types(document: Located) -> dict[str, str]:
    """The type of each middleware, by the name that overlays call it by."""
    kind, section = KINDS["middleware"], document.get("middleware")
    items = section.value if section is not None and isinstance(section.value, list) else []
    return {name_of(kind, item): type for item in items if (type := type_of(kind, item)) is not None}


def _maps(section: Located | None) -> Iterator[tuple[str, Located]]:
    if section is not None and isinstance(section.value, dict):
        yield from ((name, item) for name, item in section.value.items() if isinstance(item.value, dict))


def _with(holder: Located) -> Located:
    overlay = holder.get("with")
    return overlay if overlay is not None and isinstance(overlay.value, dict) else Located({}, holder.span)


def _removed(section: Located | None) -> list[str]:
    if section is None or not isinstance(section.value, dict):
        return []
    return [name for name, value in section.value.items() if value.value is None]


def _tenant_path(tenant: str) -> Path:
    return ("tenants", tenant, "with")


def arm_path(experiment: str, arm: str) -> Path:
    """Where an arm's overlay is written."""
    return ("variants", experiment, "arms", arm, "with")
