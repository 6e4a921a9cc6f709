"""An editor for yaml-language-server: what the server completes, shows and underlines in a spec."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.servers import yaml_language_server

Json = dict[str, Any]

SETTINGS = {"yaml": {"schemaStore": {"enable": False}, "kubernetesCRDStore": {"enable": False}, "validate": True}}
"""Without these, the server asks the internet for schemas."""
SCHEMA = "victor.schema.json"
FIELD = 10
"""The kind of a completion that is one key; a skeleton of several keys has another kind."""


class Editor:
    """One editor with a folder of specs, whose first line names the schema."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._to, self._from = process.stdin, process.stdout
        self._folder = folder
        self._numbers = itertools.count(1)
        self._faults: dict[str, list[str]] = {}

    async def start(self) -> None:
        """Initializes the server, and waits until it has the settings."""
        capabilities = {"workspace": {"configuration": True}}
        await self._ask("initialize", {"processId": None, "rootUri": None, "capabilities": capabilities})
        self._tell("initialized", {})
        self._tell("workspace/didChangeConfiguration", {"settings": SETTINGS})
        while (await self._hear()).get("method") != "workspace/configuration":
            pass

    async def offers(self, spec: str) -> list[Json]:
        """The completions at `^`."""
        found = await self._at("textDocument/completion", spec)
        items: list[Json] = found["items"]
        return items

    async def fields(self, spec: str) -> set[str]:
        """The keys that are offered at `^`."""
        return {item["label"] for item in await self.offers(spec) if item["kind"] == FIELD}

    async def says(self, spec: str) -> str:
        """What is shown for the word at `^`."""
        found = await self._at("textDocument/hover", spec)
        text: str = found["contents"]["value"]
        return text

    async def faults(self, spec: str) -> list[str]:
        """The underlined faults, each with its line of the spec."""
        uri = self._open(spec)
        while uri not in self._faults:
            await self._hear()
        return self._faults[uri]

    async def _at(self, method: str, spec: str) -> Any:
        before, _, after = spec.partition("^")
        uri = self._open(before + after)
        line = before.count("\n") + 1
        position = {"line": line, "character": len(before.rpartition("\n")[2])}
        return await self._ask(method, {"textDocument": {"uri": uri}, "position": position})

    def _open(self, spec: str) -> str:
        uri = (self._folder / f"{next(self._numbers)}.yml").as_uri()
        text = f"# yaml-language-server: $schema={SCHEMA}\n{spec}"
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self._tell("textDocument/didOpen", {"textDocument": document})
        return uri

    async def _ask(self, method: str, parameters: Json) -> Any:
        number = next(self._numbers)
        self._send({"id": number, "method": method, "params": parameters})
        while True:
            told = await self._hear()
            if told.get("id") == number and "method" not in told:
                return told["result"]

    def _tell(self, method: str, parameters: Json) -> None:
        self._send({"method": method, "params": parameters})

    def _send(self, message: Json) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._to.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    async def _hear(self) -> Json:
        """The next message. Requests of the server are answered, and faults are stored."""
        head = await self._from.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        told: Json = json.loads(await self._from.readexactly(length))
        match told.get("method"):
            case "workspace/configuration":
                wanted = [SETTINGS.get(item.get("section")) for item in told["params"]["items"]]
                self._send({"id": told["id"], "result": wanted})
            case "textDocument/publishDiagnostics":
                found = told["params"]["diagnostics"]
                self._faults[told["params"]["uri"]] = [
                    f"{fault['range']['start']['line']}: {fault['message']}" for fault in found
                ]
            case str() if "id" in told:
                self._send({"id": told["id"], "result": None})
        return told


@asynccontextmanager
async def editing(folder: Path, schema: Json) -> AsyncIterator[Editor]:
    """An editor in a folder with that schema. Where yaml-language-server is not installed the test is skipped."""
    command = yaml_language_server()
    (folder / SCHEMA).write_text(json.dumps(schema), encoding="utf-8")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=1 << 24)
    try:
        async with asyncio.timeout(60):
            editor = Editor(process, folder)
            await editor.start()
            yield editor
    finally:
        process.kill()
        await process.communicate()
