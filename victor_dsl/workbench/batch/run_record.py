"""The record of a batch run, so that a resumed line gets the same turn and event ids as in its first attempt."""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from pathlib import Path

import orjson
from attrs import frozen

from victor_dsl.errors import StoreError
from victor_dsl.values.event import uuid7
from victor_dsl.workbench.batch.lines import LineId


@frozen
class RunRecord:
    """The identity of a run, from which the ids of its turns follow; `begun` is in Unix seconds."""

    run: str
    begun: float

    @classmethod
    def new(cls) -> RunRecord:
        """The record of a run that begins now."""
        return cls(uuid.uuid4().hex, time.time())

    def turn_id(self, line: LineId) -> str:
        """The UUIDv7 of a line's turn: the same each time this run begins the line."""
        noise = hashlib.sha256(self.run.encode() + b"\0" + orjson.dumps(line)).digest()[:10]
        return uuid7(self.begun, noise)


def record_path(state: Path, output: str) -> Path:
    """The path of the record of the run that writes `output`."""
    return state / "runs" / f"{hashlib.sha256(os.path.realpath(output).encode()).hexdigest()[:16]}.json"


def read_record(path: Path) -> RunRecord | None:
    """The record, or None if there is none. Raises StoreError if it cannot be read."""
    try:
        record = orjson.loads(path.read_bytes())
        return RunRecord(str(record["run"]), float(record["begun"]))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"{path} is damaged", hint="remove it to go on; lines begun before get new turn ids"
        ) from error


def write_record(path: Path, record: RunRecord, output: str) -> None:
    """Writes the record, whole or not at all. Raises StoreError if it cannot be written."""
    new = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with new.open("wb") as file:
            file.write(orjson.dumps({"run": record.run, "begun": record.begun, "output": output}))
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error
