r"""Environment files: lines of `KEY=VALUE`, as Docker Compose and dotenv write them.

    # a comment
    export NAME=plain text       # a comment after a blank
    KEY='taken as it stands: $HOME \n'
    PEM="a
    value of two lines, with \n \t \" \\ escaped"

Nothing is expanded. A key may stand twice; the later wins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from victor_dsl.errors import UsageError

_BLANK = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_ENTRY = re.compile(r"[ \t]*(?:export[ \t]+)?(?P<key>[A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=[ \t]*")
_SINGLE = re.compile(r"'(?P<text>[^']*)'")
_DOUBLE = re.compile(r'"(?P<text>(?:[^"\\]|\\.)*)"', re.DOTALL)
_PLAIN = re.compile(r"(?P<text>[^\n]*?)(?=[ \t]*(?:(?<=[ \t])#|\n|\Z))")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def read_environment(files: Iterable[str], process: Mapping[str, str]) -> Mapping[str, str]:
    """What `${env:…}` reads: the files, later over earlier, and the process's own environment over all of them."""
    environment: dict[str, str] = {}
    for name in files:
        environment.update(read_env_file(name))
    return {**environment, **process}


def read_env_file(name: str) -> dict[str, str]:
    """One file's keys and values. Raises UsageError at the file and line at fault; never shows a value."""
    try:
        text = Path(name).read_text("utf-8-sig")
    except OSError as error:
        raise UsageError(f"--env-file {name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"--env-file {name}: not UTF-8 text") from error
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        if blank := _BLANK.match(text, at):
            at = blank.end()
            continue
        place = f"{name}:{text.count(chr(10), 0, at) + 1}"
        entry = _ENTRY.match(text, at)
        if entry is None:
            raise UsageError(f"{place}: not a line of the form KEY=VALUE")
        value, at = _value(text, entry.end(), place, entry["key"])
        if "\0" in value:
            raise UsageError(f"{place}: the value of {entry['key']} has a NUL in it")
        found[entry["key"]] = value
    return found


def _value(text: str, at: int, place: str, key: str) -> tuple[str, int]:
    quote = text[at : at + 1]
    pattern = {"'": _SINGLE, '"': _DOUBLE}.get(quote, _PLAIN)
    matched = pattern.match(text, at)
    if matched is None:
        raise UsageError(f"{place}: the value of {key} opens with {quote} and does not end")
    rest = _BLANK.match(text, matched.end())
    if rest is None:
        raise UsageError(f"{place}: there is text after the value of {key}")
    value = matched["text"]
    if quote == '"':
        value = re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), value, flags=re.DOTALL)
    return value, rest.end()
