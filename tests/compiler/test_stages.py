"""`extends` with `${env:NAME}`: the file that a variable chooses, and a check of all of them without it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.compiler.conftest import Compile, Programme, places
from victor_dsl.compiler.stages import MOST_STAGES

SPEC = 'victor: 1\nname: support\nextends: "stages/${env:STAGE}.yml"\n'
BASE = "victor: 1\nname: base\nmodels: {main: {type: echo}}\nsettings: {temperature: 0.5}\n"
FILES = {
    "base.yml": BASE,
    "stages/dev.yml": "victor: 1\nname: dev\nextends: ../base.yml\nsettings: {max_tokens: 5}\n",
    "stages/prod.yml": "victor: 1\nname: prod\nextends: ../base.yml\nsettings: {temperature: 0.1}\n",
}


def test_a_variable_chooses_the_file(program: Programme) -> None:
    for stage, expected in (("dev", {"temperature": 0.5, "max_tokens": 5}), ("prod", {"temperature": 0.1})):
        made = program(SPEC, FILES, {"STAGE": stage}, require_environment=True)
        assert made.plan_for(None, {}).spec.settings == expected
        assert {Path(name).name for name in made.documents} == {"victor.yml", "base.yml", f"{stage}.yml"}


def test_the_digest_is_that_of_the_chosen_file(program: Programme) -> None:
    dev, prod = (program(SPEC, FILES, {"STAGE": stage}).plan_for(None, {}).digest for stage in ("dev", "prod"))
    plain = program(SPEC.replace("${env:STAGE}", "dev"), FILES).plan_for(None, {}).digest
    assert dev != prod
    assert dev == plain


@pytest.mark.parametrize(
    "extends",
    ['["stages/${env:STAGE}.yml"]', '[base.yml, "stages/${env:STAGE}.yml"]', '"${env:WHERE:-stages}/dev.yml"'],
)
def test_it_stands_in_a_list_beside_others_and_with_a_default(program: Programme, extends: str) -> None:
    text = f"victor: 1\nname: support\nextends: {extends}\n"
    settings = program(text, FILES, {"STAGE": "dev"}, require_environment=True).plan_for(None, {}).spec.settings
    assert settings == {"temperature": 0.5, "max_tokens": 5}


def test_without_the_variable_every_file_that_fits_is_checked(compile: Compile) -> None:
    """A fault of one stage names it; a fault of all does not, and each is there once."""
    files = {
        **FILES,
        "stages/dev.yml": FILES["stages/dev.yml"] + "prompt: {max_tokns: 3}\n",
        "stages/notes.txt": "no spec",
        "stages/.hidden.yml": "no spec",
        "stages/folder.yml/a.yml": "no spec",
    }
    compilation = compile(f"{SPEC}settings: {{seed: x}}\n", files)
    assert compilation.program is None
    assert compilation.stages == ("STAGE=dev", "STAGE=prod")
    assert places(compilation) == [("wrong-type", "victor.yml", 4, 18), ("unknown-key", "stages/dev.yml", 5, 10)]
    everywhere, dev = compilation.diagnostics
    assert "STAGE" not in everywhere.message
    assert dev.message.endswith("(with STAGE=dev)")


def test_sound_stages_are_valid_without_the_variable(compile: Compile) -> None:
    compilation = compile(SPEC, FILES)
    assert compilation.diagnostics == ()
    assert compilation.program is None


def test_a_default_is_the_program_and_the_others_are_checked_too(compile: Compile) -> None:
    text = SPEC.replace("STAGE}", "STAGE:-dev}")
    sound = compile(text, FILES)
    assert sound.program is not None
    assert sound.program.plan_for(None, {}).spec.settings["max_tokens"] == 5
    faulty = compile(text, {**FILES, "stages/prod.yml": "victor: 1\nname: prod\nextends: ../base.yml\nx: 1\n"})
    assert places(faulty) == [("unknown-key", "stages/prod.yml", 4, 1)]
    assert compile(text, require_environment=True).program is not None, "that stage does not run"


def test_a_name_is_unused_if_no_stage_uses_it(compile: Compile) -> None:
    base = BASE.replace("main: {type: echo}", "main: {type: echo}, spare: {type: echo}, idle: {type: echo}")
    base = base.replace("settings: {", "settings: {model: main, ")
    prod = FILES["stages/prod.yml"].replace("{temperature", "{fallbacks: [spare], temperature")
    compilation = compile(SPEC, {**FILES, "base.yml": base, "stages/prod.yml": prod})
    assert [d.message for d in compilation.diagnostics] == ["nothing uses 'idle' of models"]


def test_the_variable_has_its_value_wherever_the_spec_names_it(compile: Compile) -> None:
    text = SPEC + "settings: {temperature: '${env:STAGE}'}\n"
    compilation = compile(text, FILES)
    assert [(d.code, d.span.line) for d in compilation.diagnostics] == [("wrong-type", 4)]


def test_a_stage_may_choose_a_region(compile: Compile) -> None:
    files = {
        **FILES,
        "stages/prod.yml": 'victor: 1\nname: prod\nextends: "regions/${env:REGION}.yml"\n',
        "stages/regions/eu.yml": BASE,
        "stages/regions/us.yml": BASE.replace("0.5", "9"),
    }
    compilation = compile(SPEC, files)
    assert compilation.stages == ("STAGE=dev", "STAGE=prod, REGION=eu", "STAGE=prod, REGION=us")
    assert places(compilation) == [("wrong-value", "stages/regions/us.yml", 4, 25)]
    assert "(with STAGE=prod, REGION=us)" in compilation.diagnostics[0].message


def test_two_variables_in_one_path_fit_together(compile: Compile) -> None:
    text = SPEC.replace("stages/${env:STAGE}.yml", "${env:REGION}/${env:STAGE}-${env:REGION}.yml")
    compilation = compile(text, {"eu/dev-eu.yml": BASE, "us/dev-us.yml": BASE, "us/dev-eu.yml": BASE})
    assert compilation.stages == ("REGION=eu, STAGE=dev", "REGION=us, STAGE=dev")


def test_to_run_the_variable_must_be_set(compile: Compile) -> None:
    compilation = compile(SPEC, FILES, {"STAGE": ""}, require_environment=True)
    (fault,) = compilation.diagnostics
    assert (fault.code, fault.span.line, fault.span.column, fault.external) == ("missing-variable", 3, 18, True)
    assert fault.message == "the variable STAGE is empty"
    assert fault.hint is not None
    assert fault.hint.endswith("STAGE can be dev, prod")


SECRET = "hunter2"


@pytest.mark.parametrize(
    ("value", "code", "message"),
    [
        (SECRET, "extends-missing", "cannot read 'stages/${env:STAGE}.yml': there is no such file"),
        (f"{SECRET}/dev", "extends-missing", "cannot read 'stages/${env:STAGE}.yml': there is no such file"),
        (f"../{SECRET}", "bad-extends", "the value of ${env:STAGE} leads out of the folder"),
        (f"a/../../{SECRET}", "bad-extends", "the value of ${env:STAGE} leads out of the folder"),
        (f"/{SECRET}", "bad-extends", "the value of ${env:STAGE} is an absolute path"),
        (f"{SECRET}\0", "bad-extends", "the value of ${env:STAGE} has a NUL in it"),
        (SECRET * 100, "extends-missing", "cannot read 'stages/${env:STAGE}.yml': file name too long"),
    ],
)
def test_a_value_that_is_no_name_in_the_folder_is_refused_and_not_shown(
    compile: Compile, value: str, code: str, message: str
) -> None:
    compilation = compile(SPEC, FILES, {"STAGE": value})
    assert [(d.code, d.message, d.external) for d in compilation.diagnostics] == [(code, message, True)]
    assert SECRET not in str([d.as_json() for d in compilation.diagnostics])


@pytest.mark.parametrize(
    ("path", "column", "message"),
    [
        ("${file:stage.txt}.yml", 10, "`extends` cannot take a path from a file, only from a variable"),
        ("stages/${STAGE}.yml", 10, "the only '${…}' that `extends` takes is `${env:NAME}`"),
        ("stages/${evn:STAGE}.yml", 18, "there is no '${evn:…}'"),
        ("../${env:STAGE}.yml", 10, "'../${env:STAGE}.yml' leads out of the folder of victor.yml"),
        ("/etc/${env:STAGE}.yml", 10, "'/etc/${env:STAGE}.yml' leads out of the folder of victor.yml"),
        ("stages/${env:STAGE:-../../x}.yml", 18, "the value of ${env:STAGE:-../../x} leads out of the folder"),
        ("nowhere/${env:STAGE}.yml", 10, "there is no file 'nowhere/${env:STAGE}.yml' for any STAGE"),
    ],
)
def test_a_path_that_can_be_no_file_of_the_folder_is_a_fault_without_the_variable_too(
    compile: Compile, path: str, column: int, message: str
) -> None:
    compilation = compile(SPEC.replace("stages/${env:STAGE}.yml", path), {**FILES, "stage.txt": "dev"})
    assert [(d.span.line, d.span.column, d.message) for d in compilation.diagnostics] == [(3, column, message)]
    assert compilation.program is None


def test_a_link_that_leads_out_of_the_folder_is_refused(compile: Compile, tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-outside.yml"
    outside.write_text(BASE)
    compile(SPEC, FILES)
    os.symlink(outside, "stages/out.yml")
    os.symlink("dev.yml", "stages/same.yml")
    compilation = compile(SPEC, FILES)
    assert compilation.stages == ("STAGE=dev", "STAGE=out", "STAGE=prod", "STAGE=same")
    (fault,) = compilation.diagnostics
    assert (fault.code, fault.external) == ("bad-extends", False)
    assert "leads out of the folder of victor.yml (with STAGE=out)" in fault.message
    assert compile(SPEC, FILES, {"STAGE": "same"}).program is not None


def test_a_folder_that_was_chosen_cannot_be_read(compile: Compile) -> None:
    compilation = compile(SPEC, {**FILES, "stages/folder.yml/a.yml": BASE}, {"STAGE": "folder"})
    assert [(d.code, d.message) for d in compilation.diagnostics] == [
        ("extends-missing", "cannot read 'stages/${env:STAGE}.yml': it is a directory")
    ]


def test_circles_through_stages_are_faults_of_those_stages(compile: Compile) -> None:
    files = {**FILES, "stages/loop.yml": 'victor: 1\nname: loop\nextends: "../${env:TOP:-victor}.yml"\n'}
    files["stages/back.yml"] = "victor: 1\nname: back\nextends: ../victor.yml\n"
    compilation = compile(SPEC, files)
    assert [(d.code, d.span.file) for d in compilation.diagnostics] == [
        ("extends-cycle", "stages/back.yml"),
        ("bad-extends", "stages/loop.yml"),
    ]


def test_a_stage_beside_the_spec_does_not_choose_the_spec_itself(compile: Compile) -> None:
    compilation = compile(SPEC.replace("stages/", ""), {"dev.yml": BASE})
    assert compilation.diagnostics == ()
    assert compilation.stages == ("STAGE=dev",)


def test_many_files_are_checked_up_to_a_bound(compile: Compile) -> None:
    files = {f"stages/s{n}.yml": BASE for n in range(1000)}
    (fault,) = compile(SPEC, files).diagnostics
    assert (fault.code, fault.span.line, fault.span.column) == ("too-large", 3, 10)
    assert fault.message == f"more than {MOST_STAGES} files fit 'stages/${{env:STAGE}}.yml'"
    assert compile(SPEC, files, {"STAGE": "s7"}).program is not None


def test_two_lists_of_files_are_bounded_together(compile: Compile) -> None:
    extends = 'extends: ["a/${env:A}.yml", "b/${env:B}.yml"]'
    files = {f"{folder}/{n}.yml": BASE for folder in "ab" for n in range(20)}
    assert [d.code for d in compile(f"victor: 1\nname: x\n{extends}\n", files).diagnostics] == ["too-large"]


@pytest.mark.parametrize("environment", [{}, {"STAGE": "dev"}])
def test_a_path_with_a_variable_is_relative_whether_the_variable_is_set_or_not(
    compile: Compile, tmp_path: Path, environment: dict[str, str]
) -> None:
    text = SPEC.replace("stages/", f"{tmp_path}/stages/")
    (fault,) = compile(text, FILES, environment).errors
    assert (fault.code, fault.span.line) == ("bad-extends", 3)
    assert fault.message.endswith("/stages/${env:STAGE}.yml' is an absolute path")
