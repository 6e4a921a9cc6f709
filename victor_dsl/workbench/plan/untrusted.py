"""Stand-ins for the components of an untrusted spec that would import a function, start a program or connect.

A Python tool is offered as its source declares it, and a server's tools as `victor.lock` lists them. What else such a component would add
is unknown: both sides are compared without it, and the report names it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from attrs import define, evolve, field

from victor_dsl.errors import ComponentError, VictorError
from victor_dsl.language.annotations import CommandLine, FunctionName, Ref, annotated_fields
from victor_dsl.language.component import Component, Context
from victor_dsl.language.lock import NAME as LOCK
from victor_dsl.language.lock import read_lock
from victor_dsl.language.registry import Registry
from victor_dsl.regular_file import read_regular
from victor_dsl.source.reader import is_inside
from victor_dsl.values.message import Message
from victor_dsl.values.settings import Layer
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Handler, Turn
from victor_dsl.workbench.plan.function_stubs import stub_of

if sys.platform == "linux":
    import resource

MOST_MODULE_BYTES = 256 * 1024

_REMOTE = frozenset(
    (*(("embedders", name) for name in ("openai", "model2vec", "sentence_transformers")), ("tools", "mcp"))
)
"""Components that connect, or read files of the machine, whatever their Config names."""


@define
class StandIns:
    """Makes the stand-ins of one spec. `unknown` says by node id what they leave out; `folder` has the stubs of functions."""

    folder: str
    root: str
    unknown: dict[str, str] = field(factory=dict)

    def stand_in(self, component: Component) -> Component:
        """The component, or one that offers the same as far as that is known."""
        annotations = annotated_fields(component.config).values()
        runs = any(isinstance(one, FunctionName | CommandLine) for one in annotations)
        stored = any(isinstance(one, Ref) and one.kind == "databases" for one in annotations)
        key = (component.kind.name, component.type)
        if not runs and not stored and key not in _REMOTE and component.kind.name != "databases":
            return component
        if key == ("tools", "python"):
            return evolve(component, build=_python(self, component))
        if key == ("tools", "mcp"):
            return evolve(component, build=self._locked)
        made = _STAND_INS.get(component.kind.name)
        if made is None:
            return component

        def build(_: Any, context: Context) -> Any:
            self.unknown[context.node] = _REASONS[component.kind.name]
            return made

        return evolve(component, build=build)

    def _locked(self, config: Any, context: Context) -> Any:
        """The tools that `victor.lock` lists for a node."""
        path = os.path.join(self.root, LOCK)
        tools = _locked_tools(path, context.node) if is_inside(path, os.path.realpath(self.root)) else None
        if tools is None:
            self.unknown[context.node] = "its server is not asked, and victor.lock does not list its tools"
        named = (tools or {}).items()
        return _Tools([config.tool(name, one["description"], one["parameters"], context.node) for name, one in named])

    def function_stub(self, function: str) -> str | None:
        """The name of a stub with the same signature, in `folder`; None where the source does not say enough."""
        module, _, name = function.partition(":")
        below = os.path.join(self.root, *module.split("."))
        for path in (f"{below}.py", os.path.join(below, "__init__.py")):
            if not is_inside(path, os.path.realpath(self.root)):
                continue
            try:
                data, _ = read_regular(path, MOST_MODULE_BYTES)
                source = stub_of(data.decode("utf-8-sig"), name) if len(data) <= MOST_MODULE_BYTES else None
            except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
                return None
            if source is None:
                return None
            stub = f"victor_stub_{abs(hash(function))}"
            Path(self.folder, f"{stub}.py").write_text(source, "utf-8")
            return f"{stub}:{name}"
        return None


class StandInRegistry(Registry):
    """The components, with stand-ins for those that would run something."""

    def __init__(self, stand_ins: StandIns) -> None:
        super().__init__(entry_points=False)
        self._stand_ins = stand_ins

    def find(self, kind: str, type: str) -> Component | None:
        """The component, or its stand-in."""
        found = super().find(kind, type)
        return None if found is None else self._stand_ins.stand_in(found)


@contextmanager
def stand_ins(spec: str) -> Iterator[StandIns]:
    """The stand-ins of a spec; their folder is removed at the end."""
    with TemporaryDirectory(prefix="victor-stubs-") as folder:
        yield StandIns(folder, os.path.dirname(os.path.abspath(spec)))


def limit_process() -> None:
    """Limits this process's CPU time and memory, where the system can."""
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU_SECONDS, MOST_CPU_SECONDS + 5))
        resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))


MOST_CPU_SECONDS = 120
MOST_BYTES = 2**30
"""What one side of an untrusted comparison may take."""


def _python(stand_ins: StandIns, component: Component) -> Any:
    def build(config: Any, context: Context) -> Any:
        stub = stand_ins.function_stub(config.function)
        if stub is None:
            stand_ins.unknown[context.node] = "its source does not say what it takes"
            return _Tools([])
        own = config.model_copy(update={"function": stub})
        return component.build(own, evolve(context, directory=Path(stand_ins.folder)))

    return build


def _locked_tools(path: str, node: str) -> Mapping[str, Any] | None:
    """The tools of a node's server by name, as models see them; None where the lock does not know it."""
    try:
        servers = read_lock(path).entries(node)
    except (VictorError, OSError):
        return None
    return servers[0].tools if servers else None


class _Tools:
    """Tools that nobody can call."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        self.fixed_tools = tuple(tools)

    async def tools(self) -> Sequence[Tool]:
        """The definitions."""
        return self.fixed_tools

    async def call(self, *_: Any) -> str:
        """Never: rendering calls no tool."""
        raise ComponentError("nothing of an untrusted spec runs")


class _Silent:
    """Stands for a component of any kind, and adds nothing."""

    dialect = "sqlite"

    async def contribute(self, _: Turn) -> str:
        """Nothing."""
        return ""

    async def read(self, _: Turn) -> Layer:
        """No values."""
        return _NO_VALUES

    def wrap(self, handler: Handler) -> Handler:
        """The handler itself."""
        return handler

    async def load(self, *_: Any, **__: Any) -> Sequence[Message]:
        """No history."""
        return ()

    async def append(self, *_: Any, **__: Any) -> None:
        """Stores nothing."""

    async def embed(self, _: Sequence[str]) -> Any:
        """Nothing is known of these texts."""
        raise ComponentError("embeddings of an untrusted spec are not computed")


_NO_VALUES = Layer("unknown")
_SILENT = _Silent()
_STAND_INS: Mapping[str, Any] = dict.fromkeys(
    ("contributors", "providers", "middleware", "sessions", "databases", "embedders", "exporters"), _SILENT
) | {"tools": _Tools([])}

_REASONS: Mapping[str, str] = {
    "contributors": "what it adds to the system prompt",
    "providers": "its values",
    "middleware": "what it changes in a request",
    "sessions": "the histories that it holds",
    "databases": "what is in it",
    "embedders": "its vectors",
    "exporters": "what it exports",
    "tools": "its tools",
}
