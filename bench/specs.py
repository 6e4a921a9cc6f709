"""Realistic specs of any length, the same ones every time: what a team's file looks like as its customers grow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

HEAD = """\
victor: 1
name: support
description: Answers customers of Acme Cloud.
models:
  main:
    type: anthropic
    model: claude-sonnet-4-5
    api_key: "${env:ANTHROPIC_API_KEY}"
    context_window: 1000000
  spare:
    type: openai
    base_url: "http://127.0.0.1:11434/v1"
    model: qwen3
    context_window: 1000000
  offline:
    type: echo
    context_window: 1000000
settings:
  model: main
  fallbacks: [spare, offline]
  temperature: 0.7
  max_tokens: 1024
  max_tool_rounds: 8
  limits:
    requests_per_minute: 60
    tools:
      deny: ["internal_*"]
vars:
  product: Acme Cloud
  region: eu-west-1
providers:
  - type: inline
    priority: 20
    values:
      settings: {top_p: 0.9}
      vars: {tier: standard}
  - type: env
    prefix: SUPPORT_
prompt:
  max_tokens: 100000
  overflow: drop
compaction:
  type: recent
  threshold: 0.8
  target_ratio: 0.5
tool_selection:
  type: keyword
  k: 8
  fallback: all
middleware:
  - logging
  - rate_limit
exporters:
  - console
  - type: jsonl
    path: events.jsonl
sessions: memory
variants:
  tone:
    unit: session
    arms:
      control: {weight: 2}
      warm: {weight: 1, with: {settings: {temperature: 0.9}}}
"""

CONTRIBUTOR = """\
  - type: {type}
    name: policy_{i}
    priority: {priority}
    max_tokens: 200
    {field}: >-
      Policy {i}: answer questions about {topic} from the handbook, name the section,
      and hand over to a person when the customer of {product} asks for one.
"""

TOOL = """\
  - type: python
    name: {topic}_{i}
    function: "desk:{topic}"
    cost: {cost}
    domain: {topic}
"""

TENANT = """\
  customer-{i:04}:
    with:
      settings:
        max_tool_rounds: {rounds}
        limits: {{requests_per_minute: {rate}}}
      vars:
        product: Acme {topic} {i}
      contributors:
        policy_{policy}: null
        house_style:
          type: text
          text: Customer {i} wants short answers in a friendly tone.
"""

TOPICS = ("orders", "billing", "shipping", "returns", "accounts", "invoices", "outages", "privacy")
COSTS = ("free", "low", "medium", "high")
MODULE = "desk.py"


def text(lines: int) -> str:
    """A spec of about so many lines: tenants, tools and contributors; from 3,000 lines on, more tenants only."""
    room = lines - HEAD.count("\n") - 4
    if room < 1:
        return HEAD
    policies = max(1, min(40, room // 10 // CONTRIBUTOR.count("\n")))
    tools = max(1, min(120, room // 8 // TOOL.count("\n")))
    left = room - policies * CONTRIBUTOR.count("\n") - tools * TOOL.count("\n")
    tenants = max(1, left // TENANT.count("\n"))
    parts = [HEAD, "contributors:\n", *map(_contributor, range(policies)), "tools:\n", *map(_tool, range(tools))]
    return "".join([*parts, "unknown_tenants: refuse\n", "tenants:\n", *(_tenant(i, policies) for i in range(tenants))])


def write(folder: Path, lines: int) -> Path:
    """Writes the spec and the module that its tools point to; gives the spec's path."""
    path = folder / f"spec-{lines}.yml"
    path.write_text(text(lines), encoding="utf-8")
    (folder / MODULE).write_text("".join(_module()), encoding="utf-8")
    return path


def _contributor(i: int) -> str:
    kind = ("text", "text"), ("template", "template")
    type_, field = kind[i % 3 == 0]
    product = "{{ product }}" if type_ == "template" else "Acme"
    topic = TOPICS[i % len(TOPICS)]
    return CONTRIBUTOR.format(type=type_, field=field, i=i, priority=40 + i % 20, topic=topic, product=product)


def _tool(i: int) -> str:
    return TOOL.format(i=i, topic=TOPICS[i % len(TOPICS)], cost=COSTS[i % len(COSTS)])


def _tenant(i: int, policies: int) -> str:
    topic = TOPICS[i % len(TOPICS)]
    return TENANT.format(i=i, rounds=1 + i % 8, rate=10 + i % 90, topic=topic, policy=i % policies)


def _module() -> Iterator[str]:
    yield '"""The desk\'s tools."""\n'
    for topic in TOPICS:
        yield f'\n\ndef {topic}(query: str, limit: int = 5) -> str:\n    """Looks {topic} up."""\n'
        yield f'    return f"{topic}: {{query}} ({{limit}})"\n'
