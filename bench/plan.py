"""Time and memory of `victor plan` over 10,000 generated requests: `python -m bench.plan`, with a number for another count."""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

SPEC = """\
victor: 1
name: shop
models:
  main: {type: echo, context_window: 8000, input_usd_per_million: 2.5, output_usd_per_million: 10}
contributors:
  - {type: text, name: tone, text: Answer briefly.}
  - {type: template, name: who, template: "The customer is {{ session }}.", priority: 10}
unknown_tenants: base
variants:
  warmth:
    arms: {control: {weight: 1}, warm: {weight: 1, with: {contributors: {tone: {text: Answer warmly.}}}}}
"""


def main() -> None:
    """Prints one line of figures."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    chance = random.Random(7)
    with TemporaryDirectory() as folder:
        here = Path(folder)
        (here / "old.yml").write_text(SPEC)
        (here / "new.yml").write_text(SPEC.replace("The customer", "Our customer"))
        with (here / "traffic.jsonl").open("w") as file:
            for number in range(count):
                text = " ".join(chance.choices(("order", "parcel", "refund", "late", "invoice", "please"), k=20))
                file.write(json.dumps({"id": number, "session": f"s{number % 2500}", "message": text}) + "\n")
        began = time.monotonic()
        command = [sys.executable, "-m", "victor_dsl", "plan", "old.yml", "new.yml", "--traffic", "traffic.jsonl"]
        done = subprocess.run(command, cwd=here, check=True, capture_output=True, text=True)
        seconds = time.monotonic() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(done.stdout.splitlines()[-1])
    print(
        f"{count:,} requests: {seconds:.1f} s, {used.ru_utime:.1f} s of CPU, {used.ru_maxrss / 1024:.0f} MiB at most in a process"
    )


if __name__ == "__main__":
    main()
