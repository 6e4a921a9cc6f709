"""Writes the text of every case anew: `python -m tests.diagnostics.regenerate`. Read what changed before you commit it."""

from __future__ import annotations

from tests.diagnostics.cases import CASES, FOLDER, expected, text


def main() -> None:
    """Writes what changed, and removes the texts of cases that are gone."""
    for case in CASES:
        path, now = expected(case), text(case)
        if not path.exists() or path.read_text(encoding="utf-8") != now:
            path.write_text(now, encoding="utf-8")
            print(f"wrote {path.name}")  # noqa: T201
    for path in set(FOLDER.glob("*.txt")) - set(map(expected, CASES)):
        path.unlink()
        print(f"removed {path.name}")  # noqa: T201


if __name__ == "__main__":
    main()
