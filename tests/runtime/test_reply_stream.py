"""Streams as Python programs read them: to the end, and not to the end."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.runtime.stage import Gate, Says, Spy, Stage, Toolbox, call, settle
from victor_dsl.errors import ModelError, RequestError, UsageError
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.runtime.reply_stream import MOST_WAITING
from victor_dsl.values.message import Delta
from victor_dsl.values.turn import Turn

ECHO = "models: {main: {type: echo, context_window: 10000}}\n"
SPIED = "models: {main: {type: given}}\nexporters: [given]\n"


async def endless(turn: Turn) -> str:
    """A model that never stops writing."""
    while True:
        await turn.emit(Delta("and "))
        await asyncio.sleep(0)


@asynccontextmanager
async def spied(stage: Stage, *replies: Any) -> AsyncIterator[tuple[Orchestrator, Spy]]:
    stage.objects |= {"models/main": Says(list(replies)), "exporters/given": (spy := Spy())}
    async with stage.orchestrator(SPIED) as app:
        yield app, spy


def ends(spy: Spy) -> list[str]:
    return [str(event.data["stop_reason"]) for event in spy.of("turn")]


async def test_a_stream_is_read_in_a_loop_and_then_has_the_whole_reply(stage: Stage) -> None:
    async with stage.orchestrator(ECHO) as app:
        stream = app.stream("three little words", session_id="s")
        with pytest.raises(UsageError, match="async for piece in stream"):
            _ = stream.reply
        pieces = [str(piece) async for piece in stream]
        with pytest.raises(UsageError, match="read once"):
            aiter(stream)
    assert len(pieces) > 1
    assert "".join(pieces) == stream.reply.text == "three little words"
    assert (stream.reply.session, stream.reply.model) == ("s", "main")


async def test_pieces_come_while_the_model_still_writes_and_tool_calls_among_them(stage: Stage) -> None:
    gate = Gate()

    async def writes(turn: Turn) -> str:
        await turn.emit(Delta(reasoning="Hm."))
        await turn.emit(Delta("It "))
        await gate.pass_through()
        await turn.emit(Delta("rains."))
        return "It rains."

    async def weather(vars: Any) -> str:
        return "Rain."

    stage.objects |= {"models/main": Says([[call("weather")], writes]), "tools/given": Toolbox({"weather": weather})}
    heard: list[tuple[str, str]] = []
    async with stage.orchestrator("models: {main: {type: given}}\ntools: [given]") as app:
        async for piece in app.stream("How is the weather?"):
            heard.append((piece.kind, str(piece)))
            if piece.text == "It ":
                gate.opened.set()
    assert heard == [("tool_call", ""), ("tool_result", ""), ("reasoning", ""), ("text", "It "), ("text", "rains.")]


async def test_an_error_of_the_turn_is_raised_from_the_loop(stage: Stage) -> None:
    async def breaks(turn: Turn) -> str:
        await turn.emit(Delta("It "))
        raise ModelError("it broke off", kind="bad_response")

    async with spied(stage, breaks) as (app, _):
        pieces = aiter(stream := app.stream("a"))
        assert str(await anext(pieces)) == "It "
        with pytest.raises(ModelError, match="broke off"):
            await anext(pieces)
        with pytest.raises(RequestError, match="temprature"):
            await anext(aiter(app.stream("a", settings={"temprature": 1})))
    assert isinstance(stream.reply.error, ModelError)


async def test_leaving_the_loop_cancels_the_turn(stage: Stage) -> None:
    async with spied(stage, endless) as (app, spy):
        stream = app.stream("a", session_id="s")
        async for _ in stream:
            break
        again = app.stream("b", session_id="s")  # the session is free again
        async for _ in again:
            break
    assert ends(spy) == ["cancelled", "cancelled"]
    with pytest.raises(UsageError, match="left before its end"):
        _ = stream.reply


async def test_async_with_waits_until_the_turn_is_cancelled(stage: Stage) -> None:
    async with spied(stage, endless) as (app, _):
        async with app.stream("a") as stream:
            pieces = aiter(stream)
            await anext(pieces)
        with pytest.raises(UsageError, match="left before its end"):
            _ = stream.reply
        with pytest.raises(UsageError, match="closed before its end"):
            await anext(pieces)


async def test_a_reader_that_is_cancelled_cancels_the_turn(stage: Stage) -> None:
    gate = Gate()

    async def waits(turn: Turn) -> str:
        await gate.pass_through()
        return "never"

    async with spied(stage, waits) as (app, spy):

        async def read() -> None:
            async for _ in app.stream("a"):
                pass

        reader = asyncio.create_task(read())
        await gate.reached.wait()
        reader.cancel()
        await asyncio.wait([reader])
    assert reader.cancelled()
    assert ends(spy) == ["cancelled"]


async def test_a_generator_around_a_stream_that_is_closed_cancels_the_turn(stage: Stage) -> None:
    async def server_sent(app: Orchestrator) -> AsyncIterator[str]:
        async for piece in app.stream("a"):
            yield f"data: {piece}\n\n"

    async with spied(stage, endless) as (app, spy):
        events = server_sent(app)
        assert await anext(events) == "data: and \n\n"
        await events.aclose()  # type: ignore[attr-defined] # a generator
    assert ends(spy) == ["cancelled"]


async def test_a_slow_reader_makes_the_model_wait(stage: Stage) -> None:
    written = 0

    async def hurries(turn: Turn) -> str:
        nonlocal written
        for _ in range(10 * MOST_WAITING):
            await turn.emit(Delta("x"))
            written += 1
        return "x" * 10 * MOST_WAITING

    async with spied(stage, hurries) as (app, _):
        pieces = aiter(stream := app.stream("a"))
        await anext(pieces)
        await settle()
        assert written <= MOST_WAITING + 1
        assert len([piece async for piece in pieces]) == 10 * MOST_WAITING - 1
    assert len(stream.reply.text) == 10 * MOST_WAITING


async def test_closing_does_not_wait_for_a_reader_that_reads_no_more(stage: Stage) -> None:
    async def writes(turn: Turn) -> str:
        for _ in range(2 * MOST_WAITING):
            await turn.emit(Delta("x"))
        return "x" * 2 * MOST_WAITING

    async with spied(stage, writes) as (app, spy):
        pieces = aiter(app.stream("a"))
        await anext(pieces)
        await settle()
    assert ends(spy) == ["stop"]
    assert len([piece async for piece in pieces]) == 2 * MOST_WAITING - 1


async def test_a_stream_that_nobody_reads_begins_no_turn(stage: Stage) -> None:
    async with spied(stage, endless) as (app, spy):
        stream = app.stream("a")
        await settle()
        await stream.aclose()
    assert ends(spy) == []


async def test_a_reader_gets_an_error_if_another_task_closes_its_stream(stage: Stage) -> None:
    async with spied(stage, endless) as (app, spy):
        stream = app.stream("a")
        read = asyncio.Event()

        async def read_on() -> None:
            async for _ in stream:
                read.set()

        reader = asyncio.create_task(read_on())
        await read.wait()
        await stream.aclose()
        with pytest.raises(UsageError, match="closed before its end"):
            await reader
    assert ends(spy) == ["cancelled"]


async def test_a_stream_that_is_closed_before_its_turn_begins_has_no_pieces(stage: Stage) -> None:
    async with spied(stage, endless) as (app, spy):
        pieces = aiter(stream := app.stream("a"))
        await stream.aclose()
        with pytest.raises(UsageError, match="closed before its end"):
            await anext(pieces)
    assert ends(spy) == []


async def test_a_closed_stream_cannot_be_read(stage: Stage) -> None:
    async with spied(stage, endless) as (app, spy):
        stream = app.stream("a")
        await stream.aclose()
        with pytest.raises(UsageError, match="is closed"):
            aiter(stream)
    assert ends(spy) == []


async def test_an_error_that_nobody_reads_is_not_reported_by_asyncio(stage: Stage) -> None:
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    async with spied(stage) as (app, _):
        pass
    pieces = aiter(app.stream("a"))  # refused: the spec is closed
    await settle()
    del pieces
    gc.collect()
    assert reported == []
