"""The Python interface: what `import victor_dsl` offers to Python programs."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from victor_dsl.compiler import Compilation, compile_spec
from victor_dsl.errors import EXIT_OUTSIDE, SpecError
from victor_dsl.graph.plan import Program
from victor_dsl.interfaces.watching import watched
from victor_dsl.language.registry import Registry
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.values.outcome import Rendered
from victor_dsl.values.request import Request

PathLike = str | os.PathLike[str]


def compile(
    path: PathLike,
    *,
    env: Mapping[str, str] | None = None,
    state: PathLike | None = None,
    registry: Registry | None = None,
    need_environment: bool = False,
    need_secrets: bool = False,
    untrusted: bool = False,
) -> Compilation:
    """The program of a spec, and every diagnostic. Raises nothing for a faulty spec.

    `env` stands for the process's environment, `state` for the folder `.victor` beside the spec. An
    `untrusted` spec may name no function to import and no program to start.
    """
    return compile_spec(
        os.fspath(path),
        environment=os.environ if env is None else env,
        registry=registry,
        state=None if state is None else Path(state),
        need_environment=need_environment,
        need_secrets=need_secrets,
        untrusted=untrusted,
    )


def load(
    path: PathLike,
    *,
    env: Mapping[str, str] | None = None,
    state: PathLike | None = None,
    registry: Registry | None = None,
    need_secrets: bool = True,
    untrusted: bool = False,
) -> Program:
    """The program of a spec, ready to run. Raises SpecError, which carries every diagnostic."""
    compilation = compile(
        path,
        env=env,
        state=state,
        registry=registry,
        need_environment=True,
        need_secrets=need_secrets,
        untrusted=untrusted,
    )
    if compilation.program is None:
        raise _spec_error(compilation)
    return compilation.program


@asynccontextmanager
async def open(
    path: PathLike,
    *,
    env: Mapping[str, str] | None = None,
    state: PathLike | None = None,
    registry: Registry | None = None,
    watch: bool = False,
    untrusted: bool = False,
) -> AsyncIterator[Orchestrator]:
    """The orchestrator of a spec, open inside `async with`. Raises SpecError, ComponentError or SecretError.

    With `watch` a change of the spec's files is put into force once it compiles without a fault and opens; turns in
    flight finish on what they began with. Until then, and for a faulty change, the old one goes on.
    """

    def anew() -> Compilation:
        return compile(
            path,
            env=env,
            state=state,
            registry=registry,
            need_environment=True,
            need_secrets=True,
            untrusted=untrusted,
        )

    program = load(path, env=env, state=state, registry=registry, untrusted=untrusted)
    async with Orchestrator(program, registry=registry) as orchestrator:
        if not watch:
            yield orchestrator
            return
        async with watched(orchestrator, anew):
            yield orchestrator


async def render(
    path: PathLike,
    request: Request | str,
    *,
    env: Mapping[str, str] | None = None,
    state: PathLike | None = None,
    registry: Registry | None = None,
    untrusted: bool = False,
) -> Rendered:
    """What the model would be sent for a request, or for a message. No model is called, and no secret is needed."""
    program = load(path, env=env, state=state, registry=registry, need_secrets=False, untrusted=untrusted)
    async with Orchestrator(program, registry=registry, answering=False) as orchestrator:
        return await orchestrator.render(Request(message=request) if isinstance(request, str) else request)


def _spec_error(compilation: Compilation) -> SpecError:
    errors = compilation.errors
    told = "\n".join(f"{d.span.file}:{d.span.line}:{d.span.column}: {d.message} [{d.code}]" for d in errors)
    failure = SpecError(told, errors)
    if errors and all(d.external for d in errors):
        failure.exit_code = EXIT_OUTSIDE
    return failure
