"""How many tokens a model counts: learnt from the usage that it reports.

Two rates are learnt for each model: its tokens per token of the stated rule, and its tokens per tenth of a token that a
script other than Latin is expected to cost more. The second separates scripts: a Chinese character is about one token, an English one a quarter.
Within a session the last count is exact, and only what has changed since then is estimated.
"""

from __future__ import annotations

import math
from collections.abc import Hashable

from attrs import define, field

from victor_dsl.values.frozen import value
from victor_dsl.values.tokens import TOKENS_PER_EXTRA, Size

SESSIONS = 2_000
"""How many sessions' last counts are remembered per model; over that, the least recently counted is forgotten."""

HIDDEN_TOKENS = 2_000
"""How many tokens a provider may add unseen, such as instructions about tools; a count with more is ignored."""

WORTH_LEARNING = 100
"""Below so many stated tokens a count says more about what the provider adds than about the request's text."""

GUESSED = 1.25
"""The factor on the estimate of a request that was refused as too long without a count."""

GUESSED_AGAIN = 2.0
"""The factor where the session's last request was refused too, so that a few refusals find a length that fits."""

_LEAST_SHARE = 0.25  # of the stated tokens; nothing but long runs of blanks has fewer
_MOST_BYTES = (4, 0.5)  # of the stated tokens, and per tenth in `extra`: a token has at least one byte
_PRIOR = (1.0, TOKENS_PER_EXTRA)  # tokens per counted token, and per tenth in `extra`
_SPREAD = (0.25, 0.0045)  # the prior's variances; uncertainty never exceeds them
_NOISE = 0.02  # variance of a reported count relative to the text, for long requests
_DRIFT = 0.005  # the share of the prior's variance that each count gives back, so that a change is followed
_STEP = 0.5  # an error is cut to this, relative to the text, so that one odd count moves the weights only so far
_BOUNDS = ((0.25, 4.0), (0.0, 0.5))


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

    `counted` and `window` are the input tokens and the window that the server named, if it did; `configured` is the window
    by the spec or the known models, `answer` the tokens reserved for the answer.
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

    def estimate(self, size: Size, session: Hashable) -> int:
        """The tokens of a session's request; until a report has come, by the tokenizer or the stated rule and the script."""
        last = self._last.get(session)
        if not self.trained and last is None:
            return size.counted + math.ceil(TOKENS_PER_EXTRA * size.extra)
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

        Without a count from the server, the request counts as a quarter larger than estimated, or than would have fitted;
        after a second refusal as twice as large. This applies to the session alone. Without a window, half of the request
        counts as the window.
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


def _plausible(size: Size) -> tuple[float, float]:
    per_stated, per_extra = _MOST_BYTES
    return _LEAST_SHARE * size.stated, per_stated * size.stated + per_extra * size.extra + HIDDEN_TOKENS


def _within(bounds: tuple[float, float], value: float) -> float:
    least, most = bounds
    return least if value < least else min(value, most)
