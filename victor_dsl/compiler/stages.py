"""Stages: what a spec is for each file that a variable in `extends` could choose, for a check without that variable."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from attrs import evolve, frozen

from victor_dsl.compiler.extends import read_family
from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.located import Located
from victor_dsl.source.reader import Files

MOST_STAGES = 256
_MOST_NAMED = 3


@frozen
class Stage:
    """Values of variables that are not set. `is_default` says that they are the defaults written in the spec."""

    values: Mapping[str, str]
    is_default: bool = False

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.values.items())


def every_stage(files: Files, name: str, environment: Mapping[str, str]) -> tuple[list[Stage], list[Diagnostic]]:
    """All stages of a spec; none where no variable that is not set chooses a file. Too many are a fault."""
    found: list[Stage] = []
    open_ = deque([Stage({}, is_default=True)])
    while open_:
        stage = open_.popleft()
        path = next(
            (one for one in read_family(files, name, {**environment, **stage.values}).chosen if one.unset), None
        )
        choices = path.fitting() if path is not None else []
        if path is None or not choices:
            found.append(stage)
            continue
        if len(found) + len(open_) + len(choices) > MOST_STAGES:
            message = f"more than {MOST_STAGES} files fit '{path.written.value}'"
            hint = f"set {path.unset[0].name}, so that one is checked, or put fewer files there"
            return [], [Diagnostic("too-large", message, path.written.span, path.at, hint)]
        for file, values in choices:
            is_default = stage.is_default and path.name is not None and file == path.name
            open_.append(Stage({**stage.values, **values}, is_default=is_default))
    return [stage for stage in found if stage.values], []


@frozen
class StageChecked:
    """The diagnostics of one stage and the documents of its spec."""

    stage: Stage
    diagnostics: Sequence[Diagnostic]
    documents: Sequence[Located]


def joined(checked: Sequence[StageChecked]) -> Iterable[Diagnostic]:
    """What was found in all stages, once; a fault of some of them names these.

    A name is unused only if no stage uses it.
    """
    found: dict[tuple[object, ...], list[tuple[Stage, Diagnostic]]] = {}
    for one in checked:
        for d in one.diagnostics:
            found.setdefault((d.code, d.span, d.message), []).append((one.stage, d))
    files = [{document.span.file for document in one.documents} for one in checked]
    for cases in found.values():
        stages, diagnostic = [stage for stage, _ in cases], cases[0][1]
        if diagnostic.code == "unused-name" and len(stages) < sum(diagnostic.span.file in read for read in files):
            continue
        if len(stages) < len(checked):
            shown = "; ".join(map(str, stages[:_MOST_NAMED]))
            more = f" and {len(stages) - _MOST_NAMED} others" if len(stages) > _MOST_NAMED else ""
            diagnostic = evolve(diagnostic, message=f"{diagnostic.message} (with {shown}{more})")
        yield diagnostic
