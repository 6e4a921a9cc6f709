"""Keeps secrets that stand in a spec out of what is shown of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.located import Span

# The services' own published formats, as secret scanners use them; private keys; passwords in URLs.
_SECRET = re.compile(
    r"\b(?:sk-(?:ant-|proj-)?[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{50,}|AKIA[0-9A-Z]{16}"
    r"|AIza[0-9A-Za-z_-]{35}|xox[abprs]-[0-9A-Za-z-]{10,}|hf_[A-Za-z0-9]{30,}|gsk_[A-Za-z0-9]{40,})"
    r"|-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----|\b[a-z][a-z0-9+]*://[^\s:/@]+:[^\s@/{}$]{3,}@"
)

# A text under a key that speaks of a secret, misspelt ones included; numbers and `${…}` are none, and `keys` names a file.
_KEY = re.compile(r"""(?<![\w-])["']?([\w-]++)["']?\s*+:\s*+""")
_OF_SECRETS = re.compile(r"key(?!word)|kye|token(?!s)|secret|passw|credential|dsn", re.IGNORECASE)
_TEXT = re.compile(
    r"""(?x) " (?P<double> (?!\$\{) [^"]{4,} ) " | ' (?P<single> (?!\$\{) [^']{4,} ) '
      | (?P<plain> (?! \$\{ | [\d._]+ (?:[\s,}\]]|$) | null\b | ["'{\[] ) [^\s,}\]]{4,} )"""
)

_PRIVATE_KEY = re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----.*", re.DOTALL)

MASK = "*"


def looks_secret(text: str) -> bool:
    """Whether a text holds what looks like the key of a known service, a private key or a password in a URL."""
    return len(text) >= 8 and _SECRET.search(text) is not None


def redacted(text: str, mask: Callable[[str], str] = lambda _: "***") -> str:
    """The text with a mask in the place of what looks like a secret; of a private key and all that follows it."""
    return _SECRET.sub(lambda found: mask(found[0]), _PRIVATE_KEY.sub(lambda found: mask(found[0]), text))


def is_of_secrets(key: str) -> bool:
    """Whether a key speaks of a secret."""
    return _OF_SECRETS.search(key) is not None


class Lines(Protocol):
    """Where source lines come from."""

    def lines(self, name: str) -> Sequence[str]:
        """The lines of a file; none where they are not known."""
        ...


class RedactedLines:
    """The lines of `files` with every character of a literal secret as `*`, so that places stay the same."""

    def __init__(self, files: Lines, diagnostics: Iterable[Diagnostic]) -> None:
        self._files = files
        self._secrets: dict[str, list[Span]] = {}
        for found in diagnostics:
            if found.code == "literal-secret":
                self._secrets.setdefault(found.span.file, []).append(found.span)
        self._redacted: dict[str, _PerLine] = {}

    def lines(self, name: str) -> Sequence[str]:
        """The lines of a file, redacted."""
        if name not in self._redacted:
            self._redacted[name] = _PerLine(self._files.lines(name), self._secrets.get(name, ()))
        return self._redacted[name]


class _PerLine(Sequence[str]):
    """Lines that are redacted when they are first shown."""

    def __init__(self, lines: Sequence[str], secrets: Iterable[Span]) -> None:
        self._lines = lines
        self._secrets = sorted(secrets)
        self._shown: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: int) -> str:  # type: ignore[override]
        if index not in self._shown:
            line = self._lines[index]
            self._shown[index] = _masked(line, [*self._of(index + 1, line), *_under_keys(line), *_known(line)])
        return self._shown[index]

    def _of(self, number: int, line: str) -> Iterator[tuple[int, int]]:
        for span in self._secrets:
            if span.line <= number <= span.end_line:
                start = span.column - 1 if number == span.line else len(line) - len(line.lstrip())
                yield start, span.end_column - 1 if number == span.end_line else len(line)


def _known(line: str) -> Iterator[tuple[int, int]]:
    return (found.span() for found in _SECRET.finditer(line))


def _under_keys(line: str) -> Iterator[tuple[int, int]]:
    for key in _KEY.finditer(line):
        if key[1] != "keys" and _OF_SECRETS.search(key[1]) and (text := _TEXT.match(line, key.end())):
            yield text.span(text.lastgroup or 0)


def _masked(line: str, hidden: Iterable[tuple[int, int]]) -> str:
    """The line with the characters of these stretches as MASK, in one go: a long line may have thousands of them."""
    pieces, position = [], 0
    for begin, end in sorted(hidden):
        start, stop = max(begin, position), min(end, len(line))
        if stop > start:
            pieces += [line[position:start], MASK * (stop - start)]
            position = stop
    return "".join([*pieces, line[position:]])
