"""Components: one file with a `Config` and a `build`, and what `build` is given.

    class Config(ContributorConfig):
        \"\"\"Adds a text to the system prompt.\"\"\"
        text: str

    EXAMPLE = "{type: text, text: Answer in French.}"

    def build(config: Config, context: Context) -> Contributor: ...

`build` gives the live object, or an async context manager that gives it; the one task that enters it leaves it.
It must not do I/O before it is entered.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from random import Random
from typing import Any, Protocol

from attrs import field, frozen

from victor_dsl.language.config import Around, Config, Secret
from victor_dsl.language.kinds import Kind

ConfigClass = type[Config]


@frozen
class Component:
    """A component as the registry knows it. `version` is part of every fingerprint.

    Of a middleware, `around` is where it stands unless its item says so; `after_auth` says that it needs what is known
    only after admission, `holds` which of `settings.limits` it holds turns to.
    """

    kind: Kind
    type: str
    config: ConfigClass
    build: Callable[[Any, Context], Any]
    example: str
    version: int = 1
    around: tuple[Around, ...] = ("turn",)
    after_auth: bool = False
    holds: frozenset[str] = frozenset()

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
class Context:
    """What a component is built with.

    `needs` holds the live objects of the node's references and children by node id, `configs` their Configs; `directory` is the spec's
    folder, `state` the folder for local state (it may not exist yet); `secret` gives a secret's text or raises
    SecretError; `report` says something once to the log and as an `error` event. `kept` is state of the node's id that
    outlives its live objects (counters, breakers, cursors): every object of that id in this process has the same map.
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
    environment: Mapping[str, str] = field(factory=dict, repr=False)
    configs: Mapping[str, Config] = field(factory=dict, repr=False)
    kept: MutableMapping[str, Any] = field(factory=dict, repr=False)

    def live(self, node: str) -> Any:
        """The live object of a node that this one refers to.

        A model is given bare, since plans with other middleware share it: it is asked through `turn.around_model`.
        """
        return self.needs[node]

    def shown(self, path: str) -> str:
        """An absolute path as people are shown it: from the file that named it, as that file is named."""
        writer = Path(self.place.rpartition(":")[0]).parent
        folder = writer.absolute() if self.place else self.directory
        return os.path.normpath(writer / os.path.relpath(path, folder)).replace(os.sep, "/")
