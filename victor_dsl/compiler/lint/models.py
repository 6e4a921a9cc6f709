"""Pools and their members, and fallbacks that were called before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from victor_dsl.compiler.checked import Item
from victor_dsl.compiler.lint.answering import Answering, chosen_model, member_names, member_places, model_name
from victor_dsl.compiler.lint.input import LintInput
from victor_dsl.source.diagnostic import Diagnostic, Related
from victor_dsl.source.interpolate import Interpolated, as_read
from victor_dsl.source.located import Located, Path
from victor_dsl.values.from_text import from_text


def pools_have_models_as_members(subject: LintInput) -> Iterator[Diagnostic]:
    """Every member that is a pool itself; a pool that contains itself would never answer."""
    for variation, item in subject.first:
        models = subject.models(variation)
        for member, leaf, path in member_places(item):
            pool = models.get(member)
            if pool is not None and member_names(pool):
                place = Related("the other pool", pool.located.key_span or pool.located.span)
                is_itself = pool.id == item.id
                yield Diagnostic(
                    "nested-pool",
                    f"'{member}' is {'the pool itself' if is_itself else 'a pool'}, so it cannot be a member of '{model_name(item)}'",
                    leaf.span,
                    path,
                    "name models that answer themselves",
                    related=() if is_itself else (place,),
                )


def members_of_a_pool_are_alike(subject: LintInput) -> Iterator[Diagnostic]:
    """Every pool whose members have different context windows: the smallest holds for all of them."""
    for variation, item in subject.first:
        models = subject.models(variation)
        members = [Answering(models[name], item, variation) for name in member_names(item) if name in models]
        windows = {member.name: window for member in members if (window := member.window) is not None}
        if len(set(windows.values())) > 1:
            shown = ", ".join(f"{name} {window:,}" for name, window in windows.items())
            place = item.located.at(("members",))
            yield Diagnostic(
                "uneven-pool",
                f"the members of '{model_name(item)}' have different context windows ({shown}), so the smallest holds for all",
                place.key_span or place.span,
                (*item.path, "members"),
                f"make '{min(windows, key=windows.__getitem__)}' a fallback instead, or set one `context_window` for all members",
                severity="warning",
            )


def fallbacks_differ(subject: LintInput) -> Iterator[Diagnostic]:
    """Every fallback that has failed before: the model itself, an earlier fallback, or a member of an earlier pool."""
    seen: set[tuple[Path, str]] = set()
    checked: set[tuple[int | str | None, ...]] = set()
    for variation in subject.variations:
        pieces = [piece for piece in variation.pieces("fallbacks") if isinstance(piece.leaf.value, list | Interpolated)]
        if not pieces:
            continue
        model = chosen_model(variation)
        facts = (*(id(piece.leaf) for piece in pieces), id(variation.checked.sections["models"]), model)
        if facts in checked:
            continue
        checked.add(facts)
        models = subject.models(variation)
        called = {} if model is None else _called(model, models, "the model itself")
        for path, leaf, name in (found for piece in pieces[::-1] for found in _names(piece.path, piece.leaf)):
            if name in called and (path, name) not in seen:
                seen.add((path, name))
                label = f" for {variation.label}" if variation.label else ""
                yield Diagnostic(
                    "repeated-fallback",
                    f"the fallback '{name}' is {called[name]}{label}, so it has failed before",
                    leaf.span,
                    path,
                    "leave it out, or name another model",
                    severity="warning",
                )
            for model, what in _called(name, models, "an earlier fallback").items():
                called.setdefault(model, what)


def _names(path: Path, fallbacks: Located) -> Iterator[tuple[Path, Located, str]]:
    """The names of a list of fallbacks, each with its place; those of a variable all stand at it."""
    if isinstance(fallbacks.value, Interpolated):
        names = from_text(fallbacks.value.value or "", "list_type")
        items = [(path, fallbacks, name) for name in names] if isinstance(names, list) else []
    else:
        items = [((*path, index), leaf, as_read(leaf.value)) for index, leaf in enumerate(fallbacks.value)]
    yield from (item for item in items if isinstance(item[2], str))


def _called(name: str, models: Mapping[str, Item], what: str) -> dict[str, str]:
    """What a model that was called is to a later fallback of its name; the members of a pool were called with it."""
    members = member_names(models[name]) if name in models else []
    return {**dict.fromkeys(members, f"a member of '{name}'"), name: what}
