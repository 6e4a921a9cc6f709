"""The quickstart example gives its expected output, and its two spellings mean one thing.

After a change that is meant, `python -m tests.interfaces.test_quickstart` writes the expected output anew.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.interfaces.conftest import ROOT, in_a_process

EXAMPLE = ROOT / "examples" / "quickstart"


def outputs(folder: Path, spec: str, *, plan: bool = False) -> dict[str, list[dict[str, Any]]]:
    """What the example's input gives, by the name of the expected file.

    The latency, which differs from run to run, is left out, and unless `plan` the digest, which is a release's own.
    """
    found = {}
    for name, command in (("rendered.jsonl", "render"), ("replies.jsonl", "run")):
        process = in_a_process(
            command, spec, "--input", "input.jsonl", cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, err = process.communicate()
        assert process.returncode == 0, err.decode()
        lines = [json.loads(line) for line in out.splitlines()]
        found[name] = sorted(lines, key=lambda line: str(line["id"]))
        for line in lines:
            line.pop("latency_ms", None)
            digest = line.pop("plan")
            if plan:
                line["plan"] = digest
    return found


@pytest.fixture
def example(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "quickstart", ignore=shutil.ignore_patterns(".victor")))


def test_the_quickstart_gives_its_expected_output(example: Path) -> None:
    for name, lines in outputs(example, "victor.yml").items():
        assert lines == [json.loads(line) for line in (EXAMPLE / name).read_text().splitlines()]


def test_every_turn_of_the_quickstart_is_in_its_events(example: Path) -> None:
    outputs(example, "victor.yml")
    events = [json.loads(line) for line in (example / ".victor" / "events.jsonl").read_text().splitlines()]
    assert sum(event["type"] == "turn" for event in events) == 5


def test_the_json_spelling_has_the_same_digest(example: Path) -> None:
    yaml, as_json = (outputs(example, spec, plan=True)["replies.jsonl"] for spec in ("victor.yml", "victor.json"))
    assert yaml == as_json


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(EXAMPLE, Path(folder) / "quickstart")
        for expected, written in outputs(copy, "victor.yml").items():
            (EXAMPLE / expected).write_text("".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in written))
    sys.stdout.write(f"wrote the expected output in {EXAMPLE}\n")
