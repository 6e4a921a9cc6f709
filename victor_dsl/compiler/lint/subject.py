"""What the rules look at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path as FilesystemPath

from attrs import frozen

from victor_dsl.compiler.check import Item, distinct
from victor_dsl.compiler.files import Included
from victor_dsl.compiler.variations import Variation
from victor_dsl.source.located import Located
from victor_dsl.source.reader import Files


@frozen(eq=False)
class Subject:
    """A spec's document and variations. `used` are the names that something refers to, as (section, name)."""

    document: Located
    variations: tuple[Variation, ...]
    used: frozenset[tuple[str, str]]
    directory: FilesystemPath
    files: Files
    included: Included

    def items(self) -> Iterator[Item]:
        """Every distinct item over all variations, nested ones included."""
        return (item for _, item in distinct(variation.checked for variation in self.variations))
