"""Expressions of templates: the names and attributes that they read, and those that a template tests before it uses them."""

from __future__ import annotations

from collections.abc import Iterator

from jinja2 import nodes

from victor_dsl.compiler.templates.family import Parsed

Steps = tuple[str, ...]
"""A name and the attributes and keys after it: `settings.limits.concurrency`."""


def steps_of(node: nodes.Node) -> Steps | None:
    """The steps of `a.b['c']`; None for anything else."""
    if isinstance(node, nodes.Name):
        return (node.name,)
    key = key_of(node)
    above = steps_of(node.node) if key is not None and isinstance(node, nodes.Getattr | nodes.Getitem) else None
    return None if above is None or key is None else (*above, key)


def key_of(node: nodes.Node) -> str | None:
    """The attribute or key of `a.b` or `a['b']`; None for anything else."""
    if isinstance(node, nodes.Getattr):
        return node.attr
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
        return node.arg.value
    return None


def guarded_names(parsed: Parsed) -> Iterator[Steps]:
    """What the template gives a default, or tests with `is defined`."""
    for node in parsed.tree.find_all((nodes.Test, nodes.Filter)):
        if (
            node.name in ("defined", "undefined", "default", "d")
            and node.node is not None
            and (steps := steps_of(node.node))
        ):
            yield steps


def tested_names(parsed: Parsed) -> Iterator[Steps]:
    """What the template tests anywhere: in a condition, with `is`, in `and` and `or`, or before a default."""
    yield from guarded_names(parsed)
    for node in parsed.tree.find_all((nodes.If, nodes.CondExpr, nodes.And, nodes.Or, nodes.Test, nodes.For)):
        parts: list[nodes.Node] = [node.left, node.right] if isinstance(node, nodes.And | nodes.Or) else []
        parts += [node.node] if isinstance(node, nodes.Test) else []
        if isinstance(node, nodes.If | nodes.CondExpr | nodes.For) and node.test is not None:
            parts.append(node.test)
        for part in parts:
            for inner in (part, *part.find_all((nodes.Name, nodes.Getattr, nodes.Getitem))):
                if steps := steps_of(inner):
                    yield steps
