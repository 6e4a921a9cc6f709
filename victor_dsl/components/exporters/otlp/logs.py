"""Log records of what has no duration: exposures, feedback, failures, and what else happened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from victor_dsl.components.exporters.otlp.conventions import AGENT, CONVERSATION, ERROR, error_of, model_attributes
from victor_dsl.components.exporters.otlp.values import attributes, nanoseconds, span_id, trace_id, turn_span_id
from victor_dsl.values.event import Event

INFO, WARN = (9, "INFO"), (13, "WARN")


def logs(events: Sequence[Event], user: str) -> list[dict[str, Any]]:
    """The log records of events. `user` is the attribute for the user."""
    return [record for event in events if (record := _log(event, user)) is not None]


def _log(event: Event, user: str) -> dict[str, Any] | None:
    data, severity = event.data, INFO
    own: dict[str, object]
    if event.type == "exposure":
        name = "feature_flag.evaluation"
        own = {
            "feature_flag.key": data["experiment"],
            "feature_flag.result.variant": data["arm"],
            "feature_flag.provider.name": "victor_dsl",
            "feature_flag.context.id": event.user or event.session,
        }
    elif event.type == "feedback":
        name = "gen_ai.evaluation.result"
        own = {
            "gen_ai.evaluation.name": data["metric"],
            "gen_ai.evaluation.score.value": float(data["value"]),
        }
    elif event.type == "model_call":
        if (error := error_of(event)) is None:
            return None
        name, severity = "gen_ai.client.operation.exception", WARN
        own = {"exception.type": error, ERROR: error, **model_attributes(event)}
    elif event.type == "error":
        name, severity = "victor.error", WARN
        own = {
            "exception.type": data["code"],
            "exception.message": data.get("message"),
            "victor.node": data.get("node"),
        }
    elif event.type in ("compaction", "reload"):
        name = f"victor.{event.type}"
        own = {
            f"victor.{event.type}.{key}": value for key, value in data.items() if isinstance(value, str | int | float)
        }
    else:
        return None
    common = {AGENT: event.pipeline, CONVERSATION: event.session, "victor.tenant": event.tenant, user: event.user}
    number, level = severity
    record: dict[str, Any] = {
        "timeUnixNano": nanoseconds(event.timestamp),
        "observedTimeUnixNano": nanoseconds(event.timestamp),
        "severityNumber": number,
        "severityText": level,
        "eventName": name,
        "attributes": attributes({**own, **common, "victor.event.id": event.id}),
    }
    if (trace := trace_id(event)) is not None:
        record["traceId"] = trace
        record["spanId"] = span_id(event.id) if event.type == "model_call" else turn_span_id(trace)
    return record
