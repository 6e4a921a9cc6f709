"""A model's context window, and how many tokens the model counts: learnt from the usage that it reports.

Two rates are learnt for each model: its tokens per token of the stated rule, and its tokens per byte that UTF-8 needs
beyond one per character that is not Latin. The second separates scripts (a Chinese character is about one token, an English one a quarter).
Within a session the last count is exact, and only what has changed since then is estimated.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Hashable, Sequence
from typing import cast

from attrs import define, field

from victor_dsl.errors import ComponentError, ModelError
from victor_dsl.graph.plan import Node, Plan
from victor_dsl.language.boundary import component_error, is_fault
from victor_dsl.language.config import ModelConfig
from victor_dsl.values.frozen import value
from victor_dsl.values.message import Message, Reply, messages_size, messages_tokens
from victor_dsl.values.tokens import TOKENS_PER_EXTRA_BYTE, Size, TokenCounter, text_size
from victor_dsl.values.tool import Tool, tools_size
from victor_dsl.values.turn import Turn

MODELS = 256
"""How many models are remembered; over that, the oldest entry is forgotten."""

SESSIONS = 2_000
"""How many sessions' last counts are remembered per model; over that, the least recently counted is forgotten."""

HIDDEN_TOKENS = 2_000
"""How many tokens a provider may add unseen, such as instructions about tools, before its count is not believed."""

WORTH_LEARNING = 100
"""Below so many stated tokens a count says more about what the provider adds than about the request's text."""

GUESSED = 1.25
"""How much larger than estimated a request is taken to be that was refused as too long without a count."""

GUESSED_AGAIN = 2.0
"""The same where the session's last request was refused, too: so that few refusals find a length that the model takes."""

SUSPECT = 0.6
"""The share of the window from which a request that was refused for no known reason may have been too long."""

MOST_MARGIN = 0.1
"""The largest margin for wrong estimates, as a share of the window."""

TOOLS_WORTH_A_REPORT = 40
"""Below so many tokens of tools, a low count does not say whether the model's server passes tools on."""

ON_LOOP_TOKENS = 25_000
"""Up to this many stated tokens, ten milliseconds of work, a tokenizer counts on the event loop."""

_LEAST_SHARE = 0.25  # of the stated tokens; nothing but long runs of blanks has fewer
_MOST_BYTES = 4  # of the stated tokens: a token has at least one byte
_PRIOR = (1.0, TOKENS_PER_EXTRA_BYTE)  # tokens per counted token, and per extra byte
_SPREAD = (0.25, 0.04)  # the prior's variances; uncertainty never exceeds them
_NOISE = 0.02  # variance of a reported count relative to the text, for long requests
_DRIFT = 0.005  # the share of the prior's variance that each count gives back, so that a change is followed
_STEP = 0.5  # an error is cut to this, relative to the text, so that one odd count moves the weights only so far
_BOUNDS = ((0.25, 4.0), (0.0, 1.5))


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
    _last: tuple[tuple[Message, ...], str | None, tuple[Tool, ...], Hashable, Estimate] | None = None

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
        session = _session(turn)
        last = self._last
        if (
            last is not None
            and last[0] is turn.messages
            and last[1] is turn.system
            and last[2] is turn.tools
            and last[3] == session
        ):
            return last[4]
        history = messages_size(turn.messages, self.count)
        size = history + self._frame(turn)
        estimate = Estimate(size, history, self.learnt.estimate(size, session))
        self._last = (turn.messages, turn.system, turn.tools, session, estimate)
        return estimate

    def size(self, turn: Turn) -> Size:
        """The size of system prompt, messages and tools."""
        return messages_size(turn.messages, self.count) + self._frame(turn)

    def _frame(self, turn: Turn) -> Size:
        """The size of system prompt and tools."""
        tools = self._tools
        if tools[0] != turn.tools:  # quick for the same tools: a tuple's elements are compared by identity first
            tools = self._tools = (turn.tools, tools_size(turn.tools, self.count))
        return text_size(turn.system or "", self.count) + tools[1]

    def margin(self, turn: Turn, estimate: Estimate) -> int:
        """How many tokens the estimate may be too low; it shrinks as the model's reports agree with the estimates."""
        return min(self.learnt.margin(estimate.size, _session(turn)), int((self.tokens or 0) * MOST_MARGIN))

    def learn(self, turn: Turn, size: Size, reported: int | None) -> None:
        """Learns from the input tokens that the model reports for a request of this size."""
        self._last = None  # else it would hold the conversation for longer than its turn
        self.learnt.learn(size, _session(turn), reported)

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
        """Whether an answer ended because the window was full, and not at the tokens that it may have."""
        used, written = reply.usage.input_tokens, reply.usage.output_tokens
        if reply.stop_reason != "length" or used is None or written is None or self.tokens is None:
            return False
        return (answer is None or written < answer) and used + written >= self.tokens - 2

    def suspects(self, turn: Turn) -> bool:
        """Whether a request that was refused for no known reason may have been too long; once for a session."""
        session = _session(turn)
        long = self.tokens is not None and self.estimate(turn).tokens > SUSPECT * self.tokens
        return long and not self.learnt.guesses(session)

    def refused(self, turn: Turn, error: ModelError) -> None:
        """Learns from a refusal as too long."""
        self._last = None
        refusal = TooLong(error.counted, error.window, self.configured, turn.settings.max_tokens or 0)
        self.learnt.refused(self.size(turn), _session(turn), refusal)


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


@define
class _Weights:
    """A regression of reported tokens on (counted, extra), by recursive least squares on relative errors."""

    counted: float = _PRIOR[0]
    extra: float = _PRIOR[1]
    _p: float = _SPREAD[0]  # the weights' covariance, which is ((p, q), (q, r))
    _q: float = 0.0
    _r: float = _SPREAD[1]

    def tokens(self, size: Size) -> float:
        return self.counted * size.counted + self.extra * size.extra

    def learn(self, size: Size, reported: int) -> None:
        x = size.extra / size.counted
        error = (reported - self.tokens(size)) / size.counted
        error = min(max(error, -_STEP), _STEP)
        px, qx = self._p + self._q * x, self._q + self._r * x
        scale = _NOISE * (1 + 5 * WORTH_LEARNING / size.stated) + px + qx * x
        self.counted = _within(_BOUNDS[0], self.counted + px / scale * error)
        self.extra = _within(_BOUNDS[1], self.extra + qx / scale * error)
        self._p = min(_SPREAD[0], self._p - px * px / scale + _DRIFT * _SPREAD[0])
        self._q -= px * qx / scale
        self._r = min(_SPREAD[1], self._r - qx * qx / scale + _DRIFT * _SPREAD[1])


@value
class TooLong:
    """A request that was refused as too long.

    `counted` and `window` are the input tokens and the window that the server named, if it did; `configured` is the window that
    was reckoned with, `answer` the tokens reserved for the answer.
    """

    counted: int | None
    window: int | None
    configured: int | None
    answer: int


@define(eq=False)
class ModelTokens:
    """What was learnt of one model's counts.

    `window` is the smallest that its server named when it refused a request, `guessed` a guess after a refusal without a
    number. `ignores_tools` says that its server seems to drop tools, `low_count` is the last count that was too low for them.
    """

    window: int | None = None
    guessed: int | None = None
    trained: bool = False
    ignores_tools: bool = False
    low_count: int | None = None
    _weights: _Weights = field(factory=_Weights)
    _last: dict[Hashable, tuple[Size, int, bool]] = field(factory=dict)
    _error: float = 0.05  # of estimates, relative to the tokens that were not counted before

    @property
    def knows(self) -> bool:
        """Whether anything was counted or refused."""
        return self.trained or bool(self._last)

    def estimate(self, size: Size, session: Hashable) -> int:
        """The tokens of a session's request; until a report has come, by the tokenizer or the stated rule and the script."""
        last = self._last.get(session)
        if not self.trained and last is None:
            return size.counted + math.ceil(TOKENS_PER_EXTRA_BYTE * size.extra)
        tokens = self._weights.tokens(size)
        if last is not None:
            before, reported, _ = last
            expected = self._weights.tokens(before)
            if tokens >= expected:
                tokens += reported - expected
            else:
                tokens *= reported / expected
        return max(1, round(_within(_plausible(size), tokens)))

    def learn(self, size: Size, session: Hashable, reported: int | None) -> None:
        """Learns from a report of the request's input tokens; an implausible one is ignored."""
        if type(reported) is not int or not size.whole or not size.counted:
            return
        least, most = _plausible(size)
        if not least <= reported <= most:
            return
        if (new := self._new(size, session)) >= WORTH_LEARNING:
            error = abs(self.estimate(size, session) - reported) / new
            self._error += 0.2 * (min(error, 0.25) - self._error)
        if self.guessed is not None and reported > self.guessed:
            self.guessed = reported
        self._remember(session, size, reported)
        if size.stated >= WORTH_LEARNING:
            self._weights.learn(size, reported)
            self.trained = True

    def refused(self, size: Size, session: Hashable, refusal: TooLong) -> None:
        """Learns from a refusal of a request as too long.

        Where the server named no count, the request is taken to be a quarter larger than estimated, or than would have
        fitted, and after a second refusal twice as large: in this session alone. Where no window is known either, it is
        taken to be half of the request.
        """
        least, most = _plausible(size)
        counted = refusal.counted if refusal.counted is not None and least <= refusal.counted <= most else None
        if refusal.window is not None:
            longest = most if counted is None else counted
            if WORTH_LEARNING <= refusal.window <= longest + refusal.answer:
                self.window = min(refusal.window, self.window or refusal.window)
        if counted is not None:
            self.learn(size, session, counted)
            return
        if self.window is None and refusal.configured is None:
            half = (self.estimate(size, session) + refusal.answer) // 2
            self.guessed = max(WORTH_LEARNING, min(half, self.guessed or half))
            return
        room = (self.window or refusal.configured or 0) - refusal.answer
        factor = GUESSED_AGAIN if self.guesses(session) else GUESSED
        guess = factor * max(self.estimate(size, session), room)
        self._remember(session, size, round(_within((least, most), guess)), guess=True)

    def guesses(self, session: Hashable) -> bool:
        """Whether the session's last count is a guess after a refusal."""
        last = self._last.get(session)
        return last is not None and last[2]

    def margin(self, size: Size, session: Hashable) -> int:
        """How many tokens the estimate of a session's request may be too low: twice the usual error."""
        return math.ceil(2 * self._error * self._new(size, session))

    def _new(self, size: Size, session: Hashable) -> int:
        """The stated tokens of a request that its session's last count does not cover."""
        last = self._last.get(session)
        return size.stated if last is None else abs(size.stated - last[0].stated)

    def _remember(self, session: Hashable, size: Size, reported: int, *, guess: bool = False) -> None:
        self._last.pop(session, None)
        if len(self._last) >= SESSIONS:
            del self._last[next(iter(self._last))]
        self._last[session] = (size, reported, guess)


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
            message = f"{node.place}: cannot be opened: {failure.message}"
            raise ComponentError(message, node=node.id, hint=failure.hint) from error
        name = getattr(config, "model", None) or node.id
        identity = (node.type, name, getattr(config, "base_url", None), count is not None)
        if members:
            count = members[0].count  # members are the same model, as a rule
        return ModelWindow(config.window(), self.of(identity), count, members)


def _session(turn: Turn) -> tuple[str | None, str]:
    return turn.tenant, turn.session


def _plausible(size: Size) -> tuple[float, float]:
    return _LEAST_SHARE * size.stated, _MOST_BYTES * size.stated + size.extra + HIDDEN_TOKENS


def _within(bounds: tuple[float, float], value: float) -> float:
    least, most = bounds
    return least if value < least else min(value, most)
