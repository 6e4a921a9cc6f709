"""A journal on the local disk: records are appended to it before they are delivered elsewhere.

Each process writes a folder of its own (`writer.py`): segments of records (`records.py`), and a cursor for each reader
(`cursors.py`). A folder whose writer has died is adopted by another process (`folders.py`).
"""

from victor_dsl.storage.journal.cursors import Cursor, cursors
from victor_dsl.storage.journal.disk import Disk
from victor_dsl.storage.journal.folders import Folder, own_folder, size_of, unlocked_folders
from victor_dsl.storage.journal.reader import Reader
from victor_dsl.storage.journal.records import FRAME, MOST_RECORD_BYTES
from victor_dsl.storage.journal.segments import Position, numbers, trim
from victor_dsl.storage.journal.writer import Writer

__all__ = [
    "FRAME",
    "MOST_RECORD_BYTES",
    "Cursor",
    "Disk",
    "Folder",
    "Position",
    "Reader",
    "Writer",
    "cursors",
    "numbers",
    "own_folder",
    "size_of",
    "trim",
    "unlocked_folders",
]
