"""Values of tenants' overlays that arms override: arms are above tenants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from victor_dsl.compiler.additions import plain_path
from victor_dsl.compiler.overlays import same
from victor_dsl.compiler.variations import Variations, arm_path
from victor_dsl.source.diagnostic import Diagnostic, Related
from victor_dsl.source.located import Located, Path

MOST_RELATED = 3
"""How many places of overridden values are listed."""


class _Written(NamedTuple):
    """What an arm writes: the path of the setting, or its place, then its place in the overlay, and the value."""

    experiment: str
    arm: str
    setting: Path
    place: Path
    leaf: Located


def overridden(variations: Variations) -> Iterator[Diagnostic]:
    """Warns of what an arm sets and tenants' overlays set otherwise, once for all tenants: units of theirs in that arm lose it."""
    at: dict[Path, list[_Written]] = {}
    below: dict[Path, list[_Written]] = {}
    lost: dict[int, tuple[_Written, dict[str, Located]]] = {}
    for written in _by_arms(variations):
        at.setdefault(written.setting, []).append(written)
        for length in range(1, len(written.setting)):
            below.setdefault(written.setting[:length], []).append(written)
    for tenant, overlay in variations.tenants.items() if at else ():
        for path, _, leaf in variations.set_by(overlay):
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
    """What arms that units may be in set in place of what is below; `+key` leaves a tenant its own list."""
    for experiment, arms in variations.experiments.items():
        body = variations.document.at(("variants", experiment))
        for arm, overlay in arms.items() if body.at(("status",)).value != "stopped" else ():
            if body.at(("arms", arm, "weight")).value != 0:
                for setting, place, leaf in variations.set_by(overlay):
                    if setting == plain_path(setting):
                        yield _Written(experiment, arm, setting, place, leaf)


def _diagnostic(one: _Written, values: dict[str, Located]) -> Diagnostic:
    who = f"tenant {next(iter(values))} does" if len(values) == 1 else f"{len(values):,} tenants do"
    return Diagnostic(
        "arm-over-tenant",
        f"{one.experiment}.{one.arm} sets {'.'.join(map(str, one.place))}, as {who}: the arm wins",
        one.leaf.key_span or one.leaf.span,
        (*arm_path(one.experiment, one.arm), *one.place),
        f"to keep a tenant's own value, let it stay out: `variants: {{{one.experiment}: null}}` under its `with`",
        severity="warning",
        related=tuple(
            Related(f"the value of tenant {tenant}", leaf.key_span or leaf.span)
            for tenant, leaf in list(values.items())[:MOST_RELATED]
        ),
    )
