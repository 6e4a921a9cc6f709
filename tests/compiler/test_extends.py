"""`extends` gives a tree of files; cycles and missing files are faults at the value that names them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from victor_dsl.compiler.extends import MAX_FILES_DEEP, Family, read_family
from victor_dsl.source.reader import Files

Write = Callable[..., Path]


@pytest.fixture
def read(spec: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Family]:
    def read(top: str = "victor.yml", **files: str) -> Family:
        monkeypatch.chdir(tmp_path)
        for name, text in files.items():
            spec(text, name.replace("__", "/") + ".yml")
        return read_family(Files(), top, {})

    return read


def tree(family: Family) -> dict[str, object]:
    return {family.name: [tree(parent) for parent in family.parents]}


def places(family: Family) -> list[tuple[str, str, int, int]]:
    return [(fault.code, fault.span.file, fault.span.line, fault.span.column) for fault in family.diagnostics]


def test_a_file_alone_has_no_parents(read: Callable[..., Family]) -> None:
    family = read(victor="a: 1")
    assert tree(family) == {"victor.yml": []}
    assert family.diagnostics == ()


def test_parents_come_in_order_and_paths_start_at_their_writer(read: Callable[..., Family]) -> None:
    family = read(
        victor="extends: [base/one.yml, two.yml]", base__one="extends: ../three.yml", two="a: 1", three="a: 2"
    )
    assert tree(family) == {"victor.yml": [{"base/one.yml": [{"three.yml": []}]}, {"two.yml": []}]}
    assert family.diagnostics == ()


def test_an_absolute_path_is_taken(read: Callable[..., Family], tmp_path: Path) -> None:
    family = read(victor=f"extends: {tmp_path}/base.yml", base="a: 1")
    assert tree(family) == {"victor.yml": [{f"{tmp_path}/base.yml": []}]}


def test_a_parent_reached_twice_is_one_family_and_its_faults_are_told_once(read: Callable[..., Family]) -> None:
    family = read(
        victor="extends: [one.yml, two.yml]", one="extends: base.yml", two="extends: ./base.yml", base="a: 1\na: 2"
    )
    one, two = family.parents
    assert one.parents[0] is two.parents[0]
    assert places(family) == [("duplicate-key", "base.yml", 2, 1)]


def test_a_cycle_names_its_chain(read: Callable[..., Family]) -> None:
    family = read(victor="extends: one.yml", one="a: 1\nextends:\n  - two.yml\n", two="extends: one.yml")
    assert places(family) == [("extends-cycle", "two.yml", 1, 10)]
    (fault,) = family.diagnostics
    assert fault.message == "one.yml extends itself: one.yml -> two.yml -> one.yml"
    assert [related.span[:3] for related in fault.related] == [("one.yml", 3, 5)]


def test_a_file_that_extends_itself_is_a_cycle(read: Callable[..., Family]) -> None:
    family = read(victor="extends: ./victor.yml")
    assert [fault.message for fault in family.diagnostics] == ["victor.yml extends itself"]


def test_a_missing_parent_is_a_fault_of_the_path(read: Callable[..., Family]) -> None:
    family = read(victor="a: 1\nextends: [base.yml, none.yml]\n", base="extends: 'none.yml'")
    assert places(family) == [("extends-missing", "base.yml", 1, 10), ("extends-missing", "victor.yml", 2, 21)]
    assert family.diagnostics[1].path == ("extends", 1)
    assert tree(family) == {"victor.yml": [{"base.yml": []}]}


def test_a_directory_as_parent_is_missing_too(read: Callable[..., Family]) -> None:
    family = read(victor="extends: .")
    assert [fault.message for fault in family.diagnostics] == ["cannot read '.': it is a directory"]
    assert places(family) == [("extends-missing", "victor.yml", 1, 10)]


def test_a_broken_parent_shows_its_own_faults(read: Callable[..., Family]) -> None:
    family = read(victor="extends: base.yml", base="a: [")
    assert places(family) == [("yaml-syntax", "base.yml", 1, 4)]
    assert family.parents[0].document is None


@pytest.mark.parametrize(
    ("written", "column"),
    [("5", 10), ("{a: 1}", 10), ("[base.yml, 5]", 21), ("[null]", 11), ("'${file:base}'", 10), ("''", 10)],
)
def test_what_is_no_path_is_refused(read: Callable[..., Family], written: str, column: int) -> None:
    assert places(read(victor=f"extends: {written}", base="a: 1")) == [("bad-extends", "victor.yml", 1, column)]


def test_null_means_not_set(read: Callable[..., Family]) -> None:
    assert read(victor="extends: null").diagnostics == ()


def test_a_chain_has_an_end(read: Callable[..., Family]) -> None:
    files = {f"f{i}": f"extends: f{i + 1}.yml" for i in range(MAX_FILES_DEEP + 10)}
    family = read(victor="extends: f0.yml", **files)
    assert [fault.code for fault in family.diagnostics] == ["bad-extends"]
