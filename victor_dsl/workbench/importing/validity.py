"""Writes an imported spec without what the compiler refuses, so that every spec that is written validates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from victor_dsl.compiler import compile_spec
from victor_dsl.errors import SpecError
from victor_dsl.language.http_config import NAMES_A_KEY
from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.located import Located, Span
from victor_dsl.source.located import Path as Place
from victor_dsl.workbench.importing.prompts import literal
from victor_dsl.workbench.importing.sources import Imported, name_of, plain
from victor_dsl.workbench.importing.writing import finished, spec_text

MOST_ROUNDS = 50
MOST_DEPTH = 60
"""How deep values may nest: what is deeper is not taken."""
CONNECTION = frozenset({"type", "model", "base_url", "api_key", "api_key_header", "query", "headers"})
"""Fields without which a model would be another one, or at another address: it is taken with them or not at all."""


def valid_text(imported: Imported, path: str, comments: Sequence[str]) -> str:
    """The text of a spec that validates; what it lost for that is reported. Raises SpecError where nothing is left."""
    spec = finished(imported, path)
    for place, why in [*_impossible(spec, ()), *_keys(spec["models"], ("models",))]:
        _remove(spec, place, why, imported, path)
    text, faults = _text(spec, comments, imported, path)
    for _ in range(MOST_ROUNDS):
        if not faults or not _mend(spec, faults, imported, path):
            break
        text, faults = _text(spec, comments, imported, path)
    if faults:
        raise SpecError(f"{path}: no valid spec can be made of it: {faults[0].message}", tuple(imported.not_taken))
    return text


def _text(spec: dict[str, Any], comments: Sequence[str], imported: Imported, path: str) -> tuple[str, list[Diagnostic]]:
    """The spec's text, and its faults. Raises SpecError for a spec without models."""
    if not spec.get("models"):
        raise SpecError(f"{path}: no model in it can be one of a spec", tuple(imported.not_taken))
    settings = spec.setdefault("settings", {})
    if settings.get("model") not in spec["models"]:
        settings["model"] = next(iter(spec["models"]))
    text = spec_text(spec, comments)
    return text, _faults(text)


def _faults(text: str) -> list[Diagnostic]:
    with TemporaryDirectory() as folder:
        path = Path(folder, "victor.yml")
        path.write_text(text, encoding="utf-8")
        found = compile_spec(str(path), environment={}).diagnostics
    return [fault for fault in found if fault.severity == "error"]


def _mend(spec: dict[str, Any], faults: Sequence[Diagnostic], imported: Imported, path: str) -> bool:
    """Removes what the faults are about, the last first; False where that is the whole spec."""
    places = {_unit(fault.path): f"a spec cannot have it: {fault.message}" for fault in faults}
    mended = False
    for place in sorted(places, key=lambda place: [(isinstance(step, str), step) for step in place], reverse=True):
        mended |= _remove(spec, place, places[place], imported, path)
    return mended


def _unit(place: Place) -> Place:
    """What is left out for a fault at that place."""
    match place:
        case ("models", _, str(field), *_) if field in CONNECTION:
            return place[:2]
        case ("tests" | "inputs", _, *_):
            return place[:2]
        case ("contributors" | "messages", _, *_):
            return place[:2]
        case ("message", *_):
            return place[:1]
    return place


def _remove(spec: dict[str, Any], place: Place, why: str, imported: Imported, path: str) -> bool:
    """Removes the value at a place, or what is left of the way there, and reports it. A template stays, as a text."""
    holder, key, value = None, None, spec  # type: Any, Any, Any
    for step in place:
        listed = isinstance(value, list) and isinstance(step, int) and step < len(value)
        if not listed and not (isinstance(value, dict) and step in value):
            break
        holder, key, value = value, step, value[step]
    if holder is None:
        return False
    shown = ".".join(map(str, place))
    span = _written_at(imported.documents, value, key, path)
    if isinstance(value, dict) and isinstance(template := value.get("template"), str) and literal(template) != template:
        value["template"] = literal(template)
        imported.report(
            span, shown, f"it stands in the spec as text, and not as a template. {why[:1].upper()}{why[1:]}"
        )
        return True
    del holder[key]
    imported.report(span, shown, why)
    return True


def _impossible(value: Any, place: Place) -> Iterator[tuple[Place, str]]:
    """Places of numbers that no spec can have, and of what nests too deeply."""
    if isinstance(value, float) and not math.isfinite(value):
        yield place, "it is not a number"
    elif isinstance(value, dict | list):
        if len(place) >= MOST_DEPTH:
            yield place, "it nests too deeply"
            return
        for key, inner in reversed(list(value.items() if isinstance(value, dict) else enumerate(value))):
            yield from _impossible(inner, (*place, key))


def _keys(value: Any, place: Place) -> Iterator[tuple[Place, str]]:
    """Places of texts in the maps of models whose name says that they are keys."""
    for key, inner in value.items() if isinstance(value, dict) else ():
        if isinstance(inner, str) and len(place) > 2 and NAMES_A_KEY.search(str(key)):
            yield (*place, key), "keys are not copied"
        yield from _keys(inner, (*place, key))


def _written_at(documents: Sequence[Located], value: Any, key: Any, path: str) -> Span:
    """Where the value was written, under the same key if there is such a place; else the file's first line."""
    texts = value if isinstance(value, dict) else {key: value}
    if isinstance(value, dict) and "type" in value:  # a model: it stands where its name does
        texts = {}
    found: Span | None = None
    for one, name in _nodes(documents):
        if isinstance(one.value, dict):
            continue
        written = plain(one)
        if not texts and name in ("model_name", "label", "id") and name_of(str(written), {}) == key:
            return one.key_span or one.span
        if any(written == text and type(written) is type(text) and name == under for under, text in texts.items()):
            return one.key_span or one.span
        if found is None and any(written == text and isinstance(text, str | list) for text in texts.values()):
            found = one.span
    return found or Span(path, 1, 1, 1, 1)


def _nodes(documents: Sequence[Located]) -> Iterator[tuple[Located, Any]]:
    stack: list[tuple[Located, Any]] = [(document, None) for document in reversed(documents)]
    while stack:
        here, name = stack.pop()
        yield here, name
        if isinstance(here.value, dict):
            stack += [(inner, key) for key, inner in reversed(here.value.items())]
        elif isinstance(here.value, list):
            stack += [(inner, name) for inner in reversed(here.value)]
