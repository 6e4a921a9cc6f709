"""The examples, and the output of running one.

An example is a folder in `examples/` with a `victor.yml` and an `input.jsonl`. `rendered.jsonl` and `replies.jsonl` are what
`victor render` and `victor run` give for that input. Beside them there may stand

- `offline.yml`: the pipeline without a network, which then gives the output in the place of `victor.yml`;
- `victor.postgres.yml` and `victor.redis.yml`: the same pipeline on these servers, with the same output;
- `demo.env`: what the environment must have, none of it secret;
- `seed.sql`: what is written into the tables of `victor db migrate`, and `seed.py`, which does so in `victor.yml`'s database.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "examples"
PYTHON = Path(sys.executable)
EXPECTED = {"rendered.jsonl": "render", "replies.jsonl": "run"}

Lines = list[dict[str, Any]]


def examples(spec: str = "victor.yml") -> list[str]:
    """The names of the examples that have such a spec."""
    return sorted(path.parent.relative_to(FOLDER).as_posix() for path in FOLDER.rglob(spec))


def runnable(folder: Path) -> str:
    """The spec of an example that runs without a network."""
    return "offline.yml" if (folder / "offline.yml").exists() else "victor.yml"


def copy_of(name: str, to: Path) -> Path:
    """A copy of an example as in a fresh clone: without the state of earlier runs."""
    state = {"*.db", "*.db-*", "*.jsonl", "lock", "__pycache__"}

    def ignored(folder: str, names: list[str]) -> set[str]:
        if Path(folder).name == ".victor":
            return set(shutil.ignore_patterns(*state)(folder, names))
        return {"__pycache__"} & {*names}

    return Path(shutil.copytree(FOLDER / name, to / name, ignore=ignored))


def prepare(folder: Path, python: Path = PYTHON) -> None:
    """Creates and fills the tables of an example's `victor.yml`."""
    if (folder / "seed.py").exists():
        victor(folder, "db", "migrate", "victor.yml", python=python)
        subprocess.run([python, "seed.py"], cwd=folder, check=True, capture_output=True)


def outputs(
    folder: Path,
    spec: str,
    environment: Mapping[str, str] | None = None,
    *,
    plan: bool = False,
    python: Path = PYTHON,
) -> dict[str, Lines]:
    """The output for the example's input, by the name of the expected file, sorted by id.

    Times, which differ from run to run, are left out, and unless `plan` the digest, which is a release's own.
    """
    found = {}
    for name, command in EXPECTED.items():
        refuses = ("--no-wait",) if command == "run" else ()
        arguments = (command, spec, "--input", "input.jsonl", *refuses)
        out = victor(folder, *arguments, environment=environment, codes=(0, 3), python=python)
        lines: Lines = [json.loads(line) for line in out.splitlines()]
        for line in lines:
            line.pop("latency_ms", None)
            if error := line["error"]:
                error.pop("retry_after_s", None)
                error["message"] = re.sub(r"[\d.]+ s$", "… s", error["message"])
            digest = line.pop("plan")
            if plan:
                line["plan"] = digest
        found[name] = sorted(lines, key=lambda line: str(line["id"]))
    return found


def expected(name: str) -> dict[str, Lines]:
    """The expected output for an example's input."""
    return {
        file: [json.loads(line) for line in (FOLDER / name / file).read_text(encoding="utf-8").splitlines()]
        for file in EXPECTED
    }


def victor(
    folder: Path,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    codes: tuple[int, ...] = (0,),
    python: Path = PYTHON,
) -> str:
    """What `victor` prints on its standard output, run in a folder with no other environment than this and `demo.env`.

    A dashboard takes a free port.
    """
    demo = folder / "demo.env"
    given = re.findall(r"^(\w+)=(.*)$", demo.read_text(encoding="utf-8"), re.MULTILINE) if demo.exists() else []
    done = subprocess.run(
        [python, "-m", "victor_dsl", *arguments],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "DASH_PORT": "0",
            **dict(given),
            **(environment or {}),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in codes, f"victor {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout
