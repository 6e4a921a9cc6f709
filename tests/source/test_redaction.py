"""Secrets in what is shown of a spec."""

from __future__ import annotations

import pytest

from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.located import Span
from victor_dsl.source.reader import Files
from victor_dsl.source.redaction import RedactedLines, looks_secret


def shown(text: str, *diagnostics: Diagnostic) -> list[str]:
    files = Files()
    files.remember("s.yml", text)
    lines = RedactedLines(files, diagnostics).lines("s.yml")
    return [lines[i] for i in range(len(lines))]


def test_a_literal_secret_is_masked_on_every_line_that_shows_it() -> None:
    fault = Diagnostic("literal-secret", "", Span("s.yml", 1, 18, 1, 24))
    assert shown("m: {api: x, key: hunter, wrng: 1}", fault)[0] == "m: {api: x, key: ******, wrng: 1}"


@pytest.mark.parametrize(
    ("line", "redacted_lines"),
    [
        ("api_kye: hunter22", "api_kye: ********"),
        ("{password: 'correct horse', a: 1}", "{password: '*************', a: 1}"),
        ('"auth_token": "abcdef"', '"auth_token": "******"'),
        ("dsn: postgres://u:secret@h/db", "dsn: " + "*" * 24),
        ("url: https://user:hunter2@host/x", "url: *********************host/x"),
        ("api_key: ${env:KEY}", "api_key: ${env:KEY}"),
        ("max_tokens: 1024", "max_tokens: 1024"),
        ("max_tokens: 1024, temperature: 0.7", "max_tokens: 1024, temperature: 0.7"),
        ("api_key: null", "api_key: null"),
    ],
)
def test_a_text_under_a_key_that_speaks_of_a_secret_is_masked(line: str, redacted_lines: str) -> None:
    assert shown(line) == [redacted_lines]


def test_the_formats_of_known_services_are_known() -> None:
    assert looks_secret("sk-ant-" + "a" * 30)
    assert looks_secret("ghp_" + "a" * 36)
    assert not looks_secret("sk-short")
    assert not looks_secret("http://127.0.0.1:11434/v1")
