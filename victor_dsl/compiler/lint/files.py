"""Files that components name: those that must exist do, and values files are checked like the spec's own settings."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from contextlib import suppress

from attrs import evolve

from victor_dsl.compiler.additions import Additions
from victor_dsl.compiler.checked import Item
from victor_dsl.compiler.layers import vars_faults
from victor_dsl.compiler.lint.input import LintInput
from victor_dsl.compiler.validate import to_python, validate
from victor_dsl.language.annotations import FilePath, annotated_fields
from victor_dsl.language.kinds import MESSAGES
from victor_dsl.language.spec import Values
from victor_dsl.nearest import nearest, suggest
from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.interpolate import Interpolated, as_read, as_written
from victor_dsl.source.located import Located, Path, span_at
from victor_dsl.source.reader import is_inside, reason, resolve

HIDDEN = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]|(?<![\U0001F3F4\U000E0000-\U000E007F])[\U000E0000-\U000E007F]")
"""Control characters, and tag characters, which can spell out a text that nobody sees (after a flag they are legitimate)."""


def included_files_exist(subject: LintInput) -> Iterator[Diagnostic]:
    """Files whose content the plan takes in, and files that must exist."""
    for item in subject.items():
        if item.config is None:
            continue
        may_lack = getattr(item.config, "optional", False) or getattr(item.config, "default", None) is not None
        for name, annotation in annotated_fields(item.component.config).items():
            if not isinstance(annotation, FilePath) or not (annotation.included or annotation.exists):
                continue
            value, leaf = getattr(item.config, name), item.located.get(name)
            if isinstance(value, str) and subject.files.root is not None and not is_inside(value, subject.files.root):
                continue  # `nothing_outside_is_named` reports it
            if not isinstance(value, str) or (fault := _fault(subject, value, annotation, item)) is None:
                continue
            if may_lack and not os.path.exists(value):
                continue
            if leaf is None or leaf.value is None:  # the field's default
                written, place, path = item.component.config.model_fields[name].default, item.located, item.path
            else:
                written, place, path = as_written(leaf.value), leaf, (*item.path, name)
            hint = _hint(str(written), value, optional="optional" in item.component.config.model_fields)
            yield Diagnostic("missing-file", f"cannot read '{written}': {fault}", place.span, path, hint)


def _fault(subject: LintInput, path: str, annotation: FilePath, item: Item) -> str | None:
    most = getattr(item.config, "max_bytes", None)
    try:
        if annotation.included:
            data = subject.included.read(path)
            if most is not None and len(data) > most:
                return f"it is larger than {most:,} bytes"
            data.decode("utf-8")
        else:
            os.stat(path)
    except OSError as error:
        return reason(error)
    except UnicodeDecodeError as error:
        return f"it is not UTF-8 (byte {error.start + 1})"
    except ValueError:
        return "no file has a NUL in its name"
    return None


def _hint(written: str, path: str, *, optional: bool) -> str:
    folder, name = os.path.split(path)
    if os.path.exists(path):
        return "replace the file, or name another one"
    try:
        close = nearest(name, os.listdir(folder))
    except OSError:
        return "its folder does not exist either; paths are relative to the file that contains them"
    if close:
        return f"did you mean '{written[: len(written) - len(name)]}{close}'?"
    return "paths are relative to the file that contains them" + ("; or set `optional: true`" if optional else "")


def prompts_can_be_seen(subject: LintInput) -> Iterator[Diagnostic]:
    """Texts and files of contributors and messages, and what templates include: not blank, and nothing that reviewers cannot see."""
    for item in subject.items():
        if item.component.kind.name != "contributors":
            continue
        for name in ("text", "template"):
            leaf = item.located.get(name)
            text = as_read(leaf.value) if leaf is not None else None
            if leaf is not None and isinstance(text, str):
                yield from _unclear(text, leaf, (*item.path, name))
        for name, annotation in annotated_fields(item.component.config).items():
            path = getattr(item.config, name, None)
            if not isinstance(annotation, FilePath) or not annotation.included or not isinstance(path, str):
                continue
            leaf, place = item.located.get(name) or item.located, (*item.path, name)
            for file, data in subject.included.contents(path).items():
                shown = _shown(leaf, path, file)
                with suppress(UnicodeDecodeError):
                    text = data.decode("utf-8-sig")
                    subject.files.remember(shown, text)
                    yield from _unseen(text, shown, place)
                if file == path and not subject.included.versions[file].has_text:
                    message = f"the file '{shown}' is empty, so it adds nothing to the prompt"
                    hint = f"write its text, or remove the {'message' if item.path[0] in MESSAGES else 'contributor'}"
                    yield Diagnostic("empty-prompt", message, leaf.span, place, hint, severity="warning")


def _unclear(text: str, leaf: Located, path: Path) -> Iterator[Diagnostic]:
    """Faults of a text in the spec, which may come from a variable or a file."""
    outside = isinstance(leaf.value, Interpolated)
    if text and not text.strip():
        message = (
            f"{f'`{as_written(leaf.value)}`' if outside else 'this text'} is blank, so it adds nothing to the prompt"
        )
        yield Diagnostic("empty-prompt", message, leaf.span, path, "write a text, or remove it", severity="warning")
    elif found := HIDDEN.search(text):
        where = f" in `{as_written(leaf.value)}`" if outside else ""
        message = f"an invisible character (U+{ord(found[0]):04X}){where} is not allowed in prompts"
        yield Diagnostic("control-character", message, leaf.span, path, "remove it")


def _unseen(text: str, file: str, path: Path) -> Iterator[Diagnostic]:
    if found := HIDDEN.search(text):
        message = f"an invisible character (U+{ord(found[0]):04X}) is not allowed in prompts"
        yield Diagnostic(
            "control-character", message, span_at(file, text, found.start(), found.end()), path, "remove it"
        )


def _shown(leaf: Located, path: str, file: str) -> str:
    """The file as messages show it, by way of the one that the item names."""
    written = as_read(leaf.value)
    named = resolve(leaf.span.file, written if isinstance(written, str) else os.path.relpath(path))
    return (
        named
        if file == path
        else posixpath.join(posixpath.dirname(named), os.path.relpath(file, os.path.dirname(path)))
    )


def provided_values_are_sound(subject: LintInput) -> Iterator[Diagnostic]:
    """Files as they are now; what they become while the spec runs is checked again when it is read."""
    for item in subject.items():
        if isinstance(getattr(item.config, "values", None), Values):
            at = (*item.path, "values")
            yield from _unknown_models(subject, item.located.at(("values", "settings")), (*at, "settings"))
            yield from vars_faults(
                item.located.at(("values", "vars")), (*at, "vars"), subject.declared, subject.variations[0].inputs
            )
        for file in _values_files(item):
            yield from _faults(subject, file)


def provided_values(subject: LintInput) -> Iterator[tuple[Path, Located]]:
    """The values that items write and those of their files, with the path in the document of either."""
    for item in subject.items():
        if isinstance(getattr(item.config, "values", None), Values):
            yield (*item.path, "values"), item.located.at(("values",))
        for file in _values_files(item):
            document = subject.files.read(file).document
            if document is not None:
                yield (), document


def _values_files(item: Item) -> Iterator[str]:
    for name, annotation in annotated_fields(item.component.config).items():
        leaf = item.located.get(name)
        text = as_read(leaf.value) if leaf is not None else None
        if isinstance(annotation, FilePath) and annotation.values and leaf is not None and isinstance(text, str):
            yield resolve(leaf.span.file, text)


def _faults(subject: LintInput, file: str) -> Iterator[Diagnostic]:
    result = subject.files.read(file)
    if any(fault.code == "unreadable-file" for fault in result.diagnostics):
        return  # `included_files_exist` says so at the path
    for fault in result.diagnostics:
        hint = "write the keys `settings` and `vars`" if fault.code in ("empty-file", "not-a-map") else fault.hint
        yield evolve(fault, hint=hint)
    if result.document is not None:
        additions = Additions()
        document = additions.settle(result.document, later=True)
        yield from additions.diagnostics
        _, faults = validate(Values, document, to_python(document), (), "a values file")
        yield from faults
        yield from _unknown_models(subject, document.at(("settings",)), ("settings",))
        yield from vars_faults(document.at(("vars",)), ("vars",), subject.declared, subject.variations[0].inputs)


def _unknown_models(subject: LintInput, settings: Located, at: Path) -> Iterator[Diagnostic]:
    models = subject.document.get("models")
    names = models.value if models is not None and isinstance(models.value, dict) else {}
    for path, leaf in settings.walk(at):
        named = path[len(at) : len(at) + 1] in (("model",), ("fallbacks",), ("+fallbacks",)) and isinstance(
            leaf.value, str
        )
        if named and leaf.value not in names:
            hint = suggest(leaf.value, names, what="names in models")
            yield Diagnostic("unknown-name", f"models has no '{leaf.value}'", leaf.span, path, hint)
