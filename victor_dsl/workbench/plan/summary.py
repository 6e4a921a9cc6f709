"""What every report of a comparison says, in words and numbers: titles, rows of figures, the last line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from attrs import frozen

from victor_dsl.workbench.plan.changes import Change
from victor_dsl.workbench.plan.comparison import Comparison
from victor_dsl.workbench.plan.figures import Failures, Traffic

SIGNS = {"added": "+", "removed": "-", "changed": "~"}

MOST_SHOWN = 20
"""Tenants, tools and components that a report names."""


@frozen
class Row:
    """A figure of both sides, and their difference."""

    label: str
    old: str
    new: str
    difference: str = ""


def figures(traffic: Traffic) -> Iterator[Row]:
    """The rows of figures; those that are the same and say nothing are left out."""
    old, new = traffic.old, traffic.new
    before, after = old.percentiles(), new.percentiles()
    yield Row("tokens", f"{before['total']:,}", f"{after['total']:,}", relative(before["total"], after["total"]))
    for name in ("p50", "p95"):
        label = f"tokens of a request, {name}"
        yield Row(label, f"{before[name]:,}", f"{after[name]:,}", relative(before[name], after[name]))
    yield Row("cost", dollars(old.cost), dollars(new.cost), relative(old.cost, new.cost))
    if (monthly := traffic.monthly()) is not None:
        yield Row(
            "cost of a month",
            dollars(monthly["old"]),
            dollars(monthly["new"]),
            relative(monthly["old"], monthly["new"]),
        )
    if old.stable or new.stable:
        by = (
            None
            if None in {old.cache_share, new.cache_share}
            else 100 * ((new.cache_share or 0) - (old.cache_share or 0))
        )
        points = "" if by is None or abs(by) < _LEAST_POINTS else f"{by:+.1f} points"
        yield Row("readable from a prompt cache", share(old.cache_share), share(new.cache_share), points)
        yield Row("cost with that cache", dollars(old.cached), dollars(new.cached), relative(old.cached, new.cached))
    counts = (
        ("errors", old.errors, new.errors),
        ("requests with pieces over their budget", old.dropped, new.dropped),
        ("requests over the model's window", old.over_window, new.over_window),
        ("messages left out", old.messages - old.messages_kept, new.messages - new.messages_kept),
    )
    for label, one, other in counts:
        if one or other:
            yield Row(label, f"{one:,}", f"{other:,}", f"{other - one:+,}" if one != other else "")


_LEAST_POINTS = 0.05


def notes(traffic: Traffic) -> Iterator[str]:
    """What else differs between the requests, a line for each."""
    if traffic.gained_tools:
        yield f"tools gained: {_counted(traffic.gained_tools)}"
    if traffic.lost_tools:
        yield f"tools lost: {_counted(traffic.lost_tools)}"
    if traffic.changed_tools:
        yield f"tools whose definition differs: {_counted(traffic.changed_tools)}"
    for (before, after), count in traffic.models.most_common(MOST_SHOWN):
        yield f"answered by {after or 'no model'} instead of {before or 'no model'}: {requests(count)}"
    if traffic.messages_changed:
        yield f"messages differ: {requests(traffic.messages_changed)}"
    for name, units in traffic.moved.items():
        yield f"units of {name} that change arm: {len(units):,}"
    yield from _failures("errors gained", traffic.gained_errors)
    yield from _failures("errors mended", traffic.mended_errors)
    if traffic.errors.count > traffic.gained_errors.count:
        yield from _failures("errors of the new spec", traffic.errors)
    if traffic.old.cost is None or traffic.new.cost is None:
        yield "the cost is not known: a model has no price (`input_usd_per_million`, `output_usd_per_million`)"


def answers(comparison: Comparison) -> Iterator[str]:
    """What the models answered, a line for each finding."""
    if comparison.reruns is None:
        return
    found = comparison.reruns.as_json()
    yield f"{requests(found['requests'])} answered {found['repeats']} times by both: {found['flips']:,} decide otherwise"
    noise = "not measured" if found["noise"] is None else share(found["noise"])
    yield f"answers that differ in calls: {share(found['differ'])} between the specs, {noise} within the old one"
    calls = found["tool_calls"]
    for what, words in (
        ("lost", "calls lost"),
        ("gained", "calls gained"),
        ("arguments", "calls with other arguments"),
    ):
        if calls[what]:
            yield f"{words}: " + ", ".join(f"{name} ({requests(count)})" for name, count in calls[what].items())
    yield f"texts: {found['texts']['same']:,} the same, {found['texts']['differ']:,} differ"
    if comparison.verdicts is not None:
        yield from _judged(comparison.verdicts.as_json())
    if any(found["errors"].values()):
        yield f"errors of models: {found['errors']['old']:,} → {found['errors']['new']:,}"
    for one in found["examples"]:
        before, after = one["old"], one["new"]
        if before["tool_calls"] != after["tool_calls"]:
            yield f"{one['id']}: calls {value(before['tool_calls'])} → {value(after['tool_calls'])}"
        elif before["text"] != after["text"]:
            yield f"{one['id']}: {value(before['text'])} → {value(after['text'])}"


def _judged(found: dict[str, Any]) -> Iterator[str]:
    """What the judge says of the answers."""
    which = ", such as " + ", ".join(map(str, found["flipped"][:5])) if found["flipped"] else ""
    yield f"judged by {found['model']}: {requests(found['flips'])} answered otherwise to the user{which}"
    noise = "not measured" if found["noise"] is None else share(found["noise"])
    yield f"answers that differ to the user: {share(found['differ'])} between the specs, {noise} within the old one"
    if found["errors"]:
        yield f"pairs without a verdict: {found['errors']:,}, such as: {found['error']}"


def tenants(traffic: Traffic) -> Iterator[Row]:
    """The tokens of each tenant that has changed requests, those of most requests first."""
    rows = [(name, row) for name, row in traffic.tenants.items() if row[1]]
    if len(traffic.tenants) < 2:
        return
    for name, (count, changed, before, after) in sorted(rows, key=lambda one: -one[1][0])[:MOST_SHOWN]:
        label = f"{name or '(no tenant)'}, {changed:,} of {requests(count)} changed"
        yield Row(label, f"{before:,}", f"{after:,}", relative(before, after))


def who(comparison: Comparison) -> Iterator[str]:
    """Whom the changes affect, a line for each sort."""
    found = comparison.affected
    if found["base"]:
        yield "every request without an overlay of its own"
    for name, what in (("tenants", "tenants"), ("arms", "arms"), ("restarts", "components that restart")):
        if found[name]:
            yield f"{what}: {_names(found[name])}"


def last_line(comparison: Comparison) -> str:
    """Everything in one line, such as `Plan: 1 to add, 2 to change, 0 to remove. 4 of 10 requests change.`"""
    counts = [sum(one.kind == kind for one in comparison.changes) for kind in ("added", "changed", "removed")]
    if any(counts):
        line = "Plan: {} to add, {} to change, {} to remove.".format(*(f"{count:,}" for count in counts))
    elif comparison.faulty:
        line = "No changes are known."
    else:
        line = "No changes. Both specs mean the same."
    if sides := comparison.faulty:
        which = f"The {sides[0]} spec has" if len(sides) == 1 else "Both specs have"
        line += f" {which} faults: what could not be read is not compared."
    if (traffic := comparison.traffic) is not None:
        verb = "changes" if traffic.changed == 1 else "change"
        changed = (
            f"{traffic.changed:,} of {requests(traffic.requests)} {verb}" if traffic.changed else "No request changes"
        )
        line += f" {changed}."
    return line


def title(change: Change) -> str:
    """A change's path, as people read it: `contributors.tone.text`."""
    return ".".join(map(str, change.path)) or "(the spec)"


def value(value: Any, most: int = 200) -> str:
    """A value on one line, cut where it is longer."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def dollars(amount: float | None) -> str:
    """`$1,234.50`; small amounts with four digits that count."""
    if amount is None:
        return "?"
    return f"${amount:,.2f}" if amount >= 100 or not amount else f"${amount:.4g}"


def share(number: float | None) -> str:
    """`12.5 %`."""
    return "?" if number is None else f"{100 * number:.1f} %"


def relative(old: float | None, new: float | None) -> str:
    """By how many percent the new figure differs."""
    if old is None or new is None or old == new:
        return ""
    return f"{100 * (new - old) / old:+.1f} %" if old else "new"


def requests(count: int) -> str:
    """`1 request`, `2 requests`."""
    return f"{count:,} request{'' if count == 1 else 's'}"


def _counted(counter: Any) -> str:
    shown = [f"{name} ({requests(count)})" for name, count in counter.most_common(MOST_SHOWN)]
    return ", ".join(shown) + _more(len(counter))


def _names(names: list[str]) -> str:
    return ", ".join(names[:MOST_SHOWN]) + _more(len(names))


def _more(count: int) -> str:
    return f", … ({count:,} in all)" if count > MOST_SHOWN else ""


def _failures(what: str, failures: Failures) -> Iterator[str]:
    for code, found in failures.by_code.items():
        yield f"{what}: {code}, {requests(found['requests'])}, such as {found['example']} (line {found['line']}): {found['message']}"
