"""Why an answer ended, in the words of any server."""

from __future__ import annotations

import re

from victor_dsl.transport.json_values import Malformed
from victor_dsl.values.message import StopReason

_ENDED = re.compile(
    r"(stop|eos|end|complete|finish|done|matched_stop|word$)|(tool|function)_?(calls?|use)?s?$", re.IGNORECASE
)
_CUT_OFF = re.compile(
    r"length$|limit$|max.?(output.?|predicted.?)?tokens|max.?length|token.?limit|(model|context).?(length|window)",
    re.IGNORECASE,
)
_FILTERED = re.compile(
    r"content.?filter|filtered|safety|sensitive|prohibited|blocklist|recitation|spii|refus|guardrail|moderat|policy|"
    r"risk|inappropriate|violation|toxic",
    re.IGNORECASE,
)
_FAILED = re.compile(
    r"error|abort|cancel|resource|network|time|overload|unavailable|fail|interrupt|disconnect|preempt|not.?finished",
    re.IGNORECASE,
)
_WAS_MALFORMED = re.compile(r"malformed|unexpected_tool|invalid_tool|too_many_tool", re.IGNORECASE)


class Interrupted(Malformed):
    """The server says itself that it could not finish its answer."""


def read_stop_reason(reason: str, *, has_calls: bool) -> StopReason:
    """What a server's reason means. Servers write the words of other APIs too. Raises Malformed, which quotes it."""
    if reason in ("stop", "tool_calls") or (_ENDED.match(reason) and not _FAILED.search(reason)):
        return "tool_calls" if has_calls else "stop"
    return unknown_reason(reason)


def unknown_reason(reason: str) -> StopReason:
    """What a reason means that is no end of a complete answer. Raises Malformed, which quotes it."""
    if _FILTERED.search(reason):
        return "content_filter"
    if _WAS_MALFORMED.search(reason):
        raise Malformed(f"the model's tool call was not valid (it stopped with '{reason}')")
    if _FAILED.search(reason):
        raise Interrupted(f"the answer broke off with '{reason}'")
    if _CUT_OFF.search(reason):
        return "length"
    raise Malformed(f"it stopped for an unknown reason: '{reason}'")
