"""Searches for files of other tools whose import does not validate, ends in an internal error, or drops a key without a word.

    python -m tests.fuzz.imports --count 100000

Valid files of each tool are mutated as values and as bytes. Of some, one map gets a key that nobody knows: it must be in the spec or
named as not taken.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import chdir
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from tests.fuzz._mutation import damaged, holders_of, mutated, written
from tests.fuzz._running import random_of, run
from victor_dsl.compiler import compile_spec
from victor_dsl.errors import SpecError
from victor_dsl.interfaces.cli.import_ import KINDS
from victor_dsl.workbench.importing.validity import valid_text

LITELLM: dict[str, Any] = {
    "model_list": [
        {
            "model_name": "chat",
            "litellm_params": {
                "model": "azure/chat-eu",
                "api_base": "https://eu.openai.azure.com",
                "api_version": "2025-04-01-preview",
                "api_key": "os.environ/AZURE_EU",
                "rpm": 600,
                "order": 1,
            },
            "model_info": {"id": "eu", "mode": "chat", "max_input_tokens": 128000, "input_cost_per_token": 1e-06},
        },
        {
            "model_name": "chat",
            "litellm_params": {
                "model": "openai/gpt-5-mini",
                "weight": 2,
                "tpm": 9000,
                "timeout": 30,
                "stream_timeout": 5,
            },
        },
        {
            "model_name": "spare",
            "litellm_params": {
                "model": "anthropic/claude-sonnet-5-5",
                "api_key": "sk-ant-1234",
                "temperature": 0.5,
                "max_tokens": 90,
                "stop": ["END"],
                "headers": {"x-team": "a"},
                "extra_body": {"a": {"b": 1}},
                "organization": "org",
            },
        },
    ],
    "litellm_settings": {"num_retries": 2, "fallbacks": [{"chat": ["spare"]}], "cache": True, "request_timeout": 60},
    "router_settings": {"routing_strategy": "least-busy", "allowed_fails": 3, "cooldown_time": 30},
    "general_settings": {"master_key": "sk-1234"},
}
PROMPTFOO: dict[str, Any] = {
    "description": "Translations",
    "prompts": ["Translate into {{language}}: {{text}}", {"label": "short", "raw": "In {{language}}: {{ text | upper }}"}],
    "providers": [
        "openai:gpt-4.1-mini",
        {
            "id": "anthropic:messages:claude-sonnet-5-5",
            "label": "big",
            "config": {"temperature": 0, "max_tokens": 90, "stop": "x", "apiKey": "sk-1", "thinking": {"type": "enabled", "budget_tokens": 2000}},
        },
        {"id": "azure:chat:eu", "config": {"apiHost": "eu.openai.azure.com", "reasoning": {"effort": "low"}}},
    ],
    "defaultTest": {"vars": {"language": "French"}, "assert": [{"type": "not-contains", "value": "sorry"}]},
    "tests": [
        {"vars": {"text": "Good morning"}, "assert": [{"type": "contains", "value": "Bonjour"}, {"type": "cost", "threshold": 1}]},
        {
            "description": "all",
            "vars": {"text": ["a", "b"], "language": "Spanish"},
            "assert": [
                {"type": "icontains-any", "value": ["Hola", "{{text}}"]},
                {"type": "regex", "value": "(?<a>b+)"},
                {"type": "is-json", "value": {"type": "object"}},
                {"type": "llm-rubric", "value": "It is polite", "threshold": 0.8},
                {"type": "assert-set", "assert": [{"type": "equals", "value": "x"}]},
                {"type": "latency", "threshold": 900},
            ],
        },
    ],
    "outputPath": "out.json",
}  # fmt: skip
CHAT = '[{"role": "system", "content": "Be {{tone}}."}, {"role": "user", "content": "{{question}}"}]'
LANGFUSE: list[dict[str, Any]] = [
    {
        "name": "triage",
        "type": "chat",
        "version": 4,
        "labels": ["production"],
        "tags": ["a"],
        "prompt": [
            {"role": "system", "content": "Sort mail of {{product}}. {% x %} @@@langfusePrompt:name=tone|label=production@@@"},
            {"type": "placeholder", "name": "history"},
            {"role": "assistant", "content": "Yes?"},
            {"role": "user", "content": "{{mail}} {{{b}}} {{#if c}}"},
        ],
        "config": {"model": "gpt-4.1-mini", "temperature": 0, "stop": ["x"], "response_format": {"type": "json_object"}},
    },
    {"name": "tone", "type": "text", "version": 1, "labels": [], "prompt": "Be kind to {{customer name}}.", "config": {}},
]  # fmt: skip
STORED: dict[str, Any] = {
    "id": "pmpt_68a9aebde7a0",
    "name": "Help",
    "model": "gpt-5-mini",
    "reasoning": {"effort": "low", "summary": "auto"},
    "text": {"format": {"type": "json_schema", "name": "answer", "schema": {"type": "object"}, "strict": True}},
    "max_output_tokens": 200,
    "tool_choice": "auto",
    "instructions": "Speak {{language}}.",
    "input": [
        {"role": "developer", "content": [{"type": "input_text", "text": "Help {{customer}}."}]},
        {"role": "user", "content": "{{question}}"},
    ],
    "variables": {"customer": "Ada"},
    "version": "2",
}
WHOLE: tuple[tuple[str, Any], ...] = (
    ("litellm", LITELLM),
    ("promptfoo", PROMPTFOO),
    ("promptfoo", {**PROMPTFOO, "prompts": [CHAT]}),
    ("langfuse", LANGFUSE),
    ("openai-prompts", STORED),
)
NAMES = {
    "litellm": "config.yaml",
    "promptfoo": "promptfooconfig.yaml",
    "langfuse": "export.json",
    "openai-prompts": "p.json",
}
UNHEARD = "unheard_of"


def search(numbers: Iterable[int], seed: int = 0) -> Counter[str]:
    """Imports a file for each number, and counts how the imports ended."""
    endings = Counter[str]()
    with TemporaryDirectory() as folder, chdir(folder):
        for number in numbers:
            random = random_of(number, seed)
            kind, whole = random.choice(WHOLE)
            try:
                endings[
                    f"{kind}: {_with_unheard(kind, whole, random) if number % 4 == 0 else _ending(kind, whole, random)}"
                ] += 1
            except Exception as error:
                shown = Path(NAMES[kind]).read_bytes()
                raise AssertionError(f"file {number} of seed {seed}: {kind}\n{shown!r}") from error
    return endings


def _ending(kind: str, whole: Any, random: Random) -> str:
    value = mutated(whole, random)
    data = written(value, random)
    if random.random() < 0.2:
        data = damaged(data, random)
    return _imported(kind, data)[0]


def _with_unheard(kind: str, whole: Any, random: Random) -> str:
    """Adds a key that nobody knows to one map; it must be named, or be inside something that was taken or named as a whole."""
    value = json.loads(json.dumps(whole))
    if kind == "langfuse":
        value = value[0]  # the other prompt is named as a whole
    holder = random.choice([one for one in holders_of(value) if isinstance(one, dict)])
    holder[UNHEARD] = "zebra"
    ending, text, not_taken = _imported(kind, json.dumps(value, indent=1).encode())
    assert "zebra" in text or any(UNHEARD in one or "zebra" in one for one in not_taken), (
        f"{UNHEARD} is not named: {holder}"
    )
    return ending


def _imported(kind: str, data: bytes) -> tuple[str, str, list[str]]:
    path = Path(NAMES[kind])
    path.write_bytes(data)
    read: Callable[[str, str | None], Any] = KINDS[kind]
    try:
        imported = read(str(path), None)
        text = valid_text(imported, str(path), ["Imported.", *imported.notes])
    except SpecError:
        return "refused", "zebra", []
    Path("victor.yml").write_text(text, encoding="utf-8")
    assert not [one for one in compile_spec("victor.yml", environment={}).diagnostics if one.severity == "error"]
    assert all(one.line >= 1 for one in imported.not_taken)
    return "imported", text, [str(one) for one in imported.not_taken]


if __name__ == "__main__":
    run(search, __doc__)
