"""Runs seed.sql on the SQLite database of victor.yml."""

import sqlite3
from contextlib import closing
from pathlib import Path

HERE = Path(__file__).parent

with closing(sqlite3.connect(HERE / ".victor" / "app.db")) as database:
    database.executescript((HERE / "seed.sql").read_text(encoding="utf-8"))
