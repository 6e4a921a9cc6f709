"""A judge's verdicts on texts that differ between both sides, beside those on texts of the old side alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations, islice, product
from typing import Any, BinaryIO

from attrs import define, field

from victor_dsl.graph.plan import Program
from victor_dsl.language.boundary import component_error, is_fault
from victor_dsl.language.registry import Registry
from victor_dsl.runtime.nodes import LiveNodes
from victor_dsl.values.request import Request
from victor_dsl.workbench.batch import read_lines
from victor_dsl.workbench.plan.answers import CONCURRENCY, Outcome, Reruns
from victor_dsl.workbench.plan.renderings import request_of
from victor_dsl.workbench.spec_tests.judging import equivalent

MOST_PAIRS = 50
"""Pairs of one request that are compared: of old answers with old ones, and of old ones with new ones."""

Json = dict[str, Any]
Texts = tuple[str, str]


async def verdict_lines(
    program: Program, registry: Registry, stream: BinaryIO, judge: Json, send: Callable[[Json], None]
) -> None:
    """Asks the model of `judge` about each pair of texts, which it holds by the number of their request's line."""
    model, pairs = judge["model"], {int(number): texts for number, texts in judge["pairs"].items()}
    room, node = asyncio.Semaphore(CONCURRENCY), f"models/{model}"

    async def ask(live: Any, number: int, request: Request, texts: list[str]) -> None:
        async with room:
            try:
                said: Json = {"equivalent": await equivalent(model, live, request, *texts)}
            except BaseException as error:
                if not is_fault(error):
                    raise
                said = {"error": component_error(error, node).message}
        send({"verdict": [number, *texts, said]})

    plan = program.plan_for(None, {})
    async with (
        LiveNodes(registry).open(plan.with_needs([node]), program) as objects,
        asyncio.TaskGroup() as group,
    ):
        async for line in read_lines(stream):
            for texts in pairs.get(line.number, ()):
                group.create_task(ask(objects[node], line.number, request_of(line), texts))


@define
class Verdicts:
    """What a judge said of pairs of answers. Texts are in an order of their own, so the judge cannot know the older one."""

    model: str
    reruns: Reruns
    said: dict[tuple[int, str, str], bool] = field(factory=dict)
    errors: list[str] = field(factory=list)

    def pairs(self) -> Mapping[int, Sequence[Texts]]:
        """The pairs of different texts to ask about, by the number of their request's line."""
        found: dict[int, dict[Texts, None]] = {}
        for number in self.reruns.numbers():
            for one, other in (*self._within(number), *self._between(number)):
                if one.decision == other.decision and one.error is None and one.text != other.text:
                    found.setdefault(number, {})[_texts(one, other)] = None
        return {number: list(texts) for number, texts in found.items()}

    def add(self, message: Json) -> None:
        """Adds a verdict that the judging process has sent."""
        number, one, other, said = message["verdict"]
        if "error" in said:
            self.errors.append(said["error"])
        else:
            self.said[number, one, other] = said["equivalent"]

    def as_json(self) -> Json:
        """`noise` is the share of pairs of old answers that differ to the user, `differ` that of old with new ones.

        A request flips where most of its old and new answers differ, and more of them than of its old answers by themselves.
        Other tool calls differ without a judge; pairs without a verdict, and errors of models, do not count.
        """
        noise, differ, flips = [], [], []
        for number in self.reruns.numbers():
            within = self._verdicts(number, self._within(number))
            between = self._verdicts(number, self._between(number))
            share = sum(between) / len(between) if between else 0.0
            if share > 0.5 and share > (sum(within) / len(within) if within else 0.0):
                flips.append(self.reruns.ids[number])
            noise += within
            differ += between
        return {
            "model": self.model,
            "verdicts": len(self.said),
            "flips": len(flips),
            "flipped": flips,
            "noise": sum(noise) / len(noise) if noise else None,
            "differ": sum(differ) / len(differ) if differ else None,
            "errors": len(self.errors),
            "error": self.errors[0] if self.errors else None,
        }

    def _within(self, number: int) -> Iterator[tuple[Outcome, Outcome]]:
        return islice(combinations(self.reruns.old[number], 2), MOST_PAIRS)

    def _between(self, number: int) -> Iterator[tuple[Outcome, Outcome]]:
        return islice(product(self.reruns.old[number], self.reruns.new[number]), MOST_PAIRS)

    def _verdicts(self, number: int, pairs: Iterator[tuple[Outcome, Outcome]]) -> list[bool]:
        """Whether each pair differs to the user, where that is known."""
        found = []
        for one, other in pairs:
            if one.error is not None or other.error is not None:
                continue
            if one.decision != other.decision:
                found.append(True)
            elif one.text == other.text:
                found.append(False)
            elif (said := self.said.get((number, *_texts(one, other)))) is not None:
                found.append(not said)
        return found


def _texts(one: Outcome, other: Outcome) -> Texts:
    first, second = sorted((one.text, other.text))
    return first, second
