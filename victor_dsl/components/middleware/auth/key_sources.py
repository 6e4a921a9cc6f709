"""Stored API keys: their hashes, with tenant and user, in a file or in a table."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from attrs import frozen

from victor_dsl.errors import StoreError
from victor_dsl.language.keys_file import read_keys
from victor_dsl.language.kinds import SqlDatabase
from victor_dsl.storage.file_value import FileValue, reason

MOST_FILE_BYTES = 64 * 1024 * 1024
SELECT = "SELECT key_hash, tenant_id, user_id, active, expires_at FROM api_keys WHERE key_hash = $1"

_HASH = re.compile(r"sha256:[0-9a-f]{64}")


@frozen
class ApiKey:
    """A stored key. `expires_at` is in Unix seconds."""

    key_hash: str
    tenant_id: str | None = None
    user_id: str | None = None
    active: bool = True
    expires_at: float | None = None


class KeySource(Protocol):
    """A place where keys are stored."""

    async def find(self, key_hash: str) -> ApiKey | None:
        """The key with that hash, or None. Raises StoreError when it cannot be looked up."""
        ...


def hash_key(key: str) -> str:
    """The hash of a key: `sha256:` and 64 hexadecimal digits.

    SHA-256 without salt or stretching is enough for keys of 128 random bits and more: they cannot be found by trying.
    """
    return "sha256:" + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


@runtime_checkable
class ShowsKeys(Protocol):
    """A database with row-level security."""

    def for_key(self, key_hash: str) -> SqlDatabase:
        """The same database with the row of one key."""
        ...


class FileKeys:
    """Keys in a file, which is read again when it changes."""

    def __init__(self, path: Path, shown: str) -> None:
        self._shown = shown
        self._keys = FileValue(path, self._read, most_bytes=MOST_FILE_BYTES)

    async def find(self, key_hash: str) -> ApiKey | None:
        try:
            keys = await self._keys.get()
        except OSError as error:
            raise StoreError(f"{self._shown}: {reason(error)}") from error
        return _confirmed(keys.get(key_hash), key_hash)

    def _read(self, data: bytes) -> Mapping[str, ApiKey]:
        keys: dict[str, ApiKey] = {}
        for place, entry in read_keys(data, self._shown):
            try:
                key = _key(entry)
            except ValueError as error:
                raise StoreError(f"{place}: {error}") from error
            if key.key_hash in keys:
                raise StoreError(f"{place}: this key appears twice")
            keys[key.key_hash] = key
        return keys


@frozen
class TableKeys:
    """Keys in the table `api_keys`."""

    database: SqlDatabase

    async def find(self, key_hash: str) -> ApiKey | None:
        # In PostgreSQL the role that runs turns sees no other row: the row says which tenant's key it is.
        of_key = self.database.for_key(key_hash) if isinstance(self.database, ShowsKeys) else self.database
        rows = await of_key.fetch(SELECT, key_hash)
        try:
            return _confirmed(_key(rows[0]), key_hash) if rows else None
        except ValueError as error:
            raise StoreError(f"a row of api_keys: {error}") from error


def _confirmed(found: ApiKey | None, key_hash: str) -> ApiKey | None:
    """The key if its hash is the right one, compared in constant time."""
    return found if found is not None and hmac.compare_digest(found.key_hash, key_hash) else None


def _key(entry: Mapping[str, Any]) -> ApiKey:
    """The key of an entry. Raises ValueError that says what is wrong, without the hash itself."""
    key_hash, active = entry.get("key_hash"), entry.get("active", True)
    if not isinstance(key_hash, str) or not _HASH.fullmatch(key_hash):
        raise ValueError("key_hash must be `sha256:` and 64 lower-case hexadecimal digits")
    if active not in (True, False):  # in SQLite, 1 and 0
        raise ValueError("active must be true or false")
    for name in ("tenant_id", "user_id"):
        value = entry.get(name)
        if value is not None and (not isinstance(value, str) or not value):
            raise ValueError(f"{name} must be text")
    return ApiKey(
        key_hash, entry.get("tenant_id"), entry.get("user_id"), bool(active), _moment(entry.get("expires_at"))
    )


def _moment(value: Any) -> float | None:
    """Unix seconds of a time stamp: a `datetime` from PostgreSQL, text from the other sources."""
    if value is None:
        return None
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise ValueError("expires_at must be a time such as 2027-01-01T00:00:00Z") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
