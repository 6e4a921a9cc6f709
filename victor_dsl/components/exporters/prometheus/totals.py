"""What Prometheus reads of events: totals since the process began."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define, field

from victor_dsl.components.exporters.prometheus.series import OTHER, Counter, Histogram
from victor_dsl.values.event import Event

SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
KINDS = {
    "input_tokens": "input",
    "output_tokens": "output",
    "cached_tokens": "cache_read",
    "cache_write_tokens": "cache_write",
    "reasoning_tokens": "reasoning",
}


@define
class Totals:
    """Totals of events. With `most_tenants` above 0, turns and costs are counted by tenant, the first that many by their names."""

    most_tenants: int = 0
    _tenants: dict[str, None] = field(factory=dict)
    _turns: Counter = field(factory=lambda: Counter("victor_turns_total", "Turns by how they ended."))
    _turn_seconds: Histogram = field(
        factory=lambda: Histogram("victor_turn_duration_seconds", "How long turns took.", SECONDS)
    )
    _calls: Counter = field(
        factory=lambda: Counter("victor_model_calls_total", "Calls of models; error is empty where there was none.")
    )
    _call_seconds: Histogram = field(
        factory=lambda: Histogram("victor_model_call_duration_seconds", "How long calls of models took.", SECONDS)
    )
    _first_seconds: Histogram = field(
        factory=lambda: Histogram("victor_time_to_first_token_seconds", "Time to the first streamed token.", SECONDS)
    )
    _tokens: Counter = field(
        factory=lambda: Counter(
            "victor_tokens_total", "Tokens; cache_read and cache_write are parts of input, reasoning of output."
        )
    )
    _cost: Counter = field(factory=lambda: Counter("victor_cost_usd_total", "US dollars, where prices are known."))
    _tools: Counter = field(
        factory=lambda: Counter("victor_tool_calls_total", "Calls of tools; error is empty where there was none.")
    )
    _tool_seconds: Histogram = field(
        factory=lambda: Histogram("victor_tool_call_duration_seconds", "How long calls of tools took.", SECONDS)
    )
    _errors: Counter = field(factory=lambda: Counter("victor_errors_total", "Error events by code."))
    _exposures: Counter = field(factory=lambda: Counter("victor_exposures_total", "Exposures to experiments' arms."))

    def add(self, events: Iterable[Event]) -> None:
        for event in events:
            self._add(event)

    def text(self) -> str:
        """The totals in the text format, of `CONTENT_TYPE`."""
        families = (
            self._turns,
            self._turn_seconds,
            self._calls,
            self._call_seconds,
            self._first_seconds,
            self._tokens,
            self._cost,
            self._tools,
            self._tool_seconds,
            self._errors,
            self._exposures,
        )
        return "".join(f"{line}\n" for family in families for line in family.lines())

    def _add(self, event: Event) -> None:
        data, whose = event.data, {"pipeline": event.pipeline}
        error = "" if data.get("error") is None else str(data["error"])
        if event.type == "turn":
            self._turns.add({**whose, **self._tenant(event), "outcome": data["outcome"]})
            if data["latency_ms"] is not None:
                self._turn_seconds.add(whose, data["latency_ms"] / 1_000)
        elif event.type == "model_call":
            model = {**whose, "model": str(data.get("member") or data["model"])}
            self._calls.add({**model, "error": error})
            self._call_seconds.add(model, data["latency_ms"] / 1_000)
            if data.get("ttft_ms") is not None:
                self._first_seconds.add(model, data["ttft_ms"] / 1_000)
            for name, kind in KINDS.items():
                if data.get(name) is not None:
                    self._tokens.add({**model, "kind": kind}, data[name])
            if data.get("cost_usd") is not None:
                self._cost.add({**model, **self._tenant(event)}, data["cost_usd"])
        elif event.type == "tool_call":
            tool = {**whose, "tool": str(data.get("tool") or "unknown")}
            self._tools.add({**tool, "error": error})
            self._tool_seconds.add(tool, data["latency_ms"] / 1_000)
        elif event.type == "error":
            self._errors.add({**whose, "code": str(data["code"])})
        elif event.type == "exposure":
            self._exposures.add({**whose, "experiment": str(data["experiment"]), "arm": str(data["arm"])})

    def _tenant(self, event: Event) -> dict[str, str]:
        if not self.most_tenants:
            return {}
        name = event.tenant or ""
        if name not in self._tenants and len(self._tenants) >= self.most_tenants:
            return {"tenant": OTHER}
        self._tenants[name] = None
        return {"tenant": name}
