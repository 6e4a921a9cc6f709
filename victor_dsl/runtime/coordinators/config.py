"""The config coordinator: settles the values in force for a turn from their layers.

spec < the model that answers < providers by priority < tenant < arms < request. Maps merge deep, anything else replaces,
null removes; but of tools, what one layer denies or does not allow, no other gives back.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, cast

from attrs import define, evolve, field, frozen

from victor_dsl.errors import ProviderError, Refused, RequestError, VictorError
from victor_dsl.graph.plan import Node, Plan
from victor_dsl.language.boundary import describe, is_fault
from victor_dsl.language.config import ProviderConfig
from victor_dsl.language.kinds import Provider
from victor_dsl.nearest import suggest
from victor_dsl.values.codec import read_settings, read_vars
from victor_dsl.values.faults import Fault, Faulty, Path, dotted, kind_of
from victor_dsl.values.frozen import freeze
from victor_dsl.values.inputs import Inputs, input_faults, read_inputs
from victor_dsl.values.path_globs import PathGlobs, leaves
from victor_dsl.values.settings import (
    MODEL_SETTINGS,
    REQUEST_SETTINGS,
    SETTING_NAMES,
    Layer,
    Settings,
)
from victor_dsl.values.tool_globs import TOO_MANY
from victor_dsl.values.turn import Turn
from victor_dsl.values.typed import read_like

logger = logging.getLogger("victor_dsl")

REQUEST = "request"
"""The source of a request's layer."""

REMEMBERED = 1_000
"""How many checked layers, and how many settled combinations of layers, are remembered."""

SUBJECTS = 10_000
"""For how many (provider, tenant) pairs the last good layer is remembered."""


@frozen(eq=False)
class _Settled:
    """The values of a list of layers; `raw` is the merged map of settings, `digest` the hash of all values."""

    layers: tuple[Layer, ...]
    raw: Mapping[str, Any]
    settings: Settings
    vars: Mapping[str, Any]
    digest: str


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


class ConfigCoordinator:
    """Settles the turns of one plan. While the providers return the same layers, the merged settings are reused."""

    def __init__(
        self, plan: Plan, providers: Sequence[tuple[Node, Provider]], memory: ProviderMemory | None = None
    ) -> None:
        self._plan = plan
        self._providers = tuple(providers)
        self._models = frozenset(plan.roles.models)
        self._only_model = plan.only_model()
        self._may_request = REQUEST_SETTINGS | plan.request
        self._locked = PathGlobs(plan.locked)
        self._refuses = plan.tenants is not None and plan.tenant is None
        self._tenant_providers = [one for one in providers if one[0].id in plan.tenant_providers()]
        self._declared = plan.spec.vars
        self._unset = {name: None for name, value in plan.spec.vars.items() if value is None}
        memory = memory or ProviderMemory()
        self._good, self._faults = memory.good, memory.faults
        self._checked: dict[Layer, ProviderError | Layer] = {}
        self._sound: dict[Layer, Layer | None] = {}
        self._settled: dict[tuple[Layer, ...], _Settled] = {}

    async def settle(self, turn: Turn) -> Turn:
        """The turn with its settings and vars.

        Raises ProviderError, RequestError for values that the request may not set, or Refused for an unknown tenant.
        """
        if self._refuses:
            await self._refuse_unknown(turn)
        layers = [self._plan.spec]
        for node, provider in self._providers:
            layer = await self._read(node, provider, turn)
            if layer is not None:
                layers.append(layer)
        layers += self._plan.overlays
        settled = self._settled_from(tuple(layers))
        request = turn.request
        inputs = self._read_inputs(request.inputs)
        if self._plan.models:
            wanted = request.settings.get("model")
            settled = self._with_models(settled, wanted if isinstance(wanted, str) else settled.settings.model)
        if request.settings or request.vars:
            settled = self._with_request(settled, request.settings, request.vars)
        turn.trace.values = settled.digest
        vars = {**self._unset, **settled.vars} if self._unset else settled.vars
        return turn.replace(settings=settled.settings, vars=vars, inputs=inputs, layers=settled.layers)

    def for_model(self, turn: Turn, name: str, member: str | None = None) -> Turn:
        """A settled turn as it goes to another model, or to a member of it: with that model's own settings instead.

        Settings that middleware has changed since stay as they are, and no limit of a request is above the model's own. The other
        model's `tool_choice` holds for the first answer only.
        """
        if not self._plan.models or not turn.layers:
            return turn.replace(settings=turn.settings.replace(model=name))
        own = set(self._plan.models.values())
        layers = tuple(layer for layer in turn.layers if layer not in own and layer.source != REQUEST)
        present = [layer.source.partition("/")[2] for layer in turn.layers if layer in own]
        before = self._for_models(turn, layers, *present).settings
        after = self._for_models(turn, layers, name, member)
        changes = {
            setting: getattr(after.settings, setting)
            for setting in MODEL_SETTINGS
            if getattr(turn.settings, setting) == getattr(before, setting)
            and (turn.is_first_answer or setting != "tool_choice")
        }
        return turn.replace(settings=turn.settings.replace(model=name, **changes), layers=after.layers)

    def _for_models(self, turn: Turn, layers: tuple[Layer, ...], *names: str | None) -> _Settled:
        settled = self._with_models(self._settled_from(layers), *names)
        request = turn.request
        if not request.settings and not request.vars:
            return settled
        wanted, limit = dict(request.settings), settled.settings.max_tokens
        if limit is not None and (wanted.get("max_tokens") or 0) > limit:
            del wanted["max_tokens"]
        return self._with_request(settled, wanted, request.vars)

    def _settled_from(self, layers: tuple[Layer, ...]) -> _Settled:
        settled = self._settled.get(layers)
        if settled is None:
            settled = self._settled[layers] = self._settle(layers)
            _bound(self._settled, REMEMBERED)
        return settled

    def _with_models(self, settled: _Settled, *names: str | None) -> _Settled:
        """The values with the settings of these models, the first lowest, just above those of the spec."""
        models = self._plan.models
        own = [models[name] for name in names if name is not None and name in models]
        if not own:
            return settled
        spec, *others = settled.layers
        return self._settled_from((spec, *own, *others))

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
                raise _placed(error, node) from error
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
            return self._stand_in(node, subject, _placed(error, node), turn, layer)
        self._faults.pop(subject, None)
        self._good[subject] = layer
        _bound(self._good, SUBJECTS)
        return read

    def _stand_in(
        self, node: Node, subject: Subject, failure: ProviderError, turn: Turn, layer: Layer | None
    ) -> Layer | None:
        """The layer that stands in for a faulty one: the last good one, or of an optional provider its values without faults.

        Raises the failure where there is neither. A turn that is answered records and logs the failure, once while it lasts.
        """
        good = self._good.get(subject)
        if good is not None:
            read, what = (
                self._read_layer(good, node),
                "the last good values stay",
            )  # it was good for another plan, perhaps
        elif not cast("ProviderConfig", node.config).optional:
            raise failure
        elif isinstance(layer, Layer) and (sound := self._sound_part(layer)) is not None:
            read, what = sound, "its other values are"
        else:
            read, what = None, "none of its values is"
        if not turn.rendering and self._faults.get(subject) != failure.message:
            self._faults[subject] = failure.message
            _bound(self._faults, SUBJECTS)
            if read is not None or layer is not None:  # not for what is optional and missing
                logger.warning("%s: %s in force: %s", node.id, what, failure.message)
            turn.record("error", {**failure.as_json(), "node": node.id})
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
            _bound(self._sound, REMEMBERED)
        return self._sound.get(layer)

    def _read_layer(self, layer: Layer, node: Node) -> Layer:
        """The layer with its vars as the spec declares them. Raises ProviderError with every fault. Each layer is read once."""
        if layer not in self._checked:
            try:
                vars = self._vars_of(layer)
                self._checked[layer] = layer if vars is layer.vars else evolve(layer, vars=vars)
            except Faulty as error:
                faults = "; ".join(_located(fault, layer) for fault in error.faults)
                of_vars = all(fault.path[:1] == ("vars",) for fault in error.faults)
                what = "its vars do not fit the spec" if of_vars else "its values are not settings"
                if any(fault.code == "locked" for fault in error.faults):
                    what = "it sets what is locked"
                self._checked[layer] = ProviderError(f"{node.place}: {what}: {faults}", node=node.id)
            _bound(self._checked, REMEMBERED)
        if isinstance(read := self._checked[layer], ProviderError):
            raise read
        return read

    def _vars_of(self, layer: Layer) -> Mapping[str, Any]:
        """The layer's vars as the spec declares them. Raises Faulty with every fault of the layer."""
        return _checked_vars(layer, self._models, self._declared, self._plan.inputs, self._trespasses)

    def _trespasses(
        self, settings: Mapping[str, Any], vars: Mapping[str, Any], *, says: bool = True
    ) -> Iterable[Fault]:
        """What a provider or a request sets of what is locked; with `says` the fault names the lock and its place."""
        if self._plan.locked:
            for path, value in (*leaves(settings, ("settings",)), *leaves(vars, ("vars",))):
                if (glob := self._locked.touched(path, value)) is not None:
                    lock = f" by '{glob}' ({self._plan.locked[glob]})" if says else ""
                    hint = "only the spec and what it extends may set it"
                    yield Fault(path, f"{dotted(path)} is locked{lock}", hint, "locked")

    def _settle(self, layers: tuple[Layer, ...]) -> _Settled:
        raw: dict[str, Any] = {}
        vars: dict[str, Any] = {}
        faults: list[Fault] = []
        for layer in layers:
            faults += _not_lists(layer, raw, vars)
            raw, vars = layer.settings_upon(raw), layer.vars_upon(vars)
        try:
            if faults:
                raise Faulty(faults)
            raw, vars = freeze(raw), freeze(vars)  # turns share them
            return _Settled(layers, raw, self._complete(read_settings(raw)), vars, _hash(raw, vars))
        except Faulty as error:
            raise ProviderError(f"the layers of settings contradict each other: {error}") from error

    def _allowed(self, key: str) -> str:
        more = " (the spec's `request` allows more)" if key in SETTING_NAMES else ""
        return suggest(key, self._may_request, what="it may set") + more

    def _with_request(self, base: _Settled, settings: Mapping[str, Any], vars: Mapping[str, Any]) -> _Settled:
        wanted = {key: value for key, value in settings.items() if value is not None}  # clients send null for "default"
        faults = [
            Fault(("settings", key), f"a request may not set settings.{key}; {self._allowed(key)}")
            for key in wanted
            if key not in self._may_request
        ]
        faults += [
            Fault(("vars", key), f"vars.{key} is not declared; {self._instead(key, base.vars)}")
            for key in vars
            if key not in base.vars and key not in self._declared
        ]
        faults += self._trespasses(wanted, vars, says=False)
        try:
            if faults:
                raise Faulty(faults)
            vars = read_vars(read_like(self._declared, read_vars(vars), ("vars",)))
            read_settings(wanted)
            layer = Layer(REQUEST, wanted, vars)
            raw, merged = layer.settings_upon(base.raw), layer.vars_upon(base.vars)
            complete = self._complete(read_settings(raw))
            if faults := [*_unknown_models(complete, self._models), *_raised(base.settings, complete)]:
                raise Faulty(faults)
        except Faulty as error:
            raise RequestError(str(error)) from error
        return _Settled((*base.layers, layer), raw, complete, merged, _hash(raw, merged))

    def _instead(self, name: str, vars: Mapping[str, Any]) -> str:
        """What to write for a var that is not declared."""
        if name in self._plan.inputs:
            return "it is an input: write it under 'inputs'"
        return suggest(name, {*vars, *self._declared})

    def _read_inputs(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """The value of each input. Raises RequestError."""
        if not values and not self._plan.inputs:
            return values
        try:
            return read_inputs(read_vars(values, ("inputs",)), self._plan.inputs, self._declared)
        except Faulty as error:
            raise RequestError(str(error)) from error

    def _complete(self, settings: Settings) -> Settings:
        """The settings with their model, which need not be set where there is only one. Raises Faulty."""
        tools = settings.limits.tools
        if tools is not None and tools.allow == (TOO_MANY,):
            path: Path = ("settings", "limits", "tools", "allow")
            message = f"{dotted(path)}: the globs of two layers are too many to be combined"
            raise Faulty([Fault(path, message, "write names without `*`, or fewer globs")])
        if settings.model is not None:
            return settings
        if self._only_model is None:
            raise Faulty([Fault(("settings", "model"), f"settings.model is not set; {suggest('', self._models)}")])
        return settings.replace(model=self._only_model)


def _checked_vars(
    layer: Layer,
    models: frozenset[str],
    declared: Mapping[str, Any],
    inputs: Inputs,
    trespasses: Callable[[Mapping[str, Any], Mapping[str, Any]], Iterable[Fault]],
) -> Mapping[str, Any]:
    """The layer's vars, each as the type of its declaration. Raises Faulty with every fault of the layer."""
    if not isinstance(layer, Layer):
        raise Faulty([Fault((), f"it is a {type(layer).__name__}, not a Layer")])
    faults = input_faults(layer.vars, inputs)
    try:
        faults += _unknown_models(read_settings(layer.settings), models)
    except Faulty as error:
        faults += error.faults
    vars = layer.vars
    try:
        vars = read_vars(read_like(declared, read_vars(vars), ("vars",)))
    except Faulty as error:
        faults += error.faults
    if isinstance(layer.settings, Mapping) and isinstance(layer.vars, Mapping):
        faults += trespasses(layer.settings, layer.vars)
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


def _not_lists(layer: Layer, settings: Mapping[str, Any], vars: Mapping[str, Any]) -> Iterable[Fault]:
    """The lists of a layer that add to something else than a list."""
    for path in layer.added:
        below: Any = {"settings": settings, "vars": vars}
        for step in path:
            below = below.get(step) if isinstance(below, Mapping) else None
        if below is not None and not isinstance(below, list | tuple):
            message = f"{dotted(path)} is {kind_of(below)}, so {layer.source} cannot add a list to it"
            yield Fault(path, _located(Fault(path, message), layer))


def _unknown_models(settings: Settings, models: frozenset[str]) -> Iterable[Fault]:
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


def _raised(base: Settings, wanted: Settings) -> Iterable[Fault]:
    limit, asked = base.max_tokens, wanted.max_tokens
    if limit is not None and asked is not None and asked > limit:
        yield Fault(("settings", "max_tokens"), f"a request may only lower settings.max_tokens; {limit} is in force")


def _located(fault: Fault, layer: Layer) -> str:
    """The fault after the file and line of its value, if the layer knows them."""
    steps = [str(step) for step in fault.path]
    for length in range(len(steps), 0, -1):
        if (called := layer.called.get(".".join(steps[:length]))) is not None:
            fault = evolve(fault, message=f"{called}{fault.message.removeprefix(dotted(fault.path[:length]))}")
        origin = layer.origins.get(".".join(steps[:length]))
        if origin is not None and origin.file is not None:
            return f"{origin.file}:{origin.line}: {fault}" if origin.line else f"{origin.file}: {fault}"
    return str(fault)


def _placed(error: BaseException, node: Node) -> ProviderError:
    if isinstance(error, ProviderError) and error.node:
        return error
    if isinstance(error, VictorError):
        return ProviderError(f"{node.place}: {error.message}", node=node.id, hint=error.hint)
    return ProviderError(f"{node.place}: failed: {describe(error)}", node=node.id)


def _hash(settings: Mapping[str, Any], vars: Mapping[str, Any]) -> str:
    text = json.dumps([settings, vars], sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _bound(remembered: dict[Any, Any], most: int) -> None:
    """Forgets the oldest entries over the bound."""
    while len(remembered) > most:
        del remembered[next(iter(remembered))]
