"""Codes of overlays: tenants and arms."""

from __future__ import annotations

from victor_dsl.language.codes.code import Code

CODES = (
    Code(
        "untouchable",
        "A tenant or an arm changes what is one for everybody. That is `victor`, `name`, `description`, `extends`, "
        "`tests`, `tenants`, `variants`, `databases`, `exporters`, `sessions`, `request`, and middleware up to and "
        "including `auth`: they are settled before anyone knows whose request it is.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
exporters: [console]
tenants:
  acme:
    with:
      exporters: {console: null}
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
exporters: [console]
tenants:
  acme:
    with:
      settings: {temperature: 0.2}
""",
    ),
    Code(
        "ambiguous-name",
        "An overlay changes an item of a list by its name, and several items have that name. An item without a `name` "
        "is called by its `type`. Give each a name of its own.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
contributors:
  - {type: text, text: Be brief.}
  - {type: text, text: Be kind.}
tenants:
  acme:
    with:
      contributors:
        text: {text: Be formal.}
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
contributors:
  - {type: text, name: brief, text: Be brief.}
  - {type: text, name: kind, text: Be kind.}
tenants:
  acme:
    with:
      contributors:
        kind: {text: Be formal.}
""",
    ),
    Code(
        "arms-disagree",
        "Arms of two experiments set one thing to different values. A session may be in both arms, and then neither "
        "experiment would measure what it says.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
variants:
  warmth:
    arms:
      control: {}
      warm: {with: {settings: {temperature: 0.9}}}
  care:
    arms:
      control: {}
      exact: {with: {settings: {temperature: 0.1}}}
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
variants:
  temperature:
    arms:
      control: {}
      warm: {with: {settings: {temperature: 0.9}}}
      exact: {with: {settings: {temperature: 0.1}}}
""",
    ),
    Code(
        "bad-weights",
        "No arm of an experiment has a weight above 0, so nobody could be assigned. Give one a weight, or let the "
        "experiment rest with `status: stopped`.",
        wrong="""\
victor: 1
name: support
models:
  main: {type: echo}
variants:
  tone:
    arms:
      control: {weight: 0}
      warm: {weight: 0, with: {settings: {temperature: 0.9}}}
""",
        right="""\
victor: 1
name: support
models:
  main: {type: echo}
variants:
  tone:
    arms:
      control: {weight: 2}
      warm: {weight: 1, with: {settings: {temperature: 0.9}}}
""",
    ),
)
