"""What a model call costs beside gateways, SDKs and frameworks: `python -m bench.gateways`.

CPU of the calling process for one call, 16 at a time, against a server that always gives the same reply of 1 kB. The
systems run one after another in every round, each in a process of its own, so that what slows the machine slows them
alike. `victor_min` is a bare call with an experiment of two arms, as TensorZero's; `victor_full` is the whole turn of
`bench.turn` over HTTP; the others make the bare call.

Each peer is installed from PyPI into an environment of its own, `.venv/peers/NAME`, when it is first measured; remove
that folder for newer versions. `--only` measures some of them.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from bench.gateway_clients import CLIENTS
from bench.measure import ROOT, machine, python_with_pip, table

PEERS = ROOT / ".venv" / "peers"
PACKAGES: dict[str, tuple[str, ...]] = {
    "aiohttp": ("aiohttp",),
    "tensorzero": ("tensorzero",),
    "openai": ("openai",),
    "langchain-openai": ("langchain-openai", "langchain"),
    "haystack-ai": ("haystack-ai",),
    "litellm": ("litellm",),
    "pydantic-ai": ("pydantic-ai-slim[openai]",),
}
"""What each peer's environment holds; victor and plain asyncio run in this one."""


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.gateways", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=500, help="in each round")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--only", metavar="NAME", nargs="+", choices=list(CLIENTS), default=list(CLIENTS))
    options = parser.parse_args()
    pythons = {name: python_of(name) for name in options.only}
    with model_server() as base:
        results = rounds(
            pythons, base, options.rounds, ["--calls", str(options.calls), "--connections", str(options.connections)]
        )
    print(machine("victor_dsl"), end="\n\n")
    print(table(["one call", "version", "CPU, µs", "least", "most", "of victor_min", "of victor_full"], _rows(results)))


def python_of(name: str) -> Path:
    """The interpreter that has the package; a peer that is not there yet is installed."""
    if name not in PACKAGES:
        return Path(sys.executable)
    environment = PEERS / name
    python, done = environment / "bin" / "python", environment / "installed"
    if not done.exists():
        print(f"installing {name} into {environment.relative_to(ROOT)}", file=sys.stderr)
        venv.create(environment, clear=True, with_pip=False, symlinks=True)
        pip = [python_with_pip(), "-m", "pip", "--python", str(python), "--disable-pip-version-check", "--quiet"]
        subprocess.run([*pip, "install", *PACKAGES[name]], check=True)
        done.touch()
    return python


@contextmanager
def model_server() -> Iterator[str]:
    """The base URL of the server, while it runs: in C where there is a compiler, else in Python."""
    compiler = shutil.which("cc")
    command = [sys.executable, "-m", "bench.mock_model"]
    if compiler is not None:
        program = ROOT / ".venv" / "mock_model"
        program.parent.mkdir(exist_ok=True)
        subprocess.run([compiler, "-O2", "-o", program, ROOT / "bench" / "mock_model.c"], check=True)
        command = [str(program)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
        finally:
            server.stdin.close()


def rounds(pythons: dict[str, Path], base: str, number: int, options: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """What each client printed, round by round."""
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in pythons}
    for _ in range(number):
        for name, python in pythons.items():
            command = [str(python), str(ROOT / "bench" / "gateway_clients.py"), name, base, *options]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            results[name].append(json.loads(done.stdout.splitlines()[-1]))
    return results


def _rows(results: dict[str, list[dict[str, Any]]]) -> Iterator[list[str]]:
    cpu_us = {name: median(result["cpu_us"] for result in found) for name, found in results.items()}
    for name in sorted(cpu_us, key=lambda name: cpu_us[name]):
        found = [result["cpu_us"] for result in results[name]]
        ratios = [f"{cpu_us[name] / cpu_us[own]:.2f}" if own in cpu_us else "" for own in ("victor_min", "victor_full")]
        yield [
            name,
            results[name][0]["version"],
            f"{cpu_us[name]:.0f}",
            f"{min(found):.0f}",
            f"{max(found):.0f}",
            *ratios,
        ]


if __name__ == "__main__":
    main()
