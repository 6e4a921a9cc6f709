"""`victor.lock`: the models of a spec, and the tools that its MCP servers listed when someone looked at them.

It lies beside the spec, is written by `victor lock` and committed. In JSON:

    {"version": 1, "spec": NAME,
     "models": {"models/main": {"type": "openai", "model": "gpt-6", "context_window": 128000, "usd_per_million": [1.0, 4.0]}},
     "servers": {"tools/clock": {"server": "mcp-time", "instructions": "", "tools": {
        "clock__get_time": {"description": "…", "parameters": {…}}}}}}

A node that tenants or arms change may differ in other plans: those entries stand under `tools/clock (tenant acme)`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from victor_dsl.errors import LockError
from victor_dsl.regular_file import read_regular
from victor_dsl.values.tool import Tool

NAME = "victor.lock"
VERSION = 1
MOST_BYTES = 16 * 1024 * 1024
MOST_NAMES = 8
"""How many tools of a kind of difference a message names."""


@frozen
class LockedServer:
    """What a server listed: its own name, its instructions where the spec uses them, and its tools by name.

    Each tool is `{"description": str, "parameters": JSON Schema}`; its name is the one that models see.
    """

    server: str
    instructions: str = ""
    tools: Mapping[str, Mapping[str, Any]] = field(factory=dict)

    @classmethod
    def of(cls, server: str, instructions: str, tools: Iterable[Tool]) -> LockedServer:
        """The entry of a server that is connected."""
        named = {tool.name: {"description": tool.description, "parameters": tool.parameters} for tool in tools}
        return cls(server, instructions, dict(sorted(named.items())))

    def differences(self, now: LockedServer) -> list[str]:
        """What is different now, in words: `the tool clock__x is new`."""
        found = [f"the server calls itself '{now.server}', not '{self.server}'"] if now.server != self.server else []
        found += ["its instructions are others"] if now.instructions != self.instructions else []
        kept = [name for name in self.tools if name in now.tools]
        changed = [name for name in kept if not _same(self.tools[name], now.tools[name])]
        for names, what in (
            ([name for name in now.tools if name not in self.tools], "new"),
            ([name for name in self.tools if name not in now.tools], "gone"),
        ):
            found += [f"{_listed(names)} {'is' if len(names) == 1 else 'are'} {what}"] if names else []
        for name in changed[:MOST_NAMES]:
            parts = [
                key for key in ("description", "parameters") if not _same(self.tools[name][key], now.tools[name][key])
            ]
            found.append(f"the {' and the '.join(parts)} of {name} changed")
        found += [f"{len(changed) - MOST_NAMES:,} more tools changed"] if len(changed) > MOST_NAMES else []
        return found


@frozen
class Lock:
    """The content of a `victor.lock`; `file` is where it is."""

    file: str
    spec: str
    models: Mapping[str, Mapping[str, Any]] = field(factory=dict)
    servers: Mapping[str, LockedServer] = field(factory=dict)

    def entries(self, node: str) -> Sequence[LockedServer]:
        """The servers that a node of any plan may be, that of the base first; none where the lock does not know the node."""
        return [server for place, server in self.servers.items() if node_of(place) == node]

    def check_server(self, node: str, now: LockedServer) -> None:
        """Raises LockError where a connected server is not what the lock says of this node."""
        known = self.entries(node)
        if not known:
            raise LockError(
                f"{self.file} does not have the server '{now.server}', which lists {len(now.tools):,} tools",
                node=node,
                hint="look at its tools, then run `victor lock`",
            )
        differences = min((entry.differences(now) for entry in known), key=len)
        if not differences:
            return
        raise LockError(
            f"the tools of the server '{now.server}' are not those of {self.file}: {'; '.join(differences)}",
            node=node,
            hint="`victor lock --check` shows the difference; accept it with `victor lock`",
        )

    def text(self) -> str:
        """The file: the same for the same content, and one line for each thing that may change."""
        document = {
            "version": VERSION,
            "spec": self.spec,
            "models": dict(self.models),
            "servers": {
                place: {"server": one.server, "instructions": one.instructions, "tools": dict(one.tools)}
                for place, one in self.servers.items()
            },
        }
        text = json.dumps(document, ensure_ascii=False, indent=2)
        return "".join(c if c == "\n" or c.isprintable() else _escaped(c) for c in text) + "\n"


def node_of(place: str) -> str:
    """The node that an entry is about: `tools/clock (tenant acme)` is about `tools/clock`."""
    return place.partition(" (")[0]


def beside(spec: str) -> str:
    """The path of the lock of a spec."""
    return os.path.join(os.path.dirname(spec), NAME)


def read_lock(path: str) -> Lock:
    """Reads a lock. Raises LockError, also where there is none."""
    try:
        data, _ = read_regular(path, MOST_BYTES)
    except FileNotFoundError as error:
        raise LockError(f"there is no {path}", hint="write it with `victor lock`, and commit it") from error
    except (OSError, ValueError) as error:
        raise LockError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    return parse_lock(data, path)


def parse_lock(data: bytes, path: str) -> Lock:
    """The lock that a file's bytes are. Raises LockError."""
    try:
        document = json.loads(data) if len(data) <= MOST_BYTES else None
        if not isinstance(document, dict) or not isinstance(document["version"], int):
            raise TypeError
        if document["version"] != VERSION:
            raise LockError(
                f"{path} has version {document['version']}, which this victor does not know",
                hint="write it again with `victor lock`",
            )
        servers = {place: _server(one) for place, one in document["servers"].items()}
        if not isinstance(document["spec"], str) or not all(isinstance(m, dict) for m in document["models"].values()):
            raise TypeError
        return Lock(path, document["spec"], document["models"], servers)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise LockError(f"{path} is not a lock", hint="write it again with `victor lock`") from error


def _server(written: Any) -> LockedServer:
    tools = written["tools"]
    for tool in tools.values():
        if not isinstance(tool["description"], str) or not isinstance(tool["parameters"], dict) or len(tool) != 2:
            raise TypeError
    if not isinstance(written["server"], str) or not isinstance(written["instructions"], str):
        raise TypeError
    return LockedServer(written["server"], written["instructions"], tools)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MOST_NAMES])
    more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
    return f"the tool{'' if len(names) == 1 else 's'} {shown}{more}"


def _same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal. To Python `1` and `true` are."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _escaped(character: str) -> str:
    """A character that nobody sees, as JSON can write it: whoever reviews the lock must see it."""
    return json.dumps(character)[1:-1]
