"""What a spec can be made of: `victor components`, `victor explain` and `victor schema`."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Mapping
from typing import Any

import click
import orjson
from attrs import frozen

from victor_dsl.errors import BrokenComponent, UsageError
from victor_dsl.interfaces.cli import options
from victor_dsl.interfaces.cli.app import Command, Group
from victor_dsl.interfaces.cli.caller import plan_of
from victor_dsl.interfaces.cli.compiling import Surroundings, compile_or_exit
from victor_dsl.interfaces.cli.output import print_json, say, warning_line
from victor_dsl.interfaces.request_lines import request_schema
from victor_dsl.language import codes
from victor_dsl.language.component import Component
from victor_dsl.language.kinds import KINDS
from victor_dsl.language.registry import Registry
from victor_dsl.language.schema import schema as spec_schema
from victor_dsl.nearest import suggest

_TYPE_WORDS = {
    "string": "text",
    "integer": "whole number",
    "boolean": "true or false",
    "object": "map",
    "array": "list",
}


class _Components(Group):
    """The commands about components. In place of a command, a kind lists that kind, and KIND/TYPE shows that component."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first argument names, `list` where it is a kind, or `show` for KIND/TYPE. Raises UsageError."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            if name in KINDS:
                return list_components.name, list_components, ["--kind", *args]
            if "/" in name:
                return show.name, show, args
            if full := _full_names(name):
                raise UsageError(f"there is no command or kind '{name}'; did you mean {full}?")
            names = [*self.list_commands(ctx), *KINDS]
            raise UsageError(
                f"there is no command or kind '{name}'; {suggest(name, names, what='commands and kinds', most=len(names))}"
            )
        return super().resolve_command(ctx, args)


@click.group("components", cls=_Components, example="victor components middleware", invoke_without_command=True)
@click.pass_context
def components(context: click.Context) -> None:
    """List the components that a spec may name, or show one with all its fields.

    Without a command it lists all; with a kind, those of that kind: `victor components middleware`. With KIND/TYPE it shows one:
    `victor components middleware/auth`.
    """
    if context.invoked_subcommand is None:
        context.invoke(list_components)


@components.command("list", cls=Command, example="victor components list --kind middleware")
@click.option("--kind", metavar="KIND", help="Only this kind, such as models or middleware.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document: [{kind, type, summary}].")
def list_components(*, kind: str | None = None, as_json: bool = False) -> None:
    """List the components by kind, including those of installed packages."""
    registry = Registry()
    found = [component for name in _kinds(kind) for component in _components(registry, name)]
    if as_json:
        print_json([{"kind": c.kind.name, "type": c.type, "summary": c.summary} for c in found])
        return
    width = max((len(c.type) for c in found), default=0)
    shown = None
    for component in found:
        if component.kind.name != shown:
            click.echo(f"{'' if shown is None else chr(10)}{click.style(component.kind.name, bold=True)}")
            shown = component.kind.name
        click.echo(f"  {component.type:{width}}  {component.summary}")


@components.command("show", cls=Command, example="victor components show models/openai")
@click.argument("name", metavar="KIND/TYPE")
@click.option("--json", "as_json", is_flag=True, help="One JSON document, with the JSON Schema of its fields.")
def show(name: str, *, as_json: bool) -> None:
    """Show a component: what it does, an example, and every field with its type, default and meaning."""
    component = _found(name)
    if as_json:
        print_json(
            {
                "kind": component.kind.name,
                "type": component.type,
                "summary": component.summary,
                "example": component.example,
                "schema": component.config.model_json_schema(),
            }
        )
        return
    click.echo(f"{click.style(f'{component.kind.name}/{component.type}', bold=True)}\n")
    click.echo(f"{inspect.cleandoc(component.config.__doc__ or '')}\n")
    click.echo(f"{click.style('Example', bold=True)}\n\n{textwrap.indent(component.example.strip(), '  ')}\n")
    fields = fields_of(component.config.model_json_schema())
    own = [field for field in fields if field.name not in component.kind.own]
    shared = [field for field in fields if field.name in component.kind.own]
    _print_fields("Fields", own)
    _print_fields(f"Fields of all {component.kind.name.replace('_', ' ')}", shared)


@click.command("explain", cls=Command, example="victor explain unknown-component")
@click.argument("code", metavar="[CODE]", required=False)
def explain(code: str | None) -> None:
    """Explain a diagnostic's code: a wrong spec, what `validate` prints for it, and the right spec. Without CODE, list all."""
    if code is None:
        width = max(map(len, codes.CODES))
        for known in map(codes.explain, codes.CODES):
            click.echo(f"{known.code:{width}}  {known.summary}")
        return
    word = code.strip("[]").lower()
    if word not in codes.CODES:
        raise UsageError(f"there is no diagnostic '{code}'; {suggest(code, codes.CODES, what='codes', most=6)}")
    found = codes.explain(word)
    click.echo(textwrap.fill(f"{click.style(found.code, bold=True)}: {found.meaning}", 96))
    for title, text in found.examples():
        click.echo(f"\n{click.style(title, fg={'Wrong': 'red', 'Right': 'green'}.get(title))}\n")
        click.echo(textwrap.indent(text.rstrip(), "    "))


@click.command("schema", cls=Command, example="victor schema > victor.schema.json")
@click.option("--requests", "spec", metavar="SPEC", help="Print the schema of this spec's request lines instead.")
@click.option("--tenant", metavar="NAME", help="With `--requests`: the tenant whose request lines they are.")
@options.environment
def schema(spec: str | None, tenant: str | None, env_files: tuple[str, ...], state: str | None) -> None:
    """Print the JSON Schema of specs, with every installed component, for editors and other tools.

    With `--requests` it is that of request lines: the inputs of a spec, with their types and descriptions. A tenant may have
    others, which `--tenant` shows.

    Editors with yaml-language-server complete and check a spec that begins with this line:

    # yaml-language-server: $schema=victor.schema.json
    """
    if spec is None:
        if tenant is not None:
            raise click.UsageError("--tenant is for the request lines of a spec: add --requests SPEC")
        print_json(spec_schema(broken=_warn))
        return
    program = compile_or_exit(spec, Surroundings(env_files, state, untrusted=False), require_secrets=False)
    print_json(request_schema(plan_of(program, tenant, {})))


@frozen
class Field:
    """One field of a JSON Schema, with its type in plain words; `default` is empty for null and where there is none."""

    name: str
    type: str
    required: bool
    default: str
    description: str


def fields_of(schema: Mapping[str, Any], definitions: Mapping[str, Any] | None = None) -> list[Field]:
    """The fields of a JSON Schema in their order. `definitions` are the `$defs` of a schema that this one is a part of."""
    known = definitions if definitions is not None else schema.get("$defs", {})
    required = set(schema.get("required", ()))
    return [
        Field(
            name=name,
            type=type_words(field, known),
            required=name in required,
            default="" if field.get("default") is None else orjson.dumps(field["default"]).decode(),
            description=" ".join(field.get("description", "").split()),
        )
        for name, field in schema.get("properties", {}).items()
    ]


def type_words(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    """A JSON Schema's type: `text`, `whole number ≥ 1`, `one of drop, fail`, `list of text`."""
    if "$ref" in schema:
        return type_words(defs.get(schema["$ref"].rsplit("/", 1)[-1], {}), defs)
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    if "const" in schema:
        return str(schema["const"])
    for several in ("anyOf", "oneOf"):
        if several in schema:
            parts = [type_words(one, defs) for one in schema[several] if one.get("type") != "null"]
            return " or ".join(dict.fromkeys(parts))
    if str(schema.get("pattern", "")).startswith(r"^\$\{("):
        return "secret"
    type = str(schema.get("type", "anything"))
    words = _TYPE_WORDS.get(type, type)
    if type == "array" and schema.get("items"):
        return f"{words} of {type_words(schema['items'], defs)}"
    return words + _bounds(schema)


def _bounds(schema: Mapping[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    found = [f"{sign} {schema[key]:g}" for key, sign in signs.items() if key in schema]
    return f" {', '.join(found)}" if found else ""


def _print_fields(title: str, fields: list[Field]) -> None:
    if not fields:
        return
    click.echo(f"{click.style(title, bold=True)}\n")
    for field in fields:
        head = f"  {click.style(field.name, bold=True)}  {field.type}"
        click.echo(f"{head}  {'required' if field.required else 'default: ' + (field.default or 'none')}")
        if field.description:
            click.echo(textwrap.fill(field.description, 96, initial_indent="      ", subsequent_indent="      "))
    click.echo()


def _kinds(kind: str | None) -> list[str]:
    if kind is None:
        return list(KINDS)
    if kind not in KINDS:
        raise UsageError(f"there is no kind '{kind}'; {suggest(kind, KINDS, what='kinds')}")
    return [kind]


def _components(registry: Registry, kind: str) -> list[Component]:
    return registry.components(kind, _warn)


def _warn(error: BrokenComponent) -> None:
    say(warning_line(str(error)))


def _full_names(type: str) -> str:
    """The components of that type, `'compaction/x' or 'middleware/x'`; empty where there are none."""
    registry = Registry()
    return " or ".join(f"'{kind}/{type}'" for kind in KINDS if type in registry.types(kind))


def _found(name: str) -> Component:
    kind, slash, type = name.partition("/")
    if not slash:
        full = _full_names(name)
        hint = f"; did you mean {full}?" if full else ", such as models/openai"
        raise UsageError(f"'{name}' is not of the form KIND/TYPE{hint}")
    registry = Registry()
    _kinds(kind)
    component = registry.find(kind, type)
    if component is None:
        raise UsageError(f"{kind} has no '{type}'; {suggest(type, registry.types(kind), what='types')}")
    return component
