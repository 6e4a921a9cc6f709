"""What servers mean by their errors: the kind, and the tokens of a request that is too long.

Servers agree neither on the shape of an error nor on the status of a kind, so an error's words decide before its status.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson
from attrs import frozen

from victor_dsl.errors import ModelErrorKind
from victor_dsl.transport.error_numbers import find_counts, find_wait, without_commas
from victor_dsl.transport.json_values import Malformed, as_count, write_json

_MAX_READ = 4_000
_MAX_DEPTH = 4

_TEXT_KEYS = ("message", "detail", "msg", "error_msg", "status_msg", "error_message", "faultstring", "title", "reason")
_WORD_KEYS = ("type", "code", "status", "__type", "error_type", "error_code", "status_code", "reason")
_SUCCESSES = (0, 200, "0", "200", "success", "ok")
_INNER_KEYS = (
    "error",
    "errors",
    "err",
    "detail",
    "details",
    "fault",
    "base_resp",
    "innererror",
    "inner_error",
    "response",
)


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_TOO_LONG = _any_of(
    # what is too long, by its name
    r"context.?(length|window|size|limit|overflow)",
    r"(maximum|max) context",
    r"(prompt|input|request|message|conversation|context)s?( text| length| size| body)? (is |are |was |has become )?too (long|large|big)",
    r"max(imum)? (sequence|input|prompt)[ _](length|characters|size)|max_(prompt|input)_(length|tokens)\b|tokens_limit_reached",
    r"context shift is disabled|tokens? (is |are )?too (long|large)",
    r"超长|(内容|输入|文本|长度).{0,6}(过长|超出|超过)|(超出|超过).{0,10}(长度|上限)",
    r"(prompt|input|request|messages?|text)_too_(long|large)|string_too_long|max_prompt_tokens_exceeded",
    # a limit of tokens that is exceeded
    r"tokens?\b( in your request)?.{0,20} exceeds? .{0,20}\blimit|prompt_tokens .{0,30}must be less than",
    r"too many (input |prompt |total )?tokens|token.?limit.?(is )?exceeded|exceed(s|ed|ing)? .{0,40}token (limit|count)",
    r"(maximum|max) (number of |allowed |total )*(input |prompt |model )*(tokens|length)\b(?!.{0,20}(output|completion))",
    r"(input|prompt|total)[ _]?(token count|tokens|length)\b.{0,40}(exceed|longer|greater|larger|more than|over)",
    r"(range of )?input length should be|longer than the (maximum )?model'?s?",
    r"tokens in (the )?request more than|exceeds the (limit of|max input) \d*|must have (less|fewer) than \d+ tokens",
    r"`?inputs`? tokens \+ `?max_new_tokens`? must be",
    # a limit of the request's size, which a shorter request meets
    r"(request|prompt) (is )?too large|request entity too large|payload too large|requested too many tokens",
    # the advice
    r"(reduce|shorten|decrease) (the |your )*(length|prompt|input|messages?|size)",
)
_NOT_TOO_LONG = _any_of(
    # not where it continues "This model's maximum context length is 8192 tokens and your request has 7000": a shorter one fits
    r"\b(max_tokens|max_completion_tokens|max_output_tokens)`?'? (is |are )?(too (large|high|big)|must|should|cannot|exceeds)(?!.*context length)",
    r"'(messages|input)[\w.\[\]]*\.(id|call_id|tool_call_id|name)':|(^|\s)'?(prompt_cache_key|safety_identifier)'?:|thinking.?budget|budget.tokens",
    r"range of (max_tokens|top_p) should|max_tokens is \[",
    r"(^|\s)'?(tools|metadata|functions|stop|user|response_format)[\w.\[\]]*'?:",
    r"(completion|output) tokens?\b.{0,40}(at most|whereas|supports)|(at most|supports) .{0,20}(completion|output) tokens",
    r"too many requests",
)
_OF_A_RATE = _any_of(
    r"rate.?limit", r"throttl", r"per.?(second|minute|hour|day)", r"\b[tr]p[mdh]\b", r"please wait|\bquota\b"
)
_LARGER_THAN_THE_RATE = _any_of(r"(request|prompt) (is )?too large")
_OF_TOKENS = re.compile(r"\btokens?\b", re.IGNORECASE)
_COUNT = re.compile(r"(?<![\w.])\d{3,12}(?![\w.]*\w)")

_CREDIT = _any_of(
    r"insufficient[ _-]?(quota|balance|credits?|funds?)",
    r"(credit|account) balance|balance (is )?(not enough|insufficient|too low)|not enough (credits?|balance|funds)",
    r"(out of|no|more|add|buy|purchase) credits|credits? (are |is |have been |has been )?(exhausted|depleted|used up|required)",
    r"payment.?required|billing.?(error|hard.?limit|not.?active|limit|disabled|is disabled|account)|account .{0,60}(suspended|overdue|deactivated)",
    r"account (has been|is) (disabled|closed|blocked)|organization has been disabled|exceeded_current_quota|arrear(s|age)|spending limit|(spend|usage|budget) limits?\b|"
    r"budget has been exceeded|budget_exceeded|enable billing|resource.?pack.?exhausted|余额不足|欠费",
)
_KEY = _any_of(
    r"(api|access|auth|secret)[ _-]?(key|token)s?( \S+)? (is |was )?(not valid|invalid|incorrect|expired|missing|required|not found|revoked|disabled|leaked)",
    r"(invalid|incorrect|expired|missing|wrong|bad|no|malformed|revoked)[ _-](x-)?(api|access|auth|authentication|bearer)?[ _-]?(api)?[ _-]?(key|token|credentials?)\b",
    r"(invalid|wrong|missing) subscription key|(user )?location is not supported|organization must be verified",
    r"(provide|set|pass) (an|a|your|a valid|the) (api )?key|api_key_invalid|no auth credentials|unauthenticated|unauthori[sz]ed|authentication.?(fails?|failed|error|required)|permission.?denied",
)
_NO_MODEL = _any_of(
    r"model.?(not.?found|not.?exist|does.?not.?exist|decommissioned|deprecated|retired|unavailable|is.?not.?supported)",
    r"(deployment|model).?not.?found|deploymentnotfound|no.such.model|(unknown|invalid|unsupported|nonexistent).model\b",
    r"\bmodel\b.{0,120}?\b(does not exist|doesn't exist|do not exist|not found|was not found|not a valid|is invalid|"
    r"is not available|not be found|decommissioned|deprecated|retired|no longer (available|supported)|not exist\b|is not supported)",
    r"not a valid model|no (endpoints|providers?|allowed providers) (found|are available)|unable to access (the )?model",
    r"(^|\s)model: \S+$|models/\S+ is not found|not have access to (the )?model|模型不存在|model (disabled|unloaded)",
    r"\bmodel\b.{0,60}(end of its life|marked by provider as legacy|only supported in v1/)|not a chat model|llm provider not provided",
    r"model id .{0,80}on-demand throughput",
)
_NO_FEATURE = _any_of(r"not supported (by|with|for|on) (this|the) model|model does not support")
_FILTERED = _any_of(
    r"content.?(filter|policy|management|safety|moderation)|responsibleai|data_?inspection_?failed|moderation|safety (system|filter|reasons)",
    r"(flagged|blocked) (as|by|for|due|because)|inappropriate content|prohibited_content|risky content|high.?risk",
    r"policy.?violation|input was flagged|(input|output|new)[ _](new_)?sensitive|敏感内容",
)

_KIND_BY_STATUS: Mapping[int, ModelErrorKind] = {
    401: "authentication",
    402: "authentication",
    403: "authentication",
    408: "timeout",
    409: "overloaded",
    424: "overloaded",
    425: "overloaded",
    429: "rate_limited",
    498: "overloaded",
    499: "overloaded",
    504: "timeout",
}
_KIND_BY_WORD: tuple[tuple[str, ModelErrorKind], ...] = (
    ("rate_limit", "rate_limited"),
    ("ratelimit", "rate_limited"),
    ("resource_exhausted", "rate_limited"),
    ("throttl", "rate_limited"),
    ("too_many_requests", "rate_limited"),
    ("quota", "rate_limited"),
    ("overloaded", "overloaded"),
    ("server_error", "overloaded"),
    ("servererror", "overloaded"),
    ("internal", "overloaded"),
    ("api_error", "overloaded"),
    ("unavailable", "overloaded"),
    ("capacity", "overloaded"),
    ("timeout", "timeout"),
    ("deadline_exceeded", "timeout"),
    ("authentication", "authentication"),
    ("permission", "authentication"),
    ("invalid_api_key", "authentication"),
    ("billing", "authentication"),
    ("invalid_request", "bad_request"),
    ("invalid_argument", "bad_request"),
    ("badrequest", "bad_request"),
    ("bad_request", "bad_request"),
    ("validation", "bad_request"),
    ("not_found", "bad_request"),
)
_KIND_BY_TEXT: tuple[tuple[re.Pattern[str], ModelErrorKind], ...] = (
    (
        _any_of(r"rate.?limit", r"too many requests", r"throttl", r"(requests?|rate) limit (is )?(reached|exceeded)"),
        "rate_limited",
    ),
    (
        _any_of(
            r"overloaded", r"(over|at \w* ?)capacity|capacity exceeded", r"(is|server|too) busy|high (traffic|demand)"
        ),
        "overloaded",
    ),
)
_KIND_BY_VAGUE_TEXT: tuple[tuple[re.Pattern[str], ModelErrorKind], ...] = (
    *_KIND_BY_TEXT,
    (_any_of(r"quota"), "rate_limited"),
    (_any_of(r"internal (server )?error", r"unavailable", r"try again"), "overloaded"),
    (_any_of(r"timed? ?out"), "timeout"),
)
"""Where no status says what it is."""


@frozen
class ServerError:
    """What an error says. `words` are its types and codes in lower case, `text` its message, and `body` all of it."""

    words: str
    text: str
    body: str
    code: int | None
    """The HTTP status that it has as its code; some gateways write it so."""
    counts: tuple[int | None, int | None] = (None, None)
    """The tokens of the request and of the window, where it has fields for them."""
    wait: str = ""
    """How long to wait, where it has a field for it: Google's `retryDelay`."""

    @property
    def lacks_credit(self) -> bool:
        """Whether it is about the account's credit or quota."""
        return bool(_CREDIT.search(f"{self.words} {self.text}"))

    def kind(self, status: int | None) -> ModelErrorKind:
        """Its kind. `status` is that of the answer, None where that was a success."""
        status = self.code if status is None else status
        # A server's own faults and wrong keys may contain any words, and the request cannot mend them.
        if status in (401, 402, 403, 408, 504) or (status is not None and status > 500):
            return self._kind_of_access(status) or _KIND_BY_STATUS.get(status, "overloaded")
        said = f"{self.words} {self.text}"
        if self._is_too_long(said, status):
            return "context_length"
        if self.lacks_credit:
            return "authentication"
        if status == 429 or "throttl" in self.words:
            return "rate_limited"
        if _KEY.search(said):
            return "authentication"
        if _NO_MODEL.search(said) and not _NO_FEATURE.search(said):
            return "model_not_found"
        if _FILTERED.search(self.words) or (status in (400, 422, 451, None) and _FILTERED.search(said)):
            return "content_filter"
        return self._kind_by_word(status)

    def _kind_of_access(self, status: int) -> ModelErrorKind | None:
        if status != 403:
            return None
        said = f"{self.words} {self.text}"
        if self._is_too_long(said, status):
            return "context_length"
        if _NO_MODEL.search(said):
            return "model_not_found"
        return "content_filter" if _FILTERED.search(said) else None

    def _is_too_long(self, said: str, status: int | None) -> bool:
        if any(self.counts):
            return True
        rate = bool(_OF_A_RATE.search(said)) or status == 429
        if rate:
            return bool(_LARGER_THAN_THE_RATE.search(said))
        if _NOT_TOO_LONG.search(said):
            return False
        if _TOO_LONG.search(said) or (not self.text and _TOO_LONG.search(self.body)):
            return True
        # A refusal that compares two numbers of tokens, in words that nobody has listed.
        if status in (400, 413, 422) and _OF_TOKENS.search(said) and "max_" not in said:
            return len(_COUNT.findall(without_commas(said))) >= 2
        return status == 413 and not self.text

    def _kind_by_word(self, status: int | None) -> ModelErrorKind:
        if status is None:
            of_word = next((kind for word, kind in _KIND_BY_WORD if word in self.words), None)
            return of_word or _kind_by_text(self.text, _KIND_BY_VAGUE_TEXT) or "bad_response"
        if status in _KIND_BY_STATUS:
            return _KIND_BY_STATUS[status]
        if status >= 500:
            return "overloaded"
        of_text = _kind_by_text(f"{self.words} {self.text}", _KIND_BY_TEXT)
        return of_text or ("bad_request" if status >= 400 else "bad_response")

    def token_counts(self) -> tuple[int | None, int | None]:
        """The tokens of a request that is too long, and the context window, if the server writes them."""
        return self.counts if any(self.counts) else find_counts(self.text or self.body)

    def wait_s(self) -> float | None:
        """The wait in seconds that it asks for in a field or in its words."""
        return find_wait(self.wait or self.text)


def _kind_by_text(text: str, patterns: tuple[tuple[re.Pattern[str], ModelErrorKind], ...]) -> ModelErrorKind | None:
    return next((kind for pattern, kind in patterns if pattern.search(text)), None)


def read_error(error: Any, body: str = "") -> ServerError:
    """The error in any of the shapes that servers give it: objects and lists in each other, or text."""
    levels = list(_levels(error, 0))
    words = [str(level[key]) for level in levels for key in _WORD_KEYS if _is_word(level.get(key))]
    texts = [
        level[key] for level in levels for key in _TEXT_KEYS if isinstance(level.get(key), str) and level[key].strip()
    ]
    texts += [level[key] for level in levels for key in ("error", "err") if isinstance(level.get(key), str)]
    if isinstance(error, str):
        texts.append(error)
    # The innermost text says most: outer ones may be "Provider returned error".
    text = " ".join(dict.fromkeys(reversed(texts))) if levels and _is_wrapped(levels) else next(iter(texts), "")
    counts = next((_count_fields(level) for level in levels if "n_prompt_tokens" in level), (None, None))
    code = next((code for level in levels if (code := _http_code(level))), None)
    wait = next((level["retrydelay"] for level in levels if isinstance(level.get("retrydelay"), str)), "")
    if not body and error is not None:
        body = _written(error)
    if not text and levels and isinstance(inner := levels[-1].get("message"), dict | list):
        text = _written(inner)
    return ServerError(
        " ".join(words).lower()[:_MAX_READ], text[:_MAX_READ], body[:_MAX_READ], code, counts, wait[:_MAX_READ]
    )


def _written(value: Any) -> str:
    try:
        return write_json(value)
    except Malformed:
        return ""


def find_error(value: Any, *, named: bool = False) -> Any:
    """The error in what a server sent with a status of success; None where it is none.

    `named` says that the event stream calls it an error.
    """
    if isinstance(value, list):
        return next((error for item in value if (error := find_error(item)) is not None), None)
    if not isinstance(value, dict):
        return None
    choices = value.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict) and choices[0].get("error"):
        return choices[0]
    error = value.get("error")
    if isinstance(error, dict) and not any(error.values()):
        error = None
    if named or error or "error" in (value.get("object"), value.get("type")):
        return value
    base = value.get("base_resp")
    if isinstance(base, dict) and base.get("status_code") and not choices:
        return value
    if isinstance(value.get("fault"), dict):
        return value
    says_success = any(value.get(key) in _SUCCESSES and key in value for key in ("code", "status", "status_code"))
    is_answer = (
        says_success
        or choices
        or value.get("usage")
        or any(key in value for key in ("content", "delta", "content_block"))
    )
    if not is_answer and any(
        value.get(key) and isinstance(value[key], str | list) for key in (*_TEXT_KEYS, "errors", "err")
    ):
        return value
    return None


def _levels(value: Any, depth: int) -> Any:
    """The error's levels, the outermost first."""
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, str) and depth and value.lstrip()[:1] in ("{", "["):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return
    if isinstance(value, list):
        for item in value[:3]:
            yield from _levels(item, depth + 1)
    elif isinstance(value, dict):
        value = {key.lower(): item for key, item in value.items()}
        yield value
        for key in _INNER_KEYS:
            if key in value:
                yield from _levels(value[key], depth + 1)
        metadata = value.get("metadata")
        if isinstance(metadata, dict):  # OpenRouter: the provider's own words
            yield from _levels(metadata.get("raw"), depth + 1)
            if isinstance(raw := metadata.get("raw"), str) and raw.lstrip()[:1] not in ("{", "["):
                yield {"message": raw}


def _is_wrapped(levels: list[dict[str, Any]]) -> bool:
    return any("raw" in level["metadata"] for level in levels if isinstance(level.get("metadata"), dict))


def _is_word(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _http_code(level: Mapping[str, Any]) -> int | None:
    for key in ("code", "status", "status_code"):
        code = level.get(key)
        if isinstance(code, str) and code.isascii() and code.isdigit():
            code = int(code[:4])
        if isinstance(code, int) and not isinstance(code, bool) and 400 <= code < 600:
            return code
    return None


def _count_fields(level: Mapping[str, Any]) -> tuple[int | None, int | None]:
    return as_count(level["n_prompt_tokens"]), as_count(level.get("n_ctx"))
