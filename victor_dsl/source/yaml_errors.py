"""What the YAML parser reports, and unknown tags, in words for the person who wrote the file."""

from __future__ import annotations

import re
from typing import Any

from ruamel.yaml.error import MarkedYAMLError

from victor_dsl.nearest import suggest
from victor_dsl.source.diagnostic import Diagnostic, Related
from victor_dsl.source.located import Span, lines_of, span_at
from victor_dsl.source.yaml12 import SCALAR_TAGS

_QUOTE = "put the text in quotes"
_INDENT = "check the indentation, and put text that has ': ' in it in quotes"
_TABS = "indent with spaces"
_TAB_IN_TEXT = "where the text itself begins with a tab, write how many spaces its indentation has: `|2`"
_COMMENT = "a '#' after a space begins a comment: put the text in quotes"

# What libyaml says: what we say, the hint.
_WORDS: dict[str, tuple[str, str | None]] = {
    "mapping values are not allowed in this context": ("unexpected ':'", _INDENT),
    "mapping keys are not allowed in this context": ("unexpected '?' key", _INDENT),
    "block sequence entries are not allowed in this context": (
        "unexpected '- ' item",
        "start the list on a line of its own, or put the text in quotes",
    ),
    "did not find expected ',' or ']'": ("expected ',' or ']' here", "close the list with ']'"),
    "did not find expected ',' or '}'": ("expected ',' or '}' here", "close the map with '}'"),
    "did not find expected key": (
        "expected a key here",
        "the keys of one map start in one column, and nothing follows a quoted value",
    ),
    "did not find expected '-' indicator": (
        "expected a '- ' item here",
        "the items of one list start in one column; a key belongs further right or further left",
    ),
    "did not find expected node content": (
        "expected a value here",
        "write `null` for no value; quote text that begins with , ] or }",
    ),
    "could not find expected ':'": ("this key has no ':' behind it", "write `key: value`, on one line"),
    "found unexpected ':'": ("unexpected ':'", _QUOTE),
    "found unknown escape character": (
        "there is no such escape",
        "write '\\\\' for a backslash, or use single quotes, which know no escapes",
    ),
    "found invalid Unicode character escape code": (
        "this escape is not a character",
        "YAML writes characters beyond U+FFFF as \\UXXXXXXXX, or simply as themselves",
    ),
    "did not find expected hexdecimal number": ("this escape needs hexadecimal digits", None),
    "did not find expected alphabetic or numeric character": ("expected a name after '&' or '*'", _QUOTE),
    "did not find expected <document start>": ("there is more after the end of the document", None),
    "did not find expected comment or line break": ("expected the end of the line here", None),
    "found incompatible YAML document": ("this YAML version is not known", "leave the %YAML line out"),
    "found unknown directive name": ("there is no such directive", "leave the line out, or quote the '%'"),
    "found extremely long version number": ("this YAML version is not known", "leave the %YAML line out"),
    "found an indentation indicator equal to 0": ("the indentation of a block text is at least 1", None),
}
_OPENED = {
    "while parsing a flow sequence": "the list begins here",
    "while parsing a flow mapping": "the map begins here",
    "while parsing a block mapping": "the map begins here",
    "while parsing a block collection": "the list begins here",
    "while scanning a block scalar": "the text begins here",
}
_TAB = (
    "found a tab character that violates indentation",
    "found a tab character where an indentation space is expected",
)
_CLOSERS = {"[": "]", "{": "}"}
_EXPECTED = ("did not find expected ',' or", "did not find expected key")
_UNCLOSED_TEXT = ("found unexpected end of stream", "found unexpected document indicator")
_NOT_YAML = "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"


def syntax_error(error: MarkedYAMLError, file: str, text: str, within: tuple[int, int]) -> Diagnostic:
    """The parser's error as a diagnostic. `within` is where the map or list begins that was being read."""
    problem = str(error.problem)
    at = error.problem_mark.index if error.problem_mark is not None else 0
    since = error.context_mark.index if error.context_mark is not None else at
    found = text[at : at + 1]
    ended = not text[at:].strip()
    context = str(error.context)
    here = span_at(file, text, at, at + 1)
    if problem in _TAB or (problem.startswith("found character") and found == "\t"):
        in_text = context == "while scanning a block scalar" and text[:at].endswith(" ")
        return Diagnostic("tab-indentation", "a tab cannot indent YAML", here, hint=_TAB_IN_TEXT if in_text else _TABS)
    if problem == "found undefined tag handle":
        tag = re.match(r"\S*", text[at:])
        name = tag.group() if tag else ""
        span = span_at(file, text, at, at + len(name))
        return Diagnostic("unknown-tag", f"the tag '{name}' is not known", span, hint="leave the tag out")
    if problem in _UNCLOSED_TEXT and context == "while scanning a quoted scalar":
        quote = text[since : since + 1]
        span = span_at(file, text, since, since + 1)
        return Diagnostic("yaml-syntax", "this quoted text is never closed", span, hint=f"close it with {quote}")
    if context.startswith("while parsing a flow") and ended:
        line, column = within
        opened = lines_of(text)[line - 1][column - 1 :]
        if (opener := opened[:1]) in _CLOSERS:
            span = Span(file, line, column, line, column + 1)
            closer = _CLOSERS[opener]
            mend = _COMMENT if closer in opened.partition(" #")[2] else f"close it with '{closer}'"
            return Diagnostic("yaml-syntax", f"this '{opener}' is never closed", span, hint=mend)
    if problem.startswith("found character"):
        return Diagnostic("yaml-syntax", f"text cannot start with '{found}'", here, hint=_QUOTE)
    if problem == "could not find expected ':'":
        here = span_at(file, text, since, min(at, since + len(text[since:].splitlines()[0])) if text[since:] else since)
    message, hint = _WORDS.get(problem, (f"this is not YAML: {problem}", None))
    if (
        found == ":" and context.startswith("while parsing a flow") and "\n" not in text[since:at]
    ):  # as in `{text: Rule: be kind}`
        message, hint = "unexpected ':'", f"a ': ' ends a plain text in […] and {{…}}: {_QUOTE}"
    elif problem in _WORDS and problem.startswith(_EXPECTED):
        hint = _ended_text(text[:at].splitlines()[-1:], text[at : at + 200]) or hint
    related: tuple[Related, ...] = ()
    if found in _CLOSERS.values() and context.startswith("while parsing a block"):
        message, hint = f"this '{found}' closes nothing", "remove it"
    elif context in _OPENED and since != at:
        related = (Related(_OPENED[context], span_at(file, text, since, since + 1)),)
    return Diagnostic("yaml-syntax", message, here, hint=hint, related=related)


def _ended_text(before: list[str], rest: str) -> str | None:
    """What ended a text before its end, if something did: a quote inside of it, a bracket, or that of a reference. `before` is the
    line up to there."""
    ended, found = before[0].rstrip() if before else "", rest[:1]
    if ended.endswith("$") and (reference := re.match(r"\{\s*(?:(file):|env[.:])?\s*([^\s{}]+?)\s*\}", rest)):
        return f'in […] and {{…}} a reference needs quotes: write "${{{reference[1] or "env"}:{reference[2]}}}"'
    if ended[-1:] == "'":
        return "a text in quotes ends at its next quote: write `''` for one inside of it, or put all of it in quotes"
    if ended[-1:] == '"':
        return 'a text in quotes ends at its next quote: write `\\"` for one inside of it, or put all of it in quotes'
    if found in _CLOSERS and ended[-1:] not in ("", ",", ":", *_CLOSERS):
        return f"a '{found}' ends a plain text in […] and {{…}}: {_QUOTE}"
    return None


def character_error(file: str, text: str) -> Diagnostic:
    """The parser's error about a character that YAML does not allow."""
    found = re.search(_NOT_YAML, text)  # compiled here, since that takes 5 ms
    at = found.start() if found else 0
    number = ord(found.group()) if found else 0
    name = "a NUL character" if number == 0 else f"the control character U+{number:04X}"
    hint = "remove it; in double quotes it may be written as an escape, such as \\x1b"
    return Diagnostic("control-character", f"{name} is not allowed in YAML", span_at(file, text, at, at + 1), hint=hint)


_CORE = "tag:yaml.org,2002:"
_TAGS = (*SCALAR_TAGS, "map", "seq")
_KINDS = {"map": "a map", "seq": "a list", "str": "a single value"}
_NO_TAG = 'leave it out; a variable is written `"${env:NAME}"`, the text of a file `"${file:path}"`'
_WRITTEN = re.compile(r"![^\s,\[\]{}]*")


def read_tag(event: Any, file: str, text: str, allowed: tuple[str, ...]) -> str | Diagnostic:
    """The name of an event's tag, one of those allowed, or what is wrong with it. `!` is the first one allowed."""
    full = str(event.ctag)
    if full == "!":  # "no more than what it looks like": text, map or list
        return allowed[0]
    name = full.removeprefix(_CORE)
    shown = f"!!{name}" if name != full else full
    written = _WRITTEN.search(text, event.start_mark.index)
    start, end = written.span() if written else (event.start_mark.index, event.start_mark.index + 1)
    span = span_at(file, text, start, end)
    if name == full or name not in _TAGS:
        hint = suggest(name, _TAGS, what="tags after '!!'") if shown.startswith("!!") else _NO_TAG
        return Diagnostic("unknown-tag", f"the tag '{shown}' is not known", span, hint=hint)
    if name not in allowed:
        return Diagnostic("bad-tag", f"this is {_KINDS[allowed[0]]}, not '{shown}'", span, hint="leave the tag out")
    return name
