"""What providers say is held against the grammar of the spec's own settings, in the spec and at its line in a file."""

from __future__ import annotations

from collections.abc import Iterator

from victor_dsl.compiler.lint.subject import Subject
from victor_dsl.compiler.validate import to_python, validate
from victor_dsl.language.config import FilePath
from victor_dsl.language.marks import marks
from victor_dsl.language.spec import Values
from victor_dsl.nearest import suggest
from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.interpolate import as_read
from victor_dsl.source.located import Located, Path
from victor_dsl.source.reader import resolve


def provided_values_are_sound(subject: Subject) -> Iterator[Diagnostic]:
    """Files as they are now; what they become while the spec runs is checked again when it is read."""
    for item in subject.items():
        if isinstance(getattr(item.config, "values", None), Values):
            yield from _unknown_models(
                subject, item.located.at(("values", "settings")), (*item.path, "values", "settings")
            )
        for name, mark in marks(item.component.config).items():
            leaf = item.located.get(name)
            text = as_read(leaf.value) if leaf is not None else None
            if isinstance(mark, FilePath) and mark.values and leaf is not None and isinstance(text, str):
                yield from _faults(subject, resolve(leaf.span.file, text))


def _faults(subject: Subject, file: str) -> Iterator[Diagnostic]:
    result = subject.files.read(file)
    if any(fault.code == "unreadable-file" for fault in result.diagnostics):
        return  # `included_files_exist` says so at the path
    yield from result.diagnostics
    if result.document is not None:
        _, faults = validate(Values, result.document, to_python(result.document), (), "a values file")
        yield from faults
        yield from _unknown_models(subject, result.document.at(("settings",)), ("settings",))


def _unknown_models(subject: Subject, settings: Located, at: Path) -> Iterator[Diagnostic]:
    models = subject.document.get("models")
    names = models.value if models is not None and isinstance(models.value, dict) else {}
    for path, leaf in settings.walk(at):
        named = path[len(at) : len(at) + 1] in (("model",), ("fallbacks",)) and isinstance(leaf.value, str)
        if named and leaf.value not in names:
            hint = suggest(leaf.value, names, what="names in models")
            yield Diagnostic("unknown-name", f"models has no '{leaf.value}'", leaf.span, path, hint)
