"""The files that a spec includes: their bytes, read once, and the hash that fingerprints and digest use."""

from __future__ import annotations

import hashlib
from pathlib import Path

from attrs import define, field

MOST_BYTES = 4 * 1024 * 1024


@define
class Included:
    """Reads included files once. A file that cannot be read is None, and hashes as absent."""

    _bytes: dict[str, bytes | OSError] = field(factory=dict)
    _extra: dict[str, list[str]] = field(factory=dict)

    def read(self, path: str) -> bytes:
        """The file's bytes. Raises OSError."""
        if path not in self._bytes:
            try:
                with Path(path).open("rb") as file:
                    content = file.read(MOST_BYTES + 1)
                too_large = OSError(f"it is larger than {MOST_BYTES // 1024 // 1024} MiB")
                self._bytes[path] = content if len(content) <= MOST_BYTES else too_large
            except OSError as error:
                self._bytes[path] = error
            except ValueError as error:  # a NUL in it
                self._bytes[path] = OSError(str(error))
        found = self._bytes[path]
        if isinstance(found, OSError):
            raise found
        return found

    def names(self) -> tuple[str, ...]:
        """Every path that was looked for."""
        return tuple(self._bytes)

    def add(self, path: str, further: str) -> None:
        """Says that the file at `path` includes another, whose content then belongs to its hash."""
        self._extra.setdefault(path, []).append(further)

    def hash(self, path: str) -> str | None:
        """SHA-256 of the content with line breaks as LF, and of all that it includes; None where it cannot be read."""
        try:
            digest = hashlib.sha256(_content(self.read(path)))
        except OSError:
            return None
        for further in sorted(set(self._extra.get(path, ()))):
            try:
                digest.update(hashlib.sha256(_content(self.read(further))).digest())
            except OSError:
                digest.update(b"absent")
        return digest.hexdigest()


def _content(content: bytes) -> bytes:
    return content.replace(b"\r\n", b"\n")
