"""What a family of templates reads: names that nothing declares, attributes that values do not have, and Python's methods."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from attrs import define, field
from jinja2 import nodes
from pydantic import BaseModel

from victor_dsl.compiler.removals import Change, blamed
from victor_dsl.compiler.templates.expressions import Steps, guarded_names, key_of, steps_of, tested_names
from victor_dsl.compiler.templates.family import RAW, Family, Parsed
from victor_dsl.compiler.templates.visible import VisibleNames
from victor_dsl.language.template import (
    FOREIGN_NAMES,
    GLOBALS,
    INSTEAD,
    MAP_METHODS,
    METHOD_NAMES,
    SEQUENCE_METHODS,
    TEXT_METHODS,
    VISIBLE,
)
from victor_dsl.language.template_work import MOST_INDENT, MOST_JSON_INDENT, MOST_PLACES
from victor_dsl.nearest import suggest
from victor_dsl.source.diagnostic import Diagnostic, Severity
from victor_dsl.values.settings import Settings

_UNKNOWN = object()
"""Stands for a value of which nothing is known."""
_KINDS = (str, int, float, list, tuple, Mapping)
_SCOPES = (nodes.For, nodes.Macro, nodes.CallBlock, nodes.FilterBlock, nodes.With, nodes.Block, nodes.AssignBlock)
"""What a tag inside of these sets, is gone after them."""
_TEXT = "text"
"""Stands for a text."""


def faults(family: Family, names: VisibleNames) -> Iterator[Diagnostic]:
    """What would certainly or probably fail when the family is rendered."""
    visible = _visible(family, VISIBLE | names.vars.keys())
    tested = frozenset(steps for parsed in family.templates.values() for steps in tested_names(parsed))
    for name, parsed in family.templates.items():
        yield from _Reading(family, parsed, names, visible[name], tested).faults()


def _visible(family: Family, outside: frozenset[str]) -> dict[str, frozenset[str]]:
    """The names that each template sees; the first one those from `outside`, an import none unless it is `with context`."""
    visible: dict[str, frozenset[str]] = dict.fromkeys(family.templates, frozenset())
    visible[next(iter(family.templates), "")] = outside
    changed = True
    while changed:
        changed = False
        for name, parsed in family.templates.items():
            for reference in parsed.references:
                for other in reference.names or ():
                    if other not in family.templates or not reference.context:
                        continue
                    pairs = [(other, visible[name] | parsed.own)]
                    if isinstance(reference.node, nodes.Extends):
                        pairs.append((name, family.templates[other].own))
                    for to, more in pairs:
                        if not more <= visible[to]:
                            visible[to] |= more
                            changed = True
    return visible


@define
class _Reading:
    """One template, read by one variation."""

    family: Family
    parsed: Parsed
    names: VisibleNames
    visible: frozenset[str]
    tested: frozenset[Steps]
    guarded: frozenset[Steps] = field(init=False)
    parents: dict[int, nodes.Node] = field(init=False)
    order: Mapping[int, int] = field(init=False)
    setters: dict[str, list[nodes.Node]] = field(init=False)
    macros: frozenset[str] = field(init=False)
    imports: Mapping[str, Parsed] = field(init=False)

    def __attrs_post_init__(self) -> None:
        tree = self.parsed.tree
        self.guarded = frozenset(guarded_names(self.parsed))
        self.parents = {
            id(child): node for node in (tree, *tree.find_all(nodes.Node)) for child in node.iter_child_nodes()
        }
        self.order = {id(node): place for place, node in enumerate(tree.find_all(nodes.Node))}
        self.setters = {}
        for name in tree.find_all(nodes.Name):
            if name.ctx == "store":
                self.setters.setdefault(name.name, []).append(name)
        for macro in tree.find_all(nodes.Macro):
            self.setters.setdefault(macro.name, []).append(macro)
        for block in tree.find_all(nodes.AssignBlock):
            if isinstance(block.target, nodes.Name):
                self.setters[block.target.name].append(block)  # its body is a scope, its name is outside
        self.macros = frozenset(node.name for node in tree.find_all(nodes.Macro))
        self.imports = {}

    def faults(self) -> Iterator[Diagnostic]:
        tree = self.parsed.tree
        yield from self._imports()
        yield from self._namespaces()
        for name in tree.find_all(nodes.Name):
            yield from self._name(name)
        for attribute in (*tree.find_all(nodes.Getattr), *tree.find_all(nodes.Getitem)):
            yield from self._attribute(attribute)
        for output in tree.find_all(nodes.Output):
            for written in output.nodes:
                yield from self._written(written)
        for filtered in tree.find_all(nodes.Filter):
            yield from self._filter(filtered)

    def _imports(self) -> Iterator[Diagnostic]:
        """Macros that are imported by name must be there."""
        for reference in self.parsed.references:
            node, found = reference.node, self.family.templates.get((reference.names or ("",))[0])
            if found is None:
                continue
            if isinstance(node, nodes.Import):
                self.imports = {**self.imports, node.target: found}
            elif isinstance(node, nodes.FromImport):
                for item in node.names:
                    name, target = (item, item) if isinstance(item, str) else item
                    if name not in found.own:
                        hint = suggest(name, found.own, what="names there")
                        yield self._fault(
                            "undefined-variable", f"'{found.source.file}' has no '{name}'", node, name, hint
                        )
                    elif any(macro.name == name for macro in found.tree.find_all(nodes.Macro)):
                        self.macros |= {target}

    def _name(self, node: nodes.Name) -> Iterator[Diagnostic]:
        name = node.name
        if node.ctx != "load" or name not in self.parsed.undeclared:
            return
        if name in self.visible:
            yield from self._unset(node, (name,))
        elif name in self.parsed.own and (self._is_in_a_block(node) or self._may_be_set(node)):
            return  # a block sees what the template sets outside of it
        elif name not in GLOBALS and (name,) not in self.guarded:
            visible = VISIBLE | self.names.vars.keys()
            label = self.names.variation.label
            message = f"nothing declares '{name}'" + (f" for {label}" if label else "")
            hint = suggest(name, visible, what="names here")
            if name in visible:
                message = f"an imported template does not see '{name}'"
                yield self._fault(
                    "undefined-variable",
                    message,
                    node,
                    name,
                    "write `with context` after the import, or pass it to the macro",
                )
            elif name in self.names.nulls:
                message = message.replace("nothing declares", "null declares nothing: there is no")
                fault = self._fault("undefined-variable", message, node, name, "write another value, such as `''`")
                yield self._blamed(fault, (name,))
            elif self.names.may_come((name,)):
                message, hint = (
                    f"{message}, unless a provider does",
                    self._foreign(node) or f"give it a value under `vars`; {hint}",
                )
                yield self._fault("undefined-variable", message, node, name, hint, "warning")
            else:
                hint = self._foreign(node) or f"declare it under `vars`; {hint}"
                fault = self._fault("undefined-variable", message, node, name, hint)
                yield self._blamed(fault, (name,))
        elif self._is_given_a_default(node) and name not in GLOBALS and not self._may_be_given(name):
            message = f"nothing can set '{name}', so its default is always used"
            hint = f"declare it, so that something may set it: `vars: {{{name}: null}}`, or under `inputs`"
            yield self._fault("undefined-variable", message, node, name, hint, "warning")

    def _foreign(self, node: nodes.Name) -> str | None:
        """The hint for a name that is one of another language, or stands in braces that are text."""
        line = self.parsed.source.text.splitlines()[node.lineno - 1 : node.lineno]
        name = node.name
        if any(re.search(rf"(?:\\\w*(?:\{{\{{\w+\}}\}})*|\$|[_^])\{{\{{-?\s*{name}\b", text) for text in line):
            return RAW
        parent = self.parents.get(id(node))
        key = key_of(parent) if isinstance(parent, nodes.Getattr | nodes.Getitem) else None
        hint = FOREIGN_NAMES.get(name)
        return hint and f"{hint.replace('NAME', key or 'name')}; {RAW}"

    def _is_given_a_default(self, node: nodes.Name) -> bool:
        parent = self.parents.get(id(node))
        return isinstance(parent, nodes.Filter) and parent.node is node and parent.name in ("default", "d")

    def _may_be_given(self, name: str) -> bool:
        """Whether a provider, or another overlay, may set what this variation does not have."""
        return self.names.may_come((name,)) or name in self.names.elsewhere or name in self.names.nulls

    def _namespaces(self) -> Iterator[Diagnostic]:
        """What `{% set ns.x = … %}` writes to."""
        for node in self.parsed.tree.find_all(nodes.NSRef):
            if node.name not in self.parsed.own and node.name not in self.visible:
                hint = f"write `{{% set {node.name} = namespace({node.attr}=…) %}}` before"
                yield self._fault("template-error", f"there is no namespace '{node.name}'", node, node.name, hint)

    def _may_be_set(self, node: nodes.Name) -> bool:
        """Whether an `if` before the name, or around it, sets it."""
        inside = {id(scope) for scope in self._above(node)}
        for setter in self.setters.get(node.name, ()):
            scopes = (scope for scope in self._above(setter) if isinstance(scope, _SCOPES) and scope is not setter)
            if self.order[id(setter)] < self.order[id(node)] and all(id(scope) in inside for scope in scopes):
                return True
        return False

    def _above(self, node: nodes.Node | None) -> Iterator[nodes.Node]:
        while node is not None:
            yield node
            node = self.parents.get(id(node))

    def _is_in_a_block(self, node: nodes.Node | None) -> bool:
        while node is not None and not isinstance(node, nodes.Block):
            node = self.parents.get(id(node))
        return node is not None

    def _unset(self, node: nodes.Node, steps: Steps) -> Iterator[Diagnostic]:
        """A value that a turn may lack, and that no template of the family tests."""
        why = self.names.unset.get(steps)
        if why is None or steps in self.tested or (steps[0] == "settings" and self.names.may_come(steps)):
            return
        parent = self.parents.get(id(node))
        if isinstance(parent, nodes.Compare | nodes.Operand):
            return  # an unset value equals nothing
        shown = ".".join(steps)
        hint = f"write `{{% if {shown} %}}…{{% endif %}}`, or `{{{{ {shown} | default('…') }}}}`"
        severity: Severity = "error" if why.startswith("nothing") else "warning"
        fault = self._fault("undefined-variable", why, node, steps[-1], hint, severity)
        yield self._blamed(fault, steps, self.names.variation.change(fault, "inputs", *steps))

    def _blamed(self, fault: Diagnostic, steps: Steps, change: Change | None = None) -> Diagnostic:
        """The fault at the `null` that takes away what the template names, if there is one, or at another change of it."""
        places = [steps] if steps[0] == "settings" else [("vars", *steps), ("inputs", *steps)]
        found = (self.names.variation.removal(*place) for place in places)
        return blamed(fault, next((removal for removal in found if removal is not None), change))

    def _value(self, node: nodes.Node) -> Any:
        """The value of an expression: a value of the spec, _TEXT, a class of settings, or _UNKNOWN."""
        if isinstance(node, nodes.Const):
            return node.value
        if isinstance(node, nodes.Name):
            if node.name not in self.parsed.undeclared or node.name in self.parsed.own:
                return _UNKNOWN
            if node.name in ("session", "tenant", "user"):
                return _TEXT
            found = Settings if node.name == "settings" else self.names.vars.get(node.name, _UNKNOWN)
            return found if isinstance(found, (type, *_KINDS)) else _UNKNOWN
        key = key_of(node)
        if key is None or not isinstance(node, nodes.Getattr | nodes.Getitem):
            return _UNKNOWN
        base = self._value(node.node)
        if isinstance(base, Mapping):
            found = base.get(key, _UNKNOWN)
            return found if isinstance(found, _KINDS) else _UNKNOWN
        return _group(base, key) if isinstance(base, type) else _UNKNOWN

    def _attribute(self, node: nodes.Expr) -> Iterator[Diagnostic]:
        key, steps = key_of(node), steps_of(node)
        if key is None or not isinstance(node, nodes.Getattr | nodes.Getitem):
            return
        base = self._value(node.node)
        shown = ".".join(steps_of(node.node) or ("this",))
        parent = self.parents.get(id(node))
        called = isinstance(parent, nodes.Call) and parent.node is node and isinstance(node, nodes.Getattr)
        if base is _UNKNOWN:
            yield from self._unknown(node, key, called=called)
        elif isinstance(base, type) and issubclass(base, BaseModel):
            if key not in base.model_fields:
                message, hint = f"{shown} has no '{key}'", suggest(key, base.model_fields)
                yield self._fault("undefined-variable", message, node, key, hint)
            elif steps is not None:
                yield from self._unset(node, steps)
        elif isinstance(base, Mapping):
            if key in base or (called and key in MAP_METHODS):
                return
            if called or (key in MAP_METHODS and isinstance(node, nodes.Getattr)):
                yield self._method(node, key, "a map", MAP_METHODS, called=called)
            elif base and steps not in self.guarded:
                message, hint = f"{shown} has no '{key}'", suggest(key, base, what="keys")
                severity: Severity = "warning" if self.names.may_come(steps) else "error"
                fault = self._fault("undefined-variable", message, node, key, hint, severity)
                yield fault if steps is None else self._blamed(fault, steps)
        else:
            what, methods = _kind(base)
            if (called and key in methods) or (steps in self.guarded and not called and key not in methods):
                return
            if called or key in METHOD_NAMES:
                yield self._method(node, key, what, methods, called=called)
            else:
                may_change = shown not in ("session", "tenant", "user") and self.names.may_come(steps_of(node.node))
                severity = "warning" if may_change else "error"
                message = f"{shown} is {what}, which has no '{key}'"
                yield self._fault("undefined-variable", message, node, key, f"write `{shown}` alone", severity)

    def _unknown(self, node: nodes.Getattr | nodes.Getitem, key: str, *, called: bool) -> Iterator[Diagnostic]:
        """Of a value that is not known: the macros of an import, and methods that no value has."""
        base = node.node
        if isinstance(base, nodes.Name) and base.name in self.imports:
            found = self.imports[base.name]
            if key not in found.own:
                message, hint = f"'{found.source.file}' has no '{key}'", suggest(key, found.own, what="names there")
                yield self._fault("undefined-variable", message, node, key, hint)
        elif not called or key not in METHOD_NAMES - {*TEXT_METHODS, *MAP_METHODS, *SEQUENCE_METHODS}:
            return
        elif not isinstance(base, nodes.Name) or base.name not in ("self", "loop", "super"):
            yield self._method(node, key, "a value", (), called=True)

    def _method(self, node: nodes.Node, key: str, what: str, methods: tuple[str, ...], *, called: bool) -> Diagnostic:
        if not called and key in methods:
            message, hint = (
                f"'{key}' is a method of {what}",
                f"call it: `.{key}(…)`; a key of that name would come first",
            )
        else:
            message = f"a template has no `.{key}{'()' if called else ''}` of {what}"
            hint = f"write `{INSTEAD[key]}`" if key in INSTEAD else suggest(key, methods, what="methods")
        return self._fault("template-error", message, node, key, hint)

    def _written(self, node: nodes.Node) -> Iterator[Diagnostic]:
        """What is printed must be a text, or a value that can be one."""
        while isinstance(node, nodes.Filter) and node.node is not None and node.name in _OF_TEXT:
            node = node.node
        if isinstance(node, nodes.Concat | nodes.List | nodes.Tuple | nodes.Dict | nodes.Pair):
            for part in node.iter_child_nodes():
                yield from self._written(part)
        elif isinstance(node, nodes.Name):
            name = node.name
            if name in self.macros or name in self.imports or (name == "caller" and name not in self.parsed.own):
                hint = (
                    f"call it: `{{{{ {name}(…) }}}}`"
                    if name not in self.imports
                    else f"call one of its macros: `{name}.NAME(…)`"
                )
                what = "an imported template" if name in self.imports else "a macro"
                yield self._fault("template-error", f"'{name}' is {what}, not text", node, name, hint)
            elif name in GLOBALS and name in self.parsed.undeclared and name not in self.visible:
                yield self._fault("template-error", f"'{name}' is a function, not text", node, name, "call it")
            elif name in ("loop", "self") and name not in self.visible:
                yield self._fault("template-error", f"'{name}' is not text", node, name, "name one of its attributes")
            elif self._value(node) is Settings:
                hint = "name one of them: `settings.model`"
                yield self._fault("template-error", "`settings` is a group of settings, not text", node, name, hint)
        elif isinstance(node, nodes.Getattr) and isinstance(self._value(node), type):
            message = f"'{node.attr}' is a group of settings, not text"
            yield self._fault("template-error", message, node, node.attr, "name one of its settings")

    def _filter(self, node: nodes.Filter) -> Iterator[Diagnostic]:
        """Arguments that a filter refuses."""
        written = [_constant(argument) for argument in node.args]
        named = {str(pair.key): _constant(pair.value) for pair in node.kwargs}
        first = written[0] if written else None
        places = named.get("precision", first)
        wide = named.get("width" if node.name == "indent" else "indent", first)
        if node.name == "join" and ("attribute" in {pair.key for pair in node.kwargs} or len(node.args) > 1):
            hint = "write `map(attribute='…') | join(', ')`"
            yield self._fault("template-error", "`join` has no `attribute` here", node, "join", hint)
        elif node.name == "replace" and any(
            not isinstance(value, str) and value is not _UNKNOWN for value in written[:2]
        ):
            hint = "write it in quotes: `replace('old', 'new')`"
            yield self._fault("template-error", "`replace` takes two texts", node, "replace", hint)
        elif node.name == "indent" and isinstance(wide, int) and wide > MOST_INDENT:
            message, hint = f"`indent` goes up to {MOST_INDENT} spaces", "write a smaller number"
            yield self._fault("template-error", message, node, "indent", hint)
        elif node.name == "tojson" and isinstance(wide, int) and not 0 <= wide <= MOST_JSON_INDENT:
            message, hint = f"`tojson` indents by 0 to {MOST_JSON_INDENT} spaces", "write another number"
            yield self._fault("template-error", message, node, "tojson", hint)
        elif node.name == "round" and isinstance(places, int) and abs(places) > MOST_PLACES:
            message, hint = f"`round` takes at most {MOST_PLACES} decimal places", "write a smaller number"
            yield self._fault("template-error", message, node, "round", hint)

    def _fault(
        self, code: str, message: str, node: nodes.Node, word: str | None, hint: str, severity: Severity = "error"
    ) -> Diagnostic:
        source = self.parsed.source
        return Diagnostic(code, message, source.span(node.lineno, word), source.field, hint, severity=severity)


def _constant(node: nodes.Node) -> Any:
    """The value of an argument that is written out, else _UNKNOWN."""
    if isinstance(node, nodes.Neg) and isinstance(node.node, nodes.Const) and isinstance(node.node.value, int | float):
        return -node.node.value
    return node.value if isinstance(node, nodes.Const) else _UNKNOWN


_OF_TEXT = frozenset(
    {
        *("capitalize", "indent", "join", "list", "lower", "replace", "string", "title", "tojson", "trim", "upper"),
        *("urlencode", "wordcount"),
    }
)


def _group(group: type[BaseModel], key: str) -> Any:
    """The class of a group of settings inside another one; _UNKNOWN for a single setting."""
    found = group.model_fields.get(key)
    types = (found.annotation, *get_args(found.annotation)) if found is not None else ()
    return next((one for one in types if isinstance(one, type) and issubclass(one, BaseModel)), _UNKNOWN)


def _kind(value: Any) -> tuple[str, tuple[str, ...]]:
    """How messages call a known value, and its methods."""
    if isinstance(value, str):
        return "a text", TEXT_METHODS
    if isinstance(value, list | tuple):
        return "a list", SEQUENCE_METHODS
    return "true or false" if isinstance(value, bool) else "null" if value is None else "a number", ()
