"""The models that may answer in a variation of the spec, each with the settings that are then in force."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from attrs import frozen

from victor_dsl.compiler.checked import Item
from victor_dsl.compiler.link import references
from victor_dsl.compiler.variations import Variation
from victor_dsl.language.config import ModelConfig
from victor_dsl.source.located import Located, Path
from victor_dsl.values.settings import MODEL_SETTINGS, Layer


@frozen
class Answering:
    """A model that may answer, by itself or as a member of `pool`."""

    item: Item
    pool: Item | None
    variation: Variation

    @property
    def name(self) -> str:
        """Its name under `models`."""
        return model_name(self.item)

    @property
    def config(self) -> ModelConfig | None:
        """Its Config; None where it has faults."""
        return self.item.config if isinstance(self.item.config, ModelConfig) else None

    @property
    def window(self) -> int | None:
        """Its context window; None where that is not known."""
        if self.config is None or any("context_window" in path for path in self.item.unknown):
            return None
        return self.config.window()

    def layers(self) -> tuple[Layer, ...]:
        """The layers of its settings that the spec knows, the lowest first; providers may add others at run time."""
        models = self.variation.models
        own = [models[model_name(item)] for item in (self.pool, self.item) if item and model_name(item) in models]
        return (self.variation.spec, *own, *self.variation.overlays)

    def settings(self) -> dict[str, Any]:
        """The settings that are in force when it answers."""
        values: dict[str, Any] = {}
        for layer in self.layers():
            values = layer.settings_upon(values)
        return values

    def written(self, setting: str) -> tuple[Path, Located] | None:
        """Where the value in force of one of its settings was written."""
        if setting in MODEL_SETTINGS and self.variation.layer(setting) in (None, self.variation.spec):
            for item in (self.item, self.pool):
                leaf = item.located.at(("settings",)).get(setting) if item is not None else None
                if item is not None and leaf is not None:
                    return (*item.path, "settings", setting), leaf
        return self.variation.written(setting)


def answering(variation: Variation) -> Iterator[Answering]:
    """The model, its fallbacks, and the members of those that are pools, as far as the spec names them."""
    section = variation.checked.sections["models"]
    models = {model_name(item): item for item in section}
    named = (chosen_model(variation), *(variation.value("fallbacks") or ()))
    for item in [models[name] for name in dict.fromkeys(named) if name in models]:
        yield Answering(item, None, variation)
        yield from (Answering(models[name], item, variation) for name in member_names(item) if name in models)


def chosen_model(variation: Variation) -> str | None:
    """The model that the settings name, or the only one; None where there is none."""
    name = variation.value("model")
    if name is None and (only := only_model(variation.checked.sections["models"])) is not None:
        return model_name(only)
    return name  # type: ignore[no-any-return] # a setting's value


def only_model(models: Sequence[Item]) -> Item | None:
    """The model that answers where no setting names one: the only one that is not a member of another."""
    members = {id for item in models for name in member_names(item) if (id := f"models/{name}") != item.id}
    others = [item for item in models if item.id not in members]
    return others[0] if len(others) == 1 else None


def model_name(item: Item) -> str:
    """A model's name under `models`."""
    return item.id.split("/", 1)[1]


def member_names(item: Item) -> list[str]:
    """The members of a pool; empty for any other item."""
    return [name for name, _, _ in member_places(item)]


def member_places(item: Item) -> Iterator[tuple[str, Located, Path]]:
    """The models that a model refers to, with the place of each."""
    if item.component.kind.name == "models":
        for ref, name, leaf, path in references(item):
            if ref.kind == "models":
                yield name, leaf, path
