"""A text that looks like a key of a known service does not belong in a spec."""

from __future__ import annotations

from collections.abc import Iterator

from victor_dsl.compiler.lint.subject import Subject
from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.veil import looks_secret


def no_literal_secrets(subject: Subject) -> Iterator[Diagnostic]:
    """Keys, private keys, and passwords in URLs, wherever they stand; in secret fields any text is a fault already."""
    for path, leaf in subject.document.walk():
        if isinstance(leaf.value, str) and id(leaf) not in subject.secrets and looks_secret(leaf.value):
            yield Diagnostic(
                "literal-secret",
                f"{path[-1] if path else 'this'} holds what looks like a secret",
                leaf.span,
                path,
                "put it in the environment and write `${env:NAME}`, or in a file: `${file:path}`; "
                "and revoke it if it was ever committed",
            )
