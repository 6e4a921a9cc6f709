"""Every example is valid without a warning, gives its expected output, and its README is true.

After a change that is meant, `python -m tests.examples.regenerate` writes the expected output anew.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from tests.docs.blocks import blocks, matches, run
from tests.examples.running import FOLDER, copy_of, examples, expected, outputs, prepare, runnable, victor
from tests.services import PostgresServer
from tests.warm import Warm
from victor_dsl.compiler import compile_spec

SPECS = sorted(
    path.relative_to(FOLDER).as_posix() for name in ("victor*.yml", "offline.yml") for path in FOLDER.rglob(name)
)
WITH_A_README = sorted(path.parent.name for path in FOLDER.glob("*/README.md"))


@pytest.mark.parametrize("spec", SPECS)
def test_an_example_is_valid_without_a_warning_or_a_variable(spec: str) -> None:
    name, _, file = spec.rpartition("/")
    with contextlib.chdir(FOLDER / name):
        assert [d.code for d in compile_spec(file, environment={}).diagnostics] == []


@pytest.mark.parametrize("name", examples())
def test_an_example_gives_its_expected_output(name: str, tmp_path: Path, warm: Warm) -> None:
    folder = copy_of(name, tmp_path)
    prepare(folder, warm.python)
    assert outputs(folder, runnable(folder), python=warm.python) == expected(name)


@pytest.mark.parametrize("name", examples("victor.postgres.yml"))
def test_an_example_gives_the_same_on_postgresql(
    name: str, tmp_path: Path, postgres: PostgresServer, postgres_database: str, warm: Warm
) -> None:
    environment = {"DATABASE_URL": postgres.dsn(postgres_database)}
    folder = copy_of(name, tmp_path)
    victor(folder, "db", "migrate", "victor.postgres.yml", environment=environment, python=warm.python)
    if (folder / "seed.sql").exists():
        postgres.sql((folder / "seed.sql").read_text(encoding="utf-8"), database=postgres_database)
    assert outputs(folder, "victor.postgres.yml", environment, python=warm.python) == expected(name)


@pytest.mark.parametrize("name", examples("victor.redis.yml"))
def test_an_example_gives_the_same_on_redis(name: str, tmp_path: Path, redis_url: str, warm: Warm) -> None:
    folder = copy_of(name, tmp_path)
    assert outputs(folder, "victor.redis.yml", {"REDIS_URL": redis_url}, python=warm.python) == expected(name)


@pytest.mark.parametrize("name", WITH_A_README)
def test_what_the_readme_of_an_example_says_is_true(name: str, tmp_path: Path, warm: Warm) -> None:
    folder = copy_of(name, tmp_path)
    for block in blocks(folder / "README.md"):
        for command, printed in block.commands():
            found = run(command, folder, warm.python)
            assert matches(printed, found), f"examples/{name}/README.md:{block.line}: $ {command}\n{found}"
