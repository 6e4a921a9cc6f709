"""Codes of keys, values and names: what the grammar and the components' own fields say."""

from __future__ import annotations

from victor_dsl.language.codes.code import Code

_RIGHT = """\
victor: 1
name: support
models:
  main: {type: echo}
"""

CODES = (
    Code(
        "unknown-version",
        "`victor` says which version of the language the spec is written in, and there is no such version. "
        "A spec of another version is not read any further.",
        wrong="""\
victor: 3
name: support
models:
  main: {type: echo}
""",
        right=_RIGHT,
    ),
    Code(
        "unknown-key",
        "A map has a key that nothing there understands. It is an error and not a note, because a misspelt key that is "
        "ignored changes behaviour in silence.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
settings:
  temprature: 0.2
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
settings:
  temperature: 0.2
""",
    ),
    Code(
        "missing-key",
        "A map lacks a key that it must have. The place is the map; the hint says what the key is for.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
contributors:
  - {type: text}
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
contributors:
  - {type: text, text: Answer in plain words.}
""",
    ),
    Code(
        "wrong-type",
        "A value is of another type than its key wants: text for a number, a word for a list. Nothing is converted "
        "by guess; a value from `${env:…}` is read as the type that is wanted.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
settings:
  max_tokens: "1024"
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
settings:
  max_tokens: 1024
""",
    ),
    Code(
        "wrong-value",
        "A value is of the right type, but out of bounds or none of the words allowed.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
settings:
  temperature: 7
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
settings:
  temperature: 0.7
""",
    ),
    Code(
        "bad-name",
        "A name that you give has a character that names cannot have. A name starts with a letter or `_`, and has "
        "letters, digits, `_`, `-` and `.`, at most 64.",
        wrong="""\
victor: 1
name: customer support
models:
  main: {type: echo}
""",
        right="""\
victor: 1
name: customer-support
models:
  main: {type: echo}
""",
    ),
    Code(
        "unknown-component",
        "A `type` names a component that this section does not have. `victor components` lists those there are, "
        "installed packages included.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: ecko}
""",
        right=_RIGHT,
    ),
    Code(
        "unknown-name",
        "Something is called by a name that is not there. It may be a model, a database, an experiment, or an item that an "
        "overlay wants to change.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
settings:
  model: mian
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
settings:
  model: main
""",
    ),
    Code(
        "duplicate-name",
        "Two items of one list have the same name, so an overlay or a model's tool call could not tell them apart.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
contributors:
  - {type: text, name: tone, text: Be brief.}
  - {type: text, name: tone, text: Be kind.}
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
contributors:
  - {type: text, name: brief, text: Be brief.}
  - {type: text, name: kind, text: Be kind.}
""",
    ),
    Code(
        "unused-name",
        "A model, database or embedder has a name, and nothing uses it. Often the place that should use it has another "
        "name. Remove it, or name it there.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
  spare: {type: echo}
settings:
  model: main
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
  spare: {type: echo}
settings:
  model: main
  fallbacks: [spare]
""",
        severity="warning",
    ),
    Code(
        "set-twice",
        "One setting is written in two places, with different values. `compaction.threshold`, `compaction.target_ratio`, "
        "`tool_selection.k` and `tool_selection.alpha` are settings written on their component: write each there or in "
        "`settings`.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
settings: {threshold: 0.7}
compaction: {type: recent, threshold: 0.9}
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
compaction: {type: recent, threshold: 0.9}
""",
    ),
    Code(
        "literal-secret",
        "A secret stands in the spec, where everyone with access to the repository can read it. Write where it is found, "
        "and revoke it if it was ever committed.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: openai, model: gpt-4o, api_key: my-own-key}
""",
        right="""\
victor: 1
name: support
models:
  main: {type: openai, model: gpt-4o, api_key: "${env:OPENAI_API_KEY}"}
""",
    ),
)
