"""The layers that providers return for a turn: checked against the spec, and the last good one where a provider fails."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, cast

from attrs import define, evolve, field

from victor_dsl.errors import ProviderError, Refused, VictorError
from victor_dsl.graph.plan import Node, Plan
from victor_dsl.language.boundary import describe, is_fault
from victor_dsl.language.config import ProviderConfig
from victor_dsl.language.kinds import Provider
from victor_dsl.nearest import suggest
from victor_dsl.values.codec import read_settings, read_vars
from victor_dsl.values.faults import Fault, Faulty, Path, dotted
from victor_dsl.values.inputs import input_faults
from victor_dsl.values.path_globs import PathGlobs, leaves
from victor_dsl.values.settings import Layer, Settings
from victor_dsl.values.turn import Turn
from victor_dsl.values.typed import read_like

logger = logging.getLogger("victor_dsl")

REMEMBERED = 1_000
"""How many checked layers, and how many settled combinations of layers, are remembered."""

SUBJECTS = 10_000
"""For how many (provider, tenant) pairs the last good layer is remembered."""


Subject = tuple[str, str, str | None]
"""A provider's node, by id and fingerprint, and a tenant."""


@define(eq=False)
class ProviderMemory:
    """The last good layer of each subject, and what is wrong now, for all pipelines of a process and over reloads."""

    good: dict[Subject, Layer] = field(factory=dict)
    faults: dict[Subject, str] = field(factory=dict)


class KnowsTenants(Protocol):
    """A provider whose Config has `knows_tenants`."""

    async def knows(self, tenant: str) -> bool:
        """Whether there is such a tenant. Raises ProviderError."""
        ...


class Locks:
    """The values of a plan that neither a provider nor a request may set."""

    def __init__(self, plan: Plan) -> None:
        self._places = plan.locked
        self._globs = PathGlobs(plan.locked)

    def faults(
        self, settings: Mapping[str, Any], vars: Mapping[str, Any], *, names_lock: bool = True
    ) -> Iterable[Fault]:
        """A fault for each value that is locked; with `names_lock` it names the lock and its place."""
        if self._places:
            for path, value in (*leaves(settings, ("settings",)), *leaves(vars, ("vars",))):
                if (glob := self._globs.touched(path, value)) is not None:
                    lock = f" by '{glob}' ({self._places[glob]})" if names_lock else ""
                    hint = "only the spec and what it extends may set it"
                    yield Fault(path, f"{dotted(path)} is locked{lock}", hint, "locked")


class ProviderLayers:
    """Reads the layers of a plan's providers. Each layer is checked once."""

    def __init__(
        self, plan: Plan, providers: Sequence[tuple[Node, Provider]], locks: Locks, memory: ProviderMemory
    ) -> None:
        self._plan = plan
        self._providers = tuple(providers)
        self._models = frozenset(plan.roles.models)
        self._locks = locks
        self._refuses = plan.tenants is not None and plan.tenant is None
        self._tenant_providers = [one for one in providers if one[0].id in plan.tenant_providers()]
        self._good, self._faults = memory.good, memory.faults
        self._checked: dict[Layer, ProviderError | Layer] = {}
        self._sound: dict[Layer, Layer | None] = {}

    async def read(self, turn: Turn) -> list[Layer]:
        """The layers for a turn, the lowest first.

        Raises ProviderError, or Refused for a tenant that is not known.
        """
        if self._refuses:
            await self._refuse_unknown(turn)
        layers = []
        for node, provider in self._providers:
            layer = await self._read(node, provider, turn)
            if layer is not None:
                layers.append(layer)
        return layers

    async def _refuse_unknown(self, turn: Turn) -> None:
        """Raises Refused for a turn of a tenant that neither the spec nor a provider knows."""
        refusal = self._plan.unknown_tenant(turn.tenant, suggests=not self._plan.roles.admission)
        if refusal is None:
            return
        for node, provider in self._tenant_providers:
            try:
                if await cast("KnowsTenants", provider).knows(cast("str", turn.tenant)):
                    return
            except BaseException as error:
                if not is_fault(error):
                    raise
                raise _of_node(error, node) from error
        raise refusal

    async def _read(self, node: Node, provider: Provider, turn: Turn) -> Layer | None:
        """The provider's layer; its last good one if this one is faulty; None if there is none and it is optional."""
        subject = (node.id, node.fingerprint, turn.tenant)
        good, layer = self._good.get(subject), None
        try:
            layer = await provider.read(turn)
            if good is layer and subject not in self._faults and isinstance(read := self._checked.get(layer), Layer):
                return read
            read = self._read_layer(layer, node)
        except Refused:  # a tenant that is no longer active must not get its last good values
            self._good.pop(subject, None)
            raise
        except BaseException as error:
            if not is_fault(error):
                raise
            return self._stand_in(node, subject, _of_node(error, node), turn, layer)
        self._faults.pop(subject, None)
        self._good[subject] = layer
        forget_oldest(self._good, SUBJECTS)
        return read

    def _stand_in(
        self, node: Node, subject: Subject, failure: ProviderError, turn: Turn, layer: Layer | None
    ) -> Layer | None:
        """The layer that stands in for a faulty one: the last good one, or of an optional provider its values without faults.

        Raises the failure where there is neither. A turn that is answered records and logs the failure, once while it lasts.
        """
        good = self._good.get(subject)
        if good is not None:
            read = self._read_layer(good, node)  # it may have been good for another plan
            what = "the last good values stay"
        elif not cast("ProviderConfig", node.config).optional:
            raise failure
        elif isinstance(layer, Layer) and (sound := self._sound_part(layer)) is not None:
            read, what = sound, "its other values are"
        else:
            read, what = None, "none of its values is"
        if not turn.rendering and self._faults.get(subject) != failure.message:
            self._faults[subject] = failure.message
            forget_oldest(self._faults, SUBJECTS)
            if read is not None or layer is not None:  # not for what is optional and missing
                logger.warning("%s: %s in force: %s", node.id, what, failure.message)
            turn.record("error", {**failure.to_dict(), "node": node.id})
        return read

    def _sound_part(self, layer: Layer) -> Layer | None:
        """A faulty layer without the values that are at fault; None if there are no others. The same object for the same layer."""
        if layer not in self._sound:
            try:
                self._vars_of(layer)
            except Faulty as error:
                values: Mapping[str, Any] = {"settings": layer.settings, "vars": layer.vars}
                for fault in error.faults:
                    values = _without(values, fault.path)
                sound = evolve(layer, settings=values.get("settings") or {}, vars=values.get("vars") or {})
                try:
                    vars = self._vars_of(sound)
                    self._sound[layer] = evolve(sound, vars=vars) if sound.settings or vars else None
                except Faulty:
                    self._sound[layer] = None
            forget_oldest(self._sound, REMEMBERED)
        return self._sound.get(layer)

    def _read_layer(self, layer: Layer, node: Node) -> Layer:
        """The layer with its vars as the spec declares them. Raises ProviderError with every fault. Each layer is read once."""
        if layer not in self._checked:
            try:
                vars = self._vars_of(layer)
                self._checked[layer] = layer if vars is layer.vars else evolve(layer, vars=vars)
            except Faulty as error:
                faults = "; ".join(at_its_place(fault, layer) for fault in error.faults)
                of_vars = all(fault.path[:1] == ("vars",) for fault in error.faults)
                what = "its vars do not fit the spec" if of_vars else "its values are not settings"
                if any(fault.code == "locked" for fault in error.faults):
                    what = "it sets what is locked"
                self._checked[layer] = ProviderError(f"{layer.name or node.places}: {what}: {faults}", node=node.id)
            forget_oldest(self._checked, REMEMBERED)
        if isinstance(read := self._checked[layer], ProviderError):
            raise read
        return read

    def _vars_of(self, layer: Layer) -> Mapping[str, Any]:
        """The layer's vars, each as the type of its declaration. Raises Faulty with every fault of the layer."""
        if not isinstance(layer, Layer):
            raise Faulty([Fault((), f"it is a {type(layer).__name__}, not a Layer")])
        faults = input_faults(layer.vars, self._plan.inputs)
        try:
            faults += unknown_models(read_settings(layer.settings), self._models)
        except Faulty as error:
            faults += error.faults
        vars = layer.vars
        try:
            vars = read_vars(read_like(self._plan.spec.vars, read_vars(vars), ("vars",)))
        except Faulty as error:
            faults += error.faults
        if isinstance(layer.settings, Mapping) and isinstance(layer.vars, Mapping):
            faults += self._locks.faults(layer.settings, layer.vars)
        if faults:
            raise Faulty(faults)
        return vars


def _without(values: Mapping[Any, Any], path: Path) -> Mapping[Any, Any]:
    """The values without the one at a path; of a list, without the whole list."""
    if not path or path[0] not in values:
        return values
    key, *below = path
    inner = values[key]
    rest = {name: value for name, value in values.items() if name != key}
    return {**values, key: _without(inner, tuple(below))} if below and isinstance(inner, Mapping) else rest


def unknown_models(settings: Settings, models: frozenset[str]) -> Iterable[Fault]:
    """A fault for each model of the settings that the spec does not have."""
    if settings.model is not None and settings.model not in models:
        yield Fault(
            ("settings", "model"),
            f"settings.model: models has no '{settings.model}'; {suggest(settings.model, models)}",
        )
    for index, name in enumerate(settings.fallbacks or ()):
        if name not in models:
            yield Fault(
                ("settings", "fallbacks", index),
                f"settings.fallbacks[{index}]: models has no '{name}'; {suggest(name, models)}",
            )


def at_its_place(fault: Fault, layer: Layer) -> str:
    """The fault after the file and line of its value, if the layer knows them."""
    steps = [str(step) for step in fault.path]
    for length in range(len(steps), 0, -1):
        if (called := layer.called.get(".".join(steps[:length]))) is not None:
            fault = evolve(fault, message=f"{called}{fault.message.removeprefix(dotted(fault.path[:length]))}")
        origin = layer.origins.get(".".join(steps[:length]))
        if origin is not None and origin.file is not None:
            return f"{origin.file}:{origin.line}: {fault}" if origin.line else f"{origin.file}: {fault}"
    return str(fault)


def _of_node(error: BaseException, node: Node) -> ProviderError:
    """What a provider raised, as an error that names the provider."""
    if isinstance(error, ProviderError) and error.node:
        return error
    if isinstance(error, VictorError):
        return ProviderError(f"{node.places}: {error.message}", node=node.id, hint=error.hint)
    return ProviderError(f"{node.places}: failed: {describe(error)}", node=node.id)


def forget_oldest(remembered: dict[Any, Any], most: int) -> None:
    """Forgets the oldest entries over the bound."""
    while len(remembered) > most:
        del remembered[next(iter(remembered))]
