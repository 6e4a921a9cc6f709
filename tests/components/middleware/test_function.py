"""A function of the spec's own as a guard: whatever it does wrong, the turn does not go on."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.components.middleware.harness import Guard, Heard, a_reply, a_turn, harness
from victor_dsl.errors import ComponentError, ModelError, Refused
from victor_dsl.values.message import Delta, Reply
from victor_dsl.values.turn import Turn


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    sys.modules.pop("guards", None)


@asynccontextmanager
async def guard_of(folder: Path, body: str, head: str = "async def guard(turn, handler):") -> AsyncIterator[Guard]:
    code = "\n".join(f"    {line}" for line in body.splitlines())
    (folder / "guards.py").write_text(f"import asyncio\nfrom victor_dsl.errors import Refused\n\n{head}\n{code}\n")
    async with harness("function", folder, function="guards:guard") as guard:
        yield guard


async def test_it_wraps_the_handler_and_may_change_turn_and_reply(tmp_path: Path) -> None:
    async with guard_of(tmp_path, "return await handler(turn.replace(user='ann'))") as guard:
        assert (await guard(a_turn())).message.text() == "hello"
        assert guard.reached[0].user == "ann"


async def test_recipe_5_a_function_that_returns_none_fails_and_does_not_run_the_turn_twice(tmp_path: Path) -> None:
    async with guard_of(tmp_path, "await handler(turn)") as guard:
        with pytest.raises(ComponentError, match=r"'guards:guard' returned NoneType instead of a Reply"):
            await guard(a_turn())
        assert len(guard.reached) == 1


@pytest.mark.parametrize(
    "body",
    [
        "await handler(turn)\nreturn await handler(turn)",
        "reply = await handler(turn)\ntry:\n    await handler(turn)\nexcept Exception:\n    pass\nreturn reply",
        "return (await asyncio.gather(handler(turn), handler(turn), return_exceptions=True))[0]",
    ],
)
async def test_recipe_5_a_function_that_calls_the_next_one_twice_fails_also_when_it_hides_that(
    tmp_path: Path, body: str
) -> None:
    async with guard_of(tmp_path, body) as guard:
        with pytest.raises(ComponentError, match="called the handler twice"):
            await guard(a_turn())
        assert len(guard.reached) == 1


async def test_a_handler_called_after_the_function_returned_runs_nothing(tmp_path: Path) -> None:
    kept = "kept = []\n\nasync def guard(turn, handler):"
    async with guard_of(tmp_path, "kept.append((turn, handler))\nraise Refused('closed')", kept) as guard:
        with pytest.raises(Refused, match="closed"):
            await guard(a_turn())
        turn, handler = sys.modules["guards"].kept[0]
        with pytest.raises(ComponentError, match="after it had returned"):
            await handler(turn)
        assert guard.reached == []


@pytest.mark.parametrize("body", ["1 / 0", "raise SystemExit(3)", "raise TimeoutError('late')"])
async def test_recipe_5_a_function_that_raises_lets_nothing_through(tmp_path: Path, body: str) -> None:
    async with guard_of(tmp_path, body) as guard:
        with pytest.raises(ComponentError, match="'guards:guard' failed: "):
            await guard(a_turn())
        assert guard.reached == []


async def test_errors_of_the_turn_and_refusals_pass_as_they_are(tmp_path: Path) -> None:
    async def fails(turn: Turn) -> Reply:
        raise ModelError("busy", kind="overloaded")

    async with guard_of(tmp_path, "return await handler(turn)") as guard:
        guard.answer = fails
        with pytest.raises(ModelError, match="busy"):
            await guard(a_turn())


async def test_cancellation_passes_through(tmp_path: Path) -> None:
    async def hang(turn: Turn) -> Reply:
        await asyncio.Event().wait()
        return a_reply()

    async with guard_of(tmp_path, "return await handler(turn)") as guard:
        guard.answer = hang
        task = asyncio.ensure_future(guard(a_turn()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_what_it_prints_goes_to_stderr_and_the_stream_inside_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def shows(turn: Turn) -> Reply:
        await turn.emit(Delta("hello"))
        return a_reply()

    async def page(delta: Delta) -> None:
        print(delta.text)  # noqa: T201

    async with guard_of(tmp_path, "print('secretly')\nreturn await handler(turn)") as guard:
        guard.answer = shows
        await guard(a_turn(emit=page, streaming=True))
    out, err = capsys.readouterr()
    assert (out, err) == ("hello\n", "secretly\n")


async def test_streams_pass(tmp_path: Path) -> None:
    heard = Heard()

    async def streams(turn: Turn) -> Reply:
        await turn.emit(Delta("he"))
        await turn.emit(Delta("llo"))
        return a_reply()

    async with guard_of(tmp_path, "return await handler(turn)") as guard:
        guard.answer = streams
        await guard(a_turn(emit=heard.emit, streaming=True))
    assert heard.pieces == ["he", "llo"]


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("def guard(turn, handler):", "is not an `async def`"),
        ("async def guard(turn):", r"cannot be called with `\(turn, handler\)`"),
        ("async def other(turn, handler):", "has no 'guard'"),
    ],
)
async def test_a_function_that_cannot_be_one_is_an_error_when_it_is_opened(
    tmp_path: Path, head: str, message: str
) -> None:
    with pytest.raises(ComponentError, match=message):
        async with guard_of(tmp_path, "return handler(turn)", head):
            pass
