"""Reads YAML and JSON files into located values, and keeps their text for excerpts."""

from __future__ import annotations

import hashlib
import os.path
import posixpath
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from attrs import define, field, frozen

from victor_dsl.regular_file import NOT_REGULAR, read_regular
from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.json_text import compose as compose_json
from victor_dsl.source.located import Located, Span, lines_of, span_at
from victor_dsl.source.yaml_text import compose as compose_yaml

STDIN = "-"

MAX_BYTES = 4 * 1024 * 1024
"""Of a spec with all that it extends, unless `Files` has another limit."""

MAX_INCLUDED_BYTES = 1024 * 1024
"""Of a file that `${file:path}` names."""

MAX_COMPONENT_BYTES = 4 * 1024 * 1024
"""Of a file that a component includes: a prompt, a template."""

MAX_ALL_COMPONENTS_BYTES = 64 * 1024 * 1024
"""Of all files that components include."""

_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_BEGIN = "begin with `victor: 1`; `victor init` writes a spec"
_BEGIN_LIST = "write each item as `- {…}`"


Stamp = tuple[int, int, int]
"""What differs between two versions of a file: time in ns, size and inode."""

UNSETTLED: Stamp = (0, 0, 0)
"""The stamp of a file that may have changed since it was read, and kept its time: file systems write times in steps."""

CLOCK_STEP_NS = 50_000_000
"""The longest such step."""


@frozen
class FileVersion:
    """A file as it was read. Both are None for one that is missing, `data` for one that cannot be read."""

    stamp: Stamp | None
    data: bytes | None

    @property
    def has_text(self) -> bool:
        """Whether there is more in it than white space."""
        return bool(self.data and self.data.removeprefix(_BOM).strip())


@frozen
class ReadResult:
    """A file's document, a map or for `read_list` a list, and the faults found; None where none could be read."""

    document: Located | None
    diagnostics: tuple[Diagnostic, ...] = ()


class Files:
    """Every file read so far, by its display name. Each is read once: one `Files` serves one compilation.

    `documents` are files of an earlier compilation, which are not read again. `max_bytes` is the most that a spec may
    have with all that it extends. `versions` are the files that were looked for, found or not; of those, `texts` are
    the ones that `${file:path}` names. Where there is a `root`, files outside that folder cannot be read. `buffers` are what an editor
    holds of files, by absolute path; they are read instead of the files. `code` says which version of the Python modules of the
    spec's folder is imported: with another one, nodes that name functions are built anew.
    """

    def __init__(
        self,
        documents: Mapping[str, FileVersion] | None = None,
        *,
        max_bytes: int = MAX_BYTES,
        buffers: Mapping[str, bytes] | None = None,
    ) -> None:
        self.max_bytes = max_bytes
        self.buffers = buffers or {}
        self.root: str | None = None
        self.code = 0
        self.versions: dict[str, FileVersion] = {}
        self.texts: set[str] = set()
        self._documents = documents or {}
        self._results: dict[str, ReadResult] = {}
        self._lists: dict[str, ReadResult] = {}
        self._texts: dict[str, str] = {}
        self._lines: dict[str, list[str]] = {}

    def read(self, name: str) -> ReadResult:
        """The document of a file; `-` is stdin. A file that cannot be read is a diagnostic."""
        try:
            check_inside(name, self.root)
            if name not in self._results:
                data = self._bytes(name, self.max_bytes)
                if len(data) > self.max_bytes:
                    self._results[name] = too_large(name, self.max_bytes)
                else:
                    self.parse(data, name)
        except (OSError, ValueError) as error:
            return ReadResult(None, (unreadable(name, error),))
        return self._results[name]

    def read_list(self, name: str) -> ReadResult:
        """The document of a file that holds a list. It is read as `read` reads a map, and neither reads what the other has."""
        try:
            check_inside(name, self.root)
            if name not in self._lists:
                data = self._bytes(name, self.max_bytes)
                if len(data) > self.max_bytes:
                    self._lists[name] = too_large(name, self.max_bytes)
                else:
                    self._texts[name] = text = _text(data)
                    self._lists[name] = _parse(data, text, name, list)
        except (OSError, ValueError) as error:
            return ReadResult(None, (unreadable(name, error),))
        return self._lists[name]

    def size(self, name: str) -> int:
        """The bytes of a file that was read."""
        version = self.versions.get(name)
        return len(version.data or b"") if version is not None else 0

    def _bytes(self, name: str, limit: int) -> bytes:
        """At most one byte more than the limit. Raises OSError or ValueError."""
        check_inside(name, self.root)
        known = self.versions.get(name) or self._documents.get(name) or held(self.buffers, name)
        if known is not None and known.data is not None:
            self.versions[name] = known
            return known.data
        return _recorded(self.versions, name, limit)

    def parse(self, data: bytes, name: str) -> ReadResult:
        """The document that a file's bytes hold; JSON where the name ends in `.json`, else YAML."""
        self._lines.pop(name, None)
        self._texts[name] = text = _text(data)
        result = self._results[name] = _parse(data, text, name, dict)
        return result

    def text(self, name: str, limit: int = MAX_BYTES) -> str:
        """The text of an included file. Raises OSError, UnicodeDecodeError or, over the limit in bytes, ValueError."""
        self.texts.add(name)
        data = self._bytes(name, limit)
        if len(data) > limit:
            raise ValueError(f"it has more than {limit:,} bytes")
        return data.decode("utf-8-sig")

    def included(self, name: str) -> str:
        """The text that `${file:path}` stands for: of at most 1 MiB, without the line break at its end."""
        return self.text(name, MAX_INCLUDED_BYTES).removesuffix("\n").removesuffix("\r")

    def lines(self, name: str) -> Sequence[str]:
        """The lines of a file that was read, for excerpts; none where it was not."""
        if name not in self._lines:
            self._lines[name] = lines_of(self._texts[name]) if name in self._texts else []
        return self._lines[name]

    def remember(self, name: str, text: str) -> None:
        """Keeps the text of a file that is no spec, so that excerpts can show it."""
        self._texts[name] = text
        self._lines.pop(name, None)


@define
class Included:
    """Reads included files once. A file that cannot be read hashes as absent; nor can one outside `root`, where there is one."""

    root: str | None = None
    buffers: Mapping[str, bytes] = field(factory=dict)
    versions: dict[str, FileVersion] = field(factory=dict)
    _errors: dict[str, OSError] = field(factory=dict)
    _extra: dict[str, list[str]] = field(factory=dict)
    _size: int = 0

    def read(self, path: str) -> bytes:
        """The file's bytes. Raises OSError."""
        if path not in self.versions:
            try:
                check_inside(path, self.root)
                if (buffer := held(self.buffers, path)) is not None:
                    self.versions[path] = buffer
                    size = len(buffer.data or b"")
                else:
                    size = len(_recorded(self.versions, path, MAX_COMPONENT_BYTES))
                if size > MAX_COMPONENT_BYTES:
                    raise OSError(f"it is larger than {MAX_COMPONENT_BYTES // 1024 // 1024} MiB")
                self._size += size
                if self._size > MAX_ALL_COMPONENTS_BYTES:
                    raise OSError(f"all files together are larger than {MAX_ALL_COMPONENTS_BYTES // 1024 // 1024} MiB")
            except OSError as error:
                self._errors[path] = error
            except ValueError as error:  # a NUL in it
                self._errors[path] = OSError(str(error))
        if path in self._errors:
            raise self._errors[path]
        data = self.versions[path].data
        assert data is not None, "a file without an error was read"
        return data

    def add(self, path: str, further: str) -> None:
        """Registers an included file for the hash of the file at `path`."""
        self._extra.setdefault(path, []).append(further)

    def contents(self, path: str) -> dict[str, bytes]:
        """The content of the file and of all that it includes, by path; those that cannot be read are left out."""
        contents = {}
        for one in (path, *sorted(set(self._extra.get(path, ())))):
            with suppress(OSError):
                contents[one] = self.read(one)
        return contents

    def hash(self, path: str) -> str | None:
        """SHA-256 of the content with line breaks as LF, and of all that it includes; None where it cannot be read."""
        contents = self.contents(path)
        if path not in contents:
            return None
        digest = hashlib.sha256(_content(contents[path]))
        for further in sorted(set(self._extra.get(path, ()))):
            known = contents.get(further)
            digest.update(b"absent" if known is None else hashlib.sha256(_content(known)).digest())
        return digest.hexdigest()


def resolve(writer_file: str, path: str) -> str:
    """A path as `writer_file` writes it, made openable from the working directory, with `/` between its parts."""
    folder = "" if writer_file == STDIN else posixpath.dirname(_slashes(writer_file))
    found = posixpath.normpath(posixpath.join(folder, _slashes(path)))
    return f"./{found}" if found == STDIN else found


NO_FILE = "there is no such file"
OUTSIDE = "it is outside the spec's folder, where an untrusted spec may not read"


def check_inside(name: str, root: str | None) -> None:
    """Raises PermissionError for a file outside a folder, links resolved. Standard input is in every folder."""
    if root is not None and name != STDIN and not is_inside(name, root):
        raise PermissionError(None, OUTSIDE, name)


def root_of(spec: str) -> str:
    """The folder that an untrusted spec may read, links resolved.

    Where a link within the working directory leads out of it, nothing is in the folder.
    """
    if spec == STDIN:
        return os.path.realpath(".")
    folder = os.path.dirname(spec)
    root, here = os.path.realpath(folder), os.path.realpath(".")
    below = not os.path.isabs(folder) and os.path.pardir not in folder.split(os.path.sep)
    return os.path.abspath(folder) if below and root != here and not is_inside(root, here) else root


def is_inside(name: str, root: str) -> bool:
    """Whether a file is in a folder or below it, once links are resolved. `root` is a resolved path."""
    try:
        return os.path.realpath(name).startswith(os.path.join(root, ""))
    except (OSError, ValueError):
        return False


def reason(error: OSError | ValueError) -> str:
    """Why a file could not be read, in words."""
    if isinstance(error, FileNotFoundError):
        return NO_FILE
    if isinstance(error, IsADirectoryError):
        return "it is a directory"
    if isinstance(error, PermissionError) and error.strerror == OUTSIDE:
        return OUTSIDE
    if isinstance(error, PermissionError):
        return "there is no permission to read it"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    if isinstance(error, OSError):
        text = error.strerror.lower() if error.strerror else str(error)
        return f"it {text}" if text.startswith("is ") else text
    return str(error)


def unreadable(name: str, error: OSError | ValueError) -> Diagnostic:
    """The diagnostic for a file that cannot be read."""
    if isinstance(error, IsADirectoryError):
        hint = "name a spec file inside it"
    elif isinstance(error, PermissionError) and error.strerror == OUTSIDE:
        hint = "copy the file into the folder"
    elif isinstance(error, OSError) and error.strerror == NOT_REGULAR:
        hint = "`-` reads standard input"
    else:
        hint = "check the path" + ("" if isinstance(error, FileNotFoundError) else " and its permissions")
    return Diagnostic("unreadable-file", f"cannot read '{name}': {reason(error)}", Span(name, 1, 1, 1, 1), hint=hint)


def held(buffers: Mapping[str, bytes], name: str) -> FileVersion | None:
    """A file as an editor holds it, or None where it holds none."""
    data = buffers.get(os.path.abspath(name)) if buffers else None
    return None if data is None else FileVersion(UNSETTLED, data)


def _recorded(versions: dict[str, FileVersion], name: str, limit: int) -> bytes:
    """At most one byte more than the limit, so that an endless file ends; `versions` gets what was read."""
    if name == STDIN:
        data = sys.stdin.buffer.read(limit + 1)
        versions[name] = FileVersion(None, data)
        return data
    versions[name] = FileVersion(None, None)
    versions[name] = FileVersion(_stamp(os.stat(name)), None)
    now = time.time_ns()
    data, status = read_regular(name, limit)
    settled = status.st_mtime_ns < now - CLOCK_STEP_NS
    versions[name] = FileVersion(_stamp(status) if settled else UNSETTLED, data)
    return data


def stamp(name: str) -> Stamp | None:
    """The stamp of a file as it is now; None for a missing one."""
    try:
        return _stamp(os.stat(name))
    except (OSError, ValueError):
        return None


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_mtime_ns, status.st_size, status.st_ino


def _slashes(path: str) -> str:
    return path.replace(os.path.sep, "/") if os.path.sep != "/" else path


def _text(data: bytes) -> str:
    return data.decode("utf-16" if data.startswith(_UTF16) else "utf-8", "replace").removeprefix("\ufeff")


def _parse(data: bytes, text: str, name: str, wanted: type[object]) -> ReadResult:
    top = Span(name, 1, 1, 1, 1)
    if data.startswith(_UTF16):
        return _fault("not-utf8", "the file is UTF-16, not UTF-8", top, "save it as UTF-8")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8").removeprefix("\ufeff")
        span = span_at(name, before + "\ufffd", len(before), len(before) + 1)
        message = f"byte 0x{data[error.start]:02x} (at offset {error.start}) is not UTF-8"
        binary = "\0" in before or b"\0" in data[error.start : error.start + 1024]
        return _fault(
            "not-utf8", message, span, "this looks like a binary file" if binary else "save the file as UTF-8"
        )
    begin = _BEGIN if wanted is dict else _BEGIN_LIST
    if not text.strip():
        return _fault("empty-file", "the file is empty", top, begin)
    document, diagnostics = (compose_json if name.lower().endswith(".json") else compose_yaml)(text, name)
    if document is not None and not isinstance(document.value, wanted):
        what = (
            "a list"
            if isinstance(document.value, list)
            else "a map"
            if isinstance(document.value, dict)
            else "a single value"
        )
        if document.value is None:
            fault = Diagnostic("empty-file", "the file contains no value", top, hint=begin)
            return ReadResult(None, (*(d for d in diagnostics if d.code != "empty-value"), fault))
        code, right = ("not-a-map", "a map") if wanted is dict else ("wrong-type", "a list")
        fault = Diagnostic(code, f"the top of the file is {what}, not {right}", document.span, hint=begin)
        return ReadResult(None, (*diagnostics, fault))
    if document is None and not diagnostics:
        return _fault("empty-file", "the file contains only comments", top, begin)
    return ReadResult(document, tuple(diagnostics))


def too_large(name: str, most: int) -> ReadResult:
    """The result for a file with which a spec exceeds its size."""
    message = f"the spec has more than {most:,} bytes"
    hint = "move long texts to files of their own, or allow more with `--max-size`"
    return _fault("too-large", message, Span(name, 1, 1, 1, 1), hint)


def _fault(code: str, message: str, span: Span, hint: str) -> ReadResult:
    return ReadResult(None, (Diagnostic(code, message, span, hint=hint),))


def _content(content: bytes) -> bytes:
    return content.replace(b"\r\n", b"\n")
