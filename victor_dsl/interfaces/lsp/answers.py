"""What completion, hover and definition say, in plain values: places are spans, and nothing here knows the protocol."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from attrs import frozen

from victor_dsl.interfaces.lsp.cursor import Cursor, expression_before, readings
from victor_dsl.interfaces.lsp.grammar import Grammar
from victor_dsl.interfaces.lsp.workspace import Analysis, Workspace, at, node_at, types_of
from victor_dsl.language.annotations import FilePath, Ref
from victor_dsl.language.template import GLOBALS
from victor_dsl.language.template_filters import (
    LAZY_FILTERS,
    LIST_FILTERS,
    NUMBER_FILTERS,
    PASSED_FILTERS,
    TEXT_FILTERS,
)
from victor_dsl.source.located import Located, Path, Span, lines_of
from victor_dsl.source.reader import resolve
from victor_dsl.source.yaml_text import compose

ALWAYS = ("session", "tenant", "user", "settings")
"""Names that every template sees, beside the spec's vars and inputs."""

FILTERS = (*PASSED_FILTERS, *NUMBER_FILTERS, *LAZY_FILTERS, *LIST_FILTERS, *TEXT_FILTERS)

MOST_CHARACTERS = 200
"""Of a value that is shown."""

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@frozen
class Proposal:
    """A word that may stand at the cursor. `insert` is what is typed for it, `detail` a word on what it is."""

    label: str
    insert: str
    detail: str
    documentation: str = ""


@frozen
class Answers:
    """Answers about a file of a workspace. Lines and characters count from 0, as editors do."""

    workspace: Workspace
    grammar: Grammar

    def completion(self, path: str, text: str, line: int, character: int) -> list[Proposal]:
        """What may be typed at a place."""
        analyses = self._analyses(path)
        if not _is_document(path):
            before = "\n".join([*text.split("\n")[:line], text.split("\n")[line][:character]])
            return _variables(analyses, expression_before(before))
        found: dict[str, Proposal] = {}
        tree = self._tree(path, text)
        for cursor in readings(text, line, character):
            types = {**(types_of(tree, cursor.path) if tree is not None else {}), **cursor.types}
            if cursor.role == "text":
                proposals: Iterable[Proposal] = _variables(analyses, cursor.expression)
            elif cursor.role == "key":
                proposals = self._keys(cursor, types, analyses)
            else:
                proposals = self._values(cursor, types, analyses)
            for proposal in proposals:
                found.setdefault(proposal.label, proposal)
        return list(found.values())

    def hover(self, path: str, text: str, line: int, character: int) -> str | None:
        """What stands at a place, as Markdown."""
        analyses = self._analyses(path)
        variable = self._variable(path, text, line, character, analyses)
        if variable is not None:
            name, node = variable
            return f"**{name}**: {_shown(node)}\n\n{_place(node.key_span or node.span, path)}"
        here = self._here(path, text, line, character)
        if here is None:
            return None
        at_path, node, is_key, types = here
        parts: list[str] = []
        if isinstance(at_path[-1], str):
            described = self.grammar.keys(at_path[:-1], types).get(at_path[-1], {})
            parts += [described["description"]] if described.get("description") else []
        if not is_key and isinstance(node.value, str):
            meaning = self.grammar.values(at_path, types).get(node.value)
            parts += [f"**{node.value}**: {meaning}"] if meaning else []
            for what, names in self._names(at_path, types, analyses):
                if (named := names.get(node.value)) is not None:
                    parts.append(f"**{node.value}**, of {what}\n\n{_place(named.key_span or named.span, path)}")
        for analysis in analyses:
            force = at(analysis.document, at_path)
            if force is not None and not isinstance(force.value, dict | list):
                parts.append(f"In force: {_shown(force)}, {_place(force.span, path)}")
                parts += [
                    f"For {who}: {_shown(one)}, {_place(one.span, path)}" for who, one in analysis.also_set(at_path)
                ]
        return "\n\n".join(dict.fromkeys(parts)) or None

    def definition(self, path: str, text: str, line: int, character: int) -> Span | None:
        """Where the name or the file that stands at a place is written."""
        analyses = self._analyses(path)
        variable = self._variable(path, text, line, character, analyses)
        if variable is not None:
            return variable[1].key_span
        here = self._here(path, text, line, character)
        if here is None:
            return None
        at_path, node, is_key, types = here
        if is_key:
            section = at_path[-2] if len(at_path) > 3 and "with" in at_path[:-2] else None
            names = [analysis.names(section) for analysis in analyses] if isinstance(section, str) else []
            return next((found[at_path[-1]].key_span for found in names if at_path[-1] in found), None)
        if not isinstance(node.value, str):
            return None
        is_file = at_path[0] == "extends" or isinstance(self.grammar.annotation(at_path, types), FilePath)
        if is_file:
            target = os.path.abspath(resolve(path, node.value))
            return Span(target, 1, 1, 1, 1) if os.path.isfile(target) else None
        every = (names.get(node.value) for _, names in self._names(at_path, types, analyses))
        return next((named.key_span for named in every if named is not None), None)

    def _analyses(self, path: str) -> list[Analysis]:
        specs = self.workspace.specs_of(path)
        return [self.workspace.analyses.get(spec) or self.workspace.analyse(spec) for spec in specs]

    def _tree(self, path: str, text: str) -> Located | None:
        """The document, or where it cannot be read just now the last one that could."""
        return (compose(text, path)[0] if _is_document(path) else None) or self.workspace.tree(path)

    def _here(
        self, path: str, text: str, line: int, character: int
    ) -> tuple[Path, Located, bool, Mapping[Path, str]] | None:
        tree = self._tree(path, text)
        found = node_at(tree, line + 1, character + 1) if tree is not None else None
        if tree is None or found is None or not found[0]:
            return None
        return *found, types_of(tree, found[0])

    def _keys(self, cursor: Cursor, types: Mapping[Path, str], analyses: Sequence[Analysis]) -> Iterator[Proposal]:
        for name, described in self.grammar.keys(cursor.path, types).items():
            if name not in cursor.siblings:
                yield Proposal(name, f"{name}: ", "key", described.get("description", ""))
        if "with" not in cursor.path or not cursor.path or not isinstance(cursor.path[-1], str):
            return
        for analysis in analyses:  # overlays name the items that they change
            for name, item in analysis.names(cursor.path[-1]).items():
                if name not in cursor.siblings:
                    yield Proposal(name, f"{name}: ", f"of {cursor.path[-1]}", _type(item))

    def _values(self, cursor: Cursor, types: Mapping[Path, str], analyses: Sequence[Analysis]) -> Iterator[Proposal]:
        for what, names in self._names(cursor.path, types, analyses):
            for name, item in names.items():
                yield Proposal(name, name, f"of {what}", _type(item))
        for word, meaning in self.grammar.values(cursor.path, types).items():
            yield Proposal(word, word, "type" if cursor.path[-1:] == ("type",) else "value", meaning)

    def _names(
        self, path: Path, types: Mapping[Path, str], analyses: Sequence[Analysis]
    ) -> Iterator[tuple[str, Mapping[str, Located]]]:
        """The names that may stand at a path, with the section that they are of."""
        annotation = self.grammar.annotation(path, types)
        kind = annotation.kind if isinstance(annotation, Ref) else None
        field = path[:-1] if path and isinstance(path[-1], int) else path
        words = tuple(str(step) for step in field)
        if kind is None and words[-2:] in (("settings", "model"), ("settings", "fallbacks")):
            kind = "models"
        for analysis in analyses:
            if kind is not None:
                yield kind, analysis.names(kind)
            elif words[-2:] in (("tools", "allow"), ("tools", "deny"), ("tools", "include"), ("tools", "exclude")):
                yield "tools", analysis.tools()
            elif words[:1] == ("variants",) and words[2:] == ("control",):
                yield "arms", _children(at(analysis.document, ("variants", words[1], "arms")))
            elif words[-2:] == ("given", "tenant"):
                yield "tenants", analysis.names("tenants")
            elif words[-3:-1] == ("given", "arms"):
                yield "arms", _children(at(analysis.document, ("variants", words[-1], "arms")))

    def _variable(
        self, path: str, text: str, line: int, character: int, analyses: Sequence[Analysis]
    ) -> tuple[str, Located] | None:
        """The variable that stands at a place inside a template's expression."""
        lines = lines_of(text)
        written = lines[line] if line < len(lines) else ""
        word = next((m for m in _IDENTIFIER.finditer(written) if m.start() <= character <= m.end()), None)
        if word is None or written[: word.start()].endswith("."):
            return None
        if _is_document(path):
            before = written[: word.start()]
            inside = before.rfind("{{") > before.rfind("}}") or before.rfind("{%") > before.rfind("%}")
        else:
            inside = expression_before("\n".join([*lines[:line], written[: word.start()]])) is not None
        known = (analysis.variables().get(word[0]) for analysis in analyses if inside)
        node = next((one for one in known if one is not None), None)
        return None if node is None else (word[0], node)


def symbols(tree: Located) -> Iterator[tuple[str, Span, list[tuple[str, Span]]]]:
    """The sections of a document, each with the names of its items."""
    for name, section in tree.value.items():
        inner: list[tuple[str, Span]] = []
        if isinstance(section.value, dict):
            inner = [(key, child.key_span or child.span) for key, child in section.value.items()]
        elif isinstance(section.value, list):
            named = ((item.get("name") or item.get("type") or item, item) for item in section.value)
            inner = [(word.value, item.span) for word, item in named if isinstance(word.value, str)]
        yield name, section.key_span or section.span, [one for one in inner if one[1].file == tree.span.file]


def _variables(analyses: Sequence[Analysis], expression: str | None) -> list[Proposal]:
    if expression is None:
        return []
    *steps, _ = expression.split(".")
    found: list[Proposal] = []
    for analysis in analyses:
        if steps:
            node = analysis.variables().get(steps[0]) if steps[0] != "settings" else analysis.document.get("settings")
            node = at(node, tuple(steps[1:])) if node is not None else None
            found += [
                Proposal(name, name, f"of {'.'.join(steps)}", _shown(child)) for name, child in _children(node).items()
            ]
            continue
        found += [Proposal(name, name, "variable", _shown(node)) for name, node in analysis.variables().items()]
    if not steps:
        found += [Proposal(name, name, "of the turn") for name in ALWAYS]
        found += [Proposal(name, name, "filter or function") for name in sorted({*GLOBALS, *FILTERS})]
    return found


def _children(node: Located | None) -> Mapping[str, Located]:
    return node.value if node is not None and isinstance(node.value, dict) else {}


def _type(item: Located) -> str:
    written = item.get("type")
    return f"type: {written.value}" if written is not None else ""


def _shown(node: Located) -> str:
    if isinstance(node.value, dict | list):
        return f"{len(node.value)} entries"
    text = json.dumps(node.value, ensure_ascii=False)
    shown = text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"
    return "`` " + shown.replace("``", "`") + " ``"


def _place(span: Span, path: str) -> str:
    if not span.file:
        return "listed by a server (victor.lock)"
    return f"{os.path.relpath(span.file, os.path.dirname(path))}:{span.line}"


def _is_document(path: str) -> bool:
    return path.lower().endswith((".yml", ".yaml", ".json"))
