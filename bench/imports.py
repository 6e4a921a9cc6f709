"""What a command imports and what that costs, by package: `python -m bench.imports validate victor.yml`."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

from bench.measure import machine, table


def main() -> None:
    """Prints the packages whose modules take longest to import by themselves."""
    command = [sys.executable, "-X", "importtime", "-m", "victor_dsl", *(sys.argv[1:] or ["--help"])]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    import_us: Counter[str] = Counter()
    modules: Counter[str] = Counter()
    for line in done.stderr.splitlines():
        columns = [column.strip() for column in line.removeprefix("import time:").split("|")]
        if len(columns) == 3 and columns[0].isdigit():
            own, _, name = columns
            package = ".".join(name.split(".")[: 2 if name.startswith("victor_dsl") else 1])
            import_us[package] += int(own)
            modules[package] += 1
    rows = [[package, str(modules[package]), f"{us / 1000:.1f}"] for package, us in import_us.most_common(25)]
    print(machine("victor_dsl"), end="\n\n")
    print(
        table(
            [f"package ({sum(modules.values())} modules, {sum(import_us.values()) / 1000:.0f} ms)", "modules", "ms"],
            rows,
        )
    )


if __name__ == "__main__":
    main()
