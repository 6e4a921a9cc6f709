"""Schemas of outputs: events and rendered turns. Those of specs are in `schema`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from victor_dsl.values.event import EventType, Outcome

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
_NUMBER: Json = {"type": "number"}
_COUNT: Json = {"type": "integer", "minimum": 0}
_UUID7 = "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
_MICROSECONDS = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"


def _or_null(schema: Json) -> Json:
    return {**schema, "type": [schema["type"], "null"]}


def _object(
    properties: Mapping[str, Json], optional: Mapping[str, Json] | None = None, *, closed: bool = True, **more: Any
) -> Json:
    """An object that has all these properties, and may have the optional ones; one that is not closed may have more."""
    return {
        "type": "object",
        "required": list(properties),
        "additionalProperties": not closed,
        "properties": {**properties, **(optional or {})},
        **more,
    }


_TOKENS: Mapping[str, Json] = {
    "input_tokens": {
        **_or_null(_COUNT),
        "description": "All input; null where the model reports none, as in the other counts.",
    },
    "output_tokens": {**_or_null(_COUNT), "description": "All output."},
    "cached_tokens": {**_or_null(_COUNT), "description": "The part of the input that was read from a prompt cache."},
    "cache_write_tokens": {
        **_or_null(_COUNT),
        "description": "The part of the input that was written to a prompt cache.",
    },
    "reasoning_tokens": {**_or_null(_COUNT), "description": "The part of the output that was spent on thoughts."},
}
_ESTIMATED: Mapping[str, Json] = {
    "estimated": {
        "const": True,
        "description": "There only where some of the counts are estimates, as of a broken answer.",
    }
}
_USAGE: Mapping[str, Json] = {
    **_TOKENS,
    "cost_usd": {
        **_or_null(_NUMBER),
        "description": "US dollars; null where a price is not known. The sum over `turn` events is the bill: it includes "
        "that over `model_call` events.",
    },
}
_CODE: Json = {**_or_null(_TEXT), "description": "What went wrong, as a word; null where nothing did."}

_INDICES: Json = {"type": "array", "items": _COUNT}
_ORIGIN: Mapping[str, Json] = {
    "source": _TEXT,
    "file": _or_null(_TEXT),
    "line": _or_null({"type": "integer", "minimum": 1}),
}
_SELECTION: Json = _object(
    {
        "type": {**_TEXT, "description": "What chose: a fallback, `all`, or with `k` `use_and_cost`."},
        "fallback": {"const": True},
    },
    description="There only where the strategy of `tool_selection` found no tool, or failed.",
)

_MENDING: Json = _object(
    {
        "closed": {
            **_INDICES,
            "description": "Input messages with tool calls that had no result: each is given a stand-in.",
        },
        "left_out": {**_INDICES, "description": "Input messages that are results without a call: they are not sent."},
    },
    {
        "moved": {
            **_INDICES,
            "description": "Results that stood behind another message: they are sent directly behind their call.",
        }
    },
    description="There only where the input could not be sent as it was.",
)
_EXPLAINED: Json = {
    "type": "array",
    "description": "With `--explain-compaction`: what became of each input message.",
    "items": _object({"index": _COUNT, "role": _TEXT, "tokens": _COUNT, "kept": {"type": "boolean"}, "why": _TEXT}),
}

DATA: Mapping[str, Mapping[str, Json]] = {
    "turn": {
        "latency_ms": {**_or_null(_NUMBER), "description": "Null where the turn was interrupted."},
        **_USAGE,
        "model": {**_or_null(_TEXT), "description": "The model that answered; a name under `models`."},
        "stop_reason": _TEXT,
        "outcome": {
            "enum": list(get_args(Outcome)),
            "description": "`refused`: by a rule of the spec, such as a limit or a key; `interrupted`: its process died.",
        },
        "error": _CODE,
        "values": {**_or_null(_TEXT), "description": "A hash of the settings and vars that were in force."},
        "tools": {
            "description": "What tools were selected, and which of them the model called; null for a turn without tools.",
            "type": ["object", "null"],
            "required": ["type", "candidates", "offered", "fallback", "used"],
            "properties": {
                "type": {
                    **_TEXT,
                    "description": "The strategy whose selection was taken. Where none found anything, `all`, or "
                    "with `k` `use_and_cost`: the tools that the conversation has called most often, then the cheapest.",
                },
                "candidates": {**_COUNT, "description": "How many tools it selected from."},
                "offered": {
                    "type": "array",
                    "items": _TEXT,
                    "description": "The names selected for this turn, best first; the first 100.",
                },
                "fallback": {"type": "boolean", "description": "Whether it stood in for one that found nothing."},
                "used": {"type": "array", "items": _TEXT, "description": "Names, each once, in order of first use."},
            },
        },
    },
    "token_usage": {"model": _TEXT, **_TOKENS},
    "model_call": {"model": _TEXT, "latency_ms": _NUMBER, "error": _CODE},
    "tool_call": {
        "ok": {"type": "boolean"},
        "error": _CODE,
        "latency_ms": _NUMBER,
        "price_usd": {
            "type": ["number", "null"],
            "description": "The price of a call in the spec (`cost_usd` of the tool). No turn's `cost_usd` includes it.",
        },
    },
    "compaction": {
        "type": {**_TEXT, "description": "The strategy whose choice was taken."},
        "before": {**_COUNT, "description": "Tokens of the messages before."},
        "after": {**_COUNT, "description": "Tokens of the messages after."},
        "fallback": {"type": "boolean", "description": "Whether it stood in for one that failed."},
        "prefix_kept": {
            "type": ["number", "null"],
            "minimum": 0,
            "maximum": 1,
            "description": "The share of the tokens sent after the session's last compaction that are the same leading part "
            "of those sent now; null at the first.",
        },
        "reused": {
            "type": "boolean",
            "description": "Whether no strategy ran: what an earlier turn of the session left out was left out again.",
        },
    },
    "exposure": {"experiment": _TEXT, "arm": _TEXT},
    "feedback": {"metric": _TEXT, "value": _NUMBER},
    "error": {"code": _TEXT},
    "reload": {},
}
"""What the `data` of each type of event has at least."""

_ESTIMATE: Mapping[str, Json] = {
    "estimated_tokens": {**_COUNT, "description": "The input tokens that were expected before the call."},
    "estimate_error": {
        **_or_null(_NUMBER),
        "description": "`estimated_tokens / input_tokens - 1`; null where the model reports no usage.",
    },
}

_RESET: Json = {"const": True, "description": "The session's set of offered tools exceeded `most` and began anew."}

MORE: Mapping[str, Mapping[str, Json]] = {
    "turn": {**_ESTIMATED, "tools_reset": _RESET},
    "token_usage": {**_ESTIMATED, **_ESTIMATE},
    "model_call": {**_USAGE, **_ESTIMATED, **_ESTIMATE},
}
"""What it may have besides: calls that failed may have no usage, and those for a summary have no estimate."""


def event_schema() -> Json:
    """The schema of one analytics event."""
    common: Mapping[str, Json] = {
        "id": {
            "type": "string",
            "pattern": _UUID7,
            "description": "A UUIDv7; the same event has the same id everywhere.",
        },
        "type": {"enum": list(get_args(EventType))},
        "timestamp": {"type": "string", "pattern": _MICROSECONDS, "description": "RFC 3339, UTC, with microseconds."},
        "session": {**_or_null(_TEXT), "description": "Null for what happens outside of turns."},
        "tenant": _or_null(_TEXT),
        "user": {
            **_or_null(_TEXT),
            "description": "A pseudonym, the same for the same user; with `store_user: true` the user's own id. Null where none is known.",
        },
        "pipeline": {**_TEXT, "description": "The spec's `name`."},
        "plan": {**_TEXT, "description": "The digest of the plan that the turn ran; empty outside of turns."},
        "variants": {
            "type": "object",
            "additionalProperties": _TEXT,
            "description": "The arms that the turn was in, by experiment.",
        },
        "data": {"type": "object", "description": "What the event's type says; see below."},
    }
    return {
        **_head("event", "One analytics event of victor."),
        **_object(common),
        "allOf": [
            {
                "if": {"properties": {"type": {"const": type}}, "required": ["type"]},
                "then": {"properties": {"data": _object(data, MORE.get(type), closed=False)}},
            }
            for type, data in DATA.items()
            if data
        ],
    }


def rendered_schema() -> Json:
    """The schema of one rendered turn: a line of `victor render`."""
    return {
        **_head("rendered", "What a model would be sent, and why, as `victor render` prints it."),
        **_object(
            {
                "id": {"type": ["string", "integer", "null"], "description": "The request's id, or its line number."},
                "session": _TEXT,
                "tenant": _or_null(_TEXT),
                "variants": {"type": "object", "additionalProperties": _TEXT},
                "settings": {"type": "object", "description": "The settings in force, by name."},
                "origins": {
                    "type": "object",
                    "description": "Where each value in force came from, by its dotted path, and who wrote each piece of the "
                    "prompt (`contributors.NAME`) and each message of the spec (`messages/0`, `message`).",
                    "additionalProperties": _object(
                        _ORIGIN,
                        {
                            "layers": {
                                "type": "array",
                                "description": "Of a value that several layers make together: all of them, the lowest first.",
                                "items": _object(_ORIGIN),
                            }
                        },
                    ),
                },
                "system": {**_TEXT, "description": "The system prompt."},
                "contributors": {
                    "type": "array",
                    "items": _object(
                        {
                            "type": _TEXT,
                            "name": _TEXT,
                            "priority": {"type": "integer"},
                            "tokens": _COUNT,
                            "dropped": {"type": "boolean"},
                        },
                        {"why": {**_TEXT, "description": "Why the piece was dropped or cut; absent where it was not."}},
                    ),
                },
                "messages": {
                    "type": "array",
                    "description": "As sent, in the OpenAI chat format, without the system prompt: first the spec's few-shot messages.",
                    "items": {"type": "object", "required": ["role"], "properties": {"role": _TEXT}},
                },
                "kept": {
                    "type": "array",
                    "items": _COUNT,
                    "description": "Indices of the input messages that are sent.",
                },
                "tools": {
                    "type": "array",
                    "items": _TEXT,
                    "description": "The names of the tools selected for this turn, best first.",
                },
                "sent_tools": {
                    "type": "array",
                    "items": _TEXT,
                    "description": "The names of the tools sent, in the order sent: those selected for this turn, and those that "
                    "its session was offered before.",
                },
                "tokens": _object(
                    {
                        "system": _COUNT,
                        "messages": _COUNT,
                        "tools": _COUNT,
                        "total": _COUNT,
                        "limit": {**_or_null(_COUNT), "description": "The model's window; null where it is not known."},
                    }
                ),
                "cache": _object(
                    {
                        "stable_tokens": {
                            **_COUNT,
                            "description": "The tokens of tools, system prompt and messages, in this order, that begin the "
                            "request as they began the one rendered before in the same session; 0 at the first.",
                        },
                        "changed_at": {
                            **_or_null(_TEXT),
                            "description": "Where the two first differ: `tools`, `system` or `messages/3`, an index in "
                            "`messages`; null where the request only goes on, and at the first.",
                        },
                    },
                    description="What a provider's prompt cache can have of the request.",
                ),
                "compaction": {
                    "anyOf": [{"type": "null"}, _object(DATA["compaction"], {"messages": _EXPLAINED}, closed=False)]
                },
                "plan": {**_TEXT, "description": "The digest of the plan."},
                "error": {"anyOf": [{"type": "null"}, _object({"code": _TEXT, "message": _TEXT}, closed=False)]},
            },
            {"mending": _MENDING, "selection": _SELECTION},
        ),
    }


def _head(name: str, description: str) -> Json:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{name}.schema.json",
        "title": f"victor {name}",
        "description": description,
    }
