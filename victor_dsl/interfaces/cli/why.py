"""`victor why`: each layer that had a say in a value or an item, and which won."""

from __future__ import annotations

from collections.abc import Sequence

import click
from attrs import evolve

from victor_dsl.interfaces import why as answers
from victor_dsl.interfaces.cli import options, running
from victor_dsl.interfaces.cli.app import Command
from victor_dsl.interfaces.cli.caller import Caller, plan_of
from victor_dsl.interfaces.cli.compiling import Surroundings, compile_or_exit
from victor_dsl.interfaces.cli.output import print_json, report
from victor_dsl.interfaces.cli.pages import page_text
from victor_dsl.interfaces.cli.why_page import why_page
from victor_dsl.interfaces.request_lines import example_request
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.values.outcome import Rendered


@click.command("why", cls=Command, example="victor why victor.yml temperature --tenant acme")
@options.spec
@click.argument("key", metavar="KEY")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@options.caller
@options.untrusted
@options.environment
def why(
    spec: str,
    key: str,
    *,
    as_json: bool,
    about: options.CallerOptions,
    untrusted: bool,
    env_files: tuple[str, ...],
    state: str | None,
) -> None:
    """Show each layer that had a say in a value or an item, the lowest first, and which of it is in force.

    KEY is a setting (`temperature`, `limits.tools.deny`), a var (`vars.product`), an input (`inputs.plan`), a piece of the
    system prompt by its name, any other item (`models.main`), or a field of one (`contributors.style.text`). References such
    as `${env:NAME}` are shown as they are written.

    A request is rendered for it, with example values for inputs that are not set. No model is called.
    """
    program = compile_or_exit(spec, Surroundings(env_files, state, untrusted), require_secrets=False)
    caller = Caller.read(program, about)
    plan = plan_of(program, caller.tenant, caller.arms)
    example = example_request(plan)
    needed = [name for name, declared in plan.inputs.items() if declared.required and name not in caller.inputs]
    given = {name: example["inputs"][name] for name in needed}
    request = evolve(caller.request(example["message"]), id=1, inputs={**given, **caller.inputs})

    async def rendered_request() -> Rendered:
        async with running.shown_opening(Orchestrator(program, answering=False)) as orchestrator:
            return await orchestrator.render(request)

    rendered = running.run(rendered_request())
    found = answers.why(program, _without_inputs(rendered, needed), key)
    if as_json:
        print_json(found.as_json())
    else:
        click.echo(page_text(why_page(found)), nl=False)
    raise click.exceptions.Exit(report(rendered.error))


def _without_inputs(rendered: Rendered, names: Sequence[str]) -> Rendered:
    """The rendered request without inputs that only stand in for a caller's."""
    inputs = {name: value for name, value in rendered.inputs.items() if name not in names}
    taken = [["inputs", name] for name in names]
    origins = {path: origin for path, origin in rendered.origins.items() if path.split(".")[:2] not in taken}
    return evolve(rendered, inputs=inputs, origins=origins)
