"""Codes beyond the schema: what is well formed and cannot work, or is hardly meant."""

from __future__ import annotations

from victor_dsl.language.codes.code import Code

CODES = (
    Code(
        "no-model",
        "Nothing can answer. The spec has no model, or several of which `settings` names none. Where there is one model, it "
        "need not be named.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
  spare: {type: echo}
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
  spare: {type: echo}
settings: {model: main, fallbacks: [spare]}
""",
    ),
    Code(
        "unknown-function",
        "A tool's `function` is `module:function`, and there is no such module or function. The module is looked for in "
        "the spec's folder, then on Python's path; it is read, never imported, to find out.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
tools:
  - {type: python, function: "orders:lookup_oder"}
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
tools:
  - {type: python, function: "orders:lookup_order"}
""",
        beside={
            "orders.py": '''\
def lookup_order(number: str) -> str:
    """Where an order is."""
    return f"Order {number} is on its way."
'''
        },
    ),
    Code(
        "untrusted-code",
        "A spec that is not trusted (`--untrusted`) names a function to import or a program to start. Without the option it "
        "may; `victor validate` alone runs neither.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
tools:
  - {type: mcp, name: clock, command: [mcp-server-time]}
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
tools:
  - {type: mcp, name: clock, url: "https://tools.example.com/mcp"}
""",
    ),
    Code(
        "template-syntax",
        "A template is not Jinja2: a bracket is not closed, or a tag is not known.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
vars: {product: Acme Cloud}
contributors:
  - type: template
    template: |
      You support {{ product }.
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
vars: {product: Acme Cloud}
contributors:
  - type: template
    template: |
      You support {{ product }}.
""",
    ),
    Code(
        "undefined-variable",
        "A template uses a name that no `vars` declares, so the turn would fail. A template sees the `vars` by name, and "
        "`session`, `tenant`, `user` and `settings`. Where a provider might give the name, this is a warning.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
vars: {product: Acme Cloud}
contributors:
  - {type: template, template: "You support {{ prodct }}."}
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
vars: {product: Acme Cloud}
contributors:
  - {type: template, template: "You support {{ product }}."}
""",
    ),
    Code(
        "over-budget",
        "What the spec itself promises fills a model's context window, so that no message would fit. Counted are the "
        "pieces of the system prompt, the tools and the answer's `max_tokens`. Lower one of them, or use a model with a "
        "larger window.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo, context_window: 4000}
settings: {max_tokens: 3000}
prompt: {max_tokens: 1500}
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo, context_window: 8000}
settings: {max_tokens: 1000}
prompt: {max_tokens: 1500}
""",
    ),
    Code(
        "compaction-too-late",
        "The window is full before compaction begins. It begins when a request fills `threshold` of the window, and the "
        "answer's `max_tokens` take more than the rest. Lower one of the two.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo, context_window: 8000}
settings: {max_tokens: 4000}
compaction: {threshold: 0.8}
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo, context_window: 8000}
settings: {max_tokens: 1000}
compaction: {threshold: 0.8}
""",
    ),
    Code(
        "before-auth",
        "A middleware that goes by the caller, the settings or the conversation stands before `auth`, where none of them is "
        "known. What comes before `auth` runs for everybody alike.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
databases:
  app: {type: sqlite, path: app.db}
middleware:
  - {type: rate_limit, requests_per_minute: 60}
  - {type: auth, database: app}
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
databases:
  app: {type: sqlite, path: app.db}
middleware:
  - {type: auth, database: app}
  - {type: rate_limit, requests_per_minute: 60}
""",
    ),
    Code(
        "idle-limiter",
        "A middleware holds turns to limits, but nothing sets one: neither it, `settings.limits`, an overlay nor a provider. "
        "It lets every turn pass.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
middleware: [rate_limit]
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
middleware:
  - {type: rate_limit, requests_per_minute: 60}
""",
        severity="warning",
    ),
    Code(
        "unheld-limit",
        "A limit is set, but no middleware holds turns to it. `rate_limit` holds `requests_per_minute`, `tokens_per_minute` and "
        "`concurrency`; `tools` is always held.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
settings: {limits: {requests_per_minute: 60}}
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
settings: {limits: {requests_per_minute: 60}}
middleware: [rate_limit]
""",
        severity="warning",
    ),
    Code(
        "wrong-database",
        "A component refers to a database of another type than it can use, such as sessions in PostgreSQL to Redis.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
databases:
  app: {type: sqlite, path: app.db}
exporters:
  - {type: postgres, database: app}
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
databases:
  app: {type: sqlite, path: app.db}
exporters:
  - {type: sqlite, database: app}
""",
    ),
    Code(
        "unwise-order",
        "Two middleware stand in an order that is hardly meant. A cache outside of auth, for one, answers those whom auth "
        "would refuse. Middleware is listed outermost first.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
middleware:
  - {type: cache, around: turn}
  - auth
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
middleware:
  - auth
  - {type: cache, around: turn}
""",
        severity="warning",
    ),
)
