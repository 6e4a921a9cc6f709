"""Looks for a compaction that breaks what every compaction keeps to.

    python -m tests.invariants --count 10000 --transcripts conversations.json

Every strategy that there is compacts generated conversations, and those of the files (a list of `{"messages": […]}` in the
OpenAI chat format), behind the coordinator as it runs. The table counts what was broken: nothing, if all is well.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import orjson
from attrs import define, field
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.compacted import Trial, faults_of, whole
from tests.runtime.stage import Says, given_component
from tests.transcripts import CONVERSATIONS
from victor_dsl.compiler import compile_spec
from victor_dsl.errors import BudgetError
from victor_dsl.language.registry import Registry
from victor_dsl.runtime.coordinators.context import ContextCoordinator
from victor_dsl.runtime.nodes import LiveNodes
from victor_dsl.runtime.pipeline import path_nodes
from victor_dsl.values.chat_format import restore_message
from victor_dsl.values.history import group
from victor_dsl.values.message import Message
from victor_dsl.values.request import Request
from victor_dsl.values.settings import Settings
from victor_dsl.values.turn import Turn

SPEC = """\
victor: 1
name: invariants
models:
  main: {{type: echo, context_window: 8000}}
  small: {{type: given, context_window: 8000}}
settings: {{model: main}}
embedders: {{words: {{type: hashing, dims: 32}}}}
compaction: {example}
"""
"""The names that the examples of strategies refer to are those that the reference uses."""

RATIOS = (0.01, 0.1, 0.25, 0.5, 0.9, 1.0)
REAL_RATIOS = (0.1, 0.25, 0.5)
WALKED_RATIO = 0.5
MOST_TURNS = 50
"""How many turns of one conversation are compacted one after the other, to see what prefix they keep."""


@define
class Tally:
    """What a strategy did over all trials; `broken` counts faults by their name, `prefixes` are shares from turn to turn."""

    trials: int = 0
    compactions: int = 0
    fallbacks: int = 0
    broken: Counter[str] = field(factory=Counter)
    prefixes: list[float] = field(factory=list)
    reasons: Counter[str] = field(factory=Counter)


@asynccontextmanager
async def strategies(types: Sequence[str] | None = None) -> Any:
    """Every strategy, alive as its example says, by type."""
    registry = Registry(
        [given_component("models", {"models/small": Says(["It was about orders."])})], entry_points=False
    )
    alive: dict[str, Any] = {}
    async with AsyncExitStack() as stack:
        for type in types or sorted(registry.types("compaction")):
            component = registry.find("compaction", type)
            assert component is not None
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "victor.yml"
                path.write_text(SPEC.format(example=component.example), encoding="utf-8")
                compilation = compile_spec(str(path), environment={}, registry=registry)
            assert compilation.program is not None, [fault.message for fault in compilation.diagnostics]
            plan = compilation.program.plan_for(None, {})
            nodes = LiveNodes(registry, random=Random(0)).open(path_nodes(plan, answering=True), compilation.program)
            alive[type] = (await stack.enter_async_context(nodes))[plan.roles.compaction]
        yield alive


async def attempt(type: str, strategy: Any, trial: Trial, tally: Tally) -> None:
    """Compacts one conversation, again what is left, and then the conversation grown; counts what is broken."""
    tally.trials += 1
    failures: list[str] = []

    def record(event: str, data: Mapping[str, Any]) -> None:
        if event == "error":
            failures.append(str(data["message"]))

    coordinator = ContextCoordinator(strategy, type=type, deadline_s=30)
    turn = _turn(trial, trial.messages, record)
    copied = repr(trial.messages) if sum(len(m.text()) for m in trial.messages) < 100_000 else None
    try:
        after = await coordinator.compact(turn, trial.window)
    except BudgetError:
        tally.broken.update(_unfit(trial))
        return
    faults = [*faults_of(trial, after)]
    if after.compaction is not None:
        tally.compactions += 1
        again = await coordinator.compact(after, trial.window)
        if again.messages != after.messages:
            faults.append("changed again")
        tally.fallbacks += after.compaction.fallback
        tally.reasons.update(re.sub(r"\d+", "N", failure.removeprefix("the strategy failed: ")) for failure in failures)
        grown = trial.messages + trial.more
        if trial.more and trial.window is None:
            later = await coordinator.compact(_turn(trial, grown, record), None)
            faults += faults_of(Trial(grown, trial.ratio), later)
            if later.compaction is not None:
                share = later.compaction.prefix_kept
                if share is None or not 0 <= share <= 1:
                    faults.append("no prefix told")
    if copied is not None and repr(trial.messages) != copied:
        faults.append("mutated")
    tally.broken.update(faults)


async def walk(type: str, strategy: Any, messages: tuple[Message, ...], tally: Tally) -> None:
    """Compacts the second half of a conversation turn by turn, and notes what share of the prefix each turn keeps."""
    coordinator = ContextCoordinator(strategy, type=type, deadline_s=30)
    ends = [end for end in range(len(messages) // 2, len(messages) + 1) if messages[end - 1].role == "user"]
    for end in ends[-MOST_TURNS:]:
        trial = Trial(messages[:end], WALKED_RATIO)
        after = await coordinator.compact(_turn(trial, trial.messages, lambda *event: None), None)
        tally.broken.update(faults_of(trial, after))
        if after.compaction is not None and after.compaction.prefix_kept is not None:
            tally.prefixes.append(after.compaction.prefix_kept)


def _turn(trial: Trial, messages: tuple[Message, ...], record: Any) -> Turn:
    threshold = 0.0 if trial.window is None else 0.5
    wanted = Settings(threshold=threshold, target_ratio=trial.ratio)
    return Turn("t", "s", messages, settings=wanted, record=record, request=Request(session="s", messages=messages))


def _unfit(trial: Trial) -> Iterator[str]:
    if trial.window is None or group(whole(trial.messages)).fixed_tokens <= trial.window:
        yield "refused what fits"


async def search(
    count: int,
    transcripts: Sequence[tuple[Message, ...]] = (),
    *,
    types: Sequence[str] | None = None,
    steady: bool = False,
) -> dict[str, Tally]:
    """Tries every strategy on so many generated conversations, and on the real ones at three ratios and several lengths."""
    async with strategies(types) as alive:
        tallies = {type: Tally() for type in alive}

        async def try_all(trial: Trial) -> None:
            for type, strategy in alive.items():
                await attempt(type, strategy, trial, tallies[type])

        for trial in _generated(count, steady=steady):
            await try_all(trial)
        for messages in transcripts:
            for type, strategy in alive.items():
                await walk(type, strategy, messages, tallies[type])
            for end in sorted({len(messages), len(messages) // 2, len(messages) * 3 // 4}):
                for ratio in REAL_RATIOS:
                    await try_all(Trial(messages[:end], ratio, more=messages[end : end + 4]))
    return tallies


def _generated(count: int, *, steady: bool) -> Iterator[Trial]:
    """Trials, in batches: Hypothesis makes them all before any is tried."""
    trials: list[Trial] = []
    options = st.tuples(
        CONVERSATIONS,
        st.sampled_from(RATIOS),
        st.one_of(st.none(), st.integers(1, 3000)),
        st.lists(st.sampled_from([Message("assistant", "Noted."), Message("user", "And then?")]), max_size=4).map(
            tuple
        ),
    )

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=steady,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(options)
    def run(drawn: tuple[tuple[Message, ...], float, int | None, tuple[Message, ...]]) -> None:
        trials.append(Trial(*drawn))

    if count:
        run()
    return iter(trials)


def read(path: Path) -> list[tuple[Message, ...]]:
    """The conversations of a file, without their system messages, which are no part of the history."""
    found = []
    for item in orjson.loads(path.read_bytes()):
        messages = tuple(restore_message(message) for message in item["messages"])
        found.append(tuple(message for message in messages if message.role != "system"))
    return found


def table(tallies: Mapping[str, Tally]) -> Iterator[str]:
    """The tallies, line by line."""
    yield f"{'strategy':12}{'trials':>9}{'compacted':>11}{'broken':>8}{'fallback':>10}{'prefix kept':>13}"
    for type, tally in tallies.items():
        prefix = f"{statistics.mean(tally.prefixes):.3f}" if tally.prefixes else "-"
        yield (
            f"{type:12}{tally.trials:>9,}{tally.compactions:>11,}{tally.broken.total():>8,}{tally.fallbacks:>10,}"
            f"{prefix:>13}"
        )
        for fault, times in tally.broken.most_common():
            yield f"  BROKEN: {fault} ({times:,} times)"
        for reason, times in tally.reasons.most_common(5):
            yield f"  fell back: {reason} ({times:,} times)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Searches, and prints the table; 1 where something is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000, help="how many conversations to generate")
    parser.add_argument("--transcripts", type=Path, nargs="*", default=[], metavar="FILE.json")
    parser.add_argument("--only", nargs="*", metavar="TYPE", help="strategies; all, if left out")
    chosen = parser.parse_args(arguments)
    transcripts = [messages for path in chosen.transcripts for messages in read(path)]
    tallies = asyncio.run(search(chosen.count, transcripts, types=chosen.only))
    sys.stdout.write(
        "\n".join([f"{chosen.count:,} generated, {len(transcripts):,} real conversations", *table(tallies)])
    )
    sys.stdout.write("\n")
    return 1 if any(tally.broken for tally in tallies.values()) else 0


if __name__ == "__main__":
    raise SystemExit(main())
