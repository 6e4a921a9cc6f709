"""Values from outside are not in messages: whole, in part, cut, or among other words."""

from __future__ import annotations

import pytest

from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.hiding import HiddenValues
from victor_dsl.source.interpolate import interpolate
from victor_dsl.source.located import Path, Span
from victor_dsl.source.reader import Files

SPEC = 'models: {main: {url: "${env:URL}", model: "${env:SHORT}"}}\nother: {text: public words, more: "${env:MORE:-usual}"}\n'
ENVIRONMENT = {"URL": "http://hunter/{gap_two}", "SHORT": "on"}


def hidden(message: str, path: Path = ("models", "main"), line: int = 1) -> str:
    files = Files()
    document = files.parse(SPEC.encode(), "spec.yml").document
    assert document is not None
    document, _ = interpolate(document, ENVIRONMENT, files)
    (found,) = HiddenValues(document).hide([Diagnostic("code", message, Span("spec.yml", line, 1, line, 1), path)])
    return found.message


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("cannot reach http://hunter/{gap_two} now", "cannot reach http://hunter/{gap_two} now"),
        ("parameters has no 'gap_two'", "parameters has no '${env:URL}'"),
        ("parameters has no `gap_two`", "parameters has no `${env:URL}`"),
        ("the text 'http://hunt…' is bad", "the text '${env:URL}' is bad"),
        ("the text 'http://hunt' is bad", "the text '${env:URL}' is bad"),
        ("there are: hunt…, public", "there are: ${env:URL}…, public"),
        ("it is on, or 'on'", "it is on, or '${env:SHORT}'"),
        ("there are 'public words'", "there are 'public words'"),
        ("it is 'usual'", "it is 'usual'"),
    ],
)
def test_a_reference_stands_where_its_value_would(message: str, shown: str) -> None:
    assert hidden(message) == shown.replace("http://hunter/{gap_two}", "${env:URL}")


def test_parts_of_a_value_are_hidden_only_where_it_may_be_their_source() -> None:
    assert hidden("there is no 'gap_two'", ("vars", "x"), 3) == "there is no 'gap_two'"
    assert hidden("there is no 'on'", ("vars", "x"), 3) == "there is no '${env:SHORT}'"
    assert hidden("there is no 'gap_two'", ("tenants", "acme", "with"), 3) == "there is no '${env:URL}'"
