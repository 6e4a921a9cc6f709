"""Prints what usage.sql finds in the SQLite database of victor.yml."""

import sqlite3
from contextlib import closing
from pathlib import Path

HERE = Path(__file__).parent

with closing(sqlite3.connect(HERE / ".victor" / "app.db")) as database:
    found = database.execute((HERE / "usage.sql").read_text(encoding="utf-8"))
    print(*(column[0] for column in found.description), sep="\t")
    for *row, cost in found:
        print(*row, f"{cost:.6f}", sep="\t")
