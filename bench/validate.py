"""`victor validate` beside check-jsonschema with our own schema, and the command's start: `python -m bench.validate`.

CPU of whole processes. check-jsonschema does less: it knows the schema only, not names, overlays or templates.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from bench import specs
from bench.measure import BIN, ROOT, interleaved, machine, table

LENGTHS = (100, 2_000, 20_000)
SCHEMA = ROOT / "schemas" / "victor.schema.json"


def main() -> None:
    """Prints two tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.validate", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--lines", type=int, action="append", help="a length of spec; may be given again")
    options = parser.parse_args()
    print(machine("victor_dsl", "pydantic", "ruamel.yaml", "check-jsonschema"), end="\n\n")
    print(_validate(options.lines or LENGTHS, options.rounds), end="\n\n")
    print(_start(options.rounds))


def _validate(lengths: tuple[int, ...], rounds: int) -> str:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for lines in lengths:
            path = specs.write(Path(folder), lines)
            real = len(path.read_text(encoding="utf-8").splitlines())
            commands = {
                "victor": [str(BIN / "victor"), "validate", str(path)],
                "peer": [str(BIN / "check-jsonschema"), "--schemafile", str(SCHEMA), str(path)],
            }
            cpu = interleaved(commands, rounds if lines < 10_000 else max(1, rounds // 3))
            rows.append([str(real), f"{cpu['victor']:.0f}", f"{cpu['peer']:.0f}", f"{cpu['victor'] / cpu['peer']:.2f}"])
    return table(["lines of spec", "victor validate, ms", "check-jsonschema, ms", "ratio (aim: 0.6)"], rows)


def _start(rounds: int) -> str:
    victor = str(BIN / "victor")
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "victor --version": [victor, "--version"],
        "victor --help": [victor, "--help"],
    }
    cpu = interleaved(commands, 2 * rounds + 1)
    bare = cpu["python -c pass"]
    return table(["start", "ms", "ratio (aim: 2.6)"], [[n, f"{ms:.0f}", f"{ms / bare:.1f}"] for n, ms in cpu.items()])


if __name__ == "__main__":
    main()
