"""Where every value in force came from, for those who ask; no turn pays for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from victor_dsl.values.settings import Layer, Origin, Settings
from victor_dsl.values.turn import Turn

DEFAULT = Origin("default")


def settings_as_json(settings: Settings) -> dict[str, Any]:
    """The settings that are set, as JSON values."""
    return {key: value for key, value in settings.model_dump(mode="json", exclude_none=True).items() if value != {}}


def origins(turn: Turn) -> dict[str, Origin]:
    """The origin of each value in force, by its dotted path: `settings.temperature`, `vars.product`."""
    paths = [*_leaves(settings_as_json(turn.settings), ("settings",)), *_leaves(turn.vars, ("vars",))]
    return {".".join(path): _origin(path, turn.layers) for path in paths}


def _origin(path: tuple[str, ...], layers: tuple[Layer, ...]) -> Origin:
    """The highest layer that says something of the path; the default where that is null, or nobody does."""
    for layer in reversed(layers):
        here: Any = layer.settings if path[0] == "settings" else layer.vars
        for step in path[1:]:
            if not isinstance(here, Mapping) or step not in here:
                break
            here = here[step]
            if here is None:
                return DEFAULT
        else:
            return _place(path, layer)
    return DEFAULT


def _place(path: tuple[str, ...], layer: Layer) -> Origin:
    for length in range(len(path), 0, -1):
        if (origin := layer.origins.get(".".join(path[:length]))) is not None:
            return origin
    return Origin(layer.source)


def _leaves(value: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            yield from _leaves(inner, (*path, key))
        else:
            yield (*path, key)
