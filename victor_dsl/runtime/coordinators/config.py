"""The config coordinator: settles the values in force for a turn from their layers.

spec < the model that answers < providers by priority < tenant < arms < request. Maps merge deep, anything else replaces,
null removes; but of tools, what one layer denies or does not allow, no other gives back.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen

from victor_dsl.errors import ProviderError, RequestError
from victor_dsl.graph.plan import Node, Plan
from victor_dsl.language.kinds import Provider
from victor_dsl.nearest import suggest
from victor_dsl.runtime.coordinators.provider_layers import (
    REMEMBERED,
    Locks,
    ProviderLayers,
    ProviderMemory,
    at_its_place,
    forget_oldest,
    unknown_models,
)
from victor_dsl.values.codec import read_settings, read_vars
from victor_dsl.values.faults import Fault, Faulty, Path, dotted, kind_of
from victor_dsl.values.frozen import freeze
from victor_dsl.values.inputs import read_inputs
from victor_dsl.values.settings import MODEL_SETTINGS, REQUEST_SETTINGS, SETTING_NAMES, Layer, Settings
from victor_dsl.values.tool_globs import TOO_MANY
from victor_dsl.values.turn import Turn
from victor_dsl.values.typed import read_like

REQUEST = "request"
"""The source of a request's layer."""


@frozen(eq=False)
class _Settled:
    """The values of a list of layers; `raw` is the merged map of settings, `digest` the hash of all values."""

    layers: tuple[Layer, ...]
    raw: Mapping[str, Any]
    settings: Settings
    vars: Mapping[str, Any]
    digest: str


class ConfigCoordinator:
    """Settles the turns of one plan. While the providers return the same layers, the merged settings are reused."""

    def __init__(
        self, plan: Plan, providers: Sequence[tuple[Node, Provider]], memory: ProviderMemory | None = None
    ) -> None:
        self._plan = plan
        self._models = frozenset(plan.roles.models)
        self._only_model = plan.only_model()
        self._may_request = REQUEST_SETTINGS | plan.request
        self._declared = plan.spec.vars
        self._unset = {name: None for name, value in plan.spec.vars.items() if value is None}
        self._locks = Locks(plan)
        self._provided = ProviderLayers(plan, providers, self._locks, memory or ProviderMemory())
        self._settled: dict[tuple[Layer, ...], _Settled] = {}

    async def settle(self, turn: Turn) -> Turn:
        """The turn with its settings and vars.

        Raises ProviderError, RequestError for values that the request may not set, or Refused for an unknown tenant.
        """
        layers = (self._plan.spec, *await self._provided.read(turn), *self._plan.overlays)
        settled = self._settled_from(layers)
        request = turn.request
        if self._plan.models:
            wanted = request.settings.get("model")
            settled = self._with_models(settled, wanted if isinstance(wanted, str) else settled.settings.model)
        if request.settings or request.vars:
            settled = self._with_request(settled, request.settings, request.vars)
        inputs = self._read_inputs(request.inputs)
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
            forget_oldest(self._settled, REMEMBERED)
        return settled

    def _with_models(self, settled: _Settled, *names: str | None) -> _Settled:
        """The values with the settings of these models, the first lowest, just above those of the spec."""
        models = self._plan.models
        own = [models[name] for name in names if name is not None and name in models]
        if not own:
            return settled
        spec, *others = settled.layers
        return self._settled_from((spec, *own, *others))

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
        faults += self._locks.faults(wanted, vars, names_lock=False)
        try:
            if faults:
                raise Faulty(faults)
            vars = read_vars(read_like(self._declared, read_vars(vars), ("vars",)))
            read_settings(wanted)
            layer = Layer(REQUEST, wanted, vars)
            raw, merged = layer.settings_upon(base.raw), layer.vars_upon(base.vars)
            complete = self._complete(read_settings(raw))
            if faults := [*unknown_models(complete, self._models), *_raised(base.settings, complete)]:
                raise Faulty(faults)
        except Faulty as error:
            raise RequestError(str(error)) from error
        return _Settled((*base.layers, layer), raw, complete, merged, _hash(raw, merged))

    def _instead(self, name: str, vars: Mapping[str, Any]) -> str:
        """What to write for a var that is not declared."""
        if name in self._plan.inputs:
            return "it is an input: write it under 'inputs' (`--set` on the command line)"
        return suggest(name, {*vars, *self._declared})

    def _read_inputs(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """The value of each input. Raises RequestError."""
        if not values and not self._plan.inputs:
            return {}
        try:
            return read_inputs(read_vars(values or {}, ("inputs",)), self._plan.inputs, self._declared)
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


def _not_lists(layer: Layer, settings: Mapping[str, Any], vars: Mapping[str, Any]) -> Iterable[Fault]:
    """The lists of a layer that add to something else than a list."""
    for path in layer.added:
        below: Any = {"settings": settings, "vars": vars}
        for step in path:
            below = below.get(step) if isinstance(below, Mapping) else None
        if below is not None and not isinstance(below, list | tuple):
            message = f"{dotted(path)} is {kind_of(below)}, so {layer.source} cannot add a list to it"
            yield Fault(path, at_its_place(Fault(path, message), layer))


def _raised(base: Settings, wanted: Settings) -> Iterable[Fault]:
    limit, asked = base.max_tokens, wanted.max_tokens
    if limit is not None and asked is not None and asked > limit:
        yield Fault(("settings", "max_tokens"), f"a request may only lower settings.max_tokens; {limit} is in force")


def _hash(settings: Mapping[str, Any], vars: Mapping[str, Any]) -> str:
    text = json.dumps([settings, vars], sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
