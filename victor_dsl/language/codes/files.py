"""Codes of the tree of files and of what a spec takes from outside."""

from __future__ import annotations

from victor_dsl.language.codes.code import Code

_RIGHT = """\
victor: 1
name: support
models:
  main: {type: echo}
"""
_BASE = """\
victor: 1
name: base
models:
  main: {type: echo}
"""

CODES = (
    Code(
        "unreadable-file",
        "The file cannot be opened: it is not there, is a directory, or may not be read. Paths are relative to the "
        "folder that the command is called in. The example is of a spec that was named but never written.",
        wrong="",
        right=_RIGHT,
    ),
    Code(
        "extends-missing",
        "`extends` names a file that cannot be opened. Its path is relative to the file that writes it, wherever the "
        "command is called.",
        wrong="""\
victor: 1
name: support
extends: bases.yml
""",
        right="""\
victor: 1
name: support
extends: base.yml
""",
        beside={"base.yml": _BASE},
    ),
    Code(
        "extends-cycle",
        "Files extend one another in a circle, so none of them can come first. Take one `extends` out, or move what "
        "both need into a third file.",
        wrong="""\
victor: 1
name: support
extends: victor.yml
models:
  main: {type: echo}
""",
        right=_RIGHT,
    ),
    Code(
        "bad-extends",
        "`extends` takes the path of a spec, or a list of paths, written out. It takes no `${…}`, so that the tree of "
        "files is the same on every machine.",
        wrong="""\
victor: 1
name: support
extends: "${env:BASE}.yml"
models:
  main: {type: echo}
""",
        right="""\
victor: 1
name: support
extends: base.yml
""",
        beside={"base.yml": _BASE},
    ),
    Code(
        "siblings-disagree",
        "Two files that a spec extends set one key to different values. Neither stands above the other, so the spec "
        "itself must say which it is.",
        wrong="""\
victor: 1
name: support
extends: [fast.yml, careful.yml]
""",
        right="""\
victor: 1
name: support
extends: [fast.yml, careful.yml]
settings: {temperature: 0.4}
""",
        beside={
            "fast.yml": """\
victor: 1
name: fast
models:
  main: {type: echo}
settings: {temperature: 0.9, max_tokens: 300}
""",
            "careful.yml": """\
victor: 1
name: careful
settings: {temperature: 0.1, max_tool_rounds: 2}
""",
        },
    ),
    Code(
        "unknown-interpolation",
        "A text has `${word:…}` with a word other than `env` and `file`. That would go to the model as it stands, which "
        "is hardly meant. If it is, write `$${`.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
vars:
  product: "${environment:PRODUCT}"
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
vars:
  product: "${env:PRODUCT}"
  a_text: "$${environment:PRODUCT}"
""",
    ),
    Code(
        "bad-interpolation",
        "A `${env:…}` or `${file:…}` is not well formed: it is never closed, has spaces, or lacks a name. The forms are "
        "`${env:NAME}`, `${env:NAME:-default}` and `${file:path}`.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
vars:
  product: "${env:MY PRODUCT}"
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
vars:
  product: "${env:MY_PRODUCT:-Acme Cloud}"
""",
    ),
    Code(
        "missing-variable",
        "The spec names an environment variable or a file that is not there, and writes no default. `validate` does not "
        "mind; what runs the spec, and `validate --env`, do, and exit 3: the spec is not at fault.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
vars:
  product: "${env:VICTOR_PRODUCT}"
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
vars:
  product: "${env:VICTOR_PRODUCT:-Acme Cloud}"
""",
    ),
    Code(
        "missing-secret",
        "The variable or file that a secret comes from is not there. `validate` does not mind; `run` and "
        "`validate --env` do, and exit 3. A secret has no default.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: openai, model: gpt-4o, api_key: "${env:VICTOR_OPENAI_KEY}"}
""",
        right="""\
victor: 1
name: support
models:
  main: {type: openai, model: gpt-4o, api_key: "${file:openai.key}"}
""",
        beside={"openai.key": "sk-example\n"},
    ),
    Code(
        "missing-file",
        "A component names a file that is not there, or cannot be read as UTF-8. Its path is relative to the spec that "
        "writes it. Where the file may be absent, say `optional: true`.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
contributors:
  - {type: file, path: prompts/standard.md}
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
contributors:
  - {type: file, path: prompts/standards.md}
  - {type: file, name: extra, path: prompts/extra.md, optional: true}
""",
        beside={"prompts/standards.md": "Answer in plain words.\n"},
    ),
)
