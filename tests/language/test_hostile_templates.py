"""Whatever a template does, its rendering takes little time and memory: in a child process with limits of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

resource = pytest.importorskip("resource")

GIB = 2**30
MOST_SECONDS = 0.5
"""CPU time. A fast machine needs at most 0.1 s."""
MOST_MEGABYTES = 64


def _limits() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (2 * GIB, 2 * GIB))
    resource.setrlimit(resource.RLIMIT_CPU, (90, 90))


def test_no_hostile_template_takes_long_or_much_memory() -> None:
    command = [sys.executable, "-m", "tests.language.hostile_templates", "--every", "17", "--json"]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, preexec_fn=_limits)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["count"] > 300
    assert found["seconds"] < MOST_SECONDS, found
    assert found["megabytes"] < MOST_MEGABYTES, found
