"""Faults beyond the schema: one rule a file, each a function from the Subject to its diagnostics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from victor_dsl.compiler.lint.admission import admission_knows_enough
from victor_dsl.compiler.lint.budget import context_budget
from victor_dsl.compiler.lint.dialects import databases_fit
from victor_dsl.compiler.lint.functions import functions_exist
from victor_dsl.compiler.lint.included import included_files_exist
from victor_dsl.compiler.lint.limits import every_holder_has_a_limit, every_limit_is_held
from victor_dsl.compiler.lint.model import a_model_is_chosen
from victor_dsl.compiler.lint.order import middleware_order
from victor_dsl.compiler.lint.provided import provided_values_are_sound
from victor_dsl.compiler.lint.secrets import no_literal_secrets
from victor_dsl.compiler.lint.subject import Subject
from victor_dsl.compiler.lint.templates import templates_are_sound
from victor_dsl.compiler.lint.untrusted import nothing_of_its_own_runs
from victor_dsl.compiler.lint.unused import every_key_has_an_effect, every_name_is_used
from victor_dsl.source.diagnostic import Diagnostic

RULES: tuple[Callable[[Subject], Iterable[Diagnostic]], ...] = (
    no_literal_secrets,
    included_files_exist,
    provided_values_are_sound,
    templates_are_sound,
    functions_exist,
    nothing_of_its_own_runs,
    middleware_order,
    admission_knows_enough,
    databases_fit,
    every_limit_is_held,
    every_holder_has_a_limit,
    a_model_is_chosen,
    context_budget,
    every_name_is_used,
    every_key_has_an_effect,
)


def lint(subject: Subject) -> Iterator[Diagnostic]:
    """What every rule finds."""
    for rule in RULES:
        yield from rule(subject)
