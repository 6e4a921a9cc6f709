"""What a spec needs of its surroundings: the variables and files that its references name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.interpolate import Interpolated, missing_references
from victor_dsl.source.located import Located


def missing(
    document: Located, secret_leaves: Set[int], environment: Mapping[str, str], *, variables: bool, secrets: bool
) -> Iterator[Diagnostic]:
    """Each reference that cannot be resolved. `secret_leaves` are the identities of the leaves of secret fields."""
    for path, leaf in document.walk():
        if not isinstance(leaf.value, Interpolated) or leaf.value.value is not None:
            continue
        secret = id(leaf) in secret_leaves
        if not (secrets if secret else variables):
            continue
        for reference in missing_references(leaf.value, environment):
            what = f"the variable {reference.name} is not set" if reference.source == "env" else f"there is no file {reference.name}"
            hint = (
                f"set it, or name it in a file for `--env-file`; or write a default: `${{env:{reference.name}:-…}}`"
                if reference.source == "env" and not secret
                else "set it, or name it in a file for `--env-file`"
                if reference.source == "env"
                else "paths are relative to the file that writes them"
            )
            code = "missing-secret" if secret else "missing-variable"
            yield Diagnostic(code, what, leaf.span, path, hint, external=True)
