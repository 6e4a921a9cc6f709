"""A spec of plain values as YAML that people read: texts of several lines as blocks, small maps on one line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString

from victor_dsl.language.spec import section_rank
from victor_dsl.source.layout import layout
from victor_dsl.source.located import lines_of
from victor_dsl.source.yaml_text import compose
from victor_dsl.workbench.importing.endpoints import Reference, without_keys
from victor_dsl.workbench.importing.sources import Imported, NotTaken, plain, read_text

WIDTH = 110
_OLD_WORDS = frozenset({"yes", "no", "on", "off", "y", "n"})
"""Texts that YAML 1.1 reads as true or false, as other tools still do."""
_REFERENCE = re.compile(r"\$\{(?=[A-Za-z_]+:)")


def finished(imported: Imported, path: str) -> dict[str, Any]:
    """The spec without keys in its texts, and with `$${` for each `${word:` that a spec would replace."""
    found: list[str] = []
    spec = {key: _finished(value, found) for key, value in imported.spec.items()}
    if found:
        lines = lines_of(read_text(path)) if Path(path).is_file() else []
        line = next((number for number, text in enumerate(lines, 1) if without_keys(text) is not None), 1)
        imported.not_taken.append(NotTaken(path, line, "", "keys in texts are replaced by their names"))
    return spec


def _finished(value: Any, found: list[str]) -> Any:
    if isinstance(value, dict):
        return {key: _finished(inner, found) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finished(inner, found) for inner in value]
    if not isinstance(value, str) or isinstance(value, Reference):
        return value
    if (redacted := without_keys(value)) is not None:
        found.append(redacted)
        value = redacted
    return _REFERENCE.sub("$${", value)


def spec_text(spec: dict[str, Any], comments: Sequence[str]) -> str:
    """The spec as YAML in its canonical layout, below the comments. Reading it gives the same values."""
    yaml = YAML()
    yaml.width = 100_000
    yaml.default_flow_style = False
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = StringIO()
    yaml.dump(_styled(spec, top=True), stream)
    shown = ("".join(c if c.isprintable() else " " for c in comment) for comment in comments)
    head = "".join(f"# {comment}\n" for comment in shown)
    text = layout(head + stream.getvalue(), section_rank).rstrip("\n") + "\n"
    document, _ = compose(text, "spec")
    if document is None or plain(document) != spec:
        raise AssertionError("the written spec reads otherwise than it was made")
    return text


def _styled(value: Any, *, top: bool = False) -> Any:
    if isinstance(value, dict):
        made = CommentedMap({key: _styled(inner) for key, inner in value.items()})
        if not top and _fits(value):
            made.fa.set_flow_style()
        return made
    if isinstance(value, list):
        items = CommentedSeq([_styled(inner) for inner in value])
        if _fits(value) and not any(isinstance(inner, dict) for inner in value):
            items.fa.set_flow_style()
        return items
    if isinstance(value, str):
        value = str(value)
        if "\n" in value.strip("\n") and _is_block(value):
            return LiteralScalarString(value)
        if value.startswith("${") or "\n" in value or value.lower() in _OLD_WORDS:
            return DoubleQuotedScalarString(value)
    return value


def _fits(value: Any) -> bool:
    """Whether a map or list is short and has only plain values, or short lists and maps of them."""
    inner = value.values() if isinstance(value, dict) else value
    if any(isinstance(one, str) and "\n" in one for one in inner):
        return False
    if any(isinstance(one, dict | list) and not _fits(one) for one in inner):
        return False
    return len(str(value)) <= WIDTH


def _is_block(text: str) -> bool:
    """Whether a literal block can hold the text: no control characters, no lines that end in blanks."""
    lines = text.split("\n")
    return (
        all(line.isprintable() or "\t" in line for line in lines)
        and not text.startswith((" ", "\n", "\t"))
        and not any(line != line.rstrip() for line in lines)
    )
