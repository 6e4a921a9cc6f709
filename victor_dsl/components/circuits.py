"""Circuits: a model that fails several times in a row is not called for a while, and then by one probe at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import define, field
from pydantic import Field

from victor_dsl.errors import ModelError
from victor_dsl.language.config import Model
from victor_dsl.lazy import Lazy

if TYPE_CHECKING:
    import logging
else:
    logging = Lazy("logging")

LONGEST_OPEN_SECONDS = 60.0
"""How long a circuit stays open at most between two probes, whatever the server asks for."""


class CircuitConfig(Model):
    """When a circuit opens, and for how long."""

    failures: int = Field(
        3,
        ge=1,
        le=100,
        description="The number of failures in a row that opens the circuit. The default is 3. Timeouts, 5xx, broken "
        "connections and broken streams count; a refused request or key does not. A rate limit counts, unless the server asks "
        "to wait no longer than `open_seconds`.",
    )
    window_seconds: float = Field(
        300.0, gt=0, description="The time within which these failures must happen. The default is 5 minutes."
    )
    open_seconds: float = Field(
        10.0,
        gt=0,
        le=LONGEST_OPEN_SECONDS,
        description="How long the model is not called before one call tries it again, and between two such probes. Where the "
        "server asks for a longer wait, that counts, up to a minute. The default is 10 seconds.",
    )


@define
class Circuit:
    """The circuit of one model. Times are those of a clock that never goes back.

    While it is open, `wait_s` is above 0 until a call may probe the model. A probe's success closes it, a probe's failure
    keeps it open.
    """

    failed_at: list[float] = field(factory=list)
    last_kind: str = ""
    _next_probe: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether only probes are let through."""
        return self._next_probe is not None

    def wait_s(self, now: float) -> float:
        """How long no call may be made; 0 where one may."""
        return 0.0 if self._next_probe is None else max(0.0, self._next_probe - now)

    def begin(self, now: float, config: CircuitConfig) -> bool:
        """Notes a call that begins while none is forbidden. Returns whether it is a probe.

        The next probe may follow after `open_seconds` even if this one has not ended, in case it hangs.
        """
        if self._next_probe is None:
            return False
        self._next_probe = now + config.open_seconds
        return True

    def succeeded(self, *, probe: bool) -> bool:
        """Notes a call that succeeded. Returns whether that closed the circuit."""
        if self.is_open and not probe:
            return False  # it began before the circuit opened
        closed = self.is_open
        self._next_probe = None
        self.failed_at.clear()
        return closed

    def failed(self, error: BaseException, now: float, config: CircuitConfig, *, probe: bool) -> bool:
        """Notes a call that ended with an error. Returns whether that opened the circuit."""
        if not isinstance(error, ModelError) or not is_failure(error, config):
            if probe and self.is_open:
                self._next_probe = now  # it shows nothing, so the next call may probe
            return False
        self.last_kind = error.kind
        pause_s = min(LONGEST_OPEN_SECONDS, max(config.open_seconds, error.retry_after_s or 0.0))
        if self.is_open:
            if probe:
                self._next_probe = now + pause_s
            return False
        recent = [time for time in self.failed_at if now - time < config.window_seconds]
        self.failed_at = [*recent, now][-config.failures :]
        if len(self.failed_at) < config.failures:
            return False
        self._next_probe = now + pause_s
        return True


def is_failure(error: ModelError, config: CircuitConfig) -> bool:
    """Whether an error counts as a failure of the model."""
    if error.kind == "rate_limited":
        return error.retry_after_s is None or error.retry_after_s > config.open_seconds
    return error.transient


def open_error(node: str, circuit: Circuit, wait_s: float) -> ModelError:
    """The error of a call that is not made, because the circuit is open."""
    return ModelError(
        f"is not called for {wait_s:.1f} s, because its last calls failed ({circuit.last_kind})",
        kind="circuit_open",
        node=node,
        retry_after_s=wait_s,
    )


def report_change(node: str, circuit: Circuit, now: float) -> Mapping[str, Any]:
    """Logs that a circuit was opened or closed. Returns the data of the `error` event about it."""
    logger = logging.getLogger("victor_dsl")
    if not circuit.is_open:
        logger.warning("%s: answers again; its circuit is closed", node)
        return {"code": "circuit-closed", "node": node}
    wait_s = circuit.wait_s(now)
    logger.warning("%s: its last calls failed (%s); it is not called for %.1f s", node, circuit.last_kind, wait_s)
    return {"code": "circuit-opened", "node": node, "kind": circuit.last_kind, "open_seconds": round(wait_s, 3)}
