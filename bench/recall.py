"""How often the right tools are offered, for labelled requests of your own: `python -m bench.recall FILE...`.

A file is JSON: `{"tools": [{"name", "description", "parameters"}], "queries": [{"query", "gold": [names]}]}`; `parameters` is a JSON
Schema, or its properties alone. A query with `candidates` (names) runs a second time with only these tools. Requests go through a whole
pipeline, as in `victor render`. recall@5 is the share of the right tools that are among the first five; all@5 is the share of requests
with all right tools among the first five; hit@1 is the share of requests whose first tool is right.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.measure import table
from victor_dsl.compiler import compile_spec
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.values.request import Request
from victor_dsl.values.tool import Tool

SPEC = """\
victor: 1
name: recall
models: {{main: {{type: echo, context_window: 10000000}}}}
{embedder}
tool_selection: {selection}
"""


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.recall", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--selection", default="{}", help="the value of tool_selection in a spec")
    parser.add_argument("--embedder", help="an item of the section embedders; its name is 'given'")
    options = parser.parse_args()
    embedder = f"embedders: {{given: {options.embedder}}}" if options.embedder else ""
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "victor.yml"
        spec.write_text(SPEC.format(embedder=embedder, selection=options.selection), encoding="utf-8")
        rows = [row for file in options.files for row in scored(spec, file.stem, json.loads(file.read_text("utf-8")))]
    print(table(["requests", "", "recall@5", "all@5", "hit@1"], rows))


def scored(spec: Path, name: str, corpus: Mapping[str, Any]) -> list[list[str]]:
    """The rows of the table for one corpus."""
    return asyncio.run(_scored(spec, name, corpus))


async def _scored(spec: Path, name: str, corpus: Mapping[str, Any]) -> list[list[str]]:
    compilation = compile_spec(str(spec), environment={})
    if compilation.program is None:
        raise SystemExit("\n".join(diagnostic.message for diagnostic in compilation.diagnostics))
    tools = tuple(_tool(written) for written in corpus["tools"])
    by_name = {tool.name: tool for tool in tools}
    own = [query for query in corpus["queries"] if len(query.get("candidates", ())) > 1]
    async with Orchestrator(compilation.program) as orchestrator:
        among_all = [
            _measures(await _offered(orchestrator, query, tools), query["gold"]) for query in corpus["queries"]
        ]
        among_own = [
            _measures(
                await _offered(orchestrator, query, [by_name[candidate] for candidate in query["candidates"]]),
                query["gold"],
            )
            for query in own
        ]
    found = {f"{name}, among {len(tools):,}": among_all, f"{name}, among their own": among_own}
    return [
        [title, f"{len(scores):,}", *(f"{sum(column) / len(scores):.3f}" for column in zip(*scores, strict=True))]
        for title, scores in found.items()
        if scores
    ]


def _tool(written: Mapping[str, Any]) -> Tool:
    parameters = written.get("parameters") or {}
    if "properties" not in parameters:
        parameters = {"type": "object", "properties": parameters}
    return Tool(written["name"], written.get("description") or "", parameters)


async def _offered(orchestrator: Orchestrator, query: Mapping[str, Any], tools: Sequence[Tool]) -> list[str]:
    rendered = await orchestrator.render(Request(message=query["query"], tools=tuple(tools)))
    if rendered.error is not None:
        raise SystemExit(f"a turn failed: {rendered.error}")
    return list(rendered.tools)


def _measures(offered: Sequence[str], gold: Sequence[str]) -> tuple[float, float, float]:
    right, five = set(gold), set(offered[:5])
    return len(right & five) / len(right), float(right <= five), float(bool(offered) and offered[0] in right)


if __name__ == "__main__":
    main()
