"""promptfoo's assertions as what a spec's test expects of the reply."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen
from pydantic import ValidationError

from victor_dsl.language.spec_tests import Test
from victor_dsl.source.located import Span
from victor_dsl.values.faults import Faulty
from victor_dsl.workbench.importing.sources import Imported

_VARIABLE = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")
OTHERS = {
    "javascript": "it is a program; write it as `matches` or `judge`",
    "python": "it is a program; write it as `matches` or `judge`",
    "webhook": "it asks a server",
    "similar": "there is no comparison by vectors; `judge` compares meaning",
    "select-best": "a test judges one answer",
    "perplexity": "the model's probabilities are not known",
}
RUBRICS = frozenset(
    {"llm-rubric", "g-eval", "factuality", "model-graded-closedqa", "model-graded-factuality", "answer-relevance"}
)
JUDGED = {
    "factuality": "It agrees with this in its facts: ",
    "model-graded-factuality": "It agrees with this in its facts: ",
    "answer-relevance": "It answers the question. ",
}
AT_LEAST = 0.5
"""The least score of a rubric without a threshold, of which promptfoo takes the judge's own word."""


@frozen
class Assertion:
    """One assertion as it is written, and where."""

    value: Mapping[str, Any]
    span: Span
    path: str


@define
class _Expected:
    contains: list[str] = field(factory=list)
    not_contains: list[str] = field(factory=list)
    patterns: list[str] = field(factory=list)
    rubrics: list[str] = field(factory=list)
    reply: dict[str, Any] = field(factory=dict)
    more: dict[str, Any] = field(factory=dict)
    at_least: float = AT_LEAST


def expectations(
    assertions: Iterable[Assertion], values: Mapping[str, Any], judge: str, imported: Imported
) -> dict[str, Any]:
    """What the assertions expect, with the case's values in place of variables; what cannot be said is reported."""
    expected = _Expected()
    for assertion in assertions:
        why = _add(expected, assertion.value, values)
        if why is not None:
            imported.report(assertion.span, assertion.path, why)
    reply = dict(expected.reply)
    for name, texts in (("contains", expected.contains), ("not_contains", expected.not_contains)):
        if texts:
            reply[name] = texts[0] if len(texts) == 1 else texts
    if expected.patterns:
        reply["matches"] = (
            expected.patterns[0]
            if len(expected.patterns) == 1
            else r"\A" + "".join(f"(?=[\\s\\S]*?(?:{one}))" for one in expected.patterns)
        )
    made = {"reply": reply} if reply else {}
    if expected.rubrics:
        rubrics = expected.rubrics
        text = rubrics[0] if len(rubrics) == 1 else "All of this holds:\n" + "\n".join(f"- {one}" for one in rubrics)
        made["judge"] = {"model": judge, "rubric": text, "at_least": expected.at_least}
    return {**made, **expected.more}


def test_fault(test: Mapping[str, Any]) -> str | None:
    """Why a spec refuses the test; None where it accepts it."""
    try:
        Test.model_validate(test)
    except Faulty as error:
        return str(error)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return None


def _add(expected: _Expected, assertion: Mapping[str, Any], values: Mapping[str, Any]) -> str | None:
    """Adds what an assertion expects; returns why it cannot be said."""
    type = str(assertion.get("type", ""))
    value, unknown = _filled(assertion.get("value"), values)
    threshold = assertion.get("threshold")
    if unknown:
        return f"its value uses '{unknown}', which is no variable of the case"
    if isinstance(value, str) and value.startswith("file://"):
        return "its value is the content of a file; write the text"
    if type in RUBRICS:
        expected.rubrics.append(f"{JUDGED.get(type, '')}{value or ''}".strip())
        if isinstance(threshold, int | float) and 0 < threshold <= 1:
            expected.at_least = float(threshold)
        return None
    if type in ("cost", "latency"):
        if not isinstance(threshold, int | float):
            return "it has no threshold"
        expected.more["cost_usd" if type == "cost" else "latency_ms"] = {"at_most": threshold}
        return None
    if type in ("is-json", "equals"):
        return _add_whole(expected, type, value)
    add = _TEXTS.get(type)
    if add is None:
        return OTHERS.get(type, f"there is no expectation like '{type}'")
    texts = [str(one) for one in (value if isinstance(value, list) else [value])]
    if not all(texts) or value is None:
        return "it has no value"
    try:
        add(expected, texts)
    except re.error as error:
        return f"it is no regular expression of Python's: {error}"
    return None


def _add_whole(expected: _Expected, type: str, value: Any) -> str | None:
    if type == "equals" and isinstance(value, str | int | float):
        expected.reply["equals"] = str(value)
        return None
    schema = {"const": value} if type == "equals" else value or {}
    if not isinstance(schema, dict):
        return "its schema is not written as a map"
    expected.reply["json_schema"] = schema
    return None


def _escaped(text: str) -> str:
    """The text as a pattern; spaces stay readable."""
    return re.escape(text).replace("\\ ", " ")


def _any(texts: Sequence[str]) -> str:
    return "|".join(map(_escaped, texts))


def _regex(expected: _Expected, texts: Sequence[str]) -> None:
    for text in texts:
        pattern = re.sub(r"\(\?<([A-Za-z_])", r"(?P<\1", text)  # a group's name, as JavaScript writes it
        flags = re.match(r"\(\?([aimsx]+)\)", pattern)
        if flags is not None:
            pattern = f"(?{flags[1]}:{pattern[flags.end() :]})"
        re.compile(pattern)
        expected.patterns.append(pattern)


_TEXTS: Mapping[str, Callable[[_Expected, Sequence[str]], Any]] = {
    "contains": lambda expected, texts: expected.contains.extend(texts),
    "contains-all": lambda expected, texts: expected.contains.extend(texts),
    "contains-any": lambda expected, texts: expected.patterns.append(_any(texts)),
    "icontains": lambda expected, texts: expected.patterns.extend(f"(?i:{_escaped(text)})" for text in texts),
    "icontains-all": lambda expected, texts: expected.patterns.extend(f"(?i:{_escaped(text)})" for text in texts),
    "icontains-any": lambda expected, texts: expected.patterns.append(f"(?i:{_any(texts)})"),
    "not-contains": lambda expected, texts: expected.not_contains.extend(texts),
    "not-contains-any": lambda expected, texts: expected.not_contains.extend(texts),
    "starts-with": lambda expected, texts: expected.patterns.append(rf"\A(?:{_any(texts)})"),
    "regex": _regex,
}


def _filled(value: Any, values: Mapping[str, Any]) -> tuple[Any, str | None]:
    """The value with the case's values in its texts, and the first variable that the case does not have."""
    unknown: list[str] = []

    def fill(inner: Any) -> Any:
        if isinstance(inner, str):
            return _VARIABLE.sub(put, inner)
        if isinstance(inner, list):
            return [fill(one) for one in inner]
        if isinstance(inner, Mapping):
            return {key: fill(one) for key, one in inner.items()}
        return inner

    def put(found: re.Match[str]) -> str:
        if found[1] not in values:
            unknown.append(found[1])
        return str(values.get(found[1], ""))

    filled = fill(value)
    return filled, unknown[0] if unknown else None
