"""A checked spec: its items, each with its component and Config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import frozen

from victor_dsl.language.component import Component
from victor_dsl.language.config import Config
from victor_dsl.language.spec import Spec
from victor_dsl.source.located import Located, Path


@frozen(eq=False)
class Item:
    """One checked item. `config` is None where it has faults, or where a value that it needs is not known.

    `children` are its nested components, by field; `unknown` the paths whose values are not known.
    """

    id: str
    component: Component
    config: Config | None
    located: Located
    path: Path
    children: tuple[Item, ...] = ()
    unknown: frozenset[Path] = frozenset()

    def family(self) -> Iterator[Item]:
        """This item's children, theirs, and itself: the order in which they can be built."""
        for child in self.children:
            yield from child.family()
        yield self


@frozen(eq=False)
class Checked:
    """A checked spec: the items of each kind's section in order of writing, and the rest of the grammar.

    `spec` holds the sections without faults; it is None where not even those can be told apart.
    """

    document: Located
    sections: Mapping[str, tuple[Item, ...]]
    spec: Spec | None

    def items(self) -> Iterator[Item]:
        """Every item and every nested one."""
        return (item for section in self.sections.values() for top in section for item in top.family())
