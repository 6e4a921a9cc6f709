"""A text that looks like a key of a known service does not belong in a spec."""

from __future__ import annotations

import re
from collections.abc import Iterator

from victor_dsl.compiler.lint.subject import Subject
from victor_dsl.source.diagnostic import Diagnostic

# The services' own published formats, as secret scanners use them.
_KEY = re.compile(
    r"\b(?:sk-(?:ant-|proj-)?[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{50,}|AKIA[0-9A-Z]{16}"
    r"|AIza[0-9A-Za-z_-]{35}|xox[abprs]-[0-9A-Za-z-]{10,}|hf_[A-Za-z0-9]{30,}|gsk_[A-Za-z0-9]{40,})\b"
    r"|-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----|\b[a-z][a-z0-9+]*://[^\s:/@]+:[^\s@/{}$]{3,}@"
)


def no_literal_secrets(subject: Subject) -> Iterator[Diagnostic]:
    """Keys, private keys, and passwords in URLs, wherever they stand."""
    for path, leaf in subject.document.walk():
        if isinstance(leaf.value, str) and len(leaf.value) >= 8 and _KEY.search(leaf.value):
            yield Diagnostic(
                "literal-secret",
                f"{path[-1] if path else 'this'} holds what looks like a secret",
                leaf.span,
                path,
                "put it in the environment and write `${env:NAME}`, or in a file: `${file:path}`; "
                "and revoke it if it was ever committed",
            )
