"""The specs that an editor has open: compiled with what its buffers hold, and what is known of each."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from attrs import define, field, frozen

from victor_dsl.compiler import compile_spec
from victor_dsl.compiler.extends import merge_family, read_family
from victor_dsl.errors import VictorError
from victor_dsl.interfaces.cli.diagnostics import Found
from victor_dsl.interfaces.cli.options import Reading
from victor_dsl.language.lock import beside, read_lock
from victor_dsl.language.registry import Registry
from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.located import NOWHERE, Located, Path, Span
from victor_dsl.source.reader import Files

MOST_SEARCHED = 200
"""How many files beside and above a template are looked at for the spec that it belongs to."""

MOST_FOLDERS = 4

_SPEC = re.compile(rb"^[\"']?victor[\"']?\s*:|^\{", re.MULTILINE)
_SUFFIXES = (".yml", ".yaml", ".json")


@frozen
class Analysis:
    """A compiled spec: what was found, the files that it reads, and its document with all that it extends, overlays apart."""

    spec: str
    diagnostics: Sequence[Diagnostic]
    sources: frozenset[str]
    document: Located

    def names(self, section: str) -> dict[str, Located]:
        """The items of a section by name; of a list, by their `name`, else their `type`."""
        node = self.document.get(section)
        if node is None or not isinstance(node.value, dict | list):
            return {}
        if isinstance(node.value, dict):
            return {
                name: Located(child.value, child.span, child.key_span or child.span)
                for name, child in node.value.items()
            }
        found: dict[str, Located] = {}
        for item in node.value:
            word = item.get("name") or item.get("type") or item
            if isinstance(word.value, str):
                found.setdefault(word.value, Located(item.value, item.span, word.span))
        return found

    def tools(self) -> dict[str, Located]:
        """The tools by the names that models see, as far as the spec and its lock have them."""
        found = dict(self.names("tools"))
        try:
            servers = read_lock(beside(self.spec)).servers.values()
        except VictorError:
            return found
        nowhere = Located(None, NOWHERE, NOWHERE)
        return found | {
            name: found.get(name.partition("__")[0], nowhere) for server in servers for name in server.tools
        }

    def variables(self) -> dict[str, Located]:
        """The vars and inputs that some layer of the spec has: what templates may read by name."""
        found: dict[str, Located] = {}
        for path, node in self.document.walk():
            if path and path[-1] in ("vars", "inputs") and isinstance(node.value, dict):
                for name, child in node.value.items():
                    found.setdefault(name, Located(child.value, child.span, child.key_span or child.span))
        return found

    def also_set(self, path: Path) -> Iterator[tuple[str, Located]]:
        """The overlays that set the value at a path, each with its place."""
        for section, inner in (("tenants", ()), ("variants", ("arms",))):
            for name, holder in self.names(section).items():
                arms = holder.at(inner).value if inner else {None: holder}
                for arm, overlay in arms.items() if isinstance(arms, dict) else ():
                    changed = overlay.get("with") if isinstance(overlay, Located) else None
                    if changed is not None and (node := at(changed, path)) is not None:
                        yield (f"tenant {name}" if arm is None else f"arm {name}.{arm}"), node


@define
class Workspace:
    """The buffers of an editor, and the last analysis of each spec. No variable of the environment is read."""

    registry: Registry = field(factory=Registry)
    buffers: dict[str, bytes] = field(factory=dict)
    analyses: dict[str, Analysis] = field(factory=dict)
    trees: dict[str, Located] = field(factory=dict)
    """The last document of each file that could be read."""

    def is_spec(self, path: str) -> bool:
        """Whether a file has the key `victor` at its top."""
        return path.lower().endswith(_SUFFIXES) and _SPEC.search(self._head(path)) is not None

    def specs_of(self, path: str) -> list[str]:
        """The specs that a file belongs to: those that were seen to read it, else itself, else those that are found to."""
        known = [spec for spec, analysis in self.analyses.items() if spec != path and path in analysis.sources]
        if not known and self.is_spec(path):
            return [path]
        return known or [spec for spec in self._nearby(path) if path in self.analyse(spec).sources]

    def analyse(self, spec: str) -> Analysis:
        """Compiles a spec with the buffers. Imports nothing that it names, and starts nothing."""
        files = Files(buffers=dict(self.buffers))
        compilation = compile_spec(
            spec, environment={}, registry=self.registry, files=files, today=datetime.now(UTC).date()
        )
        family = read_family(files, spec, {})
        document = merge_family(family)[0]
        for name in list(files.versions):
            read = files.read(name) if name.lower().endswith(_SUFFIXES) else None
            if read is not None and read.document is not None:
                self.trees[os.path.abspath(name)] = read.document
        before = self.analyses.get(spec)
        if document is None:
            document = before.document if before is not None else Located({}, Span(spec, 1, 1, 1, 1))
        sources = frozenset(os.path.abspath(name) for name in compilation.sources)
        if before is not None and any(d.severity == "error" for d in compilation.diagnostics):
            sources |= before.sources  # while it is being typed it may name fewer files
        found = Found.of([spec], compilation.diagnostics, files, Reading())
        self.analyses[spec] = Analysis(spec, found.diagnostics, sources, document)
        return self.analyses[spec]

    def tree(self, path: str) -> Located | None:
        """The last document of a file that could be read."""
        return self.trees.get(path)

    def _head(self, path: str) -> bytes:
        if path in self.buffers:
            return self.buffers[path]
        try:
            with open(path, "rb") as file:
                return file.read(65536)
        except OSError:
            return b""

    def _nearby(self, path: str) -> Iterator[str]:
        folder, left = os.path.dirname(path), MOST_SEARCHED
        for _ in range(MOST_FOLDERS):
            try:
                names = sorted(os.listdir(folder))
            except OSError:
                return
            for name in names[:left]:
                candidate = os.path.join(folder, name)
                if name.lower().endswith(_SUFFIXES) and os.path.isfile(candidate) and self.is_spec(candidate):
                    yield candidate
            left -= len(names)
            if left <= 0 or os.path.dirname(folder) == folder:
                return
            folder = os.path.dirname(folder)


def node_at(tree: Located, line: int, column: int) -> tuple[Path, Located, bool] | None:
    """The innermost key or value at a place, with its path; whether it is the key. Lines and columns count from 1."""
    found: tuple[Path, Located, bool] | None = None
    for path, node in tree.walk():
        if node.key_span is not None and node.key_span.file == tree.span.file and _covers(node.key_span, line, column):
            return path, node, True
        plain = not isinstance(node.value, dict | list)
        if plain and node.span.file == tree.span.file and _covers(node.span, line, column):
            found = (path, node, False)
    return found


def types_of(tree: Mapping[Path, str] | Located, path: Path) -> dict[Path, str]:
    """The `type` of each map on the way to a path, and at it."""
    found: dict[Path, str] = {}
    if not isinstance(tree, Located):
        return found
    here: Located | None = tree
    for depth in range(len(path) + 1):
        if here is None:
            break
        written = here.get("type")
        if written is not None and isinstance(written.value, str):
            found[path[:depth]] = written.value
        here = at(here, path[depth : depth + 1]) if depth < len(path) else None
    return found


def at(node: Located, path: Path) -> Located | None:
    """The value at a path, or None where there is none."""
    for step in path:
        value = node.value
        if isinstance(value, dict) and step in value:
            node = value[step]
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            node = value[step]
        else:
            return None
    return node


def _covers(span: Span, line: int, column: int) -> bool:
    return (span.line, span.column) <= (line, column) <= (span.end_line, span.end_column)
