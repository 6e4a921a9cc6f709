"""The middleware that stops calling a model which fails, so that fallbacks answer at once."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Literal

from attrs import frozen
from pydantic import Field

from victor_dsl.components.circuits import Circuit, CircuitConfig, open_error, report_change
from victor_dsl.language.component import Context
from victor_dsl.language.config import MiddlewareConfig
from victor_dsl.language.kinds import Middleware
from victor_dsl.values.message import Reply
from victor_dsl.values.turn import Handler, Turn

AROUND = "model"

MAX_CIRCUITS = 1_000
"""How many models' circuits are stored; beyond that, the oldest is dropped."""


class Config(CircuitConfig, MiddlewareConfig):
    """Stops calling a model that fails several times in a row, and tries it again from time to time.

    Each model has a circuit of its own, which survives reloads. Tenants share it, unless their overlay changes the model, such
    as its address. While it is open, calls fail at once with
    `circuit_open`: they are not retried, and a fallback answers. Then one call at a time tries the model, and the first
    success closes the circuit. Write it after `retry`, so that each attempt counts. An `error` event says when a circuit
    opens and closes.
    """

    around: Literal["model"] | None = Field(None, description="What it wraps: each model call.")


EXAMPLE = "{type: circuit_breaker, failures: 3, open_seconds: 10}"


def build(config: Config, context: Context) -> Middleware:
    """The middleware; the circuits outlive it."""
    return CircuitBreaker(config, context, context.memory.setdefault("circuits", {}))


@frozen
class CircuitBreaker:
    """Calls the handler unless the circuit of the turn's model is open."""

    config: Config
    context: Context
    circuits: MutableMapping[str, Circuit]

    def wrap(self, handler: Handler) -> Handler:
        async def guarded(turn: Turn) -> Reply:
            name = turn.settings.model or ""
            node, circuit = f"models/{name}", self._circuit(f"{name} {turn.model_fingerprints.get(name)}")
            now = self.context.clock.monotonic
            if wait_s := circuit.wait_s(now()):
                raise open_error(node, circuit, wait_s)
            probe = circuit.begin(now(), self.config)
            try:
                reply = await handler(turn)
            except BaseException as error:
                if circuit.failed(error, now(), self.config, probe=probe):
                    turn.record("error", report_change(node, circuit, now()))
                raise
            if circuit.succeeded(probe=probe):
                turn.record("error", report_change(node, circuit, now()))
            return reply

        return guarded

    def _circuit(self, model: str) -> Circuit:
        circuit = self.circuits.get(model)
        if circuit is None:
            if len(self.circuits) >= MAX_CIRCUITS:
                del self.circuits[next(iter(self.circuits))]
            circuit = self.circuits[model] = Circuit()
        return circuit
