"""What a spec needs of its surroundings: the variables and files that its references name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet

from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.interpolate import Interpolated
from victor_dsl.source.interpolate import missing as missing_references
from victor_dsl.source.located import Located


def missing(
    document: Located,
    secret_leaves: AbstractSet[int],
    environment: Mapping[str, str],
    *,
    variables: bool,
    secrets: bool,
) -> Iterator[Diagnostic]:
    """Each reference that cannot be resolved. `secret_leaves` are the identities of the leaves of secret fields."""
    for path, leaf in document.walk():
        if not isinstance(leaf.value, Interpolated) or leaf.value.value is not None:
            continue
        secret = id(leaf) in secret_leaves
        if not (secrets if secret else variables):
            continue
        for reference in missing_references(leaf.value, environment):
            what = reference.problem or f"{reference} has no value"
            if reference.source == "file":
                hint = "paths are relative to the file that writes them"
            else:
                hint = "set it, or name a file that does with `--env-file`"
                hint += "" if secret else f"; or write a default: `${{env:{reference.name}:-…}}`"
            code = "missing-secret" if secret else "missing-variable"
            yield Diagnostic(code, what, reference.span, path, hint, external=True)
