"""`victor components`: what a spec can be made of."""

from __future__ import annotations

import inspect
import textwrap

import click

from victor_dsl.errors import UsageError, VictorError
from victor_dsl.interfaces.cli.document import print_json
from victor_dsl.interfaces.cli.fields import Field, fields_of
from victor_dsl.interfaces.cli.output import say, warning_line
from victor_dsl.interfaces.cli.shape import Command, Group
from victor_dsl.language.component import Component
from victor_dsl.language.kinds import KINDS
from victor_dsl.language.registry import Registry
from victor_dsl.nearest import suggest


class _Components(Group):
    """The commands about components; a kind in a command's place lists that kind."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first argument names, or `list` where it is a kind. Raises UsageError."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            if name in KINDS:
                return list_components.name, list_components, ["--kind", *args]
            if "/" in name:
                raise UsageError(f"there is no command '{name}'; did you mean 'show {name}'?")
            names = [*self.list_commands(ctx), *KINDS]
            raise UsageError(
                f"there is no command or kind '{name}'; {suggest(name, names, what='commands and kinds', most=len(names))}"
            )
        return super().resolve_command(ctx, args)


@click.group("components", cls=_Components, example="victor components middleware", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """List the components that a spec may name, or show one with all its fields. Without a command: list.

    A kind in the place of a command lists that kind: `victor components middleware`.
    """
    if context.invoked_subcommand is None:
        context.invoke(list_components)


@command.command("list", cls=Command, example="victor components list --kind middleware")
@click.option("--kind", metavar="KIND", help="One kind only, such as models or middleware.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document: [{kind, type, summary}].")
def list_components(*, kind: str | None = None, as_json: bool = False) -> None:
    """List the components by kind, those of installed packages too."""
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


@command.command("show", cls=Command, example="victor components show models/openai")
@click.argument("name", metavar="KIND/TYPE")
@click.option("--json", "as_json", is_flag=True, help="One JSON document, with the JSON Schema of its fields.")
def show(name: str, *, as_json: bool) -> None:
    """Show a component: what it does, an example, and every field with its type, default and meaning."""
    component = _named(name)
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
    fields = fields_of(component.config)
    own = [field for field in fields if field.name not in component.kind.own]
    shared = [field for field in fields if field.name in component.kind.own]
    _print_fields("Fields", own)
    _print_fields(f"Fields of all {component.kind.name.replace('_', ' ')}", shared)


def _print_fields(title: str, fields: list[Field]) -> None:
    if not fields:
        return
    click.echo(f"{click.style(title, bold=True)}\n")
    for field in fields:
        head = f"  {click.style(field.name, bold=True)}  {field.type}"
        click.echo(f"{head}  {'required' if field.required else f'default: {field.default}'}")
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
    found = []
    for type in registry.types(kind):
        try:
            component = registry.find(kind, type)
        except (ImportError, VictorError) as error:
            say(warning_line(f"{kind}/{type} cannot be loaded: {error}"))
            continue
        if component is not None:
            found.append(component)
    return found


def _named(name: str) -> Component:
    kind, slash, type = name.partition("/")
    if not slash:
        kinds = [k for k in KINDS if name in Registry().types(k)]
        told = f"; did you mean {' or '.join(f'{k}/{name}' for k in kinds)}?" if kinds else ", such as models/openai"
        raise UsageError(f"'{name}' is not of the form KIND/TYPE{told}")
    registry = Registry()
    _kinds(kind)
    component = registry.find(kind, type)
    if component is None:
        raise UsageError(f"{kind} has no '{type}'; {suggest(type, registry.types(kind), what='types')}")
    return component
