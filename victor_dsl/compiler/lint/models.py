"""Models and the settings that they are sent: pools and their members, fallbacks, and what a model refuses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from victor_dsl.compiler.check import Item
from victor_dsl.compiler.link import references
from victor_dsl.compiler.lint.input import LintInput
from victor_dsl.source.diagnostic import Diagnostic, Related
from victor_dsl.source.located import Located, Path


def pools_have_models_as_members(subject: LintInput) -> Iterator[Diagnostic]:
    """Every member that is a pool itself; a pool that contains itself would never answer."""
    for variation, item in subject.first:
        models = {one.id: one for one in variation.checked.sections["models"]}
        for member, leaf, path in _member_places(item):
            pool = models.get(f"models/{member}")
            if pool is not None and member_names(pool):
                own = f"'{member}' is the pool itself" if pool is item else f"'{member}' is a pool"
                yield Diagnostic(
                    "nested-pool",
                    f"{own}, so it cannot be a member of {item.id.replace('/', '.')}",
                    leaf.span,
                    path,
                    "name the models that answer",
                    related=()
                    if pool is item
                    else (Related("the other pool", pool.located.key_span or pool.located.span),),
                )


def members_of_a_pool_are_alike(subject: LintInput) -> Iterator[Diagnostic]:
    """Every pool whose members have different context windows: the smallest holds for all of them."""
    for variation, item in subject.first:
        models = {one.id: one for one in variation.checked.sections["models"]}
        windows: dict[str, int] = {}
        for name in member_names(item):
            member = models.get(f"models/{name}")
            window = member.config.window() if member is not None and member.config is not None else None  # type: ignore[attr-defined]
            if (
                member is not None
                and window is not None
                and not any("context_window" in path for path in member.unknown)
            ):
                windows[name] = window
        if len(set(windows.values())) > 1:
            shown = ", ".join(f"{name} {window:,}" for name, window in windows.items())
            least = min(windows, key=lambda name: windows[name])
            place = item.located.at(("members",))
            yield Diagnostic(
                "uneven-pool",
                f"the members of {item.id.replace('/', '.')} have different context windows ({shown}), so the smallest holds for all",
                place.key_span or place.span,
                (*item.path, "members"),
                f"use '{least}' as a fallback instead, or give the other members its `context_window`",
                severity="warning",
            )


def member_names(item: Item) -> list[str]:
    """The members of a pool; empty for any other item."""
    return [name for name, _, _ in _member_places(item)]


def only_model(models: Sequence[Item]) -> Item | None:
    """The model that answers where no setting names one: the only one that is not a member of another."""
    members = {id for item in models for name in member_names(item) if (id := f"models/{name}") != item.id}
    others = [item for item in models if item.id not in members]
    return others[0] if len(others) == 1 else None


def _member_places(item: Item) -> Iterator[tuple[str, Located, Path]]:
    """The models that a model refers to, with the place of each."""
    if item.component.kind.name == "models":
        for ref, name, leaf, path in references(item):
            if ref.kind == "models":
                yield name, leaf, path
