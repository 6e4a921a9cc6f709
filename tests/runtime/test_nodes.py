"""Live objects: opened once, held by many, closed in reverse, whatever goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from attrs import evolve

from tests.runtime.stage import Gate, HandClock, Piece, Stage, settle
from victor_dsl.errors import ComponentError, SecretError, StoreError
from victor_dsl.graph.plan import Node, Program
from victor_dsl.language.component import Context
from victor_dsl.language.config import Secret
from victor_dsl.runtime import nodes as live_nodes
from victor_dsl.runtime.nodes import LiveNodes, find_secret
from victor_dsl.values.turn import Handler, Turn

SPEC = """
models: {main: {type: echo}}
contributors: [{type: given, name: a}, {type: given, name: b}]
middleware: [given]
"""


class Part(Piece):
    """Keeps the promises of both kinds that are opened here."""

    def wrap(self, handler: Handler) -> Handler:
        return handler


class Log:
    """What was opened and closed, by which task, and what was reported."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.tasks: dict[str, set[Any]] = {}
        self.reports: list[tuple[str, str]] = []

    def item(self, on_open: Any = None, on_close: Any = None) -> Callable[[Any, Context], Any]:
        @asynccontextmanager
        async def build(config: Any, context: Context) -> AsyncIterator[Any]:
            name = context.node
            self.tasks.setdefault(name, set()).add(asyncio.current_task())
            if on_open is not None:
                await on_open()
            self.lines.append(f"open {name}")
            yield Part(name)
            if on_close is not None:
                await on_close()
            self.lines.append(f"close {name}")
            self.tasks[name].add(asyncio.current_task())

        return build

    def report(self, node: str, message: str, data: Mapping[str, Any]) -> None:
        self.reports.append((node, message))


class Held:
    """Nodes that a test opens at one place and closes at another."""

    def __init__(self, live: LiveNodes, program: Program) -> None:
        self._live = live
        self._program = program

    def __len__(self) -> int:
        return len(self._live)

    async def open(self, nodes: Iterable[Node]) -> tuple[Mapping[str, Any], AsyncExitStack]:
        stack = AsyncExitStack()
        return await stack.enter_async_context(self._live.open(nodes, self._program)), stack

    async def release(self, opened: tuple[Mapping[str, Any], AsyncExitStack]) -> None:
        await opened[1].aclose()


def objects_of(stage: Stage, log: Log, **items: Any) -> tuple[Held, tuple[Node, ...]]:
    stage.objects |= {"contributors/a": log.item(), "contributors/b": log.item(), "middleware/given": log.item()}
    stage.objects |= {f"contributors/{name}": item for name, item in items.items()}
    program = stage.program(SPEC)
    live = LiveNodes(stage.registry, log.report, clock=HandClock(), random=Random(1))
    wanted = ("contributors/a", "contributors/b", "middleware/given")
    nodes = tuple(node for node in program.plan_for(None, {}).nodes if node.id in wanted)
    return Held(live, program), nodes


async def test_nodes_are_closed_in_reverse_by_the_tasks_that_opened_them(stage: Stage) -> None:
    log = Log()
    live, nodes = objects_of(stage, log)
    held = await live.open(nodes)
    assert held[0]["contributors/a"].text == "contributors/a"
    await live.release(held)
    opened = [line.split()[1] for line in log.lines if line.startswith("open")]
    closed = [line.split()[1] for line in log.lines if line.startswith("close")]
    assert len(opened) == 3
    assert closed == opened[::-1]
    assert [len(tasks) for tasks in log.tasks.values()] == [1, 1, 1]
    assert (len(live), log.reports) == (0, [])


async def test_nodes_that_do_not_need_each_other_open_and_close_at_the_same_time(stage: Stage) -> None:
    async def meet(barrier: asyncio.Barrier) -> None:
        await barrier.wait()  # passes once both are here

    coming, going = asyncio.Barrier(2), asyncio.Barrier(2)
    log = Log()
    item = log.item(on_open=lambda: meet(coming), on_close=lambda: meet(going))
    live, nodes = objects_of(stage, log, a=item, b=item)
    await live.release(await live.open(nodes))
    assert sorted(log.lines[-3:]) == ["close contributors/a", "close contributors/b", "close middleware/given"]
    assert (len(live), log.reports) == (0, [])


async def test_a_node_opens_after_those_that_it_needs_and_closes_before_them(stage: Stage) -> None:
    log, gate = Log(), Gate()
    live, nodes = objects_of(stage, log, a=log.item(on_open=gate.pass_through))
    a, b, around = (
        next(node for node in nodes if node.id == id) for id in ("contributors/a", "contributors/b", "middleware/given")
    )
    opening = asyncio.create_task(live.open([a, evolve(b, needs=(a.id,)), around]))
    await gate.reached.wait()
    await settle()
    assert log.lines == ["open middleware/given"]
    gate.opened.set()
    await live.release(await opening)
    assert [line for line in log.lines if "contributors" in line] == [
        "open contributors/a",
        "open contributors/b",
        "close contributors/b",
        "close contributors/a",
    ]


async def test_a_failure_ends_what_is_still_opening(stage: Stage) -> None:
    gate = Gate()

    async def fail() -> None:
        await gate.reached.wait()
        raise StoreError("no such host")

    log = Log()
    live, nodes = objects_of(stage, log, a=log.item(on_open=gate.pass_through), b=log.item(on_open=fail))
    with pytest.raises(ComponentError, match="contributors/b"):
        await live.open(nodes)
    assert (len(live), [line for line in log.lines if "contributors" in line]) == (0, [])


async def test_what_is_waited_for_is_known(stage: Stage) -> None:
    coming, going = Gate(), Gate()
    log = Log()
    program = stage.program(SPEC)
    stage.objects |= {"contributors/b": log.item(), "middleware/given": log.item()}
    stage.objects["contributors/a"] = log.item(on_open=coming.pass_through, on_close=going.pass_through)
    live = LiveNodes(stage.registry, clock=HandClock(), random=Random(1))
    leave = asyncio.Event()

    def waiting() -> list[tuple[str, str]]:
        return [(each.verb, each.node.id) for each in live.waiting()]

    async def use() -> None:
        async with live.open([node for node in program.plan_for(None, {}).nodes if node.type == "given"], program):
            await leave.wait()

    using = asyncio.create_task(use())
    await coming.reached.wait()
    await settle()
    assert waiting() == [("opening", "contributors/a")]
    coming.opened.set()
    leave.set()
    await going.reached.wait()
    await settle()
    assert waiting() == [("closing", "contributors/a")]
    going.opened.set()
    await using
    assert waiting() == []


async def test_equal_nodes_are_one_object_until_nobody_holds_it(stage: Stage) -> None:
    log = Log()
    live, nodes = objects_of(stage, log)
    first, second = await live.open(nodes), await live.open(nodes[:2])
    assert first[0][nodes[0].id] is second[0][nodes[0].id]
    await live.release(first)
    assert [line for line in log.lines if line.startswith("close")] == [f"close {nodes[2].id}"]
    await live.release(second)
    assert len(live) == 0


async def test_a_node_of_another_fingerprint_is_another_object(stage: Stage) -> None:
    live, nodes = objects_of(stage, Log())
    first, second = await live.open(nodes[:1]), await live.open([evolve(nodes[0], fingerprint="other")])
    assert first[0][nodes[0].id] is not second[0][nodes[0].id]
    await live.release(first)
    await live.release(second)


async def test_two_that_open_at_once_share_one_opening(stage: Stage) -> None:
    log, gate = Log(), Gate()
    live, nodes = objects_of(stage, log, a=log.item(on_open=gate.pass_through))
    one, two = asyncio.create_task(live.open(nodes)), asyncio.create_task(live.open(nodes))
    await settle()
    one.cancel()
    await settle()
    gate.opened.set()
    held = await two
    with pytest.raises(asyncio.CancelledError):
        await one
    assert log.lines.count("open contributors/a") == 1
    await live.release(held)
    assert len(live) == 0


async def test_what_was_opened_before_a_failure_is_closed(stage: Stage) -> None:
    async def fail() -> None:
        raise StoreError("no such host", hint="is it up?")

    log = Log()
    live, nodes = objects_of(stage, log, b=log.item(on_open=fail))
    with pytest.raises(ComponentError) as raised:
        await live.open(nodes)
    error = raised.value
    assert (error.node, error.hint, error.exit_code) == ("contributors/b", "is it up?", 3)
    assert error.message.endswith("victor.yml:5: cannot be opened: no such host")
    assert [line for line in log.lines if "contributors/a" in line] == ["open contributors/a", "close contributors/a"]
    assert len(live) == 0


@pytest.mark.parametrize("broken", [KeyError("x"), ModuleNotFoundError("No module named 'mcp'", name="mcp")])
async def test_a_build_that_raises_anything_is_told_with_its_place(stage: Stage, broken: Exception) -> None:
    def build(config: Any, context: Context) -> Any:
        raise broken

    live, nodes = objects_of(stage, Log(), a=build)
    with pytest.raises(ComponentError, match=r"contributors/a: .*victor.yml:5: cannot be opened: ") as raised:
        await live.open(nodes)
    assert raised.value.__cause__ is broken
    assert raised.value.hint == ("install the package that has 'mcp'" if isinstance(broken, ImportError) else None)
    assert len(live) == 0


async def test_a_failed_node_is_tried_afresh_by_the_next(stage: Stage) -> None:
    faults = [StoreError("not yet")]

    async def once() -> None:
        if faults:
            raise faults.pop()

    log = Log()
    live, nodes = objects_of(stage, log, a=log.item(on_open=once))
    with pytest.raises(ComponentError):
        await live.open(nodes)
    await live.release(await live.open(nodes))
    assert log.lines.count("open contributors/a") == 1


async def test_cancelled_while_opening_closes_what_was_opened(stage: Stage) -> None:
    log, gate = Log(), Gate()
    live, nodes = objects_of(stage, log, b=log.item(on_open=gate.pass_through))
    opening = asyncio.create_task(live.open(nodes))
    await gate.reached.wait()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert len(live) == 0
    assert log.lines.count("close contributors/a") == 1
    assert "open contributors/b" not in log.lines


async def test_cancelled_while_closing_closes_all_the_same(stage: Stage) -> None:
    log, gate = Log(), Gate()
    live, nodes = objects_of(stage, log, b=log.item(on_close=gate.pass_through))
    closing = asyncio.create_task(live.release(await live.open(nodes)))
    await gate.reached.wait()
    closing.cancel()
    await settle()
    assert not closing.done()
    gate.opened.set()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert len(live) == 0
    assert sum(line.startswith("close") for line in log.lines) == 3


async def test_one_that_comes_while_an_object_closes_waits_and_opens_it_anew(stage: Stage) -> None:
    log, gate = Log(), Gate()
    live, nodes = objects_of(stage, log, a=log.item(on_close=gate.pass_through))
    closing = asyncio.create_task(live.release(await live.open(nodes[:1])))
    await gate.reached.wait()
    opening = asyncio.create_task(live.open(nodes[:1]))
    await settle()
    assert log.lines.count(f"open {nodes[0].id}") == 1
    gate.opened.set()
    await closing
    await live.release(await opening)
    assert log.lines == [f"{what} {nodes[0].id}" for what in ("open", "close", "open", "close")]


async def test_an_object_that_fails_to_close_is_reported_and_holds_up_no_other(stage: Stage) -> None:
    async def fail() -> None:
        raise StoreError("disk gone")

    log = Log()
    live, nodes = objects_of(stage, log, b=log.item(on_close=fail))
    await live.release(await live.open(nodes))
    assert log.reports == [("contributors/b", "disk gone")]
    assert log.lines.count("close contributors/a") == 1
    assert len(live) == 0


async def test_an_object_that_never_closes_is_cancelled(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_nodes, "CLOSING_SECONDS", 0.001)
    log = Log()
    live, nodes = objects_of(stage, log, b=log.item(on_close=asyncio.Event().wait))
    await live.release(await live.open(nodes))
    assert log.reports == [("contributors/b", "did not close within 0.001 s")]


async def test_a_node_gets_the_live_objects_that_it_needs(stage: Stage) -> None:
    seen: list[Mapping[str, Any]] = []

    def build(config: Any, context: Context) -> Any:
        seen.append(context.needs)
        return Piece("outer")

    live, nodes = objects_of(stage, Log(), b=build)
    a, b = (node for node in nodes if node.kind == "contributors")
    held = await live.open([a, evolve(b, needs=(a.id,))])
    assert seen == [{a.id: held[0][a.id]}]
    await live.release(held)


def node_with_a_place(folder: Path) -> Node:
    from victor_dsl.language.config import ContributorConfig
    from victor_dsl.source.located import Span

    return Node("models/main", "x", ContributorConfig(), (), Span(f"{folder}/victor.yml", 12, 3, 12, 9), "f")


def test_a_secret_is_read_where_the_spec_says(tmp_path: Path) -> None:
    node = node_with_a_place(tmp_path)
    (tmp_path / "key.txt").write_text("from a file\n")
    assert find_secret({"KEY": "from the environment"}, node, Secret("env", "KEY")) == "from the environment"
    assert find_secret({}, node, Secret("file", "key.txt", str(tmp_path / "key.txt"))) == "from a file"


@pytest.mark.parametrize(
    ("environment", "secret", "told"),
    [
        ({}, Secret("env", "KEY"), "the environment variable KEY is not set"),
        ({"KEY": ""}, Secret("env", "KEY"), "the environment variable KEY is empty"),
        ({}, Secret("file", "none.txt"), "cannot read the secret in none.txt: No such file or directory"),
        ({}, Secret("file", "empty.txt"), "the file empty.txt, which should hold a secret, is empty"),
        ({}, Secret("file", "binary"), "cannot read the secret in binary: it is not UTF-8"),
    ],
)
def test_a_missing_secret_names_itself_and_its_place(
    tmp_path: Path, environment: dict[str, str], secret: Secret, told: str
) -> None:
    (tmp_path / "empty.txt").touch()
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    secret = evolve(secret, path=str(tmp_path / secret.name))
    with pytest.raises(SecretError) as raised:
        find_secret(environment, node_with_a_place(tmp_path), secret)
    assert raised.value.message == f"{tmp_path}/victor.yml:12: {told}"
    assert raised.value.exit_code == 3


async def test_a_secret_that_is_missing_keeps_the_orchestrator_from_opening(stage: Stage) -> None:
    spec = "models: {main: {type: given, key: '${env:THE_KEY}'}}\ncontributors: [{type: given, name: a}]"
    log = Log()
    stage.objects |= {
        "models/main": lambda config, context: context.secret(config.key),
        "contributors/a": log.item(),
    }
    with pytest.raises(SecretError, match="THE_KEY is not set"):
        await stage.orchestrator(spec).__aenter__()
    assert log.lines in ([], ["open contributors/a", "close contributors/a"])


class Misnamed:
    """A contributor of a third party with a slip in its method's name."""

    async def contribut(self, turn: Turn) -> str:
        return "Follow the standards."


async def test_recipe_2_a_contributor_whose_method_is_misnamed_is_an_error_when_it_is_opened(stage: Stage) -> None:
    live, nodes = objects_of(stage, Log(), b=Misnamed())
    with pytest.raises(ComponentError) as caught:
        await live.open(nodes)
    assert caught.value.node == "contributors/b"
    assert caught.value.message.endswith(
        "victor.yml:5: cannot be opened: the object that 'given' builds (Misnamed) lacks the method `contribute`, which every "
        "Contributor has; did you mean 'contribut'? there are: contribut"
    )
    assert len(live) == 0
