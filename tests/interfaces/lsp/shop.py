"""A spec with a template, a file that it extends and a module, for tests of the language server."""

from __future__ import annotations

from pathlib import Path

SPEC = """\
victor: 1
name: shop
extends: base.yml
models:
  main: {type: echo}
  spare: {type: echo}
databases:
  app: {type: sqlite, path: app.db}
settings:
  model: main
  temperature: 0.3
vars: {product: Acme, plan: {name: free}}
contributors:
  - {type: template, name: role, path: role.md.j2}
  - {type: text, name: tone, text: Be brief.}
tools:
  - {type: python, name: lookup, function: "shop:lookup"}
variants:
  warmth:
    arms:
      control: {weight: 1}
      warm: {weight: 1, with: {settings: {temperature: 0.9, model: spare}}}
unknown_tenants: base
tenants:
  acme:
    with:
      contributors: {tone: {text: Be kind.}}
exporters:
  - {type: sqlite, database: app}
"""


def write(folder: Path) -> None:
    """Writes the spec and its files. Importing the module would leave a file."""
    (folder / "base.yml").write_text("victor: 1\nname: base\nsettings:\n  max_tokens: 500\n")
    (folder / "role.md.j2").write_text("You help with {{ product }}.\n")
    (folder / "shop.py").write_text("open('imported', 'w')\ndef lookup(id: str) -> str:\n    '''Finds.'''\n")
    (folder / "victor.yml").write_text(SPEC)
