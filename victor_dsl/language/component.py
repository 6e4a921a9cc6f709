"""Components: one file with a `Config` and a `build`, and what `build` receives.

    class Config(ContributorConfig):
        \"\"\"Adds a text to the system prompt.\"\"\"
        text: str

    EXAMPLE = "{type: text, text: Answer in French.}"

    def build(config: Config, context: Context) -> Contributor: ...

`build` returns the live object, or an async context manager that yields it; one task enters and exits it. There must be
no I/O before it is entered.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from random import Random
from typing import Any, Protocol

from attrs import field, frozen

from victor_dsl.language.annotations import Secret
from victor_dsl.language.config import Around, Config
from victor_dsl.language.kinds import Kind

ConfigClass = type[Config]


@frozen
class Component:
    """A component in the registry. `version` is part of every fingerprint.

    For middleware: `around` is what it wraps unless its item sets `around`; with `after_auth` it needs what only
    admission finds out, so it must follow `auth`; `enforces` names the `settings.limits` that it enforces; `required` says that tenants and arms
    may not remove or change it unless its item allows that. Of contributors,
    `varies` says that the text may differ from turn to turn; of providers, `reads_environment` that all values come from the
    environment, so that `validate --env` can judge them. Of models, `offline` says that it answers without a network, and so
    also in tests without a recording.
    """

    kind: Kind
    type: str
    config: ConfigClass
    build: Callable[[Any, Context], Any]
    example: str
    version: int = 1
    around: tuple[Around, ...] = ("turn",)
    after_auth: bool = False
    enforces: frozenset[str] = frozenset()
    required: bool = False
    varies: bool = False
    reads_environment: bool = False
    offline: bool = False

    @property
    def summary(self) -> str:
        """The first sentence of the Config's docstring."""
        return (self.config.__doc__ or "").strip().split("\n")[0]


class Clock(Protocol):
    """Time, passed in so that tests can move it."""

    def now(self) -> float:
        """Unix seconds."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Waits."""
        ...


Report = Callable[[str, Mapping[str, Any]], None]


@frozen
class TextPlace:
    """Where a text of a Config is written: its first line. `exact` says that its lines are those of the file."""

    file: str
    line: int
    exact: bool

    def at(self, line: int) -> str:
        """The place of a line of the text, which counts from 1: `victor.yml:12`."""
        return f"{self.file}:{self.line + line - 1 if self.exact else self.line}"


@frozen
class Context:
    """What a component is built with.

    - `needs`: the live objects of the node's references and children by node id; `configs`: their Configs
    - `directory`: the spec's folder; `state`: the folder for local state, which may not exist yet
    - `secret` returns a secret's text or raises SecretError
    - `report` writes to the log and as an `error` event, once for the same text
    - `texts`: the places of the Config's templates, by field
    - `files`: the contents of the Config's `included` files, and of what templates include, by absolute path; a missing file
      is left out. A component does not read these files itself: the plan's digest covers these contents
    - `memory`: state that outlives the live object (counters, breakers, cursors). All live objects with the node's id
      in this process share this map.
    """

    node: str
    directory: Path
    state: Path
    needs: Mapping[str, Any]
    secret: Callable[[Secret], str]
    clock: Clock
    random: Random
    report: Report
    place: str = ""
    texts: Mapping[str, TextPlace] = field(factory=dict)
    files: Mapping[str, bytes] = field(factory=dict, repr=False)
    environment: Mapping[str, str] = field(factory=dict, repr=False)
    configs: Mapping[str, Config] = field(factory=dict, repr=False)
    memory: MutableMapping[str, Any] = field(factory=dict, repr=False)

    def live(self, node: str) -> Any:
        """The live object of a node that this one refers to.

        A model comes without middleware, since plans with different middleware share it: call it through
        `turn.around_model`.
        """
        return self.needs[node]

    def shown(self, path: str) -> str:
        """An absolute path as messages show it: relative to the file that names it."""
        writer = Path(self.place.rpartition(":")[0]).parent
        folder = writer.absolute() if self.place else self.directory
        return os.path.normpath(writer / os.path.relpath(path, folder)).replace(os.sep, "/")
