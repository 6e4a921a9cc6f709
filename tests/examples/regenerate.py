"""Writes the expected output of the examples anew, after a change that is meant.

`python -m tests.examples.regenerate` does all of them, `python -m tests.examples.regenerate NAME…` some; look at the
difference before it is committed.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.examples.running import FOLDER, copy_of, examples, outputs, prepare, runnable


def main(names: Sequence[str]) -> None:
    """Runs the examples in copies, and writes what they give beside them."""
    for name in names or examples():
        with tempfile.TemporaryDirectory() as there:
            folder = copy_of(name, Path(there))
            prepare(folder)
            for file, lines in outputs(folder, runnable(folder)).items():
                text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
                (FOLDER / name / file).write_text(text, encoding="utf-8")
        sys.stdout.write(f"wrote the expected output of {name}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
