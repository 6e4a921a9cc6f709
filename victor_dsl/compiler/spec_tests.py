"""The tests of a spec: reads the files that `tests` names, and makes one test of each set of parameters.

It runs before the spec is checked, so a test is checked as it will run, and each fault stands at the line that wrote it.
"""

from __future__ import annotations

import glob
import os.path
import re
from collections.abc import Iterator, Mapping, Sequence

from attrs import define, field, frozen

from victor_dsl.compiler.validate import to_python, validate
from victor_dsl.language.spec import Spec
from victor_dsl.language.spec_tests import Test
from victor_dsl.nearest import suggest
from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.located import NOWHERE, Located, Path, Span
from victor_dsl.source.reader import STDIN, Files, check_inside, resolve, unreadable

MOST_TESTS = 10_000
"""The most tests of a spec, each set of parameters counted."""
MOST_FILES = 1_000

SECTION = "tests"
_PARAMETER = re.compile(r"\(\(\s*([A-Za-z_][A-Za-z0-9_]*)\s*\)\)")
_WILD = re.compile(r"[*?\[]")


@frozen
class SpecTest:
    """A checked test, where it was written, and its path there: `("tests", 0)`, or `(0,)` in a file of its own."""

    test: Test
    located: Located
    path: Path

    @property
    def span(self) -> Span:
        """The place of the test."""
        return self.located.span


@define
class Tests:
    """The tests of a document as they are read. `documents` are the files that hold tests; `folders` are where globs look for more."""

    files: Files
    diagnostics: list[Diagnostic] = field(factory=list)
    documents: list[Located] = field(factory=list)
    folders: set[str] = field(factory=set)
    paths: dict[Span, Path] = field(factory=dict)
    read_files: set[str] = field(factory=set)

    def read(self, document: Located, written: Sequence[Located]) -> Located:
        """The document with every test in its section `tests`. `written` are the documents that it was merged from."""
        section = document.get(SECTION)
        if section is None or not isinstance(section.value, list):
            return document
        for one in written:
            for key in (SECTION, f"+{SECTION}"):
                if (own := one.get(key)) is not None and isinstance(own.value, list):
                    self.paths |= {test.span: (key, index) for index, test in enumerate(own.value)}
        found: list[Located] = []
        for index, item in enumerate(section.value):
            items = self._named(item, (SECTION, index)) if isinstance(item.value, str) else [item]
            for test in items:
                found += self.each(test)
                if len(found) > MOST_TESTS:
                    message = f"the spec has more than {MOST_TESTS:,} tests"
                    self._fault(
                        "too-large", message, test.span, self.paths.get(test.span, ()), "split the spec's tests"
                    )
                    return _with_tests(document, section, found[:MOST_TESTS])
        if not section.value:
            self._fault("no-tests", "`tests` has no test", section.key_span or section.span, (SECTION,), _HINT)
        return _with_tests(document, section, found)

    def checked(self, document: Located, spec: Spec | None) -> tuple[SpecTest, ...]:
        """The tests of the checked document."""
        section = document.get(SECTION)
        if spec is None or spec.tests is None or section is None:
            return ()
        pairs = zip(spec.tests, section.value, strict=True)
        return tuple(SpecTest(test, located, self.paths.get(located.span, ())) for test, located in pairs)

    def _named(self, item: Located, path: Path) -> list[Located]:
        """The tests of the files that an item names."""
        name = resolve(item.span.file, item.value)
        names = [name]
        try:
            check_inside(name, self.files.root)
        except OSError as error:
            fault = unreadable(item.value, error)
            self._fault(fault.code, fault.message, item.span, path, fault.hint or "")
            return []
        if _WILD.search(item.value):
            self.folders.add(os.path.dirname(name) or ".")
            names = sorted(found.replace(os.path.sep, "/") for found in glob.iglob(name, recursive=True))
        if not names or len(names) > MOST_FILES:
            what = "names no file" if not names else f"names more than {MOST_FILES:,} files"
            self._fault(
                "no-tests",
                f"'{item.value}' {what}",
                item.span,
                path,
                "name a file with a list of tests, such as `tests/*.yml`",
            )
            return []
        return [test for found in names for test in self._file(found, item, path)]

    def _file(self, name: str, item: Located, path: Path) -> list[Located]:
        if name == STDIN:
            self._fault("no-tests", "tests cannot be read from standard input", item.span, path, "name a file")
            return []
        if os.path.normpath(name) in self.read_files:  # two globs may find one file
            return []
        self.read_files.add(os.path.normpath(name))
        result = self.files.read_list(name)
        for fault in result.diagnostics:
            unread = fault.code == "unreadable-file"  # then the place to mend is where the file is named
            self.diagnostics.append(
                Diagnostic(fault.code, fault.message, item.span, path, fault.hint) if unread else fault
            )
        document = result.document
        if document is None:
            return []
        if not any(known.span == document.span for known in self.documents):
            self.documents.append(document)
        if not document.value:
            self._fault("no-tests", "the file has no test", document.span, (), _HINT)
        self.paths |= {test.span: (index,) for index, test in enumerate(document.value)}
        return list(document.value)

    def each(self, test: Located) -> list[Located]:
        """The test once for each set of its parameters, without `each`; a faulty `each` stays, and is reported later."""
        each = test.get("each")
        if each is None or each.value is None or not isinstance(each.value, list) or not each.value:
            return [test]
        if not all(isinstance(one.value, dict) and one.value for one in each.value):
            return [test]
        path = self.paths.get(test.span, ())
        body = Located({k: v for k, v in test.value.items() if k != "each"}, test.span, test.key_span)
        used: set[str] = set()
        made = [_substituted(body, one.value, used) for one in each.value]
        names = {name for one in each.value for name in one.value}
        for index, one in enumerate(each.value):
            for name in sorted(used - one.value.keys()):
                if name in names:
                    message = f"this set of parameters lacks '{name}', which the others have"
                    self._fault("missing-key", message, one.span, (*path, "each", index), f"add '{name}'")
                else:
                    self._unknown(body, name, names, path)
        for name in sorted(names - used):
            where = next(one.value[name] for one in each.value if name in one.value)
            message = f"nothing in the test uses the parameter '{name}'"
            hint = f"write `(({name}))` where its value belongs"
            self._fault("wrong-value", message, where.key_span or where.span, (*path, "each", 0, name), hint)
        return list(_with_names(made, body))

    def _unknown(self, body: Located, name: str, names: set[str], path: Path) -> None:
        for below, leaf in body.walk():
            if isinstance(leaf.value, str) and name in _PARAMETER.findall(leaf.value):
                hint = suggest(name, sorted(names), what="parameters")
                self._fault("unknown-name", f"the test has no parameter '{name}'", leaf.span, (*path, *below), hint)
                return

    def _fault(self, code: str, message: str, span: Span, path: Path, hint: str) -> None:
        self.diagnostics.append(Diagnostic(code, message, span, path, hint))


def tests_in(name: str, files: Files) -> tuple[list[SpecTest], list[Diagnostic]]:
    """The tests of a file by itself, a list of tests or a spec, and its faults; what they name is not looked for."""
    tests = Tests(files)
    result = files.read_list(name)
    if result.document is None and (spec := files.read(name).document) is not None:
        document = tests.read(spec, [spec])
    else:
        tests.diagnostics += result.diagnostics
        items = [] if result.document is None else result.document.value
        tests.paths |= {test.span: (index,) for index, test in enumerate(items)}
        document = Located({SECTION: Located([one for test in items for one in tests.each(test)], NOWHERE)}, NOWHERE)
    found: list[SpecTest] = []
    section = document.get(SECTION)
    for located in section.value if section is not None else ():
        path = tests.paths.get(located.span, ())
        test, faults = validate(Test, located, to_python(located), path, "the test")
        tests.diagnostics += faults
        if test is not None:
            found.append(SpecTest(test, located, path))
    return found, tests.diagnostics


_HINT = "write a test: `- {name: it greets, given: {message: hi}, expect: {system: {contains: greet}}}`"


def _with_tests(document: Located, section: Located, tests: list[Located]) -> Located:
    value = dict(document.value)
    if tests:
        value[SECTION] = Located(tests, section.span, section.key_span)
    else:  # that there are none is reported already
        del value[SECTION]
    return Located(value, document.span, document.key_span)


def _substituted(here: Located, values: Mapping[str, Located], used: set[str]) -> Located:
    """The value with parameters in the place of `((name))`; parts without any stay the same objects."""
    value = here.value
    if isinstance(value, dict):
        made = {key: _substituted(child, values, used) for key, child in value.items()}
        return here if all(made[key] is value[key] for key in value) else Located(made, here.span, here.key_span)
    if isinstance(value, list):
        items = [_substituted(child, values, used) for child in value]
        same = all(new is old for new, old in zip(items, value, strict=True))
        return here if same else Located(items, here.span, here.key_span)
    if not isinstance(value, str) or not (names := _PARAMETER.findall(value)):
        return here
    used.update(names)
    if (whole := _PARAMETER.fullmatch(value.strip())) and whole[1] in values:
        parameter = values[whole[1]]
        return Located(parameter.value, parameter.span, here.key_span)
    text = _PARAMETER.sub(lambda found: _text(values[found[1]]) if found[1] in values else found[0], value)
    return Located(text, here.span, here.key_span)


def _text(value: Located) -> str:
    """A parameter's value inside of a text."""
    inner = value.value
    if isinstance(inner, bool):
        return "true" if inner else "false"
    if inner is None:
        return "null"
    return str(inner) if isinstance(inner, str | int | float) else "…"


def _with_names(made: Sequence[Located], body: Located) -> Iterator[Located]:
    """The tests with names of their own: numbers are added where the name has no parameter."""
    written = body.get("name")
    names = [one.value["name"].value for one in made] if written is not None else []
    for number, one in enumerate(made, start=1):
        if written is None or not isinstance(names[number - 1], str) or names.count(names[number - 1]) == 1:
            yield one
            continue
        name = Located(f"{names[number - 1]} ({number})", written.span, written.key_span)
        yield Located({**one.value, "name": name}, one.span, one.key_span)
