"""What a long session sends by strategy, and how often its history is compacted: `python -m bench.long_session`.

The first table is a session of 60 turns of about 1,000 tokens with a window of 20,000. "Repeated" is the share of the messages' tokens
that lead the turn before too, which is what a prompt cache can reuse; it is the mean of the turns after the first compaction. A
summary is one call of a model. The second table is a session of 34 turns of English, Chinese, code and emoji with a window of
2,048, and a model that counts as a tokenizer does: its counts are shares of the window.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any

from attrs import define, field

from bench.measure import table
from victor_dsl.components.models.echo import Config as EchoConfig
from victor_dsl.language.component import Context
from victor_dsl.language.registry import Registry
from victor_dsl.runtime.context_window import ModelWindow
from victor_dsl.runtime.coordinators.context import ContextCoordinator
from victor_dsl.runtime.model_tokens import ModelTokens
from victor_dsl.runtime.nodes import SystemClock
from victor_dsl.values.message import Message, Reply, Usage
from victor_dsl.values.request import Request
from victor_dsl.values.settings import Settings
from victor_dsl.values.turn import Turn

TYPES = ("salience", "recent", "truncate", "summarize")
WINDOW, TURNS = 20_000, 60
SMALL_WINDOW, MIXED_TURNS, ANSWER = 2_048, 34, 60
WORDS = (
    "order",
    "refund",
    "parcel",
    "address",
    "invoice",
    "delivery",
    "account",
    "region",
    "backup",
    "patient",
    "price",
)
SNIPPETS: Sequence[Callable[[random.Random], str]] = (
    lambda rng: " ".join(rng.choices(WORDS, k=60)) + ".",
    lambda rng: "".join(rng.choices("的一是不了人我在有他这中大来上国个到说们为子和你地出道也时年", k=90)) + "。",
    lambda rng: "\n".join(f"{name} = run({rng.randrange(99)}, key={name!r})" for name in rng.choices(WORDS, k=9)),
    lambda rng: " ".join(rng.choices("🚀🎉✅👍😀🔥", k=12)) + " " + " ".join(rng.choices(WORDS, k=25)),
)


def main() -> None:
    """Prints both tables."""
    rows = [[type, *_row(asyncio.run(_session(type)))] for type in TYPES]
    print(table(["60 turns of 1,000 tokens", "sent", "new choices", "repeated", "summaries"], rows))
    shares = [[type, *asyncio.run(_mixed(type))] for type in TYPES]
    head = ["34 mixed turns", "input, mean", "least", "most", "no room to answer", "compactions", "repeated"]
    print("\n" + table(head, shares))


@define
class _Writer:
    """A model that writes summaries of 100 words, and counts its calls."""

    calls: int = 0

    async def answer(self, turn: Turn) -> Reply:  # noqa: ARG002 - the kind's method
        self.calls += 1
        return Reply(Message("assistant", "They spoke of orders. " * 25), Usage(100, 120, None))


@define
class _Sent:
    """What the turns of a session sent."""

    writer: _Writer
    turns: list[tuple[Message, ...]] = field(factory=list)
    compacted: list[bool] = field(factory=list)
    before: int = 0

    def add(self, turn: Turn) -> None:
        self.turns.append(turn.messages)
        self.compacted.append(turn.compaction is not None)

    def repeated(self) -> Iterator[float]:
        """The share of each turn's tokens that led the turn before too, from the first compaction on."""
        first = self.compacted.index(True) if True in self.compacted else len(self.turns)
        for one, other in list(pairwise(self.turns))[max(first - 1, 0) :]:
            same = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
            yield sum(m.tokens for m in other[:same]) / sum(m.tokens for m in other)

    def choices(self) -> int:
        """How many turns did not send all of the turn before again."""
        return sum(other[: len(one)] != one for one, other in pairwise(self.turns))


def _row(sent: _Sent) -> list[str]:
    tokens = mean(sum(m.tokens for m in messages) for messages in sent.turns[len(sent.turns) // 3 :])
    return [f"{tokens:,.0f}", str(sent.choices()), f"{mean(sent.repeated()):.2f}", str(sent.writer.calls)]


async def _session(type: str) -> _Sent:
    sent, rng = _Sent(_Writer()), random.Random(7)
    messages: tuple[Message, ...] = ()
    coordinator = ContextCoordinator(_strategy(type, sent.writer), type=type)
    settings = Settings(threshold=0.8, target_ratio=0.5)
    for number in range(TURNS):
        question = Message("user", f"{number}: " + " ".join(rng.choices(WORDS, k=280)))
        messages = (*messages, question)
        sent.add(await coordinator.compact(_turn(messages, settings), WINDOW))
        messages = (*messages, Message("assistant", " ".join(rng.choices(WORDS, k=280))))
    return sent


async def _mixed(type: str) -> list[str]:
    sent, rng, full = _Sent(_Writer()), random.Random(3), 0
    messages: tuple[Message, ...] = ()
    shares: list[float] = []
    model = ModelWindow(SMALL_WINDOW, ModelTokens())
    coordinator = ContextCoordinator(_strategy(type, sent.writer), type=type, models={"main": model})
    settings = Settings(model="main", threshold=0.8, target_ratio=0.5, max_tokens=ANSWER)
    for number in range(MIXED_TURNS):
        messages = (*messages, Message("user", f"{number}: {SNIPPETS[number % len(SNIPPETS)](rng)}"))
        turn = await coordinator.fit(_turn(messages, settings))
        count = sum(_tokens(message.text()) + 4 for message in turn.messages)
        model.learn(turn, model.size(turn), count)
        sent.add(turn)
        if turn.compaction is not None:
            shares.append(count / SMALL_WINDOW)
            full += count + ANSWER > SMALL_WINDOW
        messages = (*messages, Message("assistant", SNIPPETS[(number + 1) % len(SNIPPETS)](rng)))
    figures = [f"{figure:.2f}" for figure in (mean(shares), min(shares), max(shares))]
    return [*figures, str(full), str(sent.choices()), f"{mean(sent.repeated()):.2f}"]


def _tokens(text: str) -> int:
    """About as many as common tokenizers count: words, numbers by three digits, signs, and characters of other scripts."""
    pieces = re.findall(r"[A-Za-z]+|\d{1,3}|\s{2,}|[^\sA-Za-z\d]", text)
    return sum(
        max(1, len(piece) // 7 + 1) if piece[0].isascii() else 2 if ord(piece[0]) > 0xFFFF else 1 for piece in pieces
    )


def _turn(messages: tuple[Message, ...], settings: Settings) -> Turn:
    return Turn("t", "s", messages, settings=settings, request=Request(session="s"))


def _strategy(type: str, writer: _Writer) -> Any:
    component = Registry(entry_points=False).find("compaction", type)
    assert component is not None
    config = {"model": "models/small"} if type == "summarize" else {}
    context = Context(
        node=f"compaction/{type}",
        directory=Path(),
        state=Path(),
        needs={"models/small": writer},
        secret=str,
        clock=SystemClock(),
        random=random.Random(7),
        report=lambda *_: None,
        configs={"models/small": EchoConfig()},
    )
    return component.build(component.config.model_validate(config), context)


if __name__ == "__main__":
    main()
