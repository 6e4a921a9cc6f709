"""Spans of turns, and below them of their calls of models and tools.

A turn is `invoke_agent`, since it may ask several models and run tools in between: the conventions' span of an agent in the same
process. All ids follow from the events' ids, so that a batch that is sent again has the same spans.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from victor_dsl.components.exporters.otlp.conventions import (
    AGENT,
    CONVERSATION,
    ERROR,
    OPERATION,
    PROVIDER,
    TOOL,
    Names,
    error_of,
    model_attributes,
)
from victor_dsl.components.exporters.otlp.values import (
    attributes,
    nanoseconds,
    span_id,
    start,
    text,
    trace_id,
    turn_span_id,
)
from victor_dsl.values.event import Event

INTERNAL, CLIENT = 1, 3
FAILED = 2


def spans(events: Sequence[Event], names: Names, user: str) -> list[dict[str, Any]]:
    """The spans of events. `user` is the attribute for the user: `user.hash` for a pseudonym, else `user.id`."""
    return list(_spans(events, names, user))


def _spans(events: Sequence[Event], names: Names, user: str) -> Iterator[dict[str, Any]]:
    for event in events:
        trace = trace_id(event)
        if trace is None:
            continue
        if event.type == "turn":
            span = _turn(event, names)
        elif event.type == "model_call":
            span = _model_call(event, names)
        elif event.type == "tool_call":
            span = _tool_call(event)
        else:
            continue
        name, kind, own = span
        error = error_of(event)
        made = {
            "traceId": trace,
            "spanId": span_id(event.id),
            "name": text(name),
            "kind": kind,
            "startTimeUnixNano": nanoseconds(start(event)),
            "endTimeUnixNano": nanoseconds(event.timestamp),
            "attributes": attributes({**own, **_common(event, user), ERROR: error}),
        }
        if event.type != "turn":
            made["parentSpanId"] = turn_span_id(trace)
        if error is not None:
            made["status"] = {"code": FAILED, "message": text(error)}
        yield made


def _turn(event: Event, names: Names) -> tuple[str, int, dict[str, object]]:
    data = event.data
    own = {
        OPERATION: "invoke_agent",
        PROVIDER: "victor_dsl",
        "gen_ai.agent.version": event.plan or None,
        **_usage(event, names),
        "gen_ai.response.finish_reasons": [data["stop_reason"]],
        "victor.outcome": data["outcome"],
        "victor.model": data["model"],
        "victor.cost_usd": data["cost_usd"],
    }
    if data["outcome"] == "refused":
        own["victor.refusal"] = data["error"]
    return f"invoke_agent {event.pipeline}", INTERNAL, own


def _model_call(event: Event, names: Names) -> tuple[str, int, dict[str, object]]:
    data, about = event.data, model_attributes(event)
    ttft = data.get("ttft_ms")
    own = {
        **about,
        "gen_ai.request.stream": None if ttft is None else True,
        **_usage(event, names),
        "gen_ai.response.time_to_first_chunk": None if ttft is None else ttft / 1_000,
        "gen_ai.response.finish_reasons": ["error" if data["error"] is not None else data.get("stop_reason", "stop")],
        "victor.model": data.get("member") or data["model"],
        "victor.purpose": data.get("purpose"),
        "victor.cost_usd": data.get("cost_usd"),
    }
    return f"chat {about['gen_ai.request.model']}", CLIENT, own


def _tool_call(event: Event) -> tuple[str, int, dict[str, object]]:
    name = tool_name(event)
    own: dict[str, object] = {
        OPERATION: "execute_tool",
        TOOL: name,
        "gen_ai.tool.type": "function",
        "victor.tool.source": event.data.get("source"),
    }
    return f"execute_tool {name}", INTERNAL, own


def tool_name(event: Event) -> str:
    """The tool that was called; a name that the spec does not have may be anything, and is not recorded."""
    return event.data.get("tool") or "unknown"


def _usage(event: Event, names: Names) -> dict[str, object]:
    return {attribute: event.data.get(field) for field, attribute in names.usage.items()}


def _common(event: Event, user: str) -> dict[str, object]:
    arms = {f"victor.arm.{experiment}": arm for experiment, arm in event.variants.items()}
    return {
        AGENT: event.pipeline,
        CONVERSATION: event.session,
        "gen_ai.prompt.name": event.pipeline,
        "gen_ai.prompt.version": event.plan or None,
        "victor.tenant": event.tenant,
        user: event.user,
        **arms,
    }
