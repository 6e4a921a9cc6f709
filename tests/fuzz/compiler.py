"""Searches for specs that make compiling fail with anything but diagnostics.

    python -m tests.fuzz.compiler --count 100000

Sound specs are changed: keys renamed, values replaced by others of every type, parts moved, copied and removed, templates made
anew; some are written as text and damaged there. Each result is compiled; where that gives a program, every plan of it is made, and
requests with inputs of every type are read.
"""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from random import Random
from typing import Any

from tests.fuzz._running import random_of, run
from victor_dsl.compiler import compile_spec
from victor_dsl.graph.plan import Plan
from victor_dsl.language.codes import CODES
from victor_dsl.language.registry import Registry
from victor_dsl.source.excerpt import render
from victor_dsl.source.reader import Files
from victor_dsl.values.codec import read_vars
from victor_dsl.values.faults import Faulty
from victor_dsl.values.inputs import read_inputs

WHOLE: dict[str, Any] = {
    "victor": 1,
    "name": "support",
    "models": {
        "main": {"type": "anthropic", "model": "claude-sonnet-4-5", "api_key": "${env:KEY}"},
        "spare": {"type": "openai", "base_url": "http://127.0.0.1:1/v1", "model": "m", "context_window": 32768},
        "echo": {"type": "echo"},
    },
    "databases": {"app": {"type": "sqlite", "path": "app.db"}},
    "embedders": {"words": {"type": "tfidf"}},
    "settings": {
        "model": "main",
        "fallbacks": ["spare"],
        "temperature": 0.7,
        "max_tokens": 1024,
        "limits": {"requests_per_minute": 60, "tools": {"deny": ["files__*"]}},
    },
    "vars": {
        "product": "Acme Cloud",
        "region": "${env:REGION:-eu}",
        "tags": ["a", "b"],
        "order": {"items": [1], "open": True},
    },
    "inputs": {
        "customer": {"required": True, "max_length": 200, "description": "Who asks."},
        "plan": {"enum": ["free", "pro"], "default": "free"},
        "seats": {"type": "integer", "min": 1, "max": 500},
        "lines": {"type": "list", "items": {"type": "number"}},
    },
    "messages": [
        {"role": "user", "text": "Hi"},
        {"role": "assistant", "template": "Welcome to {{ product }}, {{ customer }}."},
    ],
    "message": {"template": "<question plan={{ plan }}>{{ message }}</question>"},
    "providers": [
        {"type": "inline", "values": {"settings": {"top_p": 0.5}, "vars": {"a": 1}}, "priority": 75},
        {"type": "env", "prefix": "SUPPORT_"},
        {"type": "file", "path": "settings.yml", "optional": True},
    ],
    "prompt": {"max_tokens": 4000, "overflow": "fail"},
    "contributors": [
        {"type": "text", "name": "tone", "text": "Be brief."},
        {"type": "template", "template": "You serve {{ product }}{% if tenant %} of {{ tenant }}{% endif %}."},
        {"type": "template", "name": "rules", "template": "{% for tag in tags %}\n- {{ tag | upper }}\n{% endfor %}"},
        {"type": "file", "path": "base.md", "optional": True, "max_tokens": 800},
    ],
    "tools": [{"type": "python", "name": "dumps", "function": "json:dumps", "cost": "low"}],
    "tool_selection": {"type": "keyword", "k": 8, "fallback": "all"},
    "compaction": {"type": "recent", "threshold": 0.8, "target_ratio": 0.5},
    "middleware": ["logging", {"type": "logging", "name": "calls", "around": "model"}],
    "variants": {
        "tone": {"arms": {"control": {"weight": 2}, "warm": {"with": {"settings": {"temperature": 0.9}}}}},
        "length": {"unit": "user", "arms": {"short": {}, "long": {"with": {"contributors": {"tone": None}}}}},
    },
    "tenants": {
        "acme": {"with": {"contributors": {"french": {"type": "text", "text": "En français."}}, "vars": {"a": None}}},
        "initech": {
            "with": {
                "+contributors": [{"type": "text", "name": "more", "text": "More."}],
                "settings": {"+stop": ["END"], "limits": {"tools": {"+deny": ["x*"]}}},
                "inputs": {"plan": {"enum": ["pro"], "default": "pro"}, "seats": None},
                "messages": None,
                "message": {"template": "{{ message }}"},
            }
        },
        "globex": {"with": {"variants": {"tone": None}, "models": {"echo": {"type": "scripted", "replies": ["a"]}}}},
    },
    "exporters": ["console", {"type": "jsonl", "path": "events.jsonl"}],
    "sessions": {"type": "sqlite", "path": "sessions.db"},
    "request": ["model"],
    "tests": [{"name": "t", "given": {"message": "hi"}, "expect": {"system": {"contains": "brief"}}}],
}

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 3, 10**30, 0.5, -0.5, 1e308, "", "a", "text", "main", "${env:KEY}", "${env:X}"),
    *("${file:nope}", "$${x}", "{{ product }}", "{% if %}", "{{ nope }}", "é\U0001f600\u202e", "sk-ant-" + "a" * 30),
    *([], {}, [[]], {"type": "text"}, {"type": "echo"}, {"": None}, ["all"], {"with": {}}, "json:nope", "../x", "\0"),
)
TEMPLATE_PARTS = (
    *(
        "{{ product }}",
        "{{ customer }}",
        "{{ plan }}",
        "{{ lines | sum }}",
        "{{ seats + 1 }}",
        "{{ message }}",
        "{{ tags[0] }}",
        "{{ nope }}",
    ),
    *(
        "{% if ",
        "{% for x in ",
        "{% set x = ",
        "{% macro m(x) %}",
        "{% include ",
        "{% endif %}",
        "{% endfor %}",
        "{%- ",
        " -%}",
        " %}",
        "}}",
    ),
    *(
        "{{ ",
        "{# ",
        " #}",
        "{% raw %}",
        "{% endraw %}",
        "order.items",
        "order.open",
        "settings.temperature",
        "settings.temprature",
        "tenant",
    ),
    *(
        " | upper",
        " | default('x')",
        " | tojson",
        " | nope",
        " | round(-9999999)",
        " is defined",
        " is odd",
        " in tags",
        " ~ ",
        " * 10 ** 9",
    ),
    *(
        "range(10 ** 9)",
        "m(m(1))",
        "'a'",
        "1",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        ".",
        ",",
        "''.join(tags)",
        "loop.index",
        "\n",
        "x",
        " ",
        "\\",
        "\0",
    ),
)
INPUTS: tuple[Any, ...] = (
    *(
        None,
        True,
        0,
        -1,
        7,
        10**30,
        0.5,
        float("nan"),
        float("inf"),
        "",
        "a",
        "pro",
        "7",
        "a, b",
        "[1, 2]",
        "x" * 1_000_000,
    ),
    *([], [1, "2"], [[1]], {}, {"a": None}, {"a": {"b": [float("nan")]}}, "<b>{{ product }}</b>", "\0", "\ud800"),
)
KEYS = (
    "inputs",
    "messages",
    "message",
    "template",
    "role",
    "required",
    "+tags",
    "+contributors",
    "x-y",
    "type",
    "name",
    "with",
    "extends",
    "victor",
    "tenants",
    "settings",
    "model",
    "priority",
    "",
    "tpye",
    "fallback",
)


def mutate(spec: dict[str, Any], random: Random) -> Any:
    """A spec that is changed in one to four places."""
    spec = copy.deepcopy(spec)
    for _ in range(random.randint(1, 4)):
        holders = list(_holders(spec))
        if not holders:
            return spec
        holder = random.choice(holders)
        keys: list[Any] = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = random.choice(keys) if keys else None
        random.choice(CHANGES)(holder, key, holders, random)
    return spec


def _holders(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        yield value
        for child in value.values() if isinstance(value, dict) else value:
            yield from _holders(child)


def _replace(holder: Any, key: Any, _: list[Any], random: Random) -> None:
    if key is not None:
        holder[key] = copy.deepcopy(random.choice(VALUES))


def _remove(holder: Any, key: Any, _: list[Any], __: Random) -> None:
    if key is not None:
        del holder[key]


def _add(holder: Any, _: Any, __: list[Any], random: Random) -> None:
    value = copy.deepcopy(random.choice(VALUES))
    if isinstance(holder, dict):
        holder[random.choice(KEYS)] = value
    else:
        holder.insert(random.randint(0, len(holder)), value)


def _rename(holder: Any, key: Any, _: list[Any], random: Random) -> None:
    if isinstance(holder, dict) and key is not None:
        text = list(key)
        if text:
            random.shuffle(text)
        holder["".join(text) + random.choice(("", "x", "_"))] = holder.pop(key)


def _move(holder: Any, key: Any, holders: list[Any], random: Random) -> None:
    if key is None:
        return
    part, target = copy.deepcopy(holder[key]), random.choice(holders)
    if isinstance(target, dict):
        target[str(key)] = part
    else:
        target.append(part)


def _write_template(_: Any, __: Any, holders: list[Any], random: Random) -> None:
    """Puts a template of random parts where one stands."""
    templates = [holder for holder in holders if isinstance(holder, dict) and "template" in holder]
    if templates:
        parts = random.choices(TEMPLATE_PARTS, k=random.randint(1, 12))
        random.choice(templates)["template"] = "".join(parts)


CHANGES: tuple[Callable[[Any, Any, list[Any], Random], None], ...] = (
    *(_replace, _remove, _add, _rename, _move, _write_template, _write_template),
)


def damage(text: str, random: Random) -> str:
    """A text with a few characters removed, repeated or put in."""
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(text) + 1)
        match random.randrange(3):
            case 0:
                text = text[:at] + text[at + random.randint(1, 8) :]
            case 1:
                text = text[:at] + text[at : at + 20] + text[at:]
            case _:
                text = text[:at] + random.choice("{}[]:,-\"'&*!|>#%\t\n ") + text[at:]
    return text


def read_request(plan: Plan, random: Random) -> None:
    """Reads the inputs of a request that gives some of a plan's, and perhaps others. Any fault but `Faulty` passes through."""
    values = {name: random.choice(INPUTS) for name in plan.inputs if random.random() < 0.8}
    if random.random() < 0.2:
        values[random.choice(("custmer", "product", "", "x" * 1_000))] = random.choice(INPUTS)
    with suppress(Faulty):
        read_inputs(read_vars(values, ("inputs",)), plan.inputs, plan.spec.vars)


def search(numbers: Iterable[int], seed: int = 0) -> Counter[str]:
    """Compiles a spec for each number; how often each code came up, `valid` for those without an error."""
    registry, codes = Registry(), Counter[str]()
    environments: tuple[dict[str, str], ...] = ({}, {"KEY": "k" * 20, "REGION": "us", "X": "7"})
    for number in numbers:
        random = random_of(number, seed)
        spec = mutate(WHOLE, random)
        text = json.dumps(spec, ensure_ascii=random.random() < 0.5, indent=random.choice((None, 1)))
        if random.random() < 0.2:
            text = damage(text, random)
        name = random.choice(("fuzz.yml", "fuzz.json"))
        files = Files()
        try:
            files.parse(text.encode("utf-8", "surrogatepass"), name)
            compilation = compile_spec(
                name,
                environment=random.choice(environments),
                registry=registry,
                files=files,
                require_environment=number % 3 == 0,
            )
            for diagnostic in compilation.diagnostics:
                codes[diagnostic.code] += 1
                assert diagnostic.code in CODES, diagnostic
                assert 1 <= diagnostic.span.line <= len(files.lines(diagnostic.span.file)) or not files.lines(
                    diagnostic.span.file
                )
                assert "k" * 20 not in render(diagnostic, files)
                json.dumps(diagnostic.as_json())
            if compilation.program is not None:
                codes["valid"] += 1
                for tenant in (None, *compilation.program.tenants):
                    read_request(compilation.program.plan_for(tenant, {}), random)
        except Exception as error:
            raise AssertionError(f"spec {number} of seed {seed}:\n{text}") from error
    return codes


if __name__ == "__main__":
    run(search, __doc__)
