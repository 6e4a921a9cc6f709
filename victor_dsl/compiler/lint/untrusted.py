"""A spec that is not trusted may run nothing of its own: no function, no program."""

from __future__ import annotations

from collections.abc import Iterator

from victor_dsl.compiler.lint.subject import Subject
from victor_dsl.language.config import CommandLine, FunctionName
from victor_dsl.language.marks import marks
from victor_dsl.source.diagnostic import Diagnostic

HINT = "read what it runs; then leave out `--untrusted`, or take it out of the spec"


def nothing_of_its_own_runs(subject: Subject) -> Iterator[Diagnostic]:
    """Whatever names a function to import or a program to start, in the spec or any overlay of it."""
    if not subject.untrusted:
        return
    for item in subject.items():
        for name, mark in marks(item.component.config).items():
            leaf = item.located.get(name)
            if leaf is None or leaf.value is None or not isinstance(mark, FunctionName | CommandLine):
                continue
            does = "imports Python code" if isinstance(mark, FunctionName) else "starts a program"
            message = f"`{name}` {does}, which a spec that is not trusted may not"
            yield Diagnostic("untrusted-code", message, leaf.span, (*item.path, name), HINT)
