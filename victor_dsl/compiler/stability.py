"""The order of the system prompt's pieces, and which parts of them differ between the sessions and turns of one tenant.

Providers cache the beginning of a request, so the parts that differ should come last.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from attrs import define, field

from victor_dsl.compiler.checked import Item
from victor_dsl.compiler.templates.pieces import Text, Varies
from victor_dsl.compiler.templates.sources import Source, Templates, plain_parts, sources
from victor_dsl.compiler.templates.visible import VisibleNames
from victor_dsl.compiler.variations import Variation
from victor_dsl.language.annotations import FilePath, annotated_fields
from victor_dsl.lazy import Lazy
from victor_dsl.values.tokens import CHARACTERS_PER_TOKEN

if TYPE_CHECKING:
    from victor_dsl.compiler.templates import family as families
    from victor_dsl.compiler.templates import flow as flows
else:
    families = Lazy("victor_dsl.compiler.templates.family")
    flows = Lazy("victor_dsl.compiler.templates.flow")

_OTHERS = re.compile(r"\{%[-+]?\s*(include|import|from|extends)\b")

Pieces = tuple[Text | Varies, ...]


@define
class Stability:
    """What contributors write, in order. What variations share is read once."""

    templates: Templates
    _pieces: dict[tuple[int, frozenset[str]], Pieces] = field(factory=dict)
    _most: dict[int, float] = field(factory=dict)

    def sent(self, variation: Variation) -> list[Item]:
        """The contributors in the order of the prompt: by priority, then as `prompt.order` says, then as they are written."""
        items = sorted(variation.checked.sections["contributors"], key=lambda item: -_priority(item))
        spec = variation.checked.spec
        if spec is None or spec.prompt is None or spec.prompt.order == "priority":
            return items
        varying = self.varying(variation)
        return sorted(items, key=lambda item: (-_priority(item), self.varies(item, varying)))

    def varying(self, variation: Variation) -> frozenset[str]:
        """The names that differ within a tenant: its sessions and users, and vars that are empty until a request fills them."""
        names = VisibleNames(variation, self.templates)
        empty = [name for name, value in names.vars.items() if value in ("", [], {}) and not names.may_come((name,))]
        return frozenset({"session", "user", *variation.inputs, *empty})

    def varies(self, item: Item, varying: frozenset[str]) -> bool:
        """Whether a contributor's text differs between the sessions or turns of one tenant."""
        return any(isinstance(piece, Varies) for piece in self.pieces(item, varying))

    def pieces(self, item: Item, varying: frozenset[str]) -> Pieces:
        """What a contributor writes, as far as it is known: fixed text, and places that differ."""
        key = (id(item), varying)
        if key not in self._pieces:
            self._pieces[key] = tuple(self._read(item, varying))
        return self._pieces[key]

    def most_characters(self, item: Item) -> float:
        """At most how much fixed text a contributor writes, without parsing its templates."""
        if id(item) not in self._most:
            written = list(sources(item, self.templates.files, self.templates.included))
            texts = [math.inf if _OTHERS.search(source.text) else len(source.text) for source in written]
            self._most[id(item)] = sum([*texts, *(piece.characters for piece in self._texts(item))])
        return self._most[id(item)]

    def _texts(self, item: Item) -> Iterator[Text]:
        """The texts that stand in the spec and in files."""
        most = getattr(item.config, "max_tokens", None)
        text = getattr(item.config, "text", None)
        if isinstance(text, str):
            yield _cut(len(text), most)
        for name, annotation in annotated_fields(item.component.config).items():
            path = getattr(item.config, name, None)
            if (
                isinstance(annotation, FilePath)
                and annotation.included
                and not annotation.template
                and isinstance(path, str)
            ):
                with suppress(OSError):
                    yield _cut(len(self.templates.included.read(path).decode("utf-8", "replace")), most)

    def _read(self, item: Item, varying: frozenset[str]) -> Iterator[Text | Varies]:
        if item.config is None:
            return
        if item.component.varies:
            yield Varies(item.id.split("/", 1)[1], item.located.span)
        yield from self._texts(item)
        for source in sources(item, self.templates.files, self.templates.included):
            if (parts := plain_parts(source)) is not None:
                yield from _plain(source, parts, varying)
                continue
            family = families.read_family(source, self.templates)
            yield from () if family.faults else flows.flow(family, varying)


def _plain(source: Source, parts: list[str], varying: frozenset[str]) -> Iterator[Text | Varies]:
    line = 1
    for number, part in enumerate(parts):
        if number % 2 == 0:
            yield Text(len(part))
            line += part.count("\n")
        elif part in varying:
            yield Varies(part, source.span(line, part))


def _cut(characters: int, most_tokens: int | None) -> Text:
    return Text(characters if most_tokens is None else min(characters, most_tokens * CHARACTERS_PER_TOKEN))


def _priority(item: Item) -> int:
    return int(getattr(item.config, "priority", 50))
