"""The onion."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.runtime.stage import Notes
from victor_dsl.runtime.middleware import chain
from victor_dsl.values.message import Message, Reply
from victor_dsl.values.turn import Turn

TURN = Turn("t", "s", ())


async def answer(turn: Turn) -> Reply:
    return Reply(Message("assistant", "hi"))


def test_a_chain_of_nothing_is_the_handler_itself() -> None:
    assert chain([], answer) is answer


@given(st.lists(st.text(max_size=3), max_size=6))
async def test_the_first_layer_is_entered_first_and_left_last(names: list[str]) -> None:
    notes: list[str] = []
    reply = await chain([(name, Notes(name, notes)) for name in names], answer)(TURN)
    assert reply.message.content == "hi"
    assert notes == [f"{name} in" for name in names] + [f"{name} out" for name in reversed(names)]


@given(st.lists(st.text(max_size=3), max_size=6), st.integers(0, 6))
async def test_a_chain_in_two_parts_is_the_whole_chain(names: list[str], cut: int) -> None:
    whole: list[str] = []
    parts: list[str] = []
    await chain([(name, Notes(name, whole)) for name in names], answer)(TURN)
    inner = chain([(name, Notes(name, parts)) for name in names[cut:]], answer)
    await chain([(name, Notes(name, parts)) for name in names[:cut]], inner)(TURN)
    assert whole == parts
