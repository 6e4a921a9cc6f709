"""The two sides of a comparison: each compiled and rendered by a process of its own, and read from here."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import IO, Any

import orjson
from attrs import define, field, frozen

from victor_dsl.errors import VictorError
from victor_dsl.workbench.plan.effects import Outline
from victor_dsl.workbench.plan.git_tree import GitSpec, Tree, written
from victor_dsl.workbench.plan.tree import Branch, from_json

PROGRAM = "victor_dsl.interfaces.cli.plan_side"

ENDING_SECONDS = 5
"""How long a side may take to end when it is told to."""

Json = dict[str, Any]


@frozen
class Place:
    """Where a side's spec lies: `name` is what the command line says, `path` the file to read, in a `tree` where it is of a git ref."""

    name: str
    path: str
    tree: Tree | None = None
    git: GitSpec | None = None

    def shown(self, text: str) -> str:
        """A text with its paths of the tree as `ref:path`."""
        if self.tree is None or self.git is None:
            return text
        return text.replace(f"{self.tree.root}{os.sep}", f"{self.git.ref}:").replace(self.tree.root, f"{self.git.ref}:")


@contextmanager
def placed(name: str, *, untrusted: bool) -> Iterator[Place]:
    """The spec that a name of the command line means, for as long as its files are needed."""
    git = GitSpec.read(name)
    if git is None:
        yield Place(name, name)
        return
    with written(git, untrusted=untrusted) as tree:
        yield Place(name, tree.spec, tree, git)


@define
class Side:
    """A side's process, and what it said first. `valid` says that it compiled."""

    place: Place
    process: subprocess.Popen[bytes]
    output: IO[bytes]
    tree: Branch | None = None
    outline: Outline | None = None
    diagnostics: list[Json] = field(factory=list)
    text: str = ""
    exit_code: int = 0

    @property
    def valid(self) -> bool:
        """Whether it compiled."""
        return self.outline is not None

    def read(self) -> None:
        """Reads what the spec means. Raises VictorError where the process failed."""
        found = next(self.messages(), None)
        if found is None:
            raise self._ended()
        shown = self.place.shown
        self.tree = None if found["tree"] is None else _branch(found["tree"], self.place)
        self.outline = None if found["outline"] is None else Outline(**found["outline"])
        self.diagnostics = [_shown_places(one, self.place) for one in found["diagnostics"]]
        self.text, self.exit_code = shown(found["text"]), found["exit_code"]

    def messages(self) -> Iterator[Json]:
        """What the process sends. Raises VictorError for its failure."""
        for line in self.output:
            message: Json = orjson.loads(line)
            if (error := message.get("error")) is not None:
                failure = VictorError(f"{self.place.name}: {self.place.shown(error['message'])}")
                failure.exit_code = error["exit_code"]
                raise failure
            yield message
        if self.process.wait() != 0:
            raise self._ended()

    def _ended(self) -> VictorError:
        return VictorError(f"{self.place.name}: its process ended with {self.process.wait()}")


@contextmanager
def started(places: Sequence[Place], task: Mapping[str, Any]) -> Iterator[list[Side]]:
    """A process for each place, with the task; all are ended at the end."""
    seed = str(random.SystemRandom().randrange(1, 2**32))
    tops = [place.tree.top for place in places if place.tree is not None]
    with ExitStack() as stack:
        sides = []
        for place in places:
            folder = os.path.dirname(os.path.abspath(place.path))
            root = place.tree.root if place.tree is not None else next(iter(tops), folder)
            own = {"root": root, "locked": task["locked"] and place is places[-1]}
            sides.append(stack.enter_context(_started(place, {**task, **own}, seed)))
        yield sides


@contextmanager
def _started(place: Place, task: Mapping[str, Any], seed: str) -> Iterator[Side]:
    reading, writing = os.pipe()
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONDONTWRITEBYTECODE": "1"}
    if place.tree is not None:
        paths = [*place.tree.python_path(), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    with os.fdopen(reading, "rb", buffering=1 << 16) as output:
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", PROGRAM],
                stdin=subprocess.PIPE,
                stdout=sys.stderr.fileno(),
                cwd=None if place.tree is None else place.tree.folder,
                env=environment,
                pass_fds=[writing],
            )
        finally:
            os.close(writing)
        try:
            own = {"spec": place.path, "output": writing}
            with suppress(BrokenPipeError), process.stdin as stdin:  # type: ignore[union-attr]
                stdin.write(orjson.dumps({**task, **own}))
            yield Side(place, process, output)
        finally:
            output.close()
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(ENDING_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _branch(value: list[Any], place: Place) -> Branch:
    tree = from_json(value)
    assert isinstance(tree, Branch)
    pending: list[Any] = [tree]
    while pending:
        one = pending.pop()
        if isinstance(one, Branch):
            pending += one.children.values()
        object.__setattr__(one, "file", place.shown(one.file))
    return tree


def _shown_places(diagnostic: Json, place: Place) -> Json:
    return {**diagnostic, "file": place.shown(diagnostic["file"]), "message": place.shown(diagnostic["message"])}
