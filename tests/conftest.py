"""Shared by all tests: Hypothesis's profiles, specs on disk, and the check that a test leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import inspect
import textwrap
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The same examples on every machine. To search for new ones: `./dev test --hypothesis-profile explore`.
settings.register_profile(
    "steady", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "explore", max_examples=2_000, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")

pytest_plugins = ["tests.services", "tests.warm"]

OPEN_FILES = Path("/proc/self/fd")


@pytest.fixture
def spec(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a spec, or a file beside it, into the test's folder, and returns its path."""

    def write(text: str, name: str = "victor.yml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return write


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test that leaves a task, a thread or an open file of its folder behind.

    It is set up before the test's own fixtures, so it checks after all of them are closed. Sockets and other files that
    stay open raise ResourceWarning, which is an error here.
    """
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    threads = set(threading.enumerate())
    if inspect.iscoroutinefunction(getattr(request.node, "function", None)):
        request.getfixturevalue("no_task_left_behind")
    yield
    # The event loop's own threads end with the loop, which may close later.
    left = [t for t in threading.enumerate() if t not in threads and not t.name.startswith("asyncio_")]
    for thread in left:  # a finished thread may still be ending
        thread.join(timeout=3)
    left = [thread for thread in left if thread.is_alive()]
    assert not left, f"threads left behind: {left}"
    if folder and (files := _open_files(folder)):
        gc.collect()
        files = _open_files(folder)
        assert not files, f"files left open: {files}"


@pytest.fixture
async def no_task_left_behind() -> AsyncIterator[None]:
    """Fails an asynchronous test that leaves a task running after its fixtures are closed."""
    before = asyncio.all_tasks()
    yield
    for _ in range(10):  # lets tasks end that are cancelled or almost done
        await asyncio.sleep(0)
    mine = asyncio.current_task()
    left = [task for task in asyncio.all_tasks() - before if task is not mine]
    assert not left, f"tasks left behind: {left}"


def _open_files(folder: Path) -> list[str]:
    """The open files of this process below a folder; none on systems that do not list them."""
    found = []
    for entry in OPEN_FILES.iterdir() if OPEN_FILES.is_dir() else ():
        try:
            target = entry.readlink()
        except OSError:  # closed since: the file of the listing itself
            continue
        if target.is_relative_to(folder):
            found.append(str(target))
    return sorted(found)
