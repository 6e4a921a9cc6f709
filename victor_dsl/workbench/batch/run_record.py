"""The record of a batch run, so that a resumed line gets the same turn and event ids as in its first attempt."""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

import orjson
from attrs import evolve, field, frozen

from victor_dsl.errors import StoreError
from victor_dsl.storage.permissions import make_private_folder
from victor_dsl.values.event import uuid7
from victor_dsl.workbench.batch.lines import LineId


@frozen
class RunRecord:
    """The identity of a run, from which the ids of its turns follow; `begun` is in Unix seconds.

    `retried` says how often a later run asked lines again whose output was an error, by the JSON text of their ids. Their
    turns have ids of their own: stores have the failed turns already. `nodes` are the fingerprints of the spec's parts, by
    their ids.
    """

    run: str
    begun: float
    retried: Mapping[str, int] = field(factory=dict)
    nodes: Mapping[str, str] = field(factory=dict)

    @classmethod
    def new(cls, nodes: Mapping[str, str] | None = None) -> RunRecord:
        """The record of a run that begins now."""
        return cls(uuid.uuid4().hex, time.time(), nodes=nodes or {})

    def turn_id(self, line: LineId, attempts: int = 0) -> str:
        """The UUIDv7 of a line's turn: the same each time this run begins the line. A further try has another one."""
        id = orjson.dumps(line)
        attempt = (self.retried.get(id.decode(), 0), attempts)
        seed = self.run.encode() + b"\0" + id + (b"\0%d\0%d" % attempt if any(attempt) else b"")
        return uuid7(self.begun, hashlib.sha256(seed).digest()[:10])

    def retrying(self, lines: Iterable[LineId]) -> RunRecord:
        """The record of the same run when it asks these lines again."""
        ids = [orjson.dumps(line).decode() for line in lines]
        return evolve(self, retried={**self.retried, **{id: self.retried.get(id, 0) + 1 for id in ids}})


def record_path(state: Path, output: str) -> Path:
    """The path of the record of the run that writes `output`."""
    return state / "runs" / f"{hashlib.sha256(os.path.realpath(output).encode()).hexdigest()[:16]}.json"


def read_record(path: Path) -> RunRecord | None:
    """The record, or None if there is none. Raises StoreError if it cannot be read."""
    try:
        record = orjson.loads(path.read_bytes())
        retried = {str(id): int(times) for id, times in record.get("retried", {}).items()}
        nodes = {str(id): str(fingerprint) for id, fingerprint in record.get("nodes", {}).items()}
        return RunRecord(str(record["run"]), float(record["begun"]), retried, nodes)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"{path} is damaged", hint="remove it to go on; lines begun before get new turn ids"
        ) from error


def write_record(path: Path, record: RunRecord, output: str) -> None:
    """Writes the record, whole or not at all. Raises StoreError if it cannot be written."""
    new = path.with_suffix(f".{os.getpid()}")
    try:
        make_private_folder(path.parent)
        with new.open("wb") as file:
            fields = {"run": record.run, "begun": record.begun, "output": output}
            fields |= {"retried": record.retried, "nodes": record.nodes}
            file.write(orjson.dumps(fields))
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error
