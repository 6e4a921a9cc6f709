"""Tests name what there is: models, tools, contributors, tenants and arms; their requests are requests, and no two have one name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from victor_dsl.compiler.lint.input import LintInput
from victor_dsl.compiler.lint.json_schemas import misspelt_keywords, schema_faults
from victor_dsl.compiler.lint.tools import ONE_TOOL
from victor_dsl.errors import RequestError
from victor_dsl.language.config import ProviderConfig
from victor_dsl.language.spec_checks import ListChecks, ReplyChecks, ToolCallsChecks, call_name, listed
from victor_dsl.language.spec_tests import Expectation, Test
from victor_dsl.nearest import suggest
from victor_dsl.source.diagnostic import Diagnostic, Related
from victor_dsl.source.located import Located, Path
from victor_dsl.values.codec import read_request

FINDING = ("find_tools", "call_tool")
"""Tools that a model with deferred tools is sent."""


def tests_can_be_told_apart(subject: LintInput) -> Iterator[Diagnostic]:
    """Each test of the spec has a name of its own."""
    first: dict[str, Located] = {}
    for test, located, path in _tests(subject):
        name = located.at(("name",))
        if test.name not in first:
            first[test.name] = name
        else:
            related = (Related("the first one", first[test.name].span),)
            message = f"two tests are named '{test.name}'"
            hint = "give one of them another name"
            yield Diagnostic("duplicate-name", message, name.span, (*path, "name"), hint, related=related)


def tests_give_requests(subject: LintInput) -> Iterator[Diagnostic]:
    """What a test gives can be read as a request."""
    for test, located, path in _tests(subject):
        try:
            read_request(test.given.line())
        except RequestError as error:
            given = located.at(("given",))
            yield Diagnostic("wrong-value", f"given: {error.message}", given.key_span or given.span, (*path, "given"))


def tests_have_sound_schemas(subject: LintInput) -> Iterator[Diagnostic]:
    """The JSON Schemas that replies must meet are valid, and no keyword of theirs is misspelt."""
    for test, located, path in _tests(subject):
        if not isinstance(test.expect.reply, ReplyChecks) or (schema := test.expect.reply.json_schema) is None:
            continue
        below: Path = ("expect", "reply", "json_schema")
        for at, message, hint in (*schema_faults(schema), *misspelt_keywords(schema)):
            leaf = located.at((*below, *at))
            yield Diagnostic("wrong-value", message, leaf.key_span or leaf.span, (*path, *below, *at), hint)


def tests_name_what_there_is(subject: LintInput) -> Iterator[Diagnostic]:
    """Models, tools, contributors, tenants and arms that a test names. What only a running server knows is not checked here."""
    tests = list(_tests(subject))
    if not tests:
        return
    known = _Known(subject)
    for test, located, path in tests:
        for what, name, names, below in (*known.given(test), *known.expected(test.expect, test)):
            leaf = located.at(below)
            hint = suggest(name, sorted(names), what=f"names in {what}")
            is_key = isinstance(leaf.value, dict | list) or below[-1:] == (name,)
            span = leaf.key_span if is_key and leaf.key_span is not None else leaf.span
            yield Diagnostic("unknown-name", f"{what} has no '{name}'", span, (*path, *below), hint)


Named = tuple[str, str, Collection[str], Path]
"""A section, a name that it lacks, the names that it has, and the place below the test."""


class _Known:
    """The names of a spec over all its variations."""

    def __init__(self, subject: LintInput) -> None:
        base = subject.variations[0].checked
        spec = base.spec
        assert spec is not None, "there are tests"
        self.spec = spec
        self.models = {_name(item.id) for item in base.sections["models"]}
        self.tools: set[str] = set()
        self.prefixes: set[str] = set()
        self.contributors: set[str] = set()
        self.any_tool = False
        for items in subject.distinct("tools"):
            for item in items:
                name = _name(item.id)
                self.contributors.add(name)  # a source of tools may have instructions
                if item.component.type in ONE_TOOL:
                    self.tools.add(name)
                elif item.component.type == "mcp":
                    self.prefixes.add(f"{name}__")
                else:
                    self.any_tool = True
        for items in subject.distinct("contributors"):
            self.contributors |= {_name(item.id) for item in items}
        self.tenants = set(spec.tenants or ())
        providers = [item.config for item in base.sections["providers"]]
        outside = any(isinstance(config, ProviderConfig) and config.knows_tenants for config in providers)
        self.closed = bool(self.tenants) and not outside and spec.unknown_tenants != "base"

    def given(self, test: Test) -> Iterator[Named]:
        """Names that the request uses."""
        tenant, error = test.given.tenant, test.expect.error
        if self.closed and tenant is not None and tenant not in self.tenants and error is None:
            yield "tenants", tenant, self.tenants, ("given", "tenant")
        experiments = self.spec.variants or {}
        for experiment, arm in (test.given.arms or {}).items():
            if experiment not in experiments:
                yield "variants", experiment, experiments, ("given", "arms", experiment)
            elif arm not in (arms := experiments[experiment].arms):
                yield f"variants.{experiment}.arms", arm, arms, ("given", "arms", experiment)
        for tool in test.given.tool_results or ():
            yield from self._tool(tool, test, ("given", "tool_results", tool))

    def expected(self, expect: Expectation, test: Test) -> Iterator[Named]:
        """Names that the expectations use."""
        for field in ("tools", "sent_tools"):
            for name, below in _names(getattr(expect, field), ("expect", field)):
                yield from self._tool(name, test, below)
        for name, below in _names(expect.contributors, ("expect", "contributors")):
            if name not in self.contributors:
                yield "contributors", name, self.contributors, below
        calls = expect.tool_calls
        fields = ("equals", "contains", "in_order", "not_contains") if isinstance(calls, ToolCallsChecks) else ()
        for field in fields:
            for call in listed(getattr(calls, field)):
                yield from self._tool(call_name(call), test, ("expect", "tool_calls", field))
        for index, call in enumerate(calls if isinstance(calls, list) else ()):
            yield from self._tool(call_name(call), test, ("expect", "tool_calls", index))
        if expect.model is not None and expect.model not in self.models:
            yield "models", expect.model, self.models, ("expect", "model")
        if expect.judge is not None and expect.judge.model not in self.models:
            yield "models", expect.judge.model, self.models, ("expect", "judge", "model")

    def _tool(self, name: str, test: Test, below: Path) -> Iterator[Named]:
        given = {
            str(tool.get("function", {}).get("name"))
            for tool in test.given.tools or ()
            if isinstance(tool.get("function"), dict)
        }
        known = {*self.tools, *given, *FINDING}
        if name not in known and not self.any_tool and not any(name.startswith(prefix) for prefix in self.prefixes):
            yield "tools", name, {*self.tools, *given, *(f"{prefix}…" for prefix in self.prefixes)}, below


def _names(expected: list[str] | ListChecks | None, below: Path) -> Iterator[tuple[str, Path]]:
    if isinstance(expected, ListChecks):
        for field in ("equals", "contains", "not_contains", "first"):
            written = getattr(expected, field)
            for index, name in enumerate(listed(written)):
                yield name, (*below, field, *((index,) if isinstance(written, list) else ()))
    for index, name in enumerate(expected if isinstance(expected, list) else ()):
        yield name, (*below, index)


def _name(id: str) -> str:
    return id.split("/", 1)[1]


def _tests(subject: LintInput) -> Iterable[tuple[Test, Located, Path]]:
    """The tests without faults, each with its place."""
    spec = subject.variations[0].checked.spec
    section = subject.document.get("tests")
    if spec is None or spec.tests is None or section is None:
        return ()
    return [
        (test, located, ("tests", index))
        for index, (test, located) in enumerate(zip(spec.tests, section.value, strict=True))
    ]
