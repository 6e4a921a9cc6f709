"""Plans are opened when first needed, and closed when they are many and idle."""

from __future__ import annotations

import asyncio
from random import Random

from tests.runtime.stage import Gate, HandClock, Piece, Stage, settle
from victor_dsl.graph.plan import Plan
from victor_dsl.language.component import Context
from victor_dsl.runtime.build import LiveObjects
from victor_dsl.runtime.pipelines import Pipelines

TENANTS = ("a", "b", "c")
SPEC = "models: {main: {type: echo}}\ntenants:\n" + "".join(
    f"  {name}: {{with: {{contributors: {{{name}: {{type: given}}}}}}}}\n" for name in TENANTS
)


def pipelines(stage: Stage, most: int) -> tuple[Pipelines, LiveObjects, list[Plan]]:
    stage.objects |= {f"contributors/{name}": Piece(name) for name in TENANTS}
    program = stage.program(SPEC)
    live = LiveObjects(program, stage.registry, HandClock(), Random(1), lambda node, message, data: None)
    return (
        Pipelines(live, HandClock(), answering=True, most=most),
        live,
        [program.plan_for(name, {}) for name in TENANTS],
    )


async def test_the_least_recently_used_plan_is_closed_when_there_are_too_many(stage: Stage) -> None:
    pool, _, (a, b, c) = pipelines(stage, 2)
    first = await pool.take(a)
    pool.give_back(a)
    second = await pool.take(b)
    pool.give_back(b)
    assert await pool.take(a) is first
    pool.give_back(a)
    await pool.take(c)
    pool.give_back(c)
    assert len(pool) == 2
    assert await pool.take(a) is first
    assert await pool.take(b) is not second
    await pool.close()


async def test_a_plan_that_a_turn_holds_is_not_closed(stage: Stage) -> None:
    pool, _, (a, b, c) = pipelines(stage, 1)
    held = await pool.take(a)
    await pool.take(b)
    await pool.take(c)
    assert len(pool) == 3
    pool.give_back(c)
    assert await pool.take(a) is held
    await pool.close()


async def test_closing_leaves_nothing_alive(stage: Stage) -> None:
    pool, live, plans = pipelines(stage, 9)
    for plan in plans:
        await pool.take(plan)
    shared = len(live)
    await pool.close()
    assert (len(pool), len(live)) == (0, 0)
    assert shared < len(plans) * 5


async def test_two_turns_that_need_a_plan_open_it_once(stage: Stage) -> None:
    pool, _, (a, _b, _c) = pipelines(stage, 9)
    gate = Gate()

    class Slow:
        async def __aenter__(self) -> Piece:
            await gate.pass_through()
            return Piece("a")

        async def __aexit__(self, *error: object) -> None:
            """Nothing to close."""

    def build(config: object, context: Context) -> Slow:
        return Slow()

    stage.objects["contributors/a"] = build
    one, two = asyncio.create_task(pool.take(a)), asyncio.create_task(pool.take(a))
    await settle()
    gate.opened.set()
    assert await one is await two
    assert len(pool) == 1
    await pool.close()
