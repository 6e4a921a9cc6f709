"""The protocol: buffers come in, diagnostics go out, and positions are converted between an editor's units and characters."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import sys
from collections.abc import Sequence
from typing import Any

from lsprotocol import types
from pygls.lsp.server import LanguageServer
from pygls.uris import from_fs_path, to_fs_path
from pygls.workspace import PositionCodec

import victor_dsl
from victor_dsl.interfaces.lsp.answers import Answers, symbols
from victor_dsl.interfaces.lsp.grammar import Grammar
from victor_dsl.interfaces.lsp.workspace import Workspace
from victor_dsl.language.spec import section_rank
from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.json_layout import layout_json
from victor_dsl.source.layout import layout
from victor_dsl.source.located import Span, lines_of
from victor_dsl.source.reader import Files
from victor_dsl.source.yaml_text import compose

QUIET_SECONDS = 0.2
"""How long nothing is typed before the spec is compiled."""

MOST_DIAGNOSTICS = 500
"""Of a spec, in an editor."""

_SEVERITIES = {"error": types.DiagnosticSeverity.Error, "warning": types.DiagnosticSeverity.Warning}
_FORMATTED = (".yml", ".yaml", ".json")


class Server(LanguageServer):
    """The state of one editor's session. Compiling runs in a thread, one spec at a time."""

    def __init__(self) -> None:
        super().__init__("victor", victor_dsl.__version__)
        self.specs = Workspace()
        self.answers = Answers(self.specs, Grammar(self.specs.registry))
        self.published: dict[str, dict[str, list[Diagnostic]]] = {}  # by file, then by spec
        self.pending: dict[str, asyncio.Task[None]] = {}
        self.compiling = asyncio.Lock()

    def path_of(self, uri: str) -> str:
        """The absolute path of a document."""
        return os.path.abspath(to_fs_path(uri) or uri)

    def text_of(self, path: str) -> str:
        """A file as the editor holds it, else as it is."""
        if path in self.specs.buffers:
            return self.specs.buffers[path].decode("utf-8", "replace")
        with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
        return ""

    def hold(self, uri: str) -> None:
        """Takes over a document as the editor has it, and compiles its specs soon."""
        path = self.path_of(uri)
        self.specs.buffers[path] = self.workspace.get_text_document(uri).source.encode("utf-8", "surrogatepass")
        self.soon(path)

    def soon(self, path: str) -> None:
        """Compiles the specs of a file when nothing more is typed for a moment."""
        if (task := self.pending.pop(path, None)) is not None:
            task.cancel()
        self.pending[path] = asyncio.get_running_loop().create_task(self.check(path), name=f"check {path}")

    async def check(self, path: str) -> None:
        """Compiles the specs of a file, and publishes what was found."""
        await asyncio.sleep(QUIET_SECONDS)
        async with self.compiling:
            specs = await asyncio.to_thread(self.specs.specs_of, path)
            if path not in specs and path in self.published.get(path, {}):
                self.publish(path, ())  # another spec extends it
            for spec in specs:
                analysis = await asyncio.to_thread(self.specs.analyse, spec)
                self.publish(spec, analysis.diagnostics[:MOST_DIAGNOSTICS])

    def publish(self, spec: str, diagnostics: Sequence[Diagnostic]) -> None:
        """Shows the diagnostics of a spec in all its files, in place of its earlier ones."""
        by_file: dict[str, list[Diagnostic]] = {spec: []}
        for diagnostic in diagnostics:
            by_file.setdefault(os.path.abspath(diagnostic.span.file), []).append(diagnostic)
        for file in {*by_file, *(one for one, found in self.published.items() if spec in found)}:
            of_file = self.published.setdefault(file, {})
            of_file[spec] = by_file.get(file, [])
            lines = lines_of(self.text_of(file))
            shown = [self.shown(d, lines) for d in dict.fromkeys(d for found in of_file.values() for d in found)]
            self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(from_fs_path(file) or file, shown))

    def shown(self, diagnostic: Diagnostic, lines: Sequence[str]) -> types.Diagnostic:
        """A diagnostic as editors want it."""
        related = [
            types.DiagnosticRelatedInformation(self.location(one.span), one.message)
            for one in diagnostic.related
            if one.span.file
        ]
        return types.Diagnostic(
            range=self.range(diagnostic.span, lines),
            message=f"{diagnostic.message}\n{diagnostic.hint}" if diagnostic.hint else diagnostic.message,
            severity=_SEVERITIES[diagnostic.severity],
            code=diagnostic.code,
            source="victor",
            related_information=related or None,
        )

    @property
    def codec(self) -> PositionCodec:
        """The editor's units of a position."""
        return self.workspace.position_codec

    def range(self, span: Span, lines: Sequence[str]) -> types.Range:
        """A span in the editor's units."""
        start = types.Position(span.line - 1, span.column - 1)
        end = types.Position(span.end_line - 1, span.end_column - 1)
        return self.codec.range_to_client_units(lines, types.Range(start, end))

    def location(self, span: Span) -> types.Location:
        """A place in any file."""
        path = os.path.abspath(span.file)
        return types.Location(from_fs_path(path) or path, self.range(span, lines_of(self.text_of(path))))

    def place(self, params: Any) -> tuple[str, str, int, int]:
        """The path, the text, the line and the character that a request is about."""
        path = self.path_of(params.text_document.uri)
        text = self.text_of(path).replace("\r\n", "\n")
        position = self.codec.position_from_client_units(text.split("\n"), params.position)
        return path, text, position.line, position.character


server = Server()


@server.feature(types.TEXT_DOCUMENT_DID_OPEN)
async def _opened(ls: Server, params: types.DidOpenTextDocumentParams) -> None:
    ls.hold(params.text_document.uri)


@server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
async def _changed(ls: Server, params: types.DidChangeTextDocumentParams) -> None:
    ls.hold(params.text_document.uri)


@server.feature(types.TEXT_DOCUMENT_DID_SAVE)
async def _saved(ls: Server, params: types.DidSaveTextDocumentParams) -> None:
    ls.soon(ls.path_of(params.text_document.uri))


@server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
async def _closed(ls: Server, params: types.DidCloseTextDocumentParams) -> None:
    path = ls.path_of(params.text_document.uri)
    ls.specs.buffers.pop(path, None)
    ls.soon(path)


@server.feature(
    types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions(trigger_characters=[" ", ":", "{", ",", "-", ".", "["])
)
async def _complete(ls: Server, params: types.CompletionParams) -> list[types.CompletionItem]:
    async with ls.compiling:
        proposals = await asyncio.to_thread(ls.answers.completion, *ls.place(params))
    return [
        types.CompletionItem(
            label=one.label,
            insert_text=one.insert,
            detail=one.detail,
            documentation=_markdown(one.documentation),
            kind=types.CompletionItemKind.Property if one.detail == "key" else types.CompletionItemKind.Value,
        )
        for one in proposals
    ]


@server.feature(types.TEXT_DOCUMENT_HOVER)
async def _hover(ls: Server, params: types.HoverParams) -> types.Hover | None:
    async with ls.compiling:
        text = _markdown(await asyncio.to_thread(ls.answers.hover, *ls.place(params)))
    return types.Hover(text) if text is not None else None


@server.feature(types.TEXT_DOCUMENT_DEFINITION)
async def _definition(ls: Server, params: types.DefinitionParams) -> types.Location | None:
    async with ls.compiling:
        span = await asyncio.to_thread(ls.answers.definition, *ls.place(params))
    return ls.location(span) if span is not None and span.file else None


@server.feature(types.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
async def _symbols(ls: Server, params: types.DocumentSymbolParams) -> list[types.DocumentSymbol]:
    path = ls.path_of(params.text_document.uri)
    text = ls.text_of(path)
    tree, lines = compose(text, path)[0], lines_of(text)
    if tree is None or not isinstance(tree.value, dict):
        return []

    def symbol(name: str, span: Span, inner: Sequence[tuple[str, Span]] = ()) -> types.DocumentSymbol:
        children = [symbol(word, place) for word, place in inner if word]
        kind = types.SymbolKind.Module if inner else types.SymbolKind.Property
        return types.DocumentSymbol(name, kind, ls.range(span, lines), ls.range(span, lines), children=children)

    return [symbol(name or "?", span, inner) for name, span, inner in symbols(tree)]


@server.feature(types.TEXT_DOCUMENT_FORMATTING)
async def _format(ls: Server, params: types.DocumentFormattingParams) -> list[types.TextEdit] | None:
    path = ls.path_of(params.text_document.uri)
    text = ls.text_of(path)
    read = Files().parse(text.encode("utf-8", "surrogatepass"), path)
    if not path.lower().endswith(_FORMATTED) or any(fault.code != "not-a-map" for fault in read.diagnostics):
        return None  # a fault of syntax, which is shown
    rank = section_rank if ls.specs.is_spec(path) else None
    new = layout_json(text, rank) if path.lower().endswith(".json") else layout(text, rank)
    return [types.TextEdit(types.Range(types.Position(0, 0), types.Position(len(lines_of(text)), 0)), new)]


def _markdown(text: str | None) -> types.MarkupContent | None:
    return types.MarkupContent(types.MarkupKind.Markdown, text) if text else None


def serve() -> None:
    """Serves over standard input and output until the editor ends."""
    gc.enable()  # commands that end soon do without
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    sys.stdout = sys.stderr  # what else is printed must not come between messages
    server.start_io(stdout=channel)
