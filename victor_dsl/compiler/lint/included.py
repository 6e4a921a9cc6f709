"""A prompt, template or settings file that a spec includes must be there, unless it says `optional: true`."""

from __future__ import annotations

import os
from collections.abc import Iterator

from victor_dsl.compiler.lint.subject import Subject
from victor_dsl.language.config import FilePath
from victor_dsl.language.marks import marks
from victor_dsl.nearest import nearest
from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.interpolate import as_written
from victor_dsl.source.reader import reason


def included_files_exist(subject: Subject) -> Iterator[Diagnostic]:
    """Files whose content the plan takes in, and files that must exist."""
    for item in subject.items():
        if item.config is None or getattr(item.config, "optional", False) or getattr(item.config, "default", None):
            continue
        for name, mark in marks(item.component.config).items():
            if not isinstance(mark, FilePath) or not (mark.included or mark.exists):
                continue
            value, leaf = getattr(item.config, name), item.located.get(name)
            if not isinstance(value, str) or (fault := _fault(subject, value, mark)) is None:
                continue
            if leaf is None or leaf.value is None:  # the field's default
                written, place, path = item.component.config.model_fields[name].default, item.located, item.path
            else:
                written, place, path = as_written(leaf.value), leaf, (*item.path, name)
            message, may_lack = f"cannot read '{written}': {fault}", "optional" in item.component.config.model_fields
            yield Diagnostic("missing-file", message, place.span, path, _hint(str(written), value, may_lack))


def _fault(subject: Subject, path: str, mark: FilePath) -> str | None:
    try:
        if mark.included:
            subject.included.read(path).decode("utf-8")
        else:
            os.stat(path)
    except OSError as error:
        return reason(error)
    except UnicodeDecodeError as error:
        return f"it is not UTF-8 (byte {error.start + 1})"
    return None


def _hint(written: str, path: str, may_lack: bool) -> str:
    folder, name = os.path.split(path)
    try:
        close = nearest(name, os.listdir(folder))
    except OSError:
        return "its folder is not there either; paths are relative to the file that writes them"
    if close:
        return f"did you mean '{written[: len(written) - len(name)]}{close}'?"
    return "paths are relative to the file that writes them" + ("; or say `optional: true`" if may_lack else "")
