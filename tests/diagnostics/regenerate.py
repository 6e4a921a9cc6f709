"""Writes every expected output again: `python -m tests.diagnostics.regenerate`. Read the difference before you commit it."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from tests.diagnostics.cases import CASES, FOLDER, compilation, expected, page, printed, wrong_example
from victor_dsl.language.codes import CODES, explain


def main() -> None:
    """Writes the outputs that changed, and removes the texts of cases that are gone."""
    for code in CODES:
        with tempfile.TemporaryDirectory() as folder:
            output = printed(explain(code).file, wrong_example(explain(code), Path(folder)))
        before, command, after = re.split(
            r"^(## victor validate.*\n\n```text\n)", page(code).read_text("utf-8"), flags=re.MULTILINE
        )
        _write(page(code), before + command + output + after[after.index("```") :])
    for case in CASES:
        _write(expected(case), printed(case, compilation(case)))
    for path in set(FOLDER.glob("*.txt")) - set(map(expected, CASES)):
        path.unlink()
        print(f"removed {path.name}")  # noqa: T201


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.name}")  # noqa: T201


if __name__ == "__main__":
    main()
