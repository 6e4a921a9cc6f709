"""Codes of the reader: what is wrong with a file before anything in it has a meaning."""

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
        "yaml-syntax",
        "The file is not YAML. The place is where reading stopped; the slip itself is there or shortly before it. "
        "Most often it is a missing quote or bracket, or an indentation that is off.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo
""",
        right=_RIGHT,
    ),
    Code(
        "json-syntax",
        "The file ends in `.json` and is not JSON. JSON knows no comments, no comma behind the last item and only "
        "double quotes; a `.yml` file may have all of them.",
        wrong="""\
{
  "victor": 1,
  "name": "support",
  "models": {"main": {"type": "echo"}},
}
""",
        right="""\
{
  "victor": 1,
  "name": "support",
  "models": {"main": {"type": "echo"}}
}
""",
        file="victor.json",
    ),
    Code(
        "tab-indentation",
        "A tab indents a line. YAML measures indentation in spaces and forbids tabs there, since nobody agrees on "
        "how wide they are. Use spaces; most editors can convert them.",
        wrong="""\
victor: 1
name: support
models:
\tmain: {type: echo}
""",
        right=_RIGHT,
    ),
    Code(
        "control-character",
        "The file has an invisible character that YAML does not allow. Often it was pasted from a terminal or a PDF. "
        "Remove it, or write it as an escape in double quotes.",
        wrong="""\
victor: 1
name: support
description: Answers\x07 customers.
models:
  main: {type: echo}
""",
        right="""\
victor: 1
name: support
description: "Answers\\x07 customers."
models:
  main: {type: echo}
""",
    ),
    Code(
        "not-utf8",
        "The file has bytes that are not UTF-8. It was saved in another encoding, or is no text at all. Save it as UTF-8.",
        wrong="""\
victor: 1
name: support
description: Répond aux clients.
models:
  main: {type: echo}
""",
        right="""\
victor: 1
name: support
description: Répond aux clients.
models:
  main: {type: echo}
""",
        encoding="latin-1",
    ),
    Code(
        "empty-file",
        "The file has nothing in it but blank lines or comments. A spec has at least `victor`, `name` and a model; "
        "`victor init` writes one.",
        wrong="# to be written\n",
        right=_RIGHT,
    ),
    Code(
        "not-a-map",
        "The top of the file is a list or a single value. A spec is a map: its sections are keys that start in the "
        "first column.",
        wrong="""\
- victor: 1
- name: support
""",
        right=_RIGHT,
    ),
    Code(
        "several-documents",
        "A line `---` begins a second document. A spec is one document: whatever stands behind that line would be "
        "ignored. Use `extends` to spread a spec over files.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
---
victor: 1
name: sales
models:
  main: {type: echo}
""",
        right=_RIGHT,
    ),
    Code(
        "duplicate-key",
        "A map has one key twice. Other readers keep the last one and silently forget the first. Keep the one you mean.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
settings:
  temperature: 0.2
  max_tokens: 500
  temperature: 0.9
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
settings:
  temperature: 0.2
  max_tokens: 500
""",
    ),
    Code(
        "empty-value",
        "A key or an item of a list has nothing behind it. That might be a slip or mean `null`, so it must be said: "
        "write a value, write `null` for `not set`, or take the key out.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
settings:
  temperature:
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
settings:
  temperature: null
""",
    ),
    Code(
        "complex-key",
        "A key is a map, a list, an alias or nothing at all. A key of a spec is plain text. Often this is text that "
        "begins with `{` or `[` and lacks its quotes, such as a template.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
vars:
  [de, at]: German
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
vars:
  de_at: German
""",
    ),
    Code(
        "unknown-tag",
        "A value has a tag (`!name`) that YAML's core schema does not know. Tags that run code or build objects do not "
        "exist here; for variables and files write `${env:NAME}` and `${file:path}`.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
vars:
  product: !env PRODUCT
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
vars:
  product: "${env:PRODUCT}"
""",
    ),
    Code(
        "bad-tag",
        "A value is not what its tag says. Correct the value, or leave out the tag: what a value is can be seen from it.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
settings:
  seed: !!int seven
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
settings:
  seed: 7
""",
    ),
    Code(
        "bad-number",
        "A number has more than 1,000 digits. Nothing in a spec is that large; if it is an identifier, put it in quotes.",
        wrong=f"""\
victor: 1
name: support
models:
  main: {{type: echo}}
vars:
  account: {"4711" * 300}
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
vars:
  account: 4711
""",
    ),
    Code(
        "unknown-alias",
        "`*name` repeats the value that `&name` marks, and there is no such mark above it. A mark must come before the "
        "alias. If text begins with `*`, put it in quotes.",
        wrong="""\
victor: 1
name: support
models:
  main: &model {type: echo}
  spare: *modle
settings: {model: main, fallbacks: [spare]}
""",
        right="""\
victor: 1
name: support
models:
  main: &model {type: echo}
  spare: *model
settings: {model: main, fallbacks: [spare]}
""",
    ),
    Code(
        "alias-loop",
        "An alias stands inside the very value that it repeats, which would never end. Give the inner part a mark of "
        "its own, or write it out.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
vars:
  menu: &menu
    title: Help
    back: *menu
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
vars:
  menu: &menu
    title: Help
  back: *menu
""",
    ),
    Code(
        "bad-merge",
        "`<<` merges other maps into this one, so it takes an alias of a map or a list of those.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo, <<: fast}
""",
        right="""\
victor: 1
name: support
models:
  main: &fast {type: echo}
  spare: {<<: *fast}
settings: {model: main, fallbacks: [spare]}
""",
    ),
    Code(
        "too-deep",
        "Maps and lists stand more than 100 deep in one another. People do not write that; it is generated by mistake, "
        "or meant to break readers.",
        wrong=f"""\
victor: 1
name: support
models:
  main: {{type: echo}}
vars:
  deep: {"[" * 110}{"]" * 110}
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
vars:
  deep: [[[]]]
""",
    ),
    Code(
        "too-large",
        "The file is larger than any that people write. The bounds are 32 MiB, a million keys and values, and 100,000 that "
        "aliases add. Aliases of aliases multiply: eight short lines can stand for a hundred million values.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
vars:
  a: &a [x, x, x, x, x, x, x, x, x, x]
  b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]
  c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]
  d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]
  e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
vars:
  a: &a [x, x, x, x, x, x, x, x, x, x]
  b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]
""",
    ),
)
