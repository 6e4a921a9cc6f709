"""`${env:NAME}`, `${env:NAME:-default}` and `${file:path}` in text, after parsing and in values only.

`$` and `${…}` without a word and a colon are text; `$${` writes `${`. What a reference stands for is never looked
at again, so nothing is expanded twice.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Literal, cast

from attrs import frozen

from victor_dsl.nearest import suggest
from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.located import Located, Path, Span
from victor_dsl.source.reader import NO_FILE, Files, reason, resolve

Source = Literal["env", "file"]

_PIECE = re.compile(r"\$\$\{|\$\{(\s*)([A-Za-z_][A-Za-z0-9_-]*)(\s*):([^}]*)(\}?)")
_ALMOST = re.compile(r"\$\{\s*(?:env\s*\.\s*)?([A-Za-z_]\w*)\s*\}")
"""A variable as shells and other formats write it. It is text; as a whole value it is probably a mistake."""
_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
MOST_CHARACTERS = 16 * 1024 * 1024
"""Of all that a spec's references stand for: one file may be named a thousand times."""

UNTRUSTED = "an untrusted spec has no variables, and no `${file:…}`"
TRUSTED = "leave out `--untrusted`"

_ESCAPE_HINT = "`$${` writes `${` as text"


@frozen
class Reference:
    """One `${…}`: `name` is the variable, or the path as written. `problem` says why it has no value, where it has none."""

    source: Source
    name: str
    default: str | None
    span: Span
    problem: str | None = None

    @property
    def path(self) -> str:
        """The path of a `file` reference, openable from the working directory."""
        return resolve(self.span.file, self.name)

    def __str__(self) -> str:
        tail = "" if self.default is None else f":-{self.default}"
        return f"${{{self.source}:{self.name}{tail}}}"


class Interpolated:
    """A text with references. `value` is the expanded text; None is a typed unknown: a reference has no value.

    The value may be a secret: neither `str` nor `repr` shows it.
    """

    __slots__ = ("_values", "references", "text", "value")

    def __init__(
        self, text: str, references: tuple[Reference, ...], value: str | None, values: tuple[str | None, ...] = ()
    ) -> None:
        self.text = text
        self.references = references
        self.value = value
        self._values = values

    def values(self) -> Iterator[tuple[str, str]]:
        """What came from outside, with what may be shown of it: the whole text, and the value of each reference."""
        pairs = zip(self.references, self._values, strict=True)
        secret = [(value, str(one)) for one, value in pairs if value is not None and value != one.default]
        if secret and self.value is not None:
            yield self.value, self.text
        yield from secret

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Interpolated({self.text!r})"


def as_read(value: object) -> object:
    """A leaf's value as it counts: of a text with references what they come to, None where that is not known."""
    return value.value if isinstance(value, Interpolated) else value


def as_written(value: object) -> object:
    """A leaf's value as it may be shown: of a text with references the references, never what they come to."""
    return value.text if isinstance(value, Interpolated) else value


def interpolate(
    document: Located, environment: Mapping[str, str], files: Files
) -> tuple[Located, tuple[Diagnostic, ...]]:
    """The document with every text that has references as `Interpolated`; parts without any are the same objects.

    A malformed or unknown reference is a diagnostic, and its text an unknown. A variable or file that is not there
    is none: see `missing_references`.
    """
    reading = _Reading(environment, files)
    return reading.visit(document, ()), tuple(reading.diagnostics)


def unresolved(interpolated: Interpolated, environment: Mapping[str, str]) -> tuple[Reference, ...]:
    """The references without a value, in this environment; `problem` says why."""
    return tuple(
        reference
        for reference in interpolated.references
        if reference.problem is not None and not (reference.source == "env" and environment.get(reference.name))
    )


def missing_references(
    document: Located,
    secret_leaves: AbstractSet[int],
    environment: Mapping[str, str],
    *,
    variables: bool,
    secrets: bool,
) -> Iterator[Diagnostic]:
    """Each reference that cannot be resolved. `secret_leaves` are the identities of the leaves of secret fields."""
    for path, leaf in document.walk():
        if not isinstance(leaf.value, Interpolated):
            continue
        secret = id(leaf) in secret_leaves
        if not (secrets if secret else variables):
            continue
        if leaf.value.value is not None:
            if secret and (fault := _secret_fault(leaf.value, path)):
                yield Diagnostic("missing-secret", fault, leaf.value.references[0].span, path, _UNUSABLE, external=True)
            continue
        for reference in unresolved(leaf.value, environment):
            what = reference.problem or f"{reference} has no value"
            if reference.problem == UNTRUSTED:
                hint = f"write the value, or {TRUSTED}"
            elif reference.source == "file" and not what.endswith(NO_FILE):
                hint = "replace the file, or name another one"
            elif reference.source == "file":
                hint = "paths are relative to the file that contains them"
            else:
                hint = "set it, or pass a file that sets it with `--env-file`"
                hint += "" if secret else f"; or write a default: `${{env:{reference.name}:-…}}`"
            code = "missing-secret" if secret else "missing-variable"
            yield Diagnostic(code, what, reference.span, path, hint, external=True)


_IN_HEADERS = frozenset({"api_key", "bearer_token", "secret_headers"})
"""The fields whose secrets are sent in a header."""
_UNUSABLE = "it must be the secret alone, on one line"


def _secret_fault(interpolated: Interpolated, path: Path) -> str | None:
    """Why a secret cannot be used, without its text."""
    text, (source, *_) = (interpolated.value or "").strip(), interpolated.references
    what = f"the variable {source.name}" if source.source == "env" else f"the file '{source.name}'"
    if not text:
        return f"{what} is empty"
    if not text.isprintable():
        return f"{what} has a line break or another control character in it"
    if not _IN_HEADERS.isdisjoint(path) and any(character > "\xff" for character in text):
        return f"{what} has a character in it that no header can carry"
    return None


class _Reading:
    def __init__(self, environment: Mapping[str, str], files: Files) -> None:
        self.environment = environment
        self.files = files
        self.diagnostics: list[Diagnostic] = []
        self.characters = 0
        self.containers: dict[int, object] = {}  # what a shared map or list became, by identity
        self.texts: dict[Span, object] = {}

    def visit(self, node: Located, path: Path) -> Located:
        """The node, or one that replaces it. As deep as the reader lets documents be."""
        value = node.value
        kind = type(value)
        if kind is str:
            if "${" not in value:
                return node
            changed = self.text(node, path)
        elif kind is dict or kind is list:
            known = self.containers.get(id(value))
            if known is None:
                known = self.containers[id(value)] = self.map(value, path) if kind is dict else self.list(value, path)
            changed = known
        else:
            return node
        return node if changed is value else Located(changed, node.span, node.key_span)

    def map(self, items: dict[str, Located], path: Path) -> dict[str, Located]:
        changed: dict[str, Located] | None = None
        for key, child in items.items():
            kind = type(child.value)
            if (kind is str and "${" in child.value) or kind is dict or kind is list:
                new = self.visit(child, (*path, key))
                if new is not child:
                    changed = dict(items) if changed is None else changed
                    changed[key] = new
        return items if changed is None else changed

    def list(self, items: list[Located], path: Path) -> list[Located]:
        new = [self.visit(child, (*path, index)) for index, child in enumerate(items)]
        return new if any(a is not b for a, b in zip(items, new, strict=True)) else items

    def text(self, node: Located, path: Path) -> object:
        """The text with its references followed: `Interpolated`, or plain text where it had only escapes."""
        known = self.texts.get(node.span)  # aliases and `<<` show one text in several places
        if known is None:
            known = self.texts[node.span] = self.follow(node, path)
        return known

    def follow(self, node: Located, path: Path) -> object:
        text: str = node.value
        pieces: list[str | None] = []
        references: list[Reference] = []
        values: list[str | None] = []
        position = faults = 0
        if almost := _ALMOST.fullmatch(text):
            hint = f'write "${{env:{almost[1]}}}"; or, where text is meant, "$${text[1:]}"'
            message = f"'{text}' is text: a variable is written with `env:`"
            self.diagnostics.append(Diagnostic("shell-variable", message, node.span, path, hint, severity="warning"))
            return text
        matches = list(_PIECE.finditer(text))
        spans = _Places(node, self.files, matches)
        for match in matches:
            pieces.append(text[position : match.start()])
            position = match.end()
            if match[0] == "$${":
                pieces.append("${")
                continue
            span = spans.next(match[0])
            reference = self.reference(match, span, path)
            if reference is None:
                faults += 1
                pieces.append(None)
                continue
            value, problem = self.value_of(reference)
            self.characters += len(value or "")
            if self.characters > MOST_CHARACTERS:
                value, problem = None, f"the values of all references have more than {MOST_CHARACTERS:,} characters"
            pieces.append(value)
            values.append(value)
            if problem is not None:
                reference = Reference(reference.source, reference.name, reference.default, span, problem)
            references.append(reference)
        pieces.append(text[position:])
        value = None if None in pieces else "".join(cast("list[str]", pieces))
        if references or faults:
            return Interpolated(text, tuple(references), value, tuple(values))
        return text if value == text else value

    def reference(self, match: re.Match[str], span: Span, path: Path) -> Reference | None:
        """The reference that a match is, or None with a diagnostic."""
        before, word, after, rest, closed = match.groups()

        def fault(code: str, message: str, hint: str) -> None:
            self.diagnostics.append(Diagnostic(code, message, span, path, hint))

        if word not in ("env", "file"):
            hint = f"{suggest(word, ('env', 'file'))}; {_ESCAPE_HINT}"
            if rest.startswith("-"):
                hint = f"write `${{env:{word}:{rest}}}`; {_ESCAPE_HINT}"
            fault("unknown-interpolation", f"there is no '${{{word}:…}}'", hint)
        elif not closed:
            fault("bad-interpolation", f"this '${{{word}:' is never closed", f"close it with '}}'; {_ESCAPE_HINT}")
        elif before or after or rest != rest.strip():
            fault("bad-interpolation", "a reference has no spaces in it", f"write `${{{word}:{rest.strip()}}}`")
        elif word == "file":
            if not rest or "\n" in rest or "${" in rest:
                fault("bad-interpolation", "`${file:…}` expects a path", "write `${file:path}`")
            elif ":-" in rest:
                fault(
                    "bad-interpolation", "a file has no default", "write `${file:path}`, and make sure that it exists"
                )
            else:
                return Reference("file", rest, None, span)
        else:
            variable = _VARIABLE.fullmatch(rest)
            if variable is None:
                what = f"'{rest}' is not the name of a variable" if rest else "`${env:…}` takes a variable's name"
                fault("bad-interpolation", what, "write `${env:NAME}` or `${env:NAME:-default}`")
            elif "{" in (variable[2] or "").replace("${", "") and "}" in match.string[match.end() :]:
                fault(
                    "bad-interpolation",
                    "a default ends at its first '}', so it cannot hold '{'",
                    "put the text in a variable",
                )
            elif "${" in (variable[2] or ""):
                fault("bad-interpolation", "a default cannot hold another reference", "write a plain default")
            else:
                return Reference("env", variable[1], variable[2], span)
        return None

    def value_of(self, reference: Reference) -> tuple[str | None, str | None]:
        """The value, or None and why there is none. An empty variable counts as not set; a default may be empty."""
        if self.files.root is not None:
            return reference.default, None if reference.default is not None else UNTRUSTED
        if reference.source == "env":
            value = self.environment.get(reference.name)
            if reference.default is not None:
                return value or reference.default, None
            if value:
                return value, None
            return None, f"the variable {reference.name} is {'not set' if value is None else 'empty'}"
        try:
            return self.files.included(reference.path), None
        except (OSError, ValueError) as error:
            return None, f"cannot read '{reference.path}': {reason(error)}"


class _Places:
    """Places of references inside a text's source, where it is written there as it reads; else the text's own place."""

    def __init__(self, node: Located, files: Files, matches: Iterable[re.Match[str]]) -> None:
        self.whole = node.span
        wanted = Counter(match[0] for match in matches)
        found: dict[str, list[Span]] = {}
        for written, span in _written(node.span, files):
            found.setdefault(written, []).append(span)
        self.spans = {text: iter(spans) for text, spans in found.items() if len(spans) == wanted[text]}

    def next(self, written: str) -> Span:
        """The next place of a reference. Each is asked for once, in the order of the text."""
        return next(self.spans[written]) if written in self.spans else self.whole


def _written(whole: Span, files: Files) -> Iterator[tuple[str, Span]]:
    """Every reference in the source of a text, as it is written there."""
    lines = files.lines(whole.file)[whole.line - 1 : whole.end_line]
    quoted = bool(lines) and lines[0][whole.column - 1 : whole.column] in ('"', "'")
    for number, line in enumerate(lines, whole.line):
        start = whole.column - 1 if number == whole.line else 0
        end = whole.end_column - 1 - quoted if number == whole.end_line else len(line)
        for match in _PIECE.finditer(line, start, end):
            yield match[0], Span(whole.file, number, match.start() + 1, number, match.end() + 1)
