"""Templates: syntax, and variables that nothing declares, each at its line inside the template."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from attrs import frozen

from victor_dsl.compiler.check import Item
from victor_dsl.compiler.lint.input import LintInput
from victor_dsl.compiler.variations import Variation
from victor_dsl.language.config import FilePath, TemplateText, annotated_fields
from victor_dsl.language.template import GLOBALS, TAGS, VISIBLE
from victor_dsl.nearest import suggest
from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.interpolate import as_read
from victor_dsl.source.located import Located, Path, Span
from victor_dsl.source.reader import resolve
from victor_dsl.values.settings import merge_deep

_PLAIN = re.compile(r"\{\{ ([A-Za-z_][A-Za-z0-9_]*) \}\}")
_WORDS = {"and", "else", "if", "in", "is", "not", "or", "true", "false", "none", "True", "False", "None"}


@frozen
class _Source:
    """A template's text; its line 1 stands at `line` of `file`, after `indent` characters.

    Where the lines are not written as they read (folded, or with escapes), `written` holds those of the file.
    """

    text: str
    file: str
    line: int
    indent: int
    place: Span
    path: Path
    written: tuple[str, ...] | None = None

    def span(self, line: int, word: str | None = None) -> Span:
        """A line of the template, or a word on it, in the file that holds it."""
        if self.written is not None:
            return self._among(self.written, word)
        lines = self.text.splitlines()
        text = lines[line - 1] if 0 < line <= len(lines) else ""
        found = _find(word, text)
        start, end = found.span() if found else (len(text) - len(text.lstrip()), len(text.rstrip()))
        start, end = start + self.indent, max(end, start + 1) + self.indent
        return Span(self.file, self.line + line - 1, start + 1, self.line + line - 1, end + 1)

    def _among(self, lines: tuple[str, ...], word: str | None) -> Span:
        for number, text in enumerate(lines, self.place.line):
            if found := _find(word, text):
                return Span(self.file, number, found.start() + 1, number, found.end() + 1)
        return self.place


def _find(word: str | None, text: str) -> re.Match[str] | None:
    return re.search(rf"(?<![\w.]){re.escape(word)}\b", text) if word else None


def templates_are_sound(subject: LintInput) -> Iterator[Diagnostic]:
    """Every template, against the vars of the first variation that has it.

    Overlays add vars and rarely take any away: only those that do are held against every template again.
    """
    pairs = list(subject.first)
    for variation in subject.variations:
        if any(value is None for layer in variation.overlays for value in layer.vars.values()):
            pairs += [(variation, item) for item in variation.checked.items()]
    known: dict[int, set[str]] = {}
    seen: set[tuple[str, Span]] = set()
    for variation, item in pairs:
        for source in _sources(subject, item):
            names = _plain_names(source.text)
            if id(variation) not in known:
                known[id(variation)] = _known(variation)
            if names is not None and names <= known[id(variation)]:
                continue
            for fault in _faults(subject, variation, source):
                if (fault.code, fault.span) not in seen:
                    seen.add((fault.code, fault.span))
                    yield fault


def _plain_names(text: str) -> set[str] | None:
    """The names of a template that has nothing but `{{ name }}` in it, which Jinja2 need not parse; else None."""
    rest, names = _PLAIN.sub("", text), set(_PLAIN.findall(text))
    return None if any(mark in rest for mark in ("{{", "{%", "{#")) or names & _WORDS else names


def _faults(subject: LintInput, variation: Variation, source: _Source) -> Iterator[Diagnostic]:
    jinja2 = importlib.import_module("jinja2")  # 50 ms that a spec without templates need not pay
    nodes = jinja2.nodes
    environment = importlib.import_module("victor_dsl.language.sandbox").Sandbox()
    try:
        environment.globals.clear()  # or its names would count as declared
        tree = environment.parse(source.text)
        undeclared = importlib.import_module("jinja2.meta").find_undeclared_variables(tree)
    except jinja2.TemplateSyntaxError as error:
        unknown = re.search(r"(?:filter named|test named|unknown tag) '(\w+)'", str(error.message))
        word = unknown[1] if unknown else None
        message, hint = _in_words(str(error.message), {"filter": environment.filters, "test": environment.tests})
        yield Diagnostic("template-syntax", message, source.span(error.lineno, word), source.path, hint)
        return
    _include(subject, source, tree, nodes)
    known = _known(variation)
    guarded = {node.node.name for node in tree.find_all(nodes.Test) if _is_guard(node, nodes)}
    guarded |= {node.node.name for node in tree.find_all(nodes.Filter) if _is_default(node, nodes)}
    outside = any(item.component.type != "inline" for item in variation.checked.sections["providers"])
    for node in tree.find_all(nodes.Name):
        if node.ctx != "load" or node.name not in undeclared or node.name in known | guarded | GLOBALS:
            continue
        hint = suggest(node.name, known, what="names here")
        message = f"nothing declares '{node.name}'" + (f" for {variation.label}" if variation.label else "")
        if outside:
            yield Diagnostic(
                "undefined-variable",
                f"{message}, unless a provider does",
                source.span(node.lineno, node.name),
                source.path,
                f"give it a value under `vars`; {hint}",
                severity="warning",
            )
        else:
            yield Diagnostic(
                "undefined-variable",
                message,
                source.span(node.lineno, node.name),
                source.path,
                f"declare it under `vars`; {hint}",
            )


def _in_words(problem: str, known: Mapping[str, Iterable[str]]) -> tuple[str, str]:
    """Jinja's error as a message and a hint."""
    if unclosed := re.search(r"innermost block that needs to be closed is '(\w+)'", problem):
        tag = unclosed[1]
        return f"this template ends inside '{{% {tag} %}}'", f"close it with `{{% end{tag} %}}`"
    if unknown := re.match(r"Encountered unknown tag '(\w+)'", problem):
        return f"there is no tag '{unknown[1]}'", suggest(unknown[1], TAGS, what="tags")
    if filtered := re.match(r"No (filter|test) named '(\w+)'", problem):
        kind, name = filtered.groups()
        return f"there is no {kind} '{name}'", suggest(name, known[kind], what=f"{kind}s", most=60)
    return f"this is not a template: {problem[:1].lower()}{problem[1:].rstrip('.')}", "a value is written `{{ name }}`"


def _include(subject: LintInput, source: _Source, tree: Any, nodes: Any) -> None:
    """Lets the templates that this one names by a plain text belong to its content."""
    if source.file == source.place.file:
        return
    for node in tree.find_all((nodes.Include, nodes.Extends, nodes.Import, nodes.FromImport)):
        if isinstance(node.template, nodes.Const) and isinstance(node.template.value, str):
            subject.included.add(os.path.abspath(source.file), _beside(source.file, node.template.value))


def _beside(file: str, include: str) -> str:
    return os.path.join(os.path.dirname(os.path.abspath(file)), include)


def _is_guard(node: Any, nodes: Any) -> bool:
    return node.name in ("defined", "undefined") and isinstance(node.node, nodes.Name)


def _is_default(node: Any, nodes: Any) -> bool:
    return node.name in ("default", "d") and isinstance(node.node, nodes.Name)


def _known(variation: Variation) -> set[str]:
    vars: dict[str, Any] = {}
    for layer in (variation.spec, *variation.overlays):
        vars = merge_deep(vars, layer.vars)
    known = {*VISIBLE, *vars}
    for item in variation.checked.sections["providers"]:
        values = getattr(item.config, "values", None)
        variables = values.get("vars") if isinstance(values, dict) else getattr(values, "vars", None)
        known |= set(variables or ())
    return known


def _sources(subject: LintInput, item: Item) -> Iterator[_Source]:
    for name, annotation in annotated_fields(item.component.config).items():
        leaf = item.located.get(name)
        if leaf is None or item.config is None:
            continue
        path = (*item.path, name)
        value = getattr(item.config, name)
        if isinstance(annotation, TemplateText) and isinstance(value, str):
            yield _inline(subject, leaf, value, path)
        elif isinstance(annotation, FilePath) and annotation.template and isinstance(value, str):
            try:
                text = subject.included.read(value).decode("utf-8")
            except (OSError, UnicodeDecodeError):
                continue
            file = resolve(leaf.span.file, str(as_read(leaf.value)))
            subject.files.remember(file, text)
            yield _Source(text, file, 1, 0, leaf.span, path)


def _inline(subject: LintInput, leaf: Located, text: str, path: Path) -> _Source:
    """A template written in the spec: a block scalar's text begins on the line below, at its own indentation."""
    span = leaf.span
    lines = subject.files.lines(span.file)
    first = lines[span.line - 1][span.column - 1 : span.column] if span.line <= len(lines) else ""
    if first in ("|", ">"):
        below = next((line for line in lines[span.line : span.end_line] if line.strip()), "")
        line, indent = span.line + 1, len(below) - len(below.lstrip())
    else:
        line, indent = span.line, span.column - 1 + (first in "\"'" and bool(first))
    written = tuple(lines[span.line - 1 : span.end_line])
    as_read = [line[indent:] for line in lines[line - 1 : span.end_line]]
    read = text.splitlines()
    same = len(read) <= len(as_read) and all(a.startswith(b) for a, b in zip(as_read, read, strict=False))
    return _Source(text, span.file, line, indent, span, path, None if same else written)
