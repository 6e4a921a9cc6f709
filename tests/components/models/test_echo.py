from __future__ import annotations

from pathlib import Path

from tests.components.context import TURN, surroundings
from tests.components.models.asking import WEATHER, Listener
from victor_dsl.components.models.echo import Config, Echo, build
from victor_dsl.values.message import Message, Usage, messages_tokens

TWO = TURN.replace(
    messages=(Message("user", "one"), Message("assistant", "un"), Message("user", "two  words\n"), Message("tool", "x"))
)


def echo(tmp_path: Path, **fields: object) -> Echo:
    return build(Config.model_validate(fields), surroundings(tmp_path).context)


async def test_it_answers_with_the_latest_user_message(tmp_path: Path) -> None:
    reply = await echo(tmp_path).answer(TWO)
    assert reply.message == Message("assistant", "two  words\n")
    assert reply.stop_reason == "stop"


async def test_a_prefix_and_a_fixed_answer(tmp_path: Path) -> None:
    assert (await echo(tmp_path, prefix="You: ").answer(TWO)).message.text() == "You: two  words\n"
    assert (await echo(tmp_path, reply="Hi").answer(TWO)).message.text() == "Hi"


async def test_a_turn_without_a_user_is_answered_with_nothing(tmp_path: Path) -> None:
    assert (await echo(tmp_path).answer(TURN)).message == Message("assistant", "")


async def test_it_streams_word_by_word_only_where_anyone_listens(tmp_path: Path) -> None:
    listener = Listener()
    await echo(tmp_path).answer(TWO.replace(emit=listener.emit))
    assert listener.pieces == []
    await echo(tmp_path).answer(listener.to(TWO))
    assert listener.pieces == ["two  ", "words\n"]
    blank = Listener()
    await echo(tmp_path, reply="  ").answer(blank.to(TWO))
    assert blank.text == "  "


async def test_its_usage_is_the_stated_estimate_and_its_cost_the_written_price(tmp_path: Path) -> None:
    model = echo(tmp_path, input_usd_per_million=2.0, output_usd_per_million=10.0)
    turn = TWO.replace(system="12345", tools=(WEATHER,))
    sent = 2 + messages_tokens(turn.messages) + WEATHER.tokens
    usage = (await model.answer(turn)).usage
    assert usage == Usage(sent, 3, (sent * 2.0 + 3 * 10.0) / 1e6)
    assert (await model.answer(turn.replace(tools=()))).usage.input_tokens == sent - WEATHER.tokens
    assert (await echo(tmp_path).answer(TWO)).usage.cost_usd is None
