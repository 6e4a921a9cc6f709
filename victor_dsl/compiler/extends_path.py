"""One path of `extends`: the file that it names, or that a variable in it chooses, and all those that it could choose."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping

from attrs import evolve, field, frozen

from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.interpolate import TRUSTED, UNTRUSTED, Interpolated, Reference, interpolate
from victor_dsl.source.located import Located, Path
from victor_dsl.source.reader import STDIN, Files, resolve

_FILE = re.compile(r"(?<!\$)\$\{\s*file\s*:")
_MOST_SHOWN = 12

Values = Mapping[str, str]
"""Values of variables, by name."""


@frozen
class ExtendsPath:
    """A path and the `name` of the file that it comes to, openable from the working directory; None where that is not known.

    `pieces` are the texts and references that it is made of; `unset` those references whose variables are not set, with a
    default or without.
    """

    written: Located
    at: Path
    name: str | None
    pieces: tuple[str | Reference, ...] = ()
    unset: tuple[Reference, ...] = ()
    _environment: Values = field(factory=dict, repr=False)

    def fitting(self) -> list[tuple[str, Values]]:
        """Each file that the path could come to, and the values of the unset variables that choose it."""
        unset = {reference.name for reference in self.unset}
        return self._files(lambda name: None if name in unset else self._environment[name])

    def faults(self, *, required: bool) -> Iterator[Diagnostic]:
        """Why it comes to no file: a variable that is not set, where that is `required`; or that there is no file at all."""
        missing = next((one for one in self.unset if one.problem is not None), None)
        if missing is not None and required:
            message = missing.problem or ""
            set_it = "set it, or pass a file that sets it with `--env-file`"
            hint = f"{f'write the path itself, or {TRUSTED}' if message == UNTRUSTED else set_it}; {self.hint()}"
            yield Diagnostic("missing-variable", message, missing.span, self.at, hint, external=True)
        elif missing is not None and not self.fitting():
            message = f"there is no file '{self.written.value}' for any {missing.name}"
            hint = f"paths are relative to the file that contains them, {self.written.span.file}"
            yield Diagnostic("extends-missing", message, self.written.span, self.at, hint)

    def missing(self, reason: str) -> Diagnostic:
        """The fault of a file that cannot be read. It does not show what the variables are."""
        span = self.written.span
        if not self.pieces:
            hint = f"paths are relative to the file that contains them, {span.file}"
            return Diagnostic("extends-missing", f"cannot read '{self.name}': {reason}", span, self.at, hint)
        message = f"cannot read '{self.written.value}': {reason}"
        external = not self.unset and not os.path.lexists(self.name or "")
        return Diagnostic("extends-missing", message, span, self.at, self.hint(), external=external)

    def hint(self) -> str:
        """The values for which there are files."""
        name = next(piece.name for piece in self.pieces if isinstance(piece, Reference))
        values = list(dict.fromkeys(values[name] for _, values in self._files(lambda _: None)))
        shown = ", ".join(values[:_MOST_SHOWN]) + (" …" if len(values) > _MOST_SHOWN else "")
        return f"{name} can be {shown}" if values else f"no file fits '{self.written.value}'"

    def _files(self, value: Callable[[str], str | None]) -> list[tuple[str, Values]]:
        """The files that fit with these values of variables; None stands for any."""
        words = [piece if isinstance(piece, str) else _Any(piece.name) for piece in self.pieces]
        segments: list[list[str | _Any]] = [[]]
        for word in words:
            text = word if isinstance(word, str) else value(word.name)
            if text is None:
                segments[-1].append(word)
                continue
            first, *others = text.split("/")
            segments[-1].append(first)
            segments += [[other] for other in others]
        found: list[tuple[str, Values]] = [("", {})]
        for segment in segments:
            found = [step for below, values in found for step in self._steps(below, segment, values)]
        writer = self.written.span.file
        names = ((resolve(writer, path), values) for path, values in found)
        return [one for one in names if one[0] != writer and (os.path.isfile(one[0]) or os.path.islink(one[0]))]

    def _steps(self, below: str, segment: list[str | _Any], values: Values) -> Iterator[tuple[str, Values]]:
        """What a segment of the path could be in a folder. Hidden files are not looked for."""
        if all(isinstance(part, str) for part in segment):
            yield posixpath.join(below, "".join(map(str, segment))), values
            return
        pattern, folder = _pattern(segment, values), resolve(self.written.span.file, below)
        if not _is_inside(os.path.join(folder, "any"), self.written.span.file):
            return
        try:
            entries = sorted(os.listdir(folder))
        except OSError:
            return
        for entry in entries:
            if (match := pattern.fullmatch(entry)) is not None and not entry.startswith("."):
                yield posixpath.join(below, entry), {**values, **match.groupdict()}


@frozen
class _Any:
    """A variable that may have any value."""

    name: str


def _pattern(segment: list[str | _Any], values: Values) -> re.Pattern[str]:
    seen: set[str] = set()
    text = ""
    for part in segment:
        if isinstance(part, str):
            text += re.escape(part)
        elif part.name in values:
            text += re.escape(values[part.name])
        else:
            text += f"(?P={part.name})" if part.name in seen else f"(?P<{part.name}>.+)"
            seen.add(part.name)
    return re.compile(text, re.DOTALL)


def read_path(
    written: Located, at: Path, environment: Values, files: Files
) -> tuple[ExtendsPath | None, list[Diagnostic]]:
    """The path that is written; None with its faults where it cannot be one."""
    span = written.span
    if "${" not in written.value:
        return ExtendsPath(written, at, resolve(span.file, written.value)), []
    if _FILE.search(written.value):
        hint = "write the path itself, or a variable: `${env:NAME}`"
        return None, [
            Diagnostic("bad-extends", "`extends` cannot take a path from a file, only from a variable", span, at, hint)
        ]
    read, faults = interpolate(written, environment, files)
    if faults:
        return None, [evolve(fault, path=at) for fault in faults]
    if not isinstance(read.value, Interpolated):
        message = "the only '${…}' that `extends` takes is `${env:NAME}`"
        return None, [Diagnostic("bad-extends", message, span, at, "write the path itself, or `${env:NAME}`")]
    references = read.value.references
    pieces = _pieces(written.value, references)
    unset = tuple(reference for reference in references if not environment.get(reference.name))
    for reference in references:
        value = environment.get(reference.name) or reference.default
        if value is not None and (fault := _unfit(value)) is not None:
            message, hint = f"the value of {reference} {fault}", "set it to a name in the folder"
            return None, [Diagnostic("bad-extends", message, reference.span, at, hint, external=True)]
    path = read.value.value
    probe = "".join(piece if isinstance(piece, str) else "x" for piece in pieces) if path is None else path
    if not _is_inside(resolve(span.file, probe), span.file):
        message = f"'{written.value}' leads out of the folder of {span.file}"
        hint = "a file that a variable chooses must be in that folder, or below it"
        return None, [Diagnostic("bad-extends", message, span, at, hint)]
    if os.path.isabs(probe):
        message, hint = f"'{written.value}' is an absolute path", f"write the path from the folder of {span.file}"
        return None, [Diagnostic("bad-extends", message, span, at, hint)]
    name = None if path is None else resolve(span.file, path)
    return ExtendsPath(written, at, name, pieces, unset, environment), []


def _pieces(text: str, references: tuple[Reference, ...]) -> tuple[str | Reference, ...]:
    pieces: list[str | Reference] = []
    for reference in references:
        before, _, text = text.partition(str(reference))
        pieces += [before.replace("$${", "${"), reference]
    return (*pieces, text.replace("$${", "${"))


def _unfit(value: str) -> str | None:
    """Why a value cannot be a part of a path, in words that do not show it."""
    if "\0" in value:
        return "has a NUL in it"
    if os.path.isabs(value):
        return "is an absolute path"
    return "leads out of the folder" if ".." in re.split(r"[/\\]", value) else None


def _is_inside(name: str, writer: str) -> bool:
    """Whether a file is in the folder of the file that names it, links resolved."""
    folder = os.path.realpath(os.path.dirname(writer) if writer != STDIN else ".")
    return os.path.realpath(name).startswith(os.path.join(folder, ""))
