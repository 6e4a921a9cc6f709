"""The order in which a family of templates writes fixed text and what varies, for prompt caches.

A provider caches the beginning of a request. Text that differs between sessions or turns ends the part that can be reused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import define, field
from jinja2 import nodes

from victor_dsl.compiler.templates.family import Family, Parsed
from victor_dsl.compiler.templates.pieces import Text, Varies

DEEPEST = 20
"""How deep templates and macros are followed into each other."""


MOST_NODES = 20_000
"""How many parts of templates are followed; two templates that include each other twice would never end."""


def flow(family: Family, varying: frozenset[str]) -> Iterator[Text | Varies]:
    """What the family writes, in order; each branch and loop body once."""
    root = next(iter(family.templates), None)
    if root is not None:
        parsed = family.templates[root]
        yield from _Flow(family, varying).template(parsed, {}, 0)


@define
class _Flow:
    """`varying` grows by the names that are set to something that varies."""

    family: Family
    varying: frozenset[str]
    macros: dict[str, tuple[nodes.Macro, Parsed]] = field(factory=dict)
    left: int = MOST_NODES

    def template(
        self, parsed: Parsed, blocks: Mapping[str, tuple[nodes.Block, Parsed]], depth: int
    ) -> Iterator[Text | Varies]:
        """A template, whose blocks are replaced by those of the templates that extend it."""
        own = {block.name: (block, parsed) for block in parsed.tree.find_all(nodes.Block)}
        blocks = {**own, **blocks}
        self.macros |= {macro.name: (macro, parsed) for macro in parsed.tree.find_all(nodes.Macro)}
        extended = next(
            (reference for reference in parsed.references if isinstance(reference.node, nodes.Extends)), None
        )
        if extended is not None and depth < DEEPEST:
            for other in self._named(extended.names):
                yield from self.template(other, blocks, depth + 1)
            return
        yield from self._body(parsed.tree.body, parsed, blocks, depth)

    def _body(self, body: Any, parsed: Parsed, blocks: Any, depth: int) -> Iterator[Text | Varies]:
        for node in body:
            yield from self._node(node, parsed, blocks, depth)

    def _node(self, node: nodes.Node, parsed: Parsed, blocks: Any, depth: int) -> Iterator[Text | Varies]:
        self.left -= 1
        if isinstance(node, nodes.Macro | nodes.Import) or depth > DEEPEST or self.left < 0:
            return
        if isinstance(node, nodes.FromImport):
            for other in self._named((node.template.value,) if isinstance(node.template, nodes.Const) else ()):
                self.macros |= {macro.name: (macro, other) for macro in other.tree.find_all(nodes.Macro)}
        elif isinstance(node, nodes.Include):
            names = next((one.names for one in parsed.references if one.node is node), None)
            for other in self._named(names):
                yield from self.template(other, {}, depth + 1)
        elif isinstance(node, nodes.Block):
            block, of = blocks.get(node.name, (node, parsed))
            yield from self._body(block.body, of, blocks, depth + 1)
        elif isinstance(node, nodes.Assign | nodes.AssignBlock):
            if self._first(node, parsed) is not None:
                self.varying |= _target(node.target)
        elif isinstance(node, nodes.Output):
            for written in node.nodes:
                yield from self._written(written, parsed, blocks, depth)
        else:
            yield from self._statement(node, parsed, blocks, depth)

    def _statement(self, node: nodes.Node, parsed: Parsed, blocks: Any, depth: int) -> Iterator[Text | Varies]:
        """An `if`, `for`, `with` or `filter`: its expressions come before its bodies."""
        bodies = ("body", "elif_", "else_")
        held = [child for child in node.iter_child_nodes(exclude=bodies) if isinstance(child, nodes.Expr)]
        for expression in held:
            if (place := self._first(expression, parsed)) is not None:
                yield place
                if isinstance(node, nodes.For):
                    self.varying |= _target(node.target)
        for name in bodies:
            yield from self._body(getattr(node, name, None) or (), parsed, blocks, depth)

    def _written(self, node: nodes.Node, parsed: Parsed, blocks: Any, depth: int) -> Iterator[Text | Varies]:
        if isinstance(node, nodes.TemplateData):
            yield Text(len(node.data))
            return
        if (place := self._first(node, parsed)) is not None:
            yield place
        for call in (node, *node.find_all(nodes.Call)):
            if isinstance(call, nodes.Call) and isinstance(call.node, nodes.Name) and call.node.name in self.macros:
                macro, of = self.macros[call.node.name]
                yield from self._body(macro.body, of, blocks, depth + 5)

    def _first(self, node: nodes.Node, parsed: Parsed) -> Varies | None:
        """The first use of something that varies in an expression."""
        for name in (node, *node.find_all(nodes.Name)):
            if isinstance(name, nodes.Name) and name.ctx == "load" and name.name in self.varying:
                return Varies(name.name, parsed.source.span(name.lineno, name.name))
        return None

    def _named(self, names: tuple[Any, ...] | None) -> list[Parsed]:
        found = (self.family.templates.get(name) for name in names or ())
        return [parsed for parsed in found if parsed is not None][:1]


def _target(node: nodes.Node) -> frozenset[str]:
    return frozenset(name.name for name in (node, *node.find_all(nodes.Name)) if isinstance(name, nodes.Name))
