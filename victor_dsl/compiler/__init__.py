"""The compiler: text in, a Program out, by a list of passes. Each returns its result and its diagnostics.

reader -> extends -> spec_tests -> interpolate -> (for each variation: overlays -> check -> link) -> lint; for each plan, on demand: lower
"""

from __future__ import annotations

import os
from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from copy import copy
from datetime import date
from functools import partial
from math import inf
from pathlib import Path
from typing import TypeVar

from attrs import AttrsInstance, field, fields, frozen

from victor_dsl.compiler.additions import Additions
from victor_dsl.compiler.check import Checker
from victor_dsl.compiler.checked import Checked
from victor_dsl.compiler.conflicts import arms_over_tenants, disagreeing_arms
from victor_dsl.compiler.extends import complete, documents, members, merge_family, nulls, read_family
from victor_dsl.compiler.history import History
from victor_dsl.compiler.link import Linker
from victor_dsl.compiler.lint import lint
from victor_dsl.compiler.lint.input import LintInput
from victor_dsl.compiler.lower import Lowering
from victor_dsl.compiler.overlays import Overlay
from victor_dsl.compiler.spec_tests import SECTION as TESTS
from victor_dsl.compiler.spec_tests import SpecTest, Tests
from victor_dsl.compiler.stability import Stability
from victor_dsl.compiler.stages import Stage, StageChecked, every_stage, joined
from victor_dsl.compiler.templates.sources import Templates
from victor_dsl.compiler.variations import Variations
from victor_dsl.experiments.assignment import Experiment
from victor_dsl.graph.plan import Arms, JournalPolicy, Plan, Program
from victor_dsl.graph.written import Written
from victor_dsl.language.registry import Registry
from victor_dsl.language.spec import OWN, VERSION, Spec
from victor_dsl.source.diagnostic import Diagnostic, sort_diagnostics
from victor_dsl.source.hiding import HiddenValues
from victor_dsl.source.interpolate import Interpolated, interpolate, missing_references
from victor_dsl.source.located import Located
from victor_dsl.source.reader import Files, FileVersion, Included, root_of

P = TypeVar("P", bound=AttrsInstance)

_OF_ABSENCE = frozenset({"missing-key", "no-model", "undefined-variable", "unknown-name", "unused-name"})
"""Codes of faults about missing names; dropped while a file cannot be read."""


@frozen
class Compilation:
    """The result of compiling: a program, or None if a diagnostic is an error; and the files for excerpts.

    `sources` are all files that were looked for; `stages` the values of variables in `extends` that are not set, with which the
    spec was compiled. `tests` are those of the spec, and `test_folders` where globs look for files with further ones.
    """

    program: Program | None
    diagnostics: tuple[Diagnostic, ...]
    files: Files
    sources: Mapping[str, FileVersion] = field(factory=dict, repr=False)
    stages: tuple[str, ...] = ()
    tests: tuple[SpecTest, ...] = ()
    test_folders: frozenset[str] = frozenset()

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """The diagnostics that are errors."""
        return tuple(d for d in self.diagnostics if d.severity == "error")


def compile_spec(
    name: str,
    *,
    environment: Mapping[str, str],
    registry: Registry | None = None,
    files: Files | None = None,
    state: Path | None = None,
    require_environment: bool = False,
    require_secrets: bool = False,
    untrusted: bool = False,
    runs: bool = True,
    today: date | None = None,
    allow_retired: bool = False,
    tests: bool = True,
) -> Compilation:
    """Compiles the spec in a file (`-`: standard input), and every overlay in it.

    A missing variable is an error with `require_environment`; otherwise its value is unknown, and the program is None
    only if there is another error or the plan depends on that value. `require_secrets` also requires the variables and
    files of secrets to exist, without reading their values. With `untrusted` it is an error to name a function to
    import, a program to start, or a file outside the spec's folder, and no variable or `${file:…}` has a value. One that never
    `runs` may name functions and programs: the caller passes a `registry` of components that call none. With a date of `today`,
    models that their providers retire are reported: a retired one is an error, unless `allow_retired`.

    Where a variable that is not set chooses a file of `extends`, the spec is compiled with each file that it could choose, and
    its program is that of the default. Without `tests` those of the spec are neither read nor checked.
    """
    files = files or Files()
    files.root = root_of(name) if untrusted else None
    environment = {} if untrusted else environment
    compile_in = partial(
        _compile,
        name=name,
        registry=registry or Registry(),
        files=files,
        state=state,
        require_environment=require_environment,
        require_secrets=require_secrets,
        today=today,
        allow_retired=allow_retired,
        runs=runs,
        tests=tests,
    )
    stages, faults = ([], []) if require_environment else every_stage(files, name, environment)
    if stages or faults:
        return _every_stage(compile_in, name, environment, files, stages, faults)
    return compile_in(environment)


def _compile(
    environment: Mapping[str, str],
    *,
    name: str,
    registry: Registry,
    files: Files,
    state: Path | None,
    require_environment: bool,
    require_secrets: bool,
    today: date | None,
    allow_retired: bool,
    runs: bool,
    tests: bool,
) -> Compilation:
    """The passes, for one environment."""
    family = read_family(files, name, environment)
    found = [
        *family.diagnostics,
        *(fault for path in family.chosen for fault in path.faults(required=require_environment)),
    ]
    document, faults = merge_family(family)
    found += faults
    if document is None or not isinstance(document.value, dict):
        return Compilation(None, tuple(found), files, files.versions)
    spec_tests = Tests(files)
    left_out = not tests and TESTS in document.value
    document = _without_tests(document) if left_out else spec_tests.read(document, documents(family))
    found += spec_tests.diagnostics
    written = [*documents(family), *spec_tests.documents]
    document, interpolation = interpolate(document, environment, files)
    found += interpolation
    hidden = HiddenValues(document)
    if version := _version(document):
        found = hidden.hide(sort_diagnostics([*found, version], written))
        return Compilation(None, tuple(found), files, files.versions)

    checker = Checker(registry)
    variations = Variations(document, checker, nulls(family), History(members(family)))
    linker = Linker()
    base = variations.make(None, {})
    if too_many := variations.too_many():
        found += [*variations.diagnostics, *checker.diagnostics, too_many]
        found = hidden.hide(sort_diagnostics(found, written))
        return Compilation(None, tuple(found), files, files.versions)
    every = tuple(variations.all())
    for variation in every:
        linker.link(variation)
    linker.link_experiments(base.checked.spec, variations)
    found += [*variations.diagnostics, *disagreeing_arms(variations), *arms_over_tenants(variations)]
    found += checker.diagnostics + linker.diagnostics

    directory = Path(os.path.abspath(os.path.dirname(name) if name != "-" else "."))
    included = Included(files.root, files.buffers)
    subject = LintInput(
        document,
        every,
        frozenset(linker.used),
        frozenset(checker.secrets),
        directory,
        files,
        included,
        today,
        allow_retired,
    )
    found += (fault for fault in lint(subject) if runs or fault.code != "untrusted-code")
    if require_environment or require_secrets:
        found += missing_references(
            _without_anchors(document),
            checker.secrets,
            environment,
            variables=require_environment,
            secrets=require_secrets,
        )
    if left_out:  # a test may use a model, as its judge
        found = [fault for fault in found if fault.code != "unused-name" or fault.path[:1] != ("models",)]
    if not complete(family):
        found = [fault for fault in found if fault.code not in _OF_ABSENCE]
    diagnostics = tuple(hidden.hide(sort_diagnostics(found, written)))
    if any(d.severity == "error" for d in diagnostics) or not _known(subject):
        return Compilation(None, diagnostics, files, {**files.versions, **included.versions})
    read_from = {one.span.file for one in documents(family)}  # a text that was only parsed has no version
    plain_texts = files.texts and files.texts - _secret_files(document, checker.secrets)
    program = _program(
        name,
        directory,
        state,
        base.checked,
        variations,
        Lowering(included, Stability(Templates(files, included, inf)), frozenset(variations.tenants), files.code),
        environment,
        untrusted=files.root is not None,
        documents={name: files.versions[name] for name in read_from & files.versions.keys()},
        texts={
            **{name: files.versions[name] for name in plain_texts},
            **included.versions,
        },
    )
    return Compilation(
        program,
        diagnostics,
        files,
        {**files.versions, **included.versions},
        tests=spec_tests.checked(document, base.checked.spec),
        test_folders=frozenset(spec_tests.folders),
    )


def _without_tests(document: Located) -> Located:
    kept = {key: child for key, child in document.value.items() if key != TESTS}
    return Located(kept, document.span, document.key_span)


def _every_stage(
    compile_in: Callable[[Mapping[str, str]], Compilation],
    name: str,
    environment: Mapping[str, str],
    files: Files,
    stages: Sequence[Stage],
    faults: Sequence[Diagnostic],
) -> Compilation:
    """The spec compiled with each stage; the program is that of the default."""
    checked: list[StageChecked] = []
    sources: dict[str, FileVersion] = dict(files.versions)
    default: Compilation | None = None
    for stage in stages:
        own = {**environment, **stage.values}
        compilation = compile_in(own)
        checked.append(StageChecked(stage, compilation.diagnostics, documents(read_family(files, name, own))))
        sources |= compilation.sources
        default = compilation if stage.is_default else default
    every = [document for one in checked for document in one.documents]
    diagnostics = tuple(sort_diagnostics([*faults, *joined(checked)], every))
    program = None if default is None or any(d.severity == "error" for d in diagnostics) else default.program
    tests = () if default is None else default.tests
    return Compilation(program, diagnostics, files, sources, tuple(map(str, stages)), tests)


def _without_anchors(document: Located) -> Located:
    """The document without the keys for anchors: a variable in an anchor is needed only where the anchor is used."""
    kept = {key: child for key, child in document.value.items() if not key.startswith(OWN)}
    return Located(kept, document.span, document.key_span)


def _secret_files(document: Located, secrets: AbstractSet[int]) -> set[str]:
    """The files of secrets: no plan contains their texts."""
    leaves = (leaf.value for _, leaf in document.walk() if id(leaf) in secrets and isinstance(leaf.value, Interpolated))
    return {reference.path for value in leaves for reference in value.references if reference.source == "file"}


def _program(
    file: str,
    directory: Path,
    state: Path | None,
    checked: Checked,
    variations: Variations,
    lowering: Lowering,
    environment: Mapping[str, str],
    *,
    untrusted: bool,
    documents: Mapping[str, FileVersion],
    texts: Mapping[str, FileVersion],
) -> Program:
    spec = checked.spec
    assert spec is not None

    def compile_plan(tenant: str | None, arms: Arms) -> Plan:
        if variations.has(tenant, dict(arms)):
            return lowering.plan(spec.name, variations.make(tenant, dict(arms)))
        return _scratch(lowering).plan(spec.name, _scratch(variations).make(tenant, dict(arms)))

    def all_written(tenant: str | None, arms: Arms) -> Sequence[Written]:
        known = variations if variations.has(tenant, dict(arms)) else _scratch(variations)
        return known.make(tenant, dict(arms)).all_written()

    return Program(
        name=spec.name,
        file=file,
        directory=directory,
        state=state if state is not None else directory / ".victor",
        experiments=_experiments(spec),
        tenants=lowering.tenants,
        opted_out=variations.opted_out,
        compile_plan=compile_plan,
        all_written=all_written,
        environment=environment,
        untrusted=untrusted,
        documents=documents,
        texts=texts,
        journal=JournalPolicy(**dict(spec.journal)) if spec.journal else JournalPolicy(),
    )


def _scratch(pass_: P) -> P:
    """A copy that looks up what the pass remembers, and whose own additions go with it.

    The combinations of tenants and arms are too many to remember what each was made of.
    """
    made = copy(pass_)
    for one in fields(type(pass_)):
        value = getattr(pass_, one.name)
        if isinstance(value, dict):
            setattr(made, one.name, ChainMap({}, value))
        elif isinstance(value, list | set):
            setattr(made, one.name, type(value)())
        elif isinstance(value, Checker | Overlay | Additions):
            setattr(made, one.name, _scratch(value))
    return made


def _experiments(spec: Spec) -> tuple[Experiment, ...]:
    return tuple(
        Experiment(
            name=name,
            arms={arm: body.weight for arm, body in experiment.arms.items()},
            control=experiment.control or ("control" if "control" in experiment.arms else next(iter(experiment.arms))),
            unit=experiment.unit,
            coverage=experiment.coverage,
            status=experiment.status,
        )
        for name, experiment in (spec.variants or {}).items()
    )


def _version(document: Located) -> Diagnostic | None:
    """The fault of a spec in another version of the language, which is not checked any further."""
    written = document.get("victor")
    if written is None:
        return None  # check says that it is missing
    if written.value == VERSION or not isinstance(written.value, int | Interpolated):
        return None  # or `check` reports that it is not a number
    hint = f"write `victor: {VERSION}`"
    shown = getattr(written.value, "text", written.value)
    return Diagnostic(
        "unknown-version", f"there is no version {shown} of the language", written.span, ("victor",), hint
    )


def _known(subject: LintInput) -> bool:
    """Whether every item and the grammar have all their values."""
    return all(variation.checked.spec is not None for variation in subject.variations) and all(
        item.config is not None for item in subject.items()
    )
