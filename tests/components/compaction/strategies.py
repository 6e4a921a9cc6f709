"""Live strategies as a spec would have them, and histories to try them on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import define, field

from tests.components.context import surroundings
from victor_dsl.components.models.echo import Config as EchoConfig
from victor_dsl.language.kinds import Compaction
from victor_dsl.language.registry import Registry
from victor_dsl.values.history import History, group
from victor_dsl.values.message import Message, Reply, Usage
from victor_dsl.values.turn import Turn

REGISTRY = Registry(entry_points=False)
FOLDER = Path()


@define
class Counting:
    """An embedder with these vectors for texts, or a random one for each new text. It stores what it is asked."""

    vectors: Mapping[str, Sequence[float]] | None = None
    asked: list[str] = field(factory=list)

    async def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        if self.vectors is not None:
            return np.array([self.vectors[text] for text in texts], dtype=np.float32)
        rows = [np.random.default_rng(len(text) * 1000 + sum(map(ord, text))).standard_normal(16) for text in texts]
        return np.array([row / np.linalg.norm(row) for row in rows], dtype=np.float32)


@define
class Writes:
    """A model that writes these summaries, one after the other. It stores the turns it gets."""

    replies: Sequence[Any] = ("They spoke of orders.",)
    turns: list[Turn] = field(factory=list)

    async def answer(self, turn: Turn) -> Reply:
        self.turns.append(turn)
        reply = self.replies[min(len(self.turns), len(self.replies)) - 1]
        if isinstance(reply, BaseException):
            raise reply
        return Reply(Message("assistant", reply), Usage(100, 10, 0.001))


def strategy(type: str, needs: Mapping[str, Any] | None = None, window: int | None = None, **config: Any) -> Compaction:
    """The live object of a type. References are ids of nodes, as the compiler makes them."""
    component = REGISTRY.find("compaction", type)
    assert component is not None
    configs = {"models/small": EchoConfig(context_window=window)}
    context = surroundings(FOLDER, f"compaction/{type}", needs=needs, configs=configs).context
    built: Compaction = component.build(component.config.model_validate(config), context)
    return built


def semantic(embedder: Any = None, **config: Any) -> Compaction:
    return strategy("semantic", {"embedders/words": embedder or Counting()}, embedder="embedders/words", **config)


def summarize(model: Any = None, window: int | None = None, **config: Any) -> Compaction:
    return strategy("summarize", {"models/small": model or Writes()}, window, model="models/small", **config)


def said(*texts: str) -> tuple[Message, ...]:
    """Assistant messages between a task and a last question, both of which always stay."""
    return (Message("user", "task"), *(Message("assistant", text) for text in texts), Message("user", "and now?"))


def history(*texts: str) -> History:
    return group(said(*texts))


def kept(history: History, groups: frozenset[int]) -> list[str]:
    """The texts of the loose groups at these positions."""
    return [
        history.messages[index].text()
        for position in sorted(groups)
        if not history.groups[position].fixed
        for index in history.groups[position].indices
    ]
