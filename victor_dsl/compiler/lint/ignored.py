"""Files of the prompt that would not reach another machine: git ignores them. And files that look as if they were used, and are not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from victor_dsl.compiler.lint.input import LintInput
from victor_dsl.language.annotations import FilePath, annotated_fields
from victor_dsl.lazy import Lazy
from victor_dsl.regular_file import read_regular
from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.interpolate import as_written

if TYPE_CHECKING:
    import pathspec
else:
    pathspec = Lazy("pathspec")

MOST_IGNORE_BYTES = 65_536
"""Of a `.gitignore`; what follows is not read."""
MOST_INDEX_BYTES = 16_777_216
"""Of git's list of the files that it follows."""


def files_reach_others(subject: LintInput) -> Iterator[Diagnostic]:
    """Files whose content the plan takes in are part of the spec: git must not ignore them. Git itself is not run."""
    if subject.untrusted:
        return  # nothing outside its folder is read
    rules: dict[Path, pathspec.GitIgnoreSpec | None] = {}
    for item in subject.items():
        for name, annotation in annotated_fields(item.component.config).items():
            path = getattr(item.config, name, None)
            if not isinstance(annotation, FilePath) or not annotation.included or not isinstance(path, str):
                continue
            if not os.path.isfile(path):
                continue
            leaf = item.located.get(name)
            written = item.component.config.model_fields[name].default if leaf is None else as_written(leaf.value)
            place, at = (item.located, item.path) if leaf is None else (leaf, (*item.path, name))
            if leaf is None and annotation.beside and os.path.isfile(subject.directory / annotation.beside):
                message = f"'{written}' is used, and '{annotation.beside}' beside the spec is not"
                hint = f"write `{name}: {annotation.beside}` or `{name}: {written}`, or remove one of the files"
                yield Diagnostic("ambiguous-file", message, place.span, at, hint, severity="warning")
            if (out := _way_out(Path(path), subject.directory, rules)) is not None:
                message = f"git ignores '{written}', so it is missing where the spec is cloned"
                yield Diagnostic("ignored-file", message, place.span, at, out, severity="warning")


def _way_out(path: Path, directory: Path, rules: dict[Path, pathspec.GitIgnoreSpec | None]) -> str | None:
    """What to do where git ignores a file; None where it does not, or follows the file nevertheless. `rules` caches those of folders.

    The files are those of the repository, or without one those from the spec's folder downwards.
    """
    above = list(path.parents)
    root = next((folder for folder in above if (folder / ".git").exists()), directory)
    if root not in above:
        return None
    folders = above[: above.index(root) + 1][::-1]
    for folder in folders:
        if folder not in rules:
            rules[folder] = _rules(folder / ".gitignore")
    for part in (*folders[1:], path):  # what lies in a folder that is ignored is ignored
        by = None
        for folder in folders:
            if (rule := rules[folder]) is not None and part != folder and part.is_relative_to(folder):
                name = part.relative_to(folder).as_posix() + ("" if part == path else "/")
                verdict = rule.check_file(name).include
                by = by if verdict is None else folder if verdict else None
        if by is not None:
            if _is_followed(path, root):
                return None
            file, ignored = os.path.relpath(by / ".gitignore"), part.relative_to(by).as_posix()
            lines = "" if part == path else f"`{ignored}/*` instead of `{ignored}/`, then "
            return f"write {lines}`!{path.relative_to(by).as_posix()}` in '{file}', or move the file"
    return None


def _rules(path: Path) -> pathspec.GitIgnoreSpec | None:
    try:
        data, _ = read_regular(path, MOST_IGNORE_BYTES)
    except OSError:
        return None
    try:
        return pathspec.GitIgnoreSpec.from_lines(data[:MOST_IGNORE_BYTES].decode("utf-8", "replace").splitlines())
    except ValueError:  # a pattern that is none
        return None


def _is_followed(path: Path, root: Path) -> bool:
    """Whether git's index has the file: somebody has added it by force."""
    try:
        index, _ = read_regular(root / ".git" / "index", MOST_INDEX_BYTES)
    except OSError:
        return False
    return os.fsencode(path.relative_to(root).as_posix()) + b"\0" in index
