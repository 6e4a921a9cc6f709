"""Token estimates that learn, for each model, from the usage that it reports.

Two things are learnt of a model: how many tokens it counts for one of the stated rule, and how many for each byte
that UTF-8 needs beyond one a character. The second is what tells scripts apart (a Chinese character is about one token, an English one a quarter).
Within a session the last count is known exactly, and only what has changed since then is estimated.
"""

from __future__ import annotations

from collections.abc import Hashable

from attrs import define, field, frozen

from victor_dsl.values.tokens import Size

MODELS = 256
"""How many models are remembered; of more, the one that came first is forgotten."""

SESSIONS = 2_000
"""How many sessions' last counts are remembered for one model; of more, the one least recently counted is forgotten."""

HIDDEN_TOKENS = 2_000
"""What a provider may add to a request unseen, such as instructions about tools, before its count is not believed."""

WORTH_LEARNING = 100
"""The stated tokens below which what a provider adds unseen says more about a count than the request's text does."""

GUESSED = 1.25
"""How much more than was estimated a request has that was refused as too long without a count."""

_LEAST_SHARE = 0.25  # of the stated tokens; nothing but long runs of blanks has fewer
_MOST_BYTES = 4  # of the stated tokens: a token has at least one byte
_PRIOR = (1.0, 0.3)  # tokens for each counted one, and for each extra byte: what common tokenizers take
_SPREAD = (0.25, 0.04)  # the prior's variances, which uncertainty never exceeds
_NOISE = 0.02  # variance of a reported count relative to the text, for long requests
_DRIFT = 0.005  # the share of the prior's variance that each count gives back, so that a change is followed
_STEP = 0.5  # how far one count may be from what was expected before it is taken for less
_BOUNDS = ((0.25, 4.0), (0.0, 1.5))


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


@frozen
class Refusal:
    """A request refused as too long: the tokens of input and the window that the server named, where it did.

    `known_window` is the one that was reckoned with, `answer` what was wished for the answer.
    """

    counted: int | None
    window: int | None
    known_window: int | None
    answer: int


@define(eq=False)
class ModelTokens:
    """What one model was seen to count. `window` is the smallest that its server named when it refused a request."""

    window: int | None = None
    learnt: bool = False
    _weights: _Weights = field(factory=_Weights)
    _last: dict[Hashable, tuple[Size, int]] = field(factory=dict)

    @property
    def knows(self) -> bool:
        """Whether anything was counted or refused."""
        return self.learnt or bool(self._last)

    def estimate(self, size: Size, session: Hashable) -> int:
        """The tokens of a session's request: those counted, until something is learnt."""
        last = self._last.get(session)
        if not self.learnt and last is None:
            return size.counted
        tokens = self._weights.tokens(size)
        if last is not None:
            before, reported = last
            expected = self._weights.tokens(before)
            if size.counted >= before.counted:
                tokens += reported - expected
            elif expected > 0:
                tokens *= reported / expected
        return max(1, round(_within(_plausible(size), tokens)))

    def learn(self, size: Size, session: Hashable, reported: int | None) -> None:
        """Learns from a count of the request's input tokens; one that cannot be true is passed over."""
        if type(reported) is not int or not size.whole or not size.counted:
            return
        least, most = _plausible(size)
        if not least <= reported <= most:
            return
        self._remember(session, size, reported)
        if size.stated >= WORTH_LEARNING:
            self._weights.learn(size, reported)
            self.learnt = True

    def refused(self, size: Size, session: Hashable, refusal: Refusal) -> None:
        """Learns from a refusal of a request as too long.

        Where the server named no count it is taken that the request has a quarter more than was estimated, or than
        would have fitted: in this session alone.
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
        room = (self.window or refusal.known_window or 0) - refusal.answer
        guess = GUESSED * max(self.estimate(size, session), room)
        self._remember(session, size, round(_within((least, most), guess)))

    def _remember(self, session: Hashable, size: Size, reported: int) -> None:
        self._last.pop(session, None)
        if len(self._last) >= SESSIONS:
            del self._last[next(iter(self._last))]
        self._last[session] = (size, reported)


class TokenEstimates:
    """What all models of a process were seen to count: kept over reloads, for all tenants, in memory alone.

    Nothing is kept on disk: a few calls teach as much, and what is rendered would hang on files that nobody sees.
    """

    def __init__(self) -> None:
        self._models: dict[Hashable, ModelTokens] = {}

    def of(self, identity: Hashable) -> ModelTokens:
        """What is known of a model; the same object for the same identity."""
        if identity not in self._models:
            if len(self._models) >= MODELS:
                del self._models[next(iter(self._models))]
            self._models[identity] = ModelTokens()
        return self._models[identity]


def _plausible(size: Size) -> tuple[float, float]:
    return _LEAST_SHARE * size.stated, _MOST_BYTES * size.stated + size.extra + HIDDEN_TOKENS


def _within(bounds: tuple[float, float], value: float) -> float:
    return min(max(value, bounds[0]), bounds[1])
