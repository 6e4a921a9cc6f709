"""The Python interface: the functions of `import victor_dsl`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

from attrs import evolve

from victor_dsl.compiler import Compilation, compile_spec
from victor_dsl.errors import EXIT_OUTSIDE, SpecError, UsageError
from victor_dsl.graph.plan import Program
from victor_dsl.interfaces import locking
from victor_dsl.interfaces.watching import imported_by_others, log_retirements, watched
from victor_dsl.language.registry import Registry
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.source.reader import Files
from victor_dsl.values.message import Reply
from victor_dsl.values.outcome import Rendered
from victor_dsl.values.request import Request

PathLike = str | os.PathLike[str]


def compile(
    path: PathLike,
    *,
    env: Mapping[str, str] | None = None,
    state: PathLike | None = None,
    registry: Registry | None = None,
    require_environment: bool = False,
    require_secrets: bool = False,
    untrusted: bool = False,
    today: date | None = None,
    allow_retired: bool = False,
    files: Files | None = None,
    tests: bool = True,
) -> Compilation:
    """Compiles a spec; returns its program and all diagnostics. An error in the spec is a diagnostic, not raised.

        for diagnostic in victor_dsl.compile("victor.yml").diagnostics:
            print(f"line {diagnostic.span.line}: {diagnostic.message}")

    `env` replaces the process's environment, `state` the folder `.victor` beside the spec. An `untrusted` spec may not
    name functions to import, programs to start or files outside its folder, and gets no variables and no secrets. `today` is the
    date by which models count as retired, the current one by default; a retired model is an error, unless `allow_retired`.
    `files` may have read some of the files already. Without `tests` those of the spec are neither read nor checked.
    """
    return compile_spec(
        os.fsdecode(path),
        environment=os.environ if env is None else env,
        registry=registry,
        files=files,
        state=None if state is None else Path(state),
        require_environment=require_environment,
        require_secrets=require_secrets,
        untrusted=untrusted,
        today=today or datetime.now(UTC).date(),
        allow_retired=allow_retired,
        tests=tests,
    )


def load(
    path: PathLike,
    *,
    env: Mapping[str, str] | None = None,
    state: PathLike | None = None,
    registry: Registry | None = None,
    require_secrets: bool = True,
    untrusted: bool = False,
    locked: bool = False,
) -> Program:
    """Compiles a spec to a program that can run. Raises SpecError, which has all diagnostics.

        program = victor_dsl.load("victor.yml")
        print(program.name)

    A model that its provider has retired is logged, and does not keep the spec from running. `locked` requires that models and
    servers are those of `victor.lock`, or raises LockError.
    """
    compilation = _compiled_to_run(
        path,
        env=env,
        state=state,
        registry=registry,
        require_secrets=require_secrets,
        untrusted=untrusted,
        locked=locked,
    )
    if compilation.program is None:
        raise _spec_error(compilation)
    log_retirements(compilation)
    return compilation.program


@asynccontextmanager
async def open(
    path: PathLike,
    *,
    env: Mapping[str, str] | None = None,
    state: PathLike | None = None,
    registry: Registry | None = None,
    watch: bool = False,
    answering: bool = True,
    untrusted: bool = False,
    locked: bool = False,
) -> AsyncIterator[Orchestrator]:
    """Opens the orchestrator of a spec inside `async with`. Raises SpecError, ComponentError or SecretError.

        async with victor_dsl.open("victor.yml") as app:
            reply = await app.chat("Hello!", session_id="s1")

    Leaving the block lets running turns finish and delivers their events. With `answering=False` it only renders: no model is
    opened, and no secret is needed.

    A changed prompt, template or other file whose text a plan holds makes new plans, about a second later; with `watch` a
    change of the spec itself does so, too, and a change of a Python module of its folder imports those modules anew. Running
    turns finish on the plan that they began with. What has errors, cannot be opened or has lost its text is logged and reported
    as an `error` event, and the old plans go on. With `locked` a turn fails (LockError) whose MCP servers list other tools than
    `victor.lock` has.
    """
    recompile = partial(
        _compiled_to_run,
        path,
        env=env,
        state=state,
        registry=registry,
        require_secrets=answering,
        untrusted=untrusted,
        locked=locked,
    )
    program = load(
        path, env=env, state=state, registry=registry, require_secrets=answering, untrusted=untrusted, locked=locked
    )
    others = imported_by_others(program) if watch else ()
    async with (
        Orchestrator(program, registry=registry, answering=answering) as orchestrator,
        watched(orchestrator, recompile, spec=watch, kept=others),
    ):
        yield orchestrator


def run(
    path: PathLike,
    message: str | Request,
    *,
    session_id: str | None = None,
    tenant: str | None = None,
    user: str | None = None,
    api_key: str | None = None,
    vars: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    state: PathLike | None = None,
    registry: Registry | None = None,
    untrusted: bool = False,
    locked: bool = False,
) -> Reply:
    """The reply to one message, for scripts without async: opens the spec, answers, and closes it. Raises what `chat` raises.

        reply = victor_dsl.run("victor.yml", "Hello!")
        print(reply.text)

    Raises UsageError inside a running event loop.
    """

    async def answer() -> Reply:
        async with open(path, env=env, state=state, registry=registry, untrusted=untrusted, locked=locked) as app:
            return await app.chat(
                message,
                session_id=session_id,
                tenant=tenant,
                user=user,
                api_key=api_key,
                vars=vars,
                inputs=inputs,
                settings=settings,
            )

    _refuse_in_loop("run", "async with victor_dsl.open(…) as app: reply = await app.chat(…)")
    return asyncio.run(answer())


def render(
    path: PathLike,
    message: str | Request,
    *,
    session_id: str | None = None,
    tenant: str | None = None,
    user: str | None = None,
    vars: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    state: PathLike | None = None,
    registry: Registry | None = None,
    untrusted: bool = False,
    locked: bool = False,
) -> Rendered:
    """What the model would be sent for a message. No model is called, and no secret is needed.

        rendered = victor_dsl.render("victor.yml", "Hello!", tenant="acme")
        print(rendered.system, rendered.tokens.limit)

    Raises UsageError inside a running event loop.
    """

    async def rendered() -> Rendered:
        program = load(
            path, env=env, state=state, registry=registry, require_secrets=False, untrusted=untrusted, locked=locked
        )
        async with Orchestrator(program, registry=registry, answering=False) as app:
            return await app.render(
                message, session_id=session_id, tenant=tenant, user=user, vars=vars, inputs=inputs, settings=settings
            )

    _refuse_in_loop("render", "async with victor_dsl.open(…, answering=False) as app: await app.render(…)")
    return asyncio.run(rendered())


def _compiled_to_run(
    path: PathLike,
    files: Files | None = None,
    *,
    env: Mapping[str, str] | None,
    state: PathLike | None,
    registry: Registry | None,
    require_secrets: bool,
    untrusted: bool,
    locked: bool,
) -> Compilation:
    """The spec compiled as `load` does it; its program has the lock if it is `locked`. Raises LockError."""
    compilation = compile(
        path,
        env=env,
        state=state,
        registry=registry,
        require_environment=True,
        require_secrets=require_secrets,
        untrusted=untrusted,
        allow_retired=True,
        files=files,
        tests=False,
    )
    if locked and compilation.program is not None:
        return evolve(compilation, program=locking.locked(compilation.program))
    return compilation


def _refuse_in_loop(name: str, instead: str) -> None:
    """Raises UsageError if an event loop runs in this thread, as in async functions and notebooks."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise UsageError(f"{name} cannot wait inside a running event loop", hint=f"use `{instead}`")


def _spec_error(compilation: Compilation) -> SpecError:
    errors = compilation.errors
    lines = "\n".join(f"{d.span.file}:{d.span.line}:{d.span.column}: {d.message} [{d.code}]" for d in errors)
    failure = SpecError(lines, errors)
    if errors and all(d.external for d in errors):
        failure.exit_code = EXIT_OUTSIDE
    return failure
