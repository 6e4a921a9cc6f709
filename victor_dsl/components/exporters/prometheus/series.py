"""Counters and histograms in Prometheus's text format 0.0.4, with bounded sets of labels."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping

from attrs import define, field

from victor_dsl.values.message import without_lone_surrogates

MOST_SERIES = 1_000
"""The most sets of labels of a family. What has further ones is counted with all its labels `other`."""
OTHER = "other"


@define
class Counter:
    """A family of counters; `name` ends in `_total`."""

    name: str
    help: str
    values: dict[tuple[tuple[str, str], ...], float] = field(factory=dict)

    def add(self, labels: Mapping[str, str], value: float = 1) -> None:
        key = _key(labels, self.values)
        self.values[key] = self.values.get(key, 0) + value

    def lines(self) -> Iterator[str]:
        yield from _head(self.name, self.help, "counter")
        for key, value in self.values.items():
            yield f"{self.name}{_labels(key)} {value:.17g}"


@define
class Histogram:
    """A family of histograms. A bucket includes its upper bound."""

    name: str
    help: str
    bounds: tuple[float, ...]
    values: dict[tuple[tuple[str, str], ...], tuple[list[int], list[float]]] = field(factory=dict)
    """By labels: how many values are in each bucket, and their sum."""

    def add(self, labels: Mapping[str, str], value: float) -> None:
        key = _key(labels, self.values)
        counts, total = self.values.setdefault(key, ([0] * (len(self.bounds) + 1), [0.0]))
        counts[bisect_left(self.bounds, value)] += 1
        total[0] += value

    def lines(self) -> Iterator[str]:
        yield from _head(self.name, self.help, "histogram")
        for key, (counts, total) in self.values.items():
            below = 0
            for bound, count in zip((*map(repr, self.bounds), "+Inf"), counts, strict=True):
                below += count
                yield f"{self.name}_bucket{_labels((*key, ('le', bound)))} {below}"
            yield f"{self.name}_sum{_labels(key)} {total[0]:.17g}"
            yield f"{self.name}_count{_labels(key)} {below}"


def _key(labels: Mapping[str, str], known: Mapping[tuple[tuple[str, str], ...], object]) -> tuple[tuple[str, str], ...]:
    key = tuple(labels.items())
    if key in known or len(known) < MOST_SERIES - 1:
        return key
    return tuple((name, OTHER) for name in labels)


def _head(name: str, help: str, type: str) -> Iterator[str]:
    yield f"# HELP {name} {help}"
    yield f"# TYPE {name} {type}"


def _labels(key: tuple[tuple[str, str], ...]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in key) + "}"


def _escaped(value: str) -> str:
    return without_lone_surrogates(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
