"""`victor init`: a spec to begin with, and the files beside it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson
from attrs import frozen

from victor_dsl.errors import UsageError
from victor_dsl.interfaces.cli.app import Command
from victor_dsl.interfaces.cli.output import say
from victor_dsl.lazy import Lazy
from victor_dsl.storage.permissions import make_private_folder

if TYPE_CHECKING:
    from victor_dsl.language import schema
else:
    schema = Lazy("victor_dsl.language.schema")

TEMPLATE = Path(__file__).with_name("init.yml")
SCHEMA = Path(".victor", "victor.schema.json")
GITIGNORE = ".victor/*\n!.victor/standards.md\n.env\n"
"""The folder of local state without the standards, which are part of the spec; and a file of secrets."""


@frozen
class Provider:
    """A real model as a spec writes it, and the variable of its key."""

    model: str
    variable: str = ""


PROVIDERS: Mapping[str, Provider] = {
    "openai": Provider(
        '{type: openai, model: gpt-6-luna, api: responses, api_key: "${env:OPENAI_API_KEY}"}', "OPENAI_API_KEY"
    ),
    "anthropic": Provider(
        '{type: anthropic, model: claude-sonnet-5-5, api_key: "${env:ANTHROPIC_API_KEY}"}', "ANTHROPIC_API_KEY"
    ),
    "ollama": Provider('{type: openai, model: qwen3, base_url: "http://127.0.0.1:11434/v1", context_window: 32768}'),
}
OFFLINE = f"""\
models:
  offline: {{type: echo}}         # answers with the user's own words
  # For a real model, remove the # of the next line, and write `model: claude` in the settings.
  # claude: {PROVIDERS["anthropic"].model}

settings:
  model: offline
  max_tokens: 1024
"""


@click.command("init", cls=Command, example="victor init my-assistant")
@click.argument("directory", metavar="[DIR]", default=".")
@click.option(
    "--from",
    "provider",
    type=click.Choice(list(PROVIDERS)),
    help="Begin with a model of this provider.  [default: one that answers offline]",
)
@click.option("--force", is_flag=True, help="Replace an existing victor.yml.")
def init(directory: str, *, provider: str | None, force: bool) -> None:
    """Write DIR/victor.yml, a spec that validates and runs as it is. Asks nothing.

    DIR is created if it is missing. The default is the current folder. Beside the spec are written .gitignore, if there is
    none, and the schema for editors.
    """
    folder = Path(directory)
    path = folder / "victor.yml"
    chosen = PROVIDERS[provider] if provider else None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(_spec(folder, chosen))
    except FileExistsError as error:
        if not folder.is_dir():
            raise UsageError(f"{directory} is a file, not a folder") from error
        raise UsageError(f"{path} exists already; --force replaces it") from error
    say(f"Wrote {path}")
    _write_gitignore(folder / ".gitignore")
    make_private_folder((folder / SCHEMA).parent)
    (folder / SCHEMA).write_bytes(orjson.dumps(schema.schema(), option=orjson.OPT_INDENT_2))
    say(f"Wrote {folder / SCHEMA}, for editors\n\nTry it:\n")
    if folder.resolve() != Path.cwd():
        say(f"  cd {shlex.quote(directory)}")
    if chosen and chosen.variable:
        say(f"  export {chosen.variable}=…")
    elif chosen:
        say("  ollama pull qwen3")
    say("  victor validate\n  victor render --message Hello\n  victor run Hello")


def _spec(folder: Path, provider: Provider | None) -> str:
    models = f"models:\n  main: {provider.model}\n\nsettings:\n  max_tokens: 1024\n" if provider else OFFLINE
    return TEMPLATE.read_text(encoding="utf-8").replace("NAME", _name(folder), 1).replace("MODELS\n", models, 1)


def _write_gitignore(path: Path) -> None:
    """Writes the file where there is none; names the lines that an existing one lacks."""
    if not path.exists():
        path.write_text(GITIGNORE, encoding="utf-8")
        say(f"Wrote {path}")
        return
    present = path.read_text(encoding="utf-8", errors="replace").split("\n")
    if missing := [line for line in GITIGNORE.splitlines() if line not in present]:
        say(f"Left {path} as it is; add these lines: {'  '.join(missing)}")


def _name(folder: Path) -> str:
    """The folder's name as a spec may be called."""
    name = "".join(c if c.isascii() and (c.isalnum() or c in "_-.") else "-" for c in folder.resolve().name)
    name = name.strip("-.")[:64]
    return name if name[:1].isalpha() else "assistant"
