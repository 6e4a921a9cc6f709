"""One side of `victor plan`, in a process of its own: two versions of a module of tools never meet.

Reads its task as JSON from stdin, and writes JSON lines to the file descriptor that the task names: first what the spec means, then
what its renderings are compared by.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import orjson
from attrs import asdict

from victor_dsl.errors import VictorError
from victor_dsl.interfaces.cli.compiling import Surroundings, exit_code
from victor_dsl.interfaces.cli.diagnostics import Found, as_text
from victor_dsl.interfaces.cli.offline import no_network
from victor_dsl.interfaces.cli.options import Reading, read_environment
from victor_dsl.interfaces.locking import check_servers
from victor_dsl.language.registry import Registry
from victor_dsl.source.reader import Files
from victor_dsl.workbench.plan.answers import answer_lines
from victor_dsl.workbench.plan.effects import Outline
from victor_dsl.workbench.plan.meaning import meaning_of
from victor_dsl.workbench.plan.renderings import Send, render_lines
from victor_dsl.workbench.plan.tree import as_json
from victor_dsl.workbench.plan.untrusted import StandInRegistry, limit_process, stand_ins
from victor_dsl.workbench.plan.verdicts import verdict_lines

Json = dict[str, Any]


def main() -> None:
    """Does the task."""
    task = orjson.loads(sys.stdin.buffer.read())
    gc.freeze()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that its temporary folder is removed
    with os.fdopen(task["output"], "wb") as output:

        def send(message: Json) -> None:
            output.write(orjson.dumps(message, default=str) + b"\n")
            output.flush()

        try:
            _side(task, send)
        except VictorError as error:
            send({"error": {"message": str(error), "exit_code": error.exit_code}})
        except (BrokenPipeError, KeyboardInterrupt):
            os._exit(1)  # the command has ended
        except Exception as error:  # noqa: BLE001 - the last place that can turn a bug into a message
            if os.environ.get("VICTOR_DEBUG"):
                traceback.print_exc()
            send({"error": {"message": f"internal error: {type(error).__name__}: {error}", "exit_code": 3}})


def _side(task: Json, send: Send) -> None:
    if not task["untrusted"]:
        _compared(task, send, Registry(), runs=True)
        return
    limit_process()
    with no_network(), stand_ins(task["spec"]) as parts:
        _compared(task, send, StandInRegistry(parts), runs=False)
        send({"unknown": {node: parts.unknown[node] for node in sorted(parts.unknown)}})


def _compared(task: Json, send: Send, registry: Registry, *, runs: bool) -> None:
    spec, traffic = task["spec"], task["traffic"]
    reading = Reading(task["max_size"], task["show_outside"], task["locked"])
    files = Files(max_bytes=reading.max_size)
    surroundings = Surroundings(task["env_files"], task["state"], task["untrusted"], reading, registry, runs)
    required = traffic is not None and runs
    compilation = surroundings.compile(
        spec, files, require_environment=required, require_secrets=bool(task["asked"] or task["judge"])
    )
    program = compilation.program
    environment = read_environment(task["env_files"], os.environ) if runs else {}
    texts = {} if program is None else {n.id: n.files for n in program.plan_for(None, {}).nodes if n.files}
    tree = meaning_of(spec, files, environment, registry, texts)
    errors = [one for one in compilation.diagnostics if one.severity == "error"]
    found = Found.of([spec], compilation.diagnostics, compilation.files, reading)
    send(
        {
            "tree": None if tree is None else as_json(tree),
            "outline": None if program is None else asdict(Outline.of(program, task["root"])),
            "diagnostics": [one.as_json() for one in found.first(1000)[0]],
            "text": as_text(Found.of([spec], errors, files, reading), task["colour"]) if errors else "",
            "exit_code": exit_code(errors),
        }
    )
    if program is not None and traffic is not None:
        if program.lock is not None and runs:
            asyncio.run(check_servers(program, registry))
        with Path(traffic).open("rb", buffering=0) as stream:
            if task["judge"]:
                asyncio.run(verdict_lines(program, registry, stream, task["judge"], send))
                return
            if task["asked"]:
                asyncio.run(answer_lines(program, stream, set(task["asked"]), task["repeats"], send))
                return
            rendering = render_lines(program, stream, send, task["now"], whole=task["whole"], registry=registry)
            asyncio.run(rendering)


if __name__ == "__main__":
    main()
