"""The one contract that every component of every kind keeps. A new component needs no line here: it is found."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from tests.components.example import SERVICES, Node, item_of, node_of
from victor_dsl.language.component import Component
from victor_dsl.language.kinds import KINDS
from victor_dsl.language.off_loop import THREAD_NAME
from victor_dsl.language.registry import BUILT_IN, Registry

REGISTRY = Registry(entry_points=False)
COMPONENTS = [(kind, type) for kind in KINDS for type in REGISTRY.types(kind)]
HEAVY = (
    *("aiohttp", "asyncio", "asyncpg", "cattrs", "importlib.metadata", "jinja2", "logging", "mcp", "numpy", "redis"),
    *("huggingface_hub", "model2vec", "rich", "scipy", "sentence_transformers", "sklearn", "torch"),
)
LARGE = {"sentence_transformers": "the extra sentence-transformers, which brings PyTorch"}
"""Packages that a component of the same name needs, and that need not be installed for these tests."""
SENTENCE = re.compile(r"^[A-Z0-9`'\"].*[.:]\)?$", re.DOTALL)
DOING = re.compile(r"^(open|socket\.(connect|bind|getaddrinfo|gethostby\w+)|sqlite3\.connect|subprocess\.Popen|os\.(system|"
                   r"mkdir|listdir|scandir|remove|rename|rmdir|truncate|link|symlink|chmod)|_thread\.start_new_thread)$")  # fmt: skip
"""The audit events of Python (PEP 578) that mean reading, writing, calling out or a thread."""


@pytest.fixture(params=COMPONENTS, ids=[f"{kind}/{type}" for kind, type in COMPONENTS])
def component(request: pytest.FixtureRequest) -> Component:
    found = REGISTRY.find(*request.param)
    assert found is not None
    return found


@pytest.fixture
def node(component: Component, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Node]:
    """The component's EXAMPLE in a spec of its own folder; modules that it imports from there are forgotten after.

    One that is named after a service finds that service running; a command is found where the tests' packages are.
    """
    if component.type in LARGE and importlib.util.find_spec(component.type) is None:
        pytest.skip(f"{LARGE[component.type]}, is not installed")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    request.getfixturevalue("monkeypatch").setenv("PATH", path)
    secrets = {}
    if component.type in SERVICES:
        name, fixture = SERVICES[component.type]
        secrets[name] = request.getfixturevalue(fixture)
    yield node_of(component, tmp_path, secrets=secrets)
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture(scope="module")
def audit() -> Any:
    """Hears of what Python does in this thread while `heard.append` is told to listen. Audit hooks cannot be removed."""
    heard: list[str] = []
    listening: list[bool] = []

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if listening and DOING.match(event):
            heard.append(f"{event} {arguments[:1]}")

    sys.addaudithook(hook)

    @contextmanager
    def listen() -> Iterator[list[str]]:
        heard.clear()
        listening.append(True)
        try:
            yield heard
        finally:
            listening.clear()

    return listen


def test_the_contract_hears_of_what_it_forbids(tmp_path: Path, audit: Any) -> None:
    with audit() as heard:
        (tmp_path / "a").write_text("")
        (tmp_path / "b").mkdir()
    assert [event.split(" ")[0] for event in heard] == ["open", "os.mkdir"]


async def test_the_contract_sees_what_is_left_behind(tmp_path: Path) -> None:
    go = threading.Event()
    thread = threading.Thread(target=go.wait, name="left over")
    with pytest.raises(AssertionError, match="left over"):
        async with nothing_left(tmp_path):
            thread.start()
    go.set()
    thread.join()
    with pytest.raises(AssertionError, match=r"a\.txt"):
        async with nothing_left(tmp_path):
            file = (tmp_path / "a.txt").open("w")
    file.close()
    with pytest.raises(AssertionError, match="task"):
        async with nothing_left(tmp_path):
            task = asyncio.create_task(asyncio.sleep(60))
    task.cancel()


def test_every_kind_of_the_first_release_has_components() -> None:
    assert {kind for kind, _ in COMPONENTS} == set(KINDS)


def test_its_example_names_it_and_is_valid(component: Component, tmp_path: Path) -> None:
    assert item_of(component).get("type") == component.type, "the EXAMPLE must be an item of this type"
    try:
        node_of(component, tmp_path)
    except ValidationError as error:
        pytest.fail(f"its EXAMPLE is no valid Config:\n{error}")


def test_it_says_what_it_is_in_full_sentences(component: Component) -> None:
    module = sys.modules[component.build.__module__]
    for what, text in (
        ("the module", module.__doc__),
        ("Config", component.config.__doc__),
        ("build", component.build.__doc__),
    ):
        assert text, f"{what} has no docstring"
        assert SENTENCE.match(inspect.cleandoc(text)), f"the docstring of {what} is no sentence: {text!r}"
    assert issubclass(component.config, component.kind.config), f"its Config must be a {component.kind.config.__name__}"
    assert component.config.__doc__ != component.kind.config.__doc__, "its Config needs a docstring of its own"


def test_every_field_is_described_in_full_sentences(component: Component) -> None:
    for path, field in _fields(component.config, component.config.__module__):
        text = field.description
        assert text, f"{path} needs Field(description=...): it is the manual and what editors show"
        assert SENTENCE.match(text), f"the description of {path} must be full sentences: {text!r}"


def test_its_config_is_frozen_and_json_can_write_it(node: Node) -> None:
    json.dumps(node.config.model_dump(mode="json"), allow_nan=False)  # the fingerprint is made of this
    assert node.config.model_dump(mode="json") == node.config.model_copy(deep=True).model_dump(mode="json")
    for name in type(node.config).model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(node.config, name, getattr(node.config, name))


def test_an_unknown_field_is_refused(component: Component, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="extra_forbidden"):
        node_of(component, tmp_path, {**item_of(component), "no_such_field": 1})


async def test_building_it_does_nothing_until_it_is_entered(node: Node, audit: Any) -> None:
    async with AsyncExitStack() as stack:
        for id, need in node.needs.items():
            node.context.needs[id] = await need.open(stack)  # type: ignore[index]
        node.build()  # imports what it needs, which reads files
        before = asyncio.all_tasks()
        with audit() as heard:
            node.build()
        assert heard == [], (
            f"build must do no I/O: give a context manager that does it when it is entered; it did {heard}"
        )
        assert asyncio.all_tasks() == before, "build must start no task"


async def test_its_live_object_is_what_its_kind_promises(node: Node) -> None:
    async with AsyncExitStack() as stack:
        live = await node.open(stack)
        protocol = node.component.kind.protocol
        missing = (
            [name for name in protocol.__protocol_attrs__ if not hasattr(live, name)]
            if hasattr(protocol, "__protocol_attrs__")
            else []
        )
        assert isinstance(live, protocol), f"{live!r} is no {protocol.__name__}: it lacks {missing}"
        for name, promised in inspect.getmembers(protocol, inspect.iscoroutinefunction):
            assert inspect.iscoroutinefunction(getattr(live, name)), f"{name} must be an `async def`"
            _takes_the_same(getattr(live, name), promised)


async def test_it_opens_and_closes_and_opens_again(node: Node, tmp_path: Path) -> None:
    for _ in range(2):
        async with nothing_left(tmp_path) as stack:
            await node.open(stack)


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 8, None], ids=lambda steps: f"after {steps or 'all'} steps")
async def test_cancelled_while_it_opens_it_leaves_nothing(node: Node, tmp_path: Path, steps: int | None) -> None:
    opened = asyncio.Event()

    async def own() -> None:
        async with AsyncExitStack() as stack:
            await node.open(stack)
            opened.set()
            await asyncio.Event().wait()

    async with nothing_left(tmp_path):
        owner = asyncio.create_task(own())
        if steps is None:
            await asyncio.wait([owner, waiting := asyncio.create_task(opened.wait())], return_when="FIRST_COMPLETED")
            waiting.cancel()
        for _ in range(steps or 0):
            await asyncio.sleep(0)
        owner.cancel()
        await asyncio.wait([owner])
        assert owner.cancelled(), f"cancellation must pass through; instead: {owner}"


def test_importing_a_component_imports_nothing_heavy() -> None:
    program = f"""
import importlib, json, sys
importlib.import_module("victor_dsl.language.component")
blamed = {{}}
for kind, type in {COMPONENTS!r}:
    known = set(sys.modules)
    importlib.import_module(f"{BUILT_IN}.{{kind}}.{{type}}")
    found = sorted((set(sys.modules) - known) & set({HEAVY!r}))
    if found:
        blamed[f"{{kind}}/{{type}}"] = found
print(json.dumps(blamed))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    blamed = json.loads(done.stdout)
    assert not blamed, f"import these inside `build`; `victor validate` would pay for them: {blamed}"


PATIENCE_S = 10.0


class nothing_left:  # noqa: N801 - reads as the statement that it is
    """A context with an exit stack in it; fails where a task, a thread or an open file of the folder is left behind."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> AsyncExitStack:
        self._before = self._held()
        return await self._stack.__aenter__()

    async def __aexit__(
        self, type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        swallowed = await self._stack.__aexit__(type, error, traceback)
        if error is None:
            await asyncio.sleep(0)
            for thread in threading.enumerate():
                if thread.name.startswith(
                    ("waitpid", "asyncio-waitpid", THREAD_NAME)
                ):  # they end with their process, their call
                    thread.join(PATIENCE_S)
            left = [f"{what}: {name}" for what, name in self._held() - self._before]
            assert not left, f"closed, it must leave nothing behind; it left {left}"
        return swallowed

    def _held(self) -> set[tuple[str, str]]:
        tasks = {("task", str(task.get_coro())) for task in asyncio.all_tasks()}
        # The event loop's own pool of threads (asyncio.to_thread) ends with the loop.
        threads = {("thread", t.name) for t in threading.enumerate() if not t.name.startswith("asyncio_")}
        return tasks | threads | {("file", name) for name in _open_files() if name.startswith(str(self._folder))}


def _open_files() -> Iterator[str]:
    descriptors = Path("/proc/self/fd")
    for descriptor in descriptors.iterdir() if descriptors.is_dir() else ():
        try:
            yield str(descriptor.readlink())
        except OSError:
            continue  # the listing's own


def _fields(model: type[BaseModel], module: str, path: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """All fields of a model, and of the models of its module that they hold."""
    for name, field in model.model_fields.items():
        yield f"{path}{name}", field
        for inner in _models(field.annotation):
            if inner.__module__ == module and inner is not model:
                yield from _fields(inner, module, f"{path}{name}.")


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _takes_the_same(method: Any, promised: Any) -> None:
    """The method can be called with what its Protocol promises, by position, or by name where it says so."""
    parameters = list(inspect.signature(promised).parameters.values())[1:]  # without `self`
    by_name = {p.name: None for p in parameters if p.kind is p.KEYWORD_ONLY}
    by_position = [None for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.KEYWORD_ONLY)]
    try:
        inspect.signature(method).bind(*by_position, **by_name)
    except TypeError as error:
        pytest.fail(f"{method.__qualname__} must take what {promised.__qualname__} does: {error}")
