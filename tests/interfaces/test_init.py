"""`victor init` writes a spec that validates and runs as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interfaces.conftest import Victor


@pytest.mark.parametrize("directory", ["new", "a/b/c", "1 strange näme", "x" * 100])
def test_the_new_spec_validates_renders_and_runs_offline(victor: Victor, directory: str) -> None:
    made = victor("init", directory)
    assert made.code == 0
    assert made.out == ""
    path = f"{directory}/victor.yml"
    assert f"Wrote {path}" in made.err
    assert victor("validate", path, "--strict").code == 0
    assert "Acme Cloud" in victor("render", path, "--message", "Hello").json["system"]
    assert victor("run", path, "Hello").out == "Hello\n"


def test_a_spec_that_is_there_is_left_alone_without_force(victor: Victor, folder: Path) -> None:
    before = (folder / "victor.yml").read_text()
    done = victor("init")
    assert done.code == 2
    assert "victor.yml exists already; --force replaces it" in done.err
    assert (folder / "victor.yml").read_text() == before
    assert victor("init", "--force").code == 0
    assert (folder / "victor.yml").read_text() != before


def test_a_folder_that_is_a_file_is_named(victor: Victor, folder: Path) -> None:
    (folder / "file").write_text("")
    done = victor("init", "file")
    assert done.code == 2
    assert "file is a file, not a folder" in done.err
