"""How templates become code: parsed within bounds, nothing computed, and a charge in everything that can repeat."""

# ruff: noqa: D102, N802 - Jinja2 names the methods of visitors

from __future__ import annotations

import re
from collections.abc import Iterator
from io import StringIO
from math import inf
from typing import Any

from jinja2 import Environment, nodes
from jinja2.compiler import CodeGenerator, Frame, operators
from jinja2.exceptions import TemplateSyntaxError
from jinja2.parser import Parser
from jinja2.visitor import NodeTransformer

from victor_dsl.language.template import MOST_SOURCE
from victor_dsl.language.template_work import (
    CHARACTERS_PER_UNIT,
    MOST_NESTED,
    MOST_TAGS,
)

CALLED = "()"
"""Ends the name of an attribute that is called at once."""

_TAGS = (
    nodes.For,
    nodes.If,
    nodes.Macro,
    nodes.CallBlock,
    nodes.FilterBlock,
    nodes.With,
    nodes.AssignBlock,
    nodes.Block,
)
_REPEATED = (nodes.For, nodes.Macro, nodes.CallBlock, nodes.Block)
COSTS: dict[type[nodes.Node], int] = {
    **dict.fromkeys((nodes.Include, nodes.Import, nodes.FromImport), 200),
    **dict.fromkeys((nodes.Call, nodes.CallBlock, nodes.Macro, nodes.Block), 15),
    **dict.fromkeys((nodes.Filter, nodes.Test, nodes.FilterBlock, nodes.Concat), 8),
    **dict.fromkeys((nodes.Getattr, nodes.Getitem), 5),
    **dict.fromkeys((nodes.For, nodes.Compare, nodes.BinExpr), 3),
}
"""The units of work of one execution of a node; any other node costs 1."""
IN_WORDS: dict[type[nodes.Node], str] = {
    nodes.FromImport: "from",
    nodes.CallBlock: "a call with a body",
    nodes.FilterBlock: "a filter with a body",
    nodes.Concat: "`~`",
    nodes.Getattr: "an attribute",
    nodes.Getitem: "an item",
    nodes.For: "a round of a loop",
    nodes.Compare: "a comparison",
    nodes.BinExpr: "an operator",
}
"""What users call a node, where its class has another name."""
_COPIED = 500
"""The units of work of a scoped block, which copies all names that are set."""
_LINES = re.compile(r"debug_info = '([\d=&]*)'\Z")


def parsed(environment: Environment, source: str, name: str | None, filename: str | None) -> nodes.Template:
    """The tree of a template. Raises TemplateSyntaxError, also where it is too long or nested too deeply."""
    line, fault = 1, ""
    if len(source) > MOST_SOURCE:
        fault = f"it has more than {MOST_SOURCE:,} characters: split it, or move long texts to a `file`"
    else:
        parser = Parser(environment, source, name, filename)
        try:
            tree = parser.parse()
        except RecursionError:
            line, fault = parser.stream.current.lineno, _NESTED
        except ValueError:  # of int()
            line, fault = parser.stream.current.lineno, _NUMBER
        else:
            line, fault = next(_misfits(tree), (1, ""))
            if not fault:
                return tree
    raise TemplateSyntaxError(fault, line, name, filename) from None


_NESTED = f"it nests more than {MOST_TAGS} tags, or {MOST_NESTED} parts of an expression: move some to `{{% set %}}` or a macro"
_NUMBER = "it has a number that is too large: write a smaller one, or a text"


def _misfits(tree: nodes.Template) -> Iterator[tuple[int, str]]:
    """What cannot become code: its line, and the fault."""
    waiting: list[tuple[nodes.Node, int, int]] = [(tree, 0, 0)]
    while waiting:
        node, depth, tags = waiting.pop()
        tags += isinstance(node, _TAGS)
        if depth > MOST_NESTED or tags > MOST_TAGS:
            yield node.lineno, _NESTED
        elif isinstance(node, nodes.Const) and node.value in (inf, -inf):
            yield node.lineno, _NUMBER
        elif isinstance(node, nodes.EvalContextModifier):
            yield node.lineno, "it has `autoescape`, which is for HTML: remove the tag"
        waiting += [(child, depth + 1, tags) for child in node.iter_child_nodes()]


def generated(
    environment: Environment, tree: nodes.Template, name: str | None, filename: str | None
) -> tuple[str, frozenset[str]]:
    """The code of a tree, which is changed, and the names that it takes from outside. Raises TemplateSyntaxError."""
    charged = Charged(environment, included=name is not None).visit(tree)
    code = StringIO()
    generator = Generator(environment, name, filename, code, optimized=False)  # nothing is computed
    generator.visit(charged)
    return code.getvalue(), frozenset(generator.undeclared)


def line_of(source: str, error: SyntaxError) -> int:
    """The template's line of an error in the code that was generated."""
    pairs = _LINES.search(source)
    lines = [pair.split("=") for pair in pairs[1].split("&") if pair] if pairs else []
    return max([int(line) for line, at in lines if int(at) <= (error.lineno or 0)], default=1)


class Generator(CodeGenerator):
    """Weighs the operands of what Python would compute without asking the environment, and finds the undeclared names."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.undeclared: set[str] = set()

    def enter_frame(self, frame: Frame) -> None:
        super().enter_frame(frame)
        found = (name for action, name in frame.symbols.loads.values() if action == "resolve")
        self.undeclared.update(name for name in found if name not in self.environment.globals)

    def visit_Compare(self, node: nodes.Compare, frame: Frame) -> None:
        operands = [node.expr, *(operand.expr for operand in node.ops)]
        inside = [operand.op in ("in", "notin") for operand in node.ops]
        if len(operands) == 2 and (_is_fixed_list(operands[1]) if inside[0] else any(map(_is_constant, operands))):
            super().visit_Compare(node, frame)  # it takes no longer than reading the constant
        elif not any(inside):
            self.write("(")
            self._weighed(node.expr, frame)
            for operand in node.ops:
                self.write(f" {operators[operand.op]} ")
                self._weighed(operand.expr, frame)
            self.write(")")
        elif len(inside) > 1:
            self.fail("it compares with `in` and something else at once: write `a in b and b < c`", node.lineno)
        else:
            self.write(f"({'not ' if node.ops[0].op == 'notin' else ''}environment.within(")
            self.visit(operands[0], frame)
            self.write(", ")
            self.visit(operands[1], frame)
            self.write("))")

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:
        if not isinstance(node.arg, nodes.Slice):
            super().visit_Getitem(node, frame)
            return
        self.write("environment.sliced(")
        self.visit(node.node, frame)
        self.write(")[")
        self.visit(node.arg, frame)
        self.write("]")

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:
        self.write("{")
        for pair in node.items:
            self._weighed(pair.key, frame)
            self.write(": ")
            self.visit(pair.value, frame)
            self.write(", ")
        self.write("}")

    def _weighed(self, node: nodes.Expr, frame: Frame) -> None:
        if _is_constant(node):
            self.visit(node, frame)
        else:
            self.write("environment.weighed(")
            self.visit(node, frame)
            self.write(")")


def _is_constant(node: nodes.Expr) -> bool:
    return isinstance(node, nodes.Const)


def _is_fixed_list(node: nodes.Expr) -> bool:
    return isinstance(node, nodes.List | nodes.Tuple) and all(map(_is_constant, node.items))


class Charged(NodeTransformer):
    """Puts a charge into all that can repeat, turns `a ~ b` into a join, which is bounded, and marks methods that are called.

    What a loop, a macro, a block or a template that may be `included` executes is charged before it, as often as it does.
    """

    def __init__(self, environment: Environment, *, included: bool) -> None:
        self._environment = environment
        self._included = included

    def visit_Template(self, node: nodes.Template) -> nodes.Node:
        return self._charged(node) if self._included else self.generic_visit(node)

    def visit_For(self, node: nodes.For) -> nodes.Node:
        if node.test is not None:
            cost = _cost([node.test])
            test = nodes.And(nodes.EnvironmentAttribute(f"charge({cost})"), node.test, lineno=node.lineno)
            self._at(test, node.lineno)
            node.test = test
        return self._charged(node)

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:
        return self._charged(node)

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.Node:
        return self._charged(node)

    def visit_Block(self, node: nodes.Block) -> nodes.Node:
        return self._charged(node)

    def visit_Call(self, node: nodes.Call) -> nodes.Node:
        self.generic_visit(node)
        if isinstance(node.node, nodes.Getattr):
            node.node.attr += CALLED
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        parts = nodes.Tuple(node.nodes, "load", lineno=node.lineno)
        return self._at(nodes.Filter(parts, "join", [], [], None, None), node.lineno)

    def _charged(self, node: Any) -> nodes.Node:
        cost = _cost(node.body)
        self.generic_visit(node)
        charge = nodes.EnvironmentAttribute(f"charge({cost})")  # `environment.charge(…)`: a Call would cost 7 µs
        node.body.insert(0, self._at(nodes.ExprStmt(charge), node.lineno))
        return node  # type: ignore[no-any-return]

    def _at(self, node: nodes.Node, line: int) -> nodes.Node:
        return node.set_lineno(line).set_environment(self._environment)


def _cost(written: list[nodes.Node]) -> int:
    """The work of executing nodes once, without what they repeat."""
    return 1 + sum(map(_node_cost, _executed(written)))


def _executed(written: list[nodes.Node]) -> Iterator[nodes.Node]:
    waiting = list(written)
    while waiting:
        node = waiting.pop()
        yield node
        exclude = ("body", "test") if isinstance(node, nodes.For) else ("body",) if isinstance(node, _REPEATED) else ()
        waiting += node.iter_child_nodes(exclude=exclude)


def _node_cost(node: nodes.Node) -> int:
    if isinstance(node, nodes.TemplateData):
        return 1 + len(node.data) // CHARACTERS_PER_UNIT
    if isinstance(node, nodes.Block) and node.scoped:
        return _COPIED
    if isinstance(node, nodes.Const):
        return 1 + (len(node.value) // CHARACTERS_PER_UNIT if isinstance(node.value, str) else 0)
    return next((COSTS[kind] for kind in type(node).__mro__ if kind in COSTS), 1)
