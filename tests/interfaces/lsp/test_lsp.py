"""The language server as editors use it: a process, driven by pytest-lsp."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_lsp
from lsprotocol import types
from pytest_lsp import ClientServerConfig, LanguageClient

from tests.interfaces.conftest import ROOT
from tests.interfaces.lsp.shop import SPEC, write


@pytest_lsp.fixture(
    config=ClientServerConfig(
        server_command=[sys.executable, "-m", "victor_dsl", "lsp"],
        server_env={**os.environ, "PYTHONPATH": str(ROOT), "SECRET_WORD": "hunter2"},
    )
)
async def client(lsp_client: LanguageClient) -> AsyncIterator[None]:
    await lsp_client.initialize_session(
        types.InitializeParams(capabilities=types.ClientCapabilities(), root_uri=Path.cwd().as_uri())
    )
    yield
    await lsp_client.shutdown_session()


class Editor:
    """Buffers of an editor. A place is written in the text as `|`."""

    def __init__(self, client: LanguageClient, folder: Path) -> None:
        self.client = client
        self.folder = folder
        self.versions: dict[str, int] = {}

    def uri(self, name: str) -> str:
        return (self.folder / name).as_uri()

    def type(self, name: str, text: str) -> None:
        uri = self.uri(name)
        self.versions[name] = self.versions.get(name, 0) + 1
        if self.versions[name] == 1:
            item = types.TextDocumentItem(uri, "yaml", 1, text)
            self.client.text_document_did_open(types.DidOpenTextDocumentParams(item))
            return
        change = types.TextDocumentContentChangeWholeDocument(text)
        document = types.VersionedTextDocumentIdentifier(self.versions[name], uri)
        self.client.text_document_did_change(types.DidChangeTextDocumentParams(document, [change]))

    async def found(self, name: str, wanted: set[str]) -> list[types.Diagnostic]:
        """The diagnostics of a file with these codes, once it has them; without a code it waits until the file has none."""
        uri = self.uri(name)
        async with asyncio.timeout(60):
            while not self._has(uri, wanted):
                await self.client.wait_for_notification(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        return [d for d in self.client.diagnostics[uri] if d.code in wanted]

    def _has(self, uri: str, wanted: set[str]) -> bool:
        codes = {d.code for d in self.client.diagnostics.get(uri, ())}
        return uri in self.client.diagnostics and (wanted <= codes if wanted else not codes)

    def at(self, name: str, marked: str) -> tuple[types.TextDocumentIdentifier, types.Position]:
        before = marked.partition("|")[0]
        self.type(name, marked.replace("|", "", 1))
        last = before.rpartition("\n")[2]
        return types.TextDocumentIdentifier(self.uri(name)), types.Position(
            before.count("\n"), len(last.encode("utf-16-le")) // 2
        )

    async def complete(self, name: str, marked: str) -> dict[str, types.CompletionItem]:
        document, position = self.at(name, marked)
        result = await self.client.text_document_completion_async(types.CompletionParams(document, position))
        items = result.items if isinstance(result, types.CompletionList) else result or []
        return {item.label: item for item in items}

    async def hover(self, name: str, marked: str) -> str:
        document, position = self.at(name, marked)
        result = await self.client.text_document_hover_async(types.HoverParams(document, position))
        if result is None:
            return ""
        assert isinstance(result.contents, types.MarkupContent)
        return result.contents.value

    async def definition(self, name: str, marked: str) -> tuple[str, int] | None:
        document, position = self.at(name, marked)
        found = await self.client.text_document_definition_async(types.DefinitionParams(document, position))
        if found is None:
            return None
        assert isinstance(found, types.Location)
        return found.uri.rpartition("/")[2], found.range.start.line + 1


@pytest.fixture
def editor(client: LanguageClient, tmp_path: Path) -> Editor:
    write(tmp_path)
    return Editor(client, tmp_path)


async def test_faults_are_shown_while_typing_and_go_again(editor: Editor) -> None:
    editor.type("victor.yml", SPEC)
    await editor.found("victor.yml", set())
    editor.type("victor.yml", SPEC.replace("model: main", "model: mian"))
    (fault,) = await editor.found("victor.yml", {"unknown-name"})
    assert (fault.range.start, fault.range.end) == (types.Position(9, 9), types.Position(9, 13))
    assert fault.severity == types.DiagnosticSeverity.Error
    assert fault.source == "victor"
    assert "did you mean 'main'?" in fault.message
    editor.type("victor.yml", SPEC + "tools: [")
    await editor.found("victor.yml", {"yaml-syntax"})
    editor.type("victor.yml", SPEC)
    await editor.found("victor.yml", set())
    assert not (editor.folder / "imported").exists()


async def test_positions_are_in_the_editors_units(editor: Editor) -> None:
    editor.type("victor.yml", "victor: 1\nname: a\nmodels: {'😀': {type: ecko}}\n")
    fault = next(d for d in await editor.found("victor.yml", {"unknown-component"}) if d.code == "unknown-component")
    assert fault.range.start == types.Position(2, 22)


async def test_a_fault_in_an_unsaved_template_is_shown_there(editor: Editor) -> None:
    editor.type("victor.yml", SPEC)
    await editor.found("victor.yml", set())
    editor.type("role.md.j2", "Hi.\nYou help with {{ produkt }}.\n")
    (fault,) = await editor.found("role.md.j2", {"undefined-variable"})
    assert fault.range.start.line == 1
    editor.type("role.md.j2", "You help with {{ product }}.\n")
    await editor.found("role.md.j2", set())


async def test_a_fault_in_a_file_that_is_extended_is_shown_there(editor: Editor) -> None:
    editor.type("victor.yml", SPEC)
    editor.type("base.yml", "victor: 1\nname: base\nsettings:\n  max_tokens: many\n")
    await editor.found("base.yml", {"wrong-type"})


async def test_keys_types_names_and_variables_are_completed_while_the_yaml_is_broken(editor: Editor) -> None:
    editor.type("victor.yml", SPEC)
    await editor.found("victor.yml", set())
    keys = await editor.complete("victor.yml", SPEC.replace("  spare: {type: echo}", "  spare: {type: openai, |"))
    assert {"base_url", "api_key"} <= keys.keys()
    assert keys["base_url"].insert_text == "base_url: "
    kinds = await editor.complete("victor.yml", SPEC.replace("spare: {type: echo}", "spare: {type: |"))
    assert {"openai", "echo"} <= kinds.keys()
    names = await editor.complete("victor.yml", SPEC.replace("model: main", "model: |"))
    assert {"main", "spare"} <= names.keys()
    editor.type("victor.yml", SPEC)
    assert {"product", "plan"} <= (await editor.complete("role.md.j2", "You help with {{ pro|")).keys()


async def test_hover_says_what_a_key_and_a_type_are_and_which_value_is_in_force(editor: Editor) -> None:
    editor.type("victor.yml", SPEC)
    await editor.found("victor.yml", set())
    key = await editor.hover("victor.yml", SPEC.replace("temperature: 0.3", "temper|ature: 0.3"))
    assert "In force: `` 0.3 ``, victor.yml:11" in key
    assert "For arm warmth.warm: `` 0.9 ``, victor.yml:22" in key
    assert "sampl" in key.lower() or "random" in key.lower()
    assert "SQLite" in await editor.hover("victor.yml", SPEC.replace("type: sqlite", "type: sql|ite"))
    assert "of models" in await editor.hover("victor.yml", SPEC.replace("model: main", "model: ma|in"))
    assert "Acme" in await editor.hover("role.md.j2", "You help with {{ prod|uct }}.\n")


async def test_hover_names_the_file_that_sets_the_value(editor: Editor) -> None:
    editor.type("victor.yml", SPEC)
    await editor.found("victor.yml", set())
    base = "victor: 1\nname: base\nsettings:\n  temperature: 1.0\n"
    editor.type("base.yml", base)
    shown = await editor.hover("base.yml", base.replace("temperature", "temp|erature"))
    assert "In force: `` 0.3 ``, victor.yml:11" in shown


async def test_no_variable_of_the_environment_is_shown(editor: Editor) -> None:
    spec = SPEC.replace("product: Acme", "product: '${env:SECRET_WORD}'")
    editor.type("victor.yml", spec)
    await editor.found("victor.yml", set())
    shown = await editor.hover("victor.yml", spec.replace("product:", "pro|duct:", 1))
    assert "${env:SECRET_WORD}" in shown
    assert "hunter2" not in shown


async def test_definitions_are_found(editor: Editor) -> None:
    assert await editor.definition("victor.yml", SPEC.replace("model: main", "model: ma|in")) == ("victor.yml", 5)
    assert await editor.definition("role.md.j2", "You help with {{ prod|uct }}.\n") == ("victor.yml", 12)


async def test_symbols_are_the_sections_and_their_items(editor: Editor) -> None:
    editor.type("victor.yml", SPEC)
    document = types.TextDocumentIdentifier(editor.uri("victor.yml"))
    found = await editor.client.text_document_document_symbol_async(types.DocumentSymbolParams(document))
    assert found is not None
    named = {
        one.name: [child.name for child in one.children or []] for one in found if isinstance(one, types.DocumentSymbol)
    }
    assert named["models"] == ["main", "spare"]
    assert named["contributors"] == ["role", "tone"]


async def test_a_document_is_formatted_and_a_broken_one_is_not(editor: Editor) -> None:
    document = types.TextDocumentIdentifier(editor.uri("victor.yml"))
    params = types.DocumentFormattingParams(document, types.FormattingOptions(4, insert_spaces=True))
    editor.type("victor.yml", "name:   a\nvictor: 1\nmodels:\n    main: {type: echo}\n")
    edits = await editor.client.text_document_formatting_async(params)
    assert edits is not None
    assert edits[0].new_text == "victor: 1\nname: a\nmodels:\n  main: {type: echo}\n"
    editor.type("victor.yml", "name: [\n")
    assert await editor.client.text_document_formatting_async(params) is None
