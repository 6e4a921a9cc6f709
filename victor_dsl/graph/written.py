"""What the layers of a spec write: the answer to "who wrote this, and who else had a say?"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from attrs import frozen

from victor_dsl.source.located import Located
from victor_dsl.values.settings import DEFAULT, Origin

Key = tuple[str, ...]
"""A place in a spec, its items by name: `("contributors", "style", "text")`."""

Writers = Mapping[str, Origin]
"""Who wrote an item: under the empty key the layers that had a say in it, under a dotted path the writer of a field."""

Deed = Literal["sets", "adds", "removes", "replaces"]


@frozen(eq=False)
class Written:
    """One value that a layer writes at a place of the spec.

    `layer` is `spec`, `tenant acme` or `arm tone.warm`. A layer that `replaces` a place drops what lower layers wrote below
    it. `holds` says whether the value is in force, or a part of the one that is.
    """

    layer: str
    key: Key
    deed: Deed
    leaf: Located
    holds: bool = False

    @property
    def layer_key(self) -> tuple[str, str]:
        """What tells its layer from others: of the spec each file is one."""
        return self.layer, self.leaf.span.file if self.layer == "spec" else ""

    @property
    def origin(self) -> Origin:
        """Its place."""
        return Origin(self.layer, self.leaf.span.file, self.leaf.span.line)


def nearest_origin(writers: Writers, field: str) -> Origin:
    """Who wrote a field, or the nearest place around it that anyone wrote; the default where nobody did."""
    while field:
        if (found := writers.get(field)) is not None:
            return found
        field = field.rpartition(".")[0]
    return writers.get("", DEFAULT)
