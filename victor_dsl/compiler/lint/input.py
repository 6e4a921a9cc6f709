"""The input of the rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path as FilesystemPath
from typing import Any

from attrs import field, frozen

from victor_dsl.compiler.checked import Item
from victor_dsl.compiler.templates.sources import Templates
from victor_dsl.compiler.variations import Variation
from victor_dsl.source.located import Located
from victor_dsl.source.reader import Files, Included


@frozen(eq=False)
class LintInput:
    """A spec's document and variations. `used` are the names that something refers to, as (section, name); `secrets`
    the identities of the leaves of secret fields. Without a date of `today` nothing is reported about dates, and with `allow_retired` a retired model is no error.

    `first` holds every distinct item over all variations, nested ones included, with the first variation that has it.
    """

    document: Located
    variations: tuple[Variation, ...]
    used: frozenset[tuple[str, str]]
    secrets: frozenset[int]
    directory: FilesystemPath
    files: Files
    included: Included
    today: date | None = None
    allow_retired: bool = False

    first: tuple[tuple[Variation, Item], ...] = field(init=False)
    templates: Templates = field(init=False)
    _models: dict[int, dict[str, Item]] = field(init=False, factory=dict)

    @templates.default
    def _templates(self) -> Templates:
        return Templates(self.files, self.included)

    @first.default
    def _first(self) -> tuple[tuple[Variation, Item], ...]:
        return tuple(distinct(self.variations))

    @property
    def untrusted(self) -> bool:
        """Whether nothing of the spec's own may run, and nothing outside its folder may be read."""
        return self.files.root is not None

    @property
    def declared(self) -> Mapping[str, Any]:
        """The spec's own vars, whose values declare the types of all others."""
        return self.variations[0].spec.vars

    def models(self, variation: Variation) -> Mapping[str, Item]:
        """The models of a variation by name."""
        section = variation.checked.sections["models"]
        if id(section) not in self._models:
            self._models[id(section)] = {item.id.split("/", 1)[1]: item for item in section}
        return self._models[id(section)]

    def items(self) -> Iterator[Item]:
        """Every distinct item."""
        return (item for _, item in self.first)

    def distinct(self, section: str) -> Iterator[tuple[Item, ...]]:
        """Each different list of items that a section is in some variation, once."""
        sections = (variation.checked.sections[section] for variation in self.variations)
        return iter({id(items): items for items in sections}.values())


def distinct(variations: Iterable[Variation]) -> Iterator[tuple[Variation, Item]]:
    """Every item once, with the first variation that has it. What variations share is passed over whole."""
    documents: set[int] = set()
    sections: set[int] = set()
    items: set[int] = set()
    for variation in variations:
        if id(variation.checked) in documents:
            continue
        documents.add(id(variation.checked))
        for section in variation.checked.sections.values():
            if id(section) in sections:
                continue
            sections.add(id(section))
            for top in section:
                if id(top) not in items:
                    items.add(id(top))
                    for item in top.family():
                        yield variation, item
