"""Values that several overlays set: arms of different experiments, and arms over tenants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations, product
from typing import NamedTuple

from victor_dsl.compiler.additions import plain_path
from victor_dsl.compiler.overlays import leaves, same
from victor_dsl.compiler.variations import MOST_PAIRS, Variations, arm_path
from victor_dsl.source.diagnostic import Diagnostic, Related
from victor_dsl.source.located import Located, Path
from victor_dsl.values.settings import TOOL_LISTS, lifted_fields

MOST_RELATED = 3
"""How many places of overridden values are listed."""


class _Written(NamedTuple):
    """A value in an arm's overlay. `place` is its path there; `setting` is the path of the setting that it is, or the same path."""

    experiment: str
    arm: str
    setting: Path
    place: Path
    leaf: Located


def disagreeing_arms(variations: Variations) -> Iterator[Diagnostic]:
    """Arms of different experiments that set one path to different values; or that there are too many pairs of them."""
    if variations.pairs() > MOST_PAIRS:
        section = variations.document.at(("variants",))
        message = f"the arms of different experiments make more than {MOST_PAIRS:,} pairs, which is too many to check"
        hint = "remove experiments that have ended"
        yield Diagnostic("too-large", message, section.key_span or section.span, ("variants",), hint)
        return
    for (first, arms_a), (second, arms_b) in combinations(variations.experiments.items(), 2):
        for (a, overlay_a), (b, overlay_b) in product(arms_a.items(), arms_b.items()):
            set_by_a = {setting: leaf for setting, _, leaf in _set_by(overlay_a, variations)}
            for setting, path, leaf in _set_by(overlay_b, variations):
                other = _meeting(setting, leaf, set_by_a)
                if other is not None:
                    yield Diagnostic(
                        "arms-disagree",
                        f"{first}.{a} and {second}.{b} set {'.'.join(map(str, path))} to different values",
                        leaf.span,
                        (*arm_path(second, b), *path),
                        "a unit can be in both arms: set it in one experiment only, or merge the experiments",
                        related=(Related("the other one", other.span),),
                    )


def arms_over_tenants(variations: Variations) -> Iterator[Diagnostic]:
    """Warns of values of tenants' overlays that an arm overrides, once for all tenants."""
    at: dict[Path, list[_Written]] = {}
    below: dict[Path, list[_Written]] = {}
    lost: dict[int, tuple[_Written, dict[str, Located]]] = {}
    for written in _by_arms(variations):
        at.setdefault(written.setting, []).append(written)
        for length in range(1, len(written.setting)):
            below.setdefault(written.setting[:length], []).append(written)
    for tenant, overlay in variations.tenants.items() if at else ():
        for path, _, leaf in _set_by(overlay, variations):
            setting = plain_path(path)
            found = [one for length in range(1, len(setting)) for one in at.get(setting[:length], ())]
            found += [one for one in at.get(setting, ()) if path != setting or not same(one.leaf, leaf)]
            found += below.get(setting, ()) if leaf.value is None else ()
            for one in found:
                if one.experiment not in variations.opted_out[tenant]:
                    lost.setdefault(id(one), (one, {}))[1].setdefault(tenant, leaf)
    for one, values in lost.values():
        yield _diagnostic(one, values)


def _by_arms(variations: Variations) -> Iterator[_Written]:
    """The values that replace lower ones, of all arms that a unit can be in; additions (`+key`) replace nothing."""
    for experiment, arms in variations.experiments.items():
        body = variations.document.at(("variants", experiment))
        for arm, overlay in arms.items() if body.at(("status",)).value != "stopped" else ():
            if body.at(("arms", arm, "weight")).value != 0:
                for setting, place, leaf in _set_by(overlay, variations):
                    if setting == plain_path(setting):
                        yield _Written(experiment, arm, setting, place, leaf)


def _set_by(overlay: Located, variations: Variations) -> Iterator[tuple[Path, Path, Located]]:
    """Each value that an overlay sets: the path of the setting that it is (or its own path), its path, and the value.

    Lists of tools are left out: those of all layers count.
    """
    for path, leaf in leaves(overlay):
        if plain_path(setting := _setting(path, variations.types)) not in TOOL_LISTS:
            yield setting, path, leaf


def _setting(path: Path, types: Mapping[str, str]) -> Path:
    """The path of the setting that a value of a component is, such as `settings.k`; else its own path."""
    section, key = str(path[0]), str(path[-1])
    type = types.get(str(path[1])) if len(path) == 3 else None
    setting = lifted_fields(section, type).get(key) if len(path) == (3 if type else 2) else None
    return ("settings", *setting) if setting else path


def _meeting(path: Path, leaf: Located, others: Mapping[Path, Located]) -> Located | None:
    """The value of another overlay at this path, above it or below it. None if it is equal, or if both add to a list there."""
    own = plain_path(path)
    for place, other in others.items():
        theirs = plain_path(place)
        shorter = min(len(own), len(theirs))
        if own[:shorter] != theirs[:shorter]:
            continue
        if len(own) == len(theirs):
            if same(leaf, other) if own == path and theirs == place else own != path and theirs != place:
                continue
        elif (own if len(own) == shorter else theirs) != (path if len(own) == shorter else place):
            continue  # the one above adds items, and changes none
        return other
    return None


def _diagnostic(one: _Written, values: dict[str, Located]) -> Diagnostic:
    who = f"tenant {next(iter(values))} does" if len(values) == 1 else f"{len(values):,} tenants do"
    return Diagnostic(
        "arm-over-tenant",
        f"{one.experiment}.{one.arm} sets {'.'.join(map(str, one.place))}, as {who}: the arm wins",
        one.leaf.key_span or one.leaf.span,
        (*arm_path(one.experiment, one.arm), *one.place),
        f"to keep a tenant's own value, exclude it from the experiment: `variants: {{{one.experiment}: null}}` under its `with`",
        severity="warning",
        related=tuple(
            Related(f"the value of tenant {tenant}", leaf.key_span or leaf.span)
            for tenant, leaf in list(values.items())[:MOST_RELATED]
        ),
    )
