"""Keeps secrets that stand in a spec out of what is shown of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
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
_UNDER_KEY = re.compile(
    r"""(?ix) (?<![\w-]) (?! ["']? keys ["']? \s* : ) ["']? [\w-]* (?: key(?!word) | kye | token(?!s) | secret | passw | credential | dsn ) \w* ["']? \s* : \s*
    (?: "(?P<double> (?!\$\{) [^"]{4,} )" | '(?P<single> (?!\$\{) [^']{4,} )'
      | (?P<plain> (?! \$\{ | [\d._]+ (?:[\s,}\]]|$) | null\b | ["'{\[] ) [^\s,}\]]{4,} ) )"""
)

_PRIVATE_KEY = re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----.*", re.DOTALL)

MASK = "*"


def looks_secret(text: str) -> bool:
    """Whether a text holds what looks like the key of a known service, a private key or a password in a URL."""
    return len(text) >= 8 and _SECRET.search(text) is not None


def redacted(text: str) -> str:
    """The text with `***` in the place of what looks like a secret; of a private key and all that follows it."""
    return _SECRET.sub("***", _PRIVATE_KEY.sub("***", text))


class Lines(Protocol):
    """Where source lines come from."""

    def lines(self, name: str) -> Sequence[str]:
        """The lines of a file; none where they are not known."""
        ...


class RedactedLines:
    """The lines of `files` with every character of a literal secret as `*`, so that places stay the same."""

    def __init__(self, files: Lines, diagnostics: Iterable[Diagnostic]) -> None:
        self._files = files
        self._secrets = [d.span for d in diagnostics if d.code == "literal-secret"]
        self._redacted: dict[str, list[str]] = {}

    def lines(self, name: str) -> Sequence[str]:
        """The lines of a file, redacted."""
        if name not in self._redacted:
            lines = list(self._files.lines(name))
            for span in self._secrets:
                if span.file == name:
                    _mask(lines, span)
            self._redacted[name] = lines
        return _PerLine(self._redacted[name])


class _PerLine(Sequence[str]):
    """Lines in which keys are looked for only when a line is shown."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: int) -> str:  # type: ignore[override]
        line = _SECRET.sub(lambda match: MASK * len(match[0]), self._lines[index])
        return _UNDER_KEY.sub(_masked, line)


def _masked(match: re.Match[str]) -> str:
    group = match.lastgroup or "plain"
    start, end = (position - match.start() for position in match.span(group))
    return match[0][:start] + MASK * (end - start) + match[0][end:]


def _mask(lines: list[str], span: Span) -> None:
    for number in range(span.line, min(span.end_line, len(lines)) + 1):
        line = lines[number - 1]
        start = span.column - 1 if number == span.line else len(line) - len(line.lstrip())
        end = span.end_column - 1 if number == span.end_line else len(line)
        lines[number - 1] = line[:start] + MASK * max(0, min(end, len(line)) - start) + line[end:]
