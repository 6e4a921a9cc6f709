"""The context windows of models, and how much of them a request takes."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence
from typing import cast

from attrs import define

from victor_dsl.errors import ComponentError, ModelError
from victor_dsl.graph.plan import Node, Plan
from victor_dsl.language.boundary import component_error, is_fault
from victor_dsl.language.config import ModelConfig
from victor_dsl.runtime.model_tokens import ModelTokens, TooLong
from victor_dsl.values.frozen import value
from victor_dsl.values.message import Message, Reply, messages_size, messages_tokens
from victor_dsl.values.tokens import Size, TokenCounter, text_size
from victor_dsl.values.tool import Tool, tools_size
from victor_dsl.values.turn import Turn

MODELS = 256
"""How many models are remembered; over that, the oldest entry is forgotten."""

SUSPECT = 0.6
"""The share of the window from which a request that was refused for an unclear reason may have been too long."""

MOST_MARGIN = 0.1
"""The largest margin for wrong estimates, as a share of the window."""

TOOLS_WORTH_A_REPORT = 40
"""Below so many tokens of tools, a low count is no sign that the model's server drops tools."""

ON_LOOP_TOKENS = 25_000
"""Up to this many stated tokens, ten milliseconds of work, a tokenizer counts on the event loop."""


@define(eq=False)
class ModelWindow:
    """One model's window, its tokenizer if there is one, and what was learnt of how it counts.

    A pool has `members`, and the smallest of their windows.
    """

    configured: int | None
    """The window by the spec or the catalogue of models."""
    learnt: ModelTokens
    count: TokenCounter | None = None
    members: Sequence[ModelWindow] = ()
    # Turns are sized in threads and on the event loop. Each cache is one tuple, read once and replaced whole.
    _tools: tuple[tuple[Tool, ...], Size] = ((), Size())
    _examples: tuple[tuple[Message, ...], Size] = ((), Size())
    _last: tuple[tuple[Message, ...], tuple[Message, ...], str | None, tuple[Tool, ...], Hashable, Estimate] | None = (
        None
    )

    @property
    def tokens(self) -> int | None:
        """The smaller of the configured window and the one that the server named, or else a guess after a refusal."""
        named, configured = self.learnt.window, self.configured
        if self.members:
            known = [tokens for member in self.members if (tokens := member.tokens) is not None]
            configured = min(known, default=None) if configured is None else min([configured, *known])
        if configured is None:
            return self.learnt.guessed if named is None else named
        return configured if named is None else min(named, configured)

    async def estimate_off_loop(self, turn: Turn) -> Estimate:
        """The estimate, made in a thread where a tokenizer has much to count."""
        if self.count is not None and messages_tokens(turn.messages) > ON_LOOP_TOKENS:
            return await asyncio.to_thread(self.estimate, turn)
        return self.estimate(turn)

    def estimate(self, turn: Turn) -> Estimate:
        """The tokens that the model is expected to count for the turn's request."""
        session = turn.session_key
        last = self._last
        if (
            last is not None
            and last[0] is turn.messages
            and last[1] is turn.examples
            and last[2] is turn.system
            and last[3] is turn.tools
            and last[4] == session
        ):
            return last[5]
        history = messages_size(turn.messages, self.count)
        size = history + self._frame(turn)
        estimate = Estimate(size, history, self.learnt.estimate(size, session))
        self._last = (turn.messages, turn.examples, turn.system, turn.tools, session, estimate)
        return estimate

    def size(self, turn: Turn) -> Size:
        """The size of system prompt, few-shot messages, messages and tools."""
        return messages_size(turn.messages, self.count) + self._frame(turn)

    def _frame(self, turn: Turn) -> Size:
        """The size of system prompt, few-shot messages and tools."""
        examples, tools = self._examples, self._tools
        if examples[0] is not turn.examples:
            examples = self._examples = (turn.examples, messages_size(turn.examples, self.count))
        if tools[0] != turn.tools:  # quick for the same tools: a tuple's elements are compared by identity first
            tools = self._tools = (turn.tools, tools_size(turn.tools, self.count))
        frame = text_size(turn.system or "", self.count) + tools[1]
        return frame + examples[1] if turn.examples else frame

    def margin(self, turn: Turn, estimate: Estimate) -> int:
        """How many tokens the estimate may be too low; it shrinks as the model's reports agree with the estimates."""
        return min(self.learnt.margin(estimate.size, turn.session_key), int((self.tokens or 0) * MOST_MARGIN))

    def learn(self, turn: Turn, size: Size, reported: int | None) -> None:
        """Learns from the input tokens that the model reports for a request of this size."""
        self._last = None  # else it would hold the conversation for longer than its turn
        self.learnt.learn(size, turn.session_key, reported)

    def ignores_tools(self, turn: Turn, reported: int | None) -> bool:
        """Whether the model's server seems to drop tools; True once only.

        Then it reports far fewer tokens than the tools alone have, in two requests, and not the same number as one that does
        not count at all.
        """
        learnt, tools = self.learnt, self._tools[1].stated if turn.tools and self._tools[0] == turn.tools else 0
        if learnt.ignores_tools or type(reported) is not int or tools < TOOLS_WORTH_A_REPORT or reported >= tools * 0.6:
            return False
        learnt.ignores_tools = learnt.low_count not in {None, reported}
        learnt.low_count = reported
        return learnt.ignores_tools

    def was_full(self, reply: Reply, answer: int | None) -> bool:
        """Whether an answer ended because the window was full, not at its `max_tokens`."""
        used, written = reply.usage.input_tokens, reply.usage.output_tokens
        if reply.stop_reason != "length" or used is None or written is None or self.tokens is None:
            return False
        return (answer is None or written < answer) and used + written >= self.tokens - 2

    def suspects(self, turn: Turn) -> bool:
        """Whether a request that was refused for an unclear reason may have been too long; once for a session."""
        session = turn.session_key
        long = self.tokens is not None and self.estimate(turn).tokens > SUSPECT * self.tokens
        return long and not self.learnt.guesses(session)

    def refused(self, turn: Turn, error: ModelError) -> None:
        """Learns from a refusal as too long."""
        self._last = None
        refusal = TooLong(error.counted, error.window, self.configured, turn.settings.max_tokens or 0)
        self.learnt.refused(self.size(turn), turn.session_key, refusal)


@value
class Estimate:
    """A request's size, and the tokens that its model is expected to count."""

    size: Size
    history: Size
    """The part of the size that the messages have."""
    tokens: int

    @property
    def ratio(self) -> float:
        """How many tokens the model counts per stated token."""
        return self.tokens / max(1, self.size.stated)

    def error(self, reported: int | None) -> float | None:
        """How far the estimate is off, relative to the reported tokens: above 0 where it is too high."""
        return round(self.tokens / reported - 1, 4) if reported else None


class TokenEstimates:
    """What was learnt of all models that this process has called: for all tenants, kept over reloads, in memory only.

    A few calls teach it again after a restart, and what is rendered depends on no hidden file.
    """

    def __init__(self) -> None:
        self._models: dict[Hashable, ModelTokens] = {}

    def of(self, identity: Hashable) -> ModelTokens:
        """What was learnt of a model; the same object for the same identity."""
        if identity not in self._models:
            if len(self._models) >= MODELS:
                del self._models[next(iter(self._models))]
            self._models[identity] = ModelTokens()
        return self._models[identity]

    async def windows(self, plan: Plan) -> dict[str, ModelWindow]:
        """The windows of a plan's models by name. Raises ComponentError where a tokenizer cannot be loaded."""
        found: dict[str, ModelWindow] = {}
        for node in plan.with_needs(plan.roles.models.values()):  # in dependency order: members before their pool
            if node.kind == "models":
                found[node.id] = await self.window(node, [found[id] for id in node.needs if id in found])
        return {name: found[id] for name, id in plan.roles.models.items()}

    async def window(self, node: Node, members: Sequence[ModelWindow] = ()) -> ModelWindow:
        """The window of a model's node. Raises ComponentError where its tokenizer cannot be loaded.

        What is learnt belongs to the model as its server knows it, whatever its name in a spec.
        """
        config = cast("ModelConfig", node.config)
        try:
            count = await asyncio.to_thread(config.counter)
        except BaseException as error:
            if not is_fault(error):
                raise
            failure = component_error(error)
            message = f"{node.places}: cannot be opened: {failure.message}"
            raise ComponentError(message, node=node.id, hint=failure.hint) from error
        name = getattr(config, "model", None) or node.id
        identity = (node.type, name, getattr(config, "base_url", None), count is not None)
        if members:
            count = members[0].count  # members are the same model, as a rule
        return ModelWindow(config.window(), self.of(identity), count, members)
