"""The wheel, built and installed into an environment of its own, does everything without the repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile

import pytest

from bench.measure import python_with_pip
from tests.services import free_port

pytest.importorskip("hatchling")
ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "victor_dsl"
EXAMPLES = ROOT / "examples"
LEFT_BY_RUNS = shutil.ignore_patterns("__pycache__", "*.db*", "events.jsonl")
PAGE = """
import asyncio, urllib.request, victor_dsl
from pathlib import Path

assert Path(victor_dsl.__file__).is_relative_to("ENVIRONMENT"), victor_dsl.__file__

def fetched(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as response:
        return response.read().decode()

async def main():
    async with victor_dsl.open("victor.yml") as orchestrator:
        reply = await orchestrator.chat("Where is my order 4711?")
        print(reply.message.text())
        for path in ("/", "/page/dashboard.js", "/page/dashboard.css"):
            print(await asyncio.to_thread(fetched, PORT, path))

asyncio.run(main())
"""


def test_the_installed_wheel_needs_nothing_of_the_repository(tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path)
    with ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    assert files_of_the_package() - packed == set()
    victor = install(wheel, tmp_path / "environment")

    desk = tmp_path / "desk"
    run(tmp_path, victor, "init", str(desk))
    assert run(desk, victor, "validate", "victor.yml").endswith("victor.yml is valid\n")
    assert "unknown-key" in run(desk, victor, "explain", "unknown-key")
    assert "openai" in run(desk, victor, "components", "models")

    everything = tmp_path / "everything"  # word lists, texts and templates of the components
    shutil.copytree(EXAMPLES / "everything", everything, ignore=LEFT_BY_RUNS)
    run(everything, victor, "db", "migrate", "victor.yml")
    run(everything, str(victor.with_name("python")), "seed.py")
    rendered = run(everything, victor, "render", "victor.yml", "--message", "Where is my order?", "--tenant", "acme")
    assert "Answer in French." in rendered

    board = tmp_path / "board"
    shutil.copytree(EXAMPLES / "live-dashboard", board, ignore=LEFT_BY_RUNS)
    port = str(free_port())
    program = PAGE.replace("ENVIRONMENT", str(tmp_path / "environment")).replace("PORT", port)
    secrets = {"DASH_PORT": port, "DASH_TOKEN": "d" * 24, "NORTH_DASH_TOKEN": "n" * 24}
    run(board, victor, "db", "migrate", "victor.yml", environment=secrets)
    shown = run(board, str(victor.with_name("python")), "-c", program, environment=secrets)
    assert "It arrives on Friday." in shown
    for name in ("index.html", "dashboard.js", "dashboard.css"):
        (page,) = PACKAGE.rglob(f"page/{name}")
        assert page.read_text(encoding="utf-8").strip()[:100] in shown


def build_wheel(folder: Path) -> Path:
    """The wheel of this repository, as pip builds it, in a folder."""
    run(ROOT, sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder))
    (wheel,) = folder.glob("*.whl")
    return wheel


def files_of_the_package() -> set[str]:
    """Every file of the package's folder, relative to the repository, but for what Python caches there."""
    found = (path.relative_to(ROOT) for path in PACKAGE.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if "__pycache__" not in path.parts}


def install(wheel: Path, environment: Path) -> Path:
    """The command `victor` of a new environment with the wheel; its dependencies are those that the developer has."""
    venv.create(environment, with_pip=False, symlinks=True)
    python = environment / "bin" / "python"
    pip = [python_with_pip(), "-m", "pip", "--python", str(python), "--disable-pip-version-check", "--quiet"]
    run(environment, *pip, "install", "--no-deps", "--no-index", "--no-compile", str(wheel))
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    dependencies = environment / "lib" / version / "site-packages" / "dependencies.pth"
    # Python follows no `.pth` files of a folder that is named in one: the developer's editable install stays out.
    dependencies.write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return environment / "bin" / "victor"


def run(folder: Path, *command: str | Path, environment: Mapping[str, str] | None = None) -> str:
    """What a command prints, stdout and stderr. It sees nothing of the developer's environment but PATH and HOME."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env={**inherited, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr
