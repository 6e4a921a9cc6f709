"""Runs the tests of a spec: each by itself, several at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

from attrs import evolve, field, frozen

from victor_dsl.compiler.spec_tests import SpecTest
from victor_dsl.errors import RequestError, VictorError
from victor_dsl.graph.plan import Program
from victor_dsl.language.boundary import component_error, is_fault
from victor_dsl.language.registry import Registry
from victor_dsl.runtime.nodes import LiveNodes, SystemClock
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.runtime.pipeline import path_nodes
from victor_dsl.values.message import Reply
from victor_dsl.values.request import Request
from victor_dsl.workbench.spec_tests.checks import (
    Mismatch,
    check_rendered,
    check_reply,
    described,
)
from victor_dsl.workbench.spec_tests.isolation import Tapes, TestedParts, isolated
from victor_dsl.workbench.spec_tests.judging import judged
from victor_dsl.workbench.spec_tests.recordings import Recordings
from victor_dsl.workbench.spec_tests.results import Failure, Result
from victor_dsl.workbench.spec_tests.tape import Asking, ChangedRequest, NotRecorded, Tape


@frozen
class ImpatientClock(SystemClock):
    """A clock on which waiting takes no time, for tests whose answers are all recorded."""

    def sleep(self, seconds: float) -> Awaitable[None]:  # noqa: ARG002 - the Protocol's
        """Lets others run."""
        return asyncio.sleep(0)


@frozen
class Run:
    """One run of a test that expects something of the reply: what the reply has otherwise, or why there is none."""

    mismatches: tuple[Mismatch, ...] = ()
    problem: VictorError | None = None


@frozen
class Suite:
    """The tests of one spec, and how they are run. `command` is what records missing answers."""

    program: Program
    recordings: Recordings
    asking: Asking = field(factory=Asking)
    concurrency: int = 8
    command: str = "victor test --record"
    registry: Registry = field(factory=Registry)

    async def run(self, tests: Sequence[SpecTest], report: Callable[[Result], None] = lambda _: None) -> list[Result]:
        """The results in the order of the tests; `report` gets each as soon as it and all before it are known."""
        tapes = Tapes()
        clock = SystemClock() if self.asking.asks else ImpatientClock()
        parts = TestedParts(self.registry, tapes, asks=self.asking.asks)
        program = isolated(self.program, self.registry)
        live = LiveNodes(parts, clock=clock, random=Random(0))  # noqa: S311 - jitter
        runner = _Runner(self, program, live, tapes, clock)
        places = asyncio.Semaphore(self.concurrency)

        async def one(test: SpecTest) -> Result:
            async with places:
                return await runner.result(test)

        results: list[Result] = []
        answering = any(test.test.expect.replied for test in tests)
        async with runner.kept_open(answering=answering), asyncio.TaskGroup() as group:
            for task in [group.create_task(one(test)) for test in tests]:
                results.append(await task)
                report(results[-1])
        return results


@frozen
class _Runner:
    suite: Suite
    program: Program
    live: LiveNodes
    tapes: Tapes
    clock: SystemClock

    def kept_open(self, *, answering: bool) -> Any:
        """Keeps the base plan's objects open between tests; where they cannot be opened, each test reports it."""
        base = self.program.plan_for(None, {})
        return _Lenient(self.live.open(path_nodes(base, answering=answering), self.program))

    async def result(self, test: SpecTest) -> Result:
        """The result of one test."""
        started = time.monotonic()
        result = await self._result(test)
        return evolve(result, seconds=time.monotonic() - started)

    async def _result(self, spec_test: SpecTest) -> Result:
        test, span = spec_test.test, spec_test.span
        result = Result(test.name, span.file, span.line, "passed")
        if test.skip is not None:
            return evolve(result, status="skipped", reason=test.skip)
        try:
            request = test.given.request(test.name)
            mismatches = await self._rendered(spec_test, request) if test.expect.rendered else ()
            if mismatches:
                return self._failed(result, spec_test, mismatches)
            if not test.expect.replied:
                return result
            runs = [await self._replied(spec_test, request, number) for number in range(1, test.repeats + 1)]
        except RequestError as error:
            return self._error(result, spec_test, error, ("given",))
        except VictorError as error:
            return self._error(result, spec_test, error, ())
        return self._of_runs(result, spec_test, runs)

    def _of_runs(self, result: Result, spec_test: SpecTest, runs: Sequence[Run]) -> Result:
        for run in runs:
            if isinstance(run.problem, NotRecorded | ChangedRequest) or (run.problem is not None and len(runs) == 1):
                return self._error(result, spec_test, run.problem, ())
        good = sum(not run.mismatches and run.problem is None for run in runs)
        if good >= max(1, spec_test.test.pass_rate * len(runs) - 1e-9):
            return result
        first = next(run for run in runs if run.mismatches or run.problem is not None)
        failed = (
            self._error(result, spec_test, first.problem, ())
            if first.problem
            else self._failed(result, spec_test, first.mismatches)
        )
        if len(runs) == 1:
            return failed
        rate = self._failure(
            spec_test, Mismatch((), f"{spec_test.test.pass_rate:.0%} of {len(runs)} repeats as expected", f"{good}")
        )
        return evolve(failed, status="failed", failures=(rate, *failed.failures))

    async def _rendered(self, spec_test: SpecTest, request: Request) -> tuple[Mismatch, ...]:
        orchestrator = Orchestrator(self.program, nodes=self.live, clock=self.clock, random=Random(0), answering=False)  # noqa: S311
        async with orchestrator:
            rendered = await orchestrator.render(request)
        if rendered.error is not None and spec_test.test.expect.error is None:
            raise rendered.error
        return tuple(check_rendered(spec_test.test.expect, rendered))

    async def _replied(self, spec_test: SpecTest, request: Request, repeat: int) -> Run:
        test, key = spec_test.test, (spec_test.test.name, repeat)
        tape = self.suite.recordings.tape(key, self.suite.asking)
        tape.tool_results = test.given.tool_results or {}
        self.tapes.running[test.name] = tape
        try:
            orchestrator = Orchestrator(self.program, nodes=self.live, clock=self.clock, random=Random(0))  # noqa: S311
            async with orchestrator:
                reply = await orchestrator.answer(request)
                run = await self._checked(spec_test, request, reply, tape)
        finally:
            await tape.close()
            del self.tapes.running[test.name]
        if self.suite.asking.writes and tape.problem is None and (run.problem is None or test.expect.error is not None):
            self.suite.recordings.keep(key, tape.records())
        return run

    async def _checked(self, spec_test: SpecTest, request: Request, reply: Reply, tape: Tape) -> Run:
        expect = spec_test.test.expect
        if tape.problem is not None:
            return Run(problem=tape.problem)
        if reply.error is not None and expect.error is None:
            return Run(problem=reply.error)
        latency_ms = tape.latency_ms if tape.plays and not self.suite.asking.asks else reply.latency_ms
        mismatches = list(check_reply(expect, reply, latency_ms))
        if expect.judge is not None and not mismatches:
            node = f"models/{expect.judge.model}"
            plan = self.program.plan_for(None, {})
            try:
                async with self.live.open(plan.with_needs([node]), self.program) as objects:
                    verdict = await judged(expect.judge, objects[node], request, reply)
            except BaseException as error:
                if not is_fault(error):
                    raise
                return Run(problem=tape.problem or component_error(error, node))
            mismatches += [verdict] if verdict is not None else []
        return Run(tuple(mismatches))

    def _failed(self, result: Result, test: SpecTest, mismatches: Sequence[Mismatch]) -> Result:
        return evolve(result, status="failed", failures=tuple(self._failure(test, one) for one in mismatches))

    def _error(self, result: Result, spec_test: SpecTest, error: VictorError, below: tuple[str, ...]) -> Result:
        """A test whose turn failed, or has no answer. A request that changed is a failure: the spec is not as it was."""
        if isinstance(error, ChangedRequest):
            expected, got = "the request that was recorded", f"changed-request:\n{error.difference}"
        elif isinstance(error, NotRecorded):
            expected, got = "a recorded answer", f"{error.message}; record it: {self.suite.command}"
        else:
            expected, got = "a turn without an error", described(error)
        failure = self._failure(spec_test, Mismatch((), expected, got), below or ("expect",))
        failed = isinstance(error, ChangedRequest)
        outside = self.suite.asking.asks and error.exit_code != 1
        return evolve(
            result, status="failed" if failed else "error", failures=(failure,), outside=outside and not failed
        )

    def _failure(self, spec_test: SpecTest, mismatch: Mismatch, top: tuple[str, ...] = ("expect",)) -> Failure:
        """The mismatch at the line that wrote the expectation."""
        below = (*top, *mismatch.path)
        here = spec_test.located.at(below)
        return Failure((*spec_test.path, *below), (here.key_span or here.span).line, mismatch.expected, mismatch.got)


class _Lenient:
    """A context manager that is left out where it cannot be entered."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._entered = False

    async def __aenter__(self) -> None:
        try:
            await self._inner.__aenter__()
            self._entered = True
        except VictorError:
            pass

    async def __aexit__(self, *raised: object) -> None:
        if self._entered:
            await self._inner.__aexit__(*raised)
