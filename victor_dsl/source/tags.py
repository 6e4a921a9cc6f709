"""The tags of YAML's core schema, which are the only ones known."""

from __future__ import annotations

import re
from typing import Any

from victor_dsl.nearest import suggest
from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.places import span_at
from victor_dsl.source.scalars import SCALAR_TAGS

_CORE = "tag:yaml.org,2002:"
_TAGS = (*SCALAR_TAGS, "map", "seq")
_KINDS = {"map": "a map", "seq": "a list", "str": "a single value"}
_NO_TAG = "leave it out; a variable is written `${env:NAME}`, the text of a file `${file:path}`"
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
