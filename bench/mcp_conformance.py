"""The client scenarios of MCP's conformance suite, run against our MCP tools: `python -m bench.mcp_conformance SUITE [SCENARIO...]`.

SUITE is the folder where `npm install @modelcontextprotocol/conformance` was run, with Node 22 or later on the path. For each
scenario the suite starts a server, and then this module as its client, with the server's address as its argument.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from attrs import evolve

from bench.measure import table
from tests.components.context import TURN, surroundings
from tests.components.tools.test_mcp import RealClock
from victor_dsl.components.tools.mcp import Config, build
from victor_dsl.errors import ToolError
from victor_dsl.language.config import Secret
from victor_dsl.values.message import ToolCall

SCENARIO = "MCP_CONFORMANCE_SCENARIO"
EXAMPLES = {"string": "a", "integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {}}


def main() -> None:
    """Runs the suite; or acts as its client, where the suite has started this."""
    suite, *chosen = sys.argv[1:]
    if SCENARIO in os.environ:
        asyncio.run(act_as_client(sys.argv[-1], os.environ[SCENARIO]))
        return
    suite, *chosen = sys.argv[1:]
    program = Path(suite) / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
    rows = [[scenario, *run(program, scenario)] for scenario in chosen or scenarios(program)]
    print(table(["scenario", "passed", "failed", "first failure"], rows))


def scenarios(program: Path) -> list[str]:
    """The client scenarios. Of OAuth there are only client credentials: no browser can be asked to log in."""
    listed = subprocess.run(["node", program, "list"], capture_output=True, text=True, check=True).stdout
    clients = listed.partition("Client scenarios")[2].partition("Authorization server")[0]
    names = re.findall(r"^  - (\S+)", clients, re.MULTILINE)
    return [name for name in names if not name.startswith(("auth/", "sep-2640"))] + ["auth/client-credentials-basic"]


def run(program: Path, scenario: str) -> list[str]:
    """How many checks passed and failed, and the first failure."""
    command = f"{sys.executable} -m bench.mcp_conformance"
    with tempfile.TemporaryDirectory() as folder:
        suite = ["node", str(program), "client", "--command", command, "--scenario", scenario, "--output-dir", folder]
        done = subprocess.run(suite, capture_output=True, text=True, check=False)
        found = [check for path in Path(folder).rglob("checks.json") for check in json.loads(path.read_text())]
    failures = [check for check in found if check["status"] in ("FAILURE", "WARNING")]
    passed = sum(check["status"] == "SUCCESS" for check in found)
    first = failures[0].get("errorMessage") or failures[0]["id"] if failures else ""
    if not found:
        first = (done.stderr or done.stdout).strip()[-200:]
    return [str(passed), str(len(failures)), str(first).partition("\n")[0][:100]]


async def act_as_client(url: str, scenario: str) -> None:
    """Lists the server's tools and calls each of them."""
    given = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    made: dict[str, Any] = {"name": "mcp", "url": url, "elicitation": "defaults"}
    environment = {}
    if "client_secret" in given:
        environment["SECRET"] = given["client_secret"]
        secret = Secret("env", "SECRET")
        made["auth"] = {
            "type": "client_credentials",
            "issuer": _issuer(url),
            "client_id": given["client_id"],
            "client_secret": secret,
        }
    context = surroundings(Path.cwd(), "tools/mcp", environment=environment).context
    async with build(Config.model_validate(made), evolve(context, clock=RealClock())) as tools:
        listed = {tool.name.removeprefix("mcp__"): tool.parameters for tool in await tools.tools()}
        special = {"add_numbers": {"a": 5, "b": 3}, "json_schema_echo": {"schema": next(iter(listed.values()), {})}}
        calls = given.get("toolCalls") or [
            {"name": name, "arguments": special.get(name) or _arguments(schema)} for name, schema in listed.items()
        ]
        for call in calls:
            try:
                result = await tools.call(ToolCall("1", f"mcp__{call['name']}", json.dumps(call["arguments"])), TURN)
            except ToolError as error:
                result = f"Error: {error.message}"
            print(scenario, call["name"], result, file=sys.stderr)


def _arguments(schema: Mapping[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties", {})
    return {name: EXAMPLES.get(properties[name].get("type"), "a") for name in schema.get("required", [])}


def _issuer(url: str) -> str:
    """The authorization server of the MCP server, which whoever writes a spec knows."""
    origin, _, path = url.partition("://")[2].partition("/")
    with urlopen(f"http://{origin}/.well-known/oauth-protected-resource/{path}") as answer:
        return str(json.load(answer)["authorization_servers"][0])


if __name__ == "__main__":
    main()
