"""An MCP server that does what servers should not do: `python wild_server.py [FOLDER]`, over its pipes, without an SDK."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

TOOLS = [
    *(
        "echo",
        "count",
        "die",
        "hang",
        "freeze",
        "junk",
        "endless_junk",
        "huge",
        "huge_unnamed",
        "picture",
        "environment",
    ),
    *(
        "grow",
        "spawn",
        "fail",
        "structured",
        "no_result",
        "leak",
        "stubborn",
        "pid",
        "spawn_away",
        "last_words",
        "answer",
    ),
]
counted = 0
grown: list[str] = []
described: dict[str, str] = {}


def send(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def text(value: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": value}]}


def call(name: str, arguments: dict[str, Any], id: int) -> dict[str, Any] | None:  # noqa: C901 -- a list of misdeeds
    global counted  # noqa: PLW0603 -- the state that a server keeps
    match name:
        case "echo":
            return text(json.dumps(arguments))
        case "count":
            counted += 1
            return text(str(counted))
        case "die":
            os._exit(3)
        case "last_words":
            sys.stderr.write("fatal: the disk is full\n")
            sys.stderr.flush()
            os._exit(4)
        case "hang":
            return None
        case "freeze":
            time.sleep(3600)
        case "junk":
            sys.stdout.write("Server ready!\n\n{]\nnot json\n")
            return text("after the junk")
        case "endless_junk":
            sys.stdout.write("x" * 20_000_000 + "\n")
            return text("after the junk")
        case "huge":
            return text("y" * 50_000_000)
        case "huge_unnamed":
            sys.stdout.write(json.dumps({"result": text("z" * 50_000_000), "jsonrpc": "2.0", "id": id}) + "\n")
            sys.stdout.flush()
            return None
        case "picture":
            parts = [
                {"type": "text", "text": "A cat:"},
                {"type": "image", "data": "AAAA" * 1000, "mimeType": "image/png"},
                {"type": "audio", "data": "AAAA", "mimeType": "audio/wav"},
                {"type": "resource_link", "uri": "file:///cat.txt", "name": "cat"},
                {"type": "resource", "resource": {"uri": "file:///a", "text": "inside"}},
                {"type": "resource", "resource": {"uri": "file:///b", "blob": "AAAA"}},
            ]
            return {"content": parts}
        case "environment":
            return text(json.dumps(dict(os.environ)))
        case "grow":
            grown.append(arguments["name"])
            described[arguments["name"]] = arguments.get("description", f"Does {arguments['name']}.")
            send({"method": "notifications/tools/list_changed"})
            return text("grown")
        case "spawn":
            program = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(3600)"
            return text(str(subprocess.Popen([sys.executable, "-c", program]).pid))
        case "fail":
            return {**text("no such order"), "isError": True}
        case "structured":
            return {"content": [], "structuredContent": {"a": 1}}
        case "no_result":
            return {"content": [], "_meta": "what?"}
        case "leak":
            return text(f"the token is {os.environ['TOKEN']}")
        case "stubborn":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            return text("no")
        case "spawn_away":  # a grandchild in a session of its own, whose parent ends at once, beside an ordinary child
            command = [sys.executable, "-c", "import time; time.sleep(3600)"]
            away = f"import subprocess; print(subprocess.Popen({command}, start_new_session=True, stdin=-3, stdout=-3, stderr=-3).pid)"
            printed = subprocess.run([sys.executable, "-c", away], stdout=subprocess.PIPE, check=True, text=True).stdout
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            pids = f"{os.getppid()} {os.getpid()} {child.pid} {printed.strip()}"
            with open("pids", "w") as file:
                file.write(pids)
            return text(pids)
        case "pid":
            return text(str(os.getpid()))
        case "elicit":
            params = {"message": "Sure?", "requestedSchema": arguments["schema"]}
            if arguments["schema"] is None:
                params = {"mode": "url", "message": "Log in", "url": "https://example.com", "elicitationId": "1"}
            send({"id": 900, "method": "elicitation/create", "params": params})
            return text(json.dumps(json.loads(sys.stdin.readline())["result"]))
        case "answer":
            result: dict[str, Any] = arguments["result"]
            return result
    return text("nothing")


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        id, method, params = request.get("id"), request.get("method"), request.get("params") or {}
        if id is None:
            continue
        if method == "initialize":
            information = {"name": "wild", "version": "1"}
            capabilities = {"tools": {"listChanged": True}}
            version = params["protocolVersion"]
            send({"id": id, "result": {"protocolVersion": version, "capabilities": capabilities, "serverInfo": information, "instructions": os.environ.get("INSTRUCTIONS")}})  # fmt: skip
        elif method == "tools/list":
            tools = [{"name": "bad", "inputSchema": {"type": "string"}}] if "bad" in grown else []
            tools += [
                {
                    "name": n,
                    "description": described.get(n, f"Does {n}."),
                    "inputSchema": {"type": "object"},
                    **({"execution": {"taskSupport": "required"}} if n == "task" else {}),
                }
                for n in TOOLS + grown
                if n != "bad"
            ]
            send({"id": id, "result": {"tools": tools}})
        elif method == "tools/call":
            if params["name"] == "slow":
                for step in range(params["arguments"]["steps"]):
                    time.sleep(0.2)
                    send({"method": "notifications/progress", "params": {"progressToken": params["_meta"]["progressToken"], "progress": step}})  # fmt: skip
            result = call(params["name"], params.get("arguments") or {}, id)
            if result is not None:
                send({"id": id, "result": result})
        else:
            send({"id": id, "error": {"code": -32601, "message": f"no method {method}"}})
    if signal.getsignal(signal.SIGTERM) == signal.SIG_IGN:
        time.sleep(3600)


if __name__ == "__main__":
    main()
