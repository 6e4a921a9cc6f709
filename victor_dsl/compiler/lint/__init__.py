"""Faults beyond the schema. Each rule is a function from the LintInput to its diagnostics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from victor_dsl.compiler.lint.budget import context_budget
from victor_dsl.compiler.lint.files import included_files_exist, prompts_can_be_seen, provided_values_are_sound
from victor_dsl.compiler.lint.ignored import files_reach_others
from victor_dsl.compiler.lint.input import LintInput
from victor_dsl.compiler.lint.limits import every_limit_is_enforced, every_limiter_has_a_limit
from victor_dsl.compiler.lint.messages import (
    examples_are_conversations,
    nothing_else_is_called_message,
    what_the_user_says_is_sent,
)
from victor_dsl.compiler.lint.middleware import admission_knows_enough, middleware_order
from victor_dsl.compiler.lint.models import (
    fallbacks_differ,
    members_of_a_pool_are_alike,
    pools_have_models_as_members,
)
from victor_dsl.compiler.lint.names import (
    a_model_is_chosen,
    a_name_is_declared_once,
    databases_fit,
    every_key_has_an_effect,
    every_name_is_used,
    templates_can_use_a_name,
)
from victor_dsl.compiler.lint.prompt import what_varies_comes_last
from victor_dsl.compiler.lint.retirement import models_are_alive, models_are_known
from victor_dsl.compiler.lint.rights import locked_values_stay, rights_name_values, unknown_tenants_are_decided
from victor_dsl.compiler.lint.safety import (
    functions_exist,
    no_literal_secrets,
    nothing_of_its_own_runs,
    nothing_outside_is_named,
    secrets_are_encrypted,
)
from victor_dsl.compiler.lint.settings import models_accept_their_settings, response_formats_are_valid
from victor_dsl.compiler.lint.spec_tests import (
    tests_can_be_told_apart,
    tests_give_requests,
    tests_have_sound_schemas,
    tests_name_what_there_is,
)
from victor_dsl.compiler.lint.templates import templates_are_sound
from victor_dsl.compiler.lint.texts import no_text_is_a_template, no_text_is_cut_short
from victor_dsl.compiler.lint.tools import chosen_tools_exist, results_fit_the_windows, tools_are_not_too_many
from victor_dsl.source.diagnostic import Diagnostic

RULES: tuple[Callable[[LintInput], Iterable[Diagnostic]], ...] = (
    no_literal_secrets,
    secrets_are_encrypted,
    included_files_exist,
    files_reach_others,
    provided_values_are_sound,
    locked_values_stay,
    rights_name_values,
    unknown_tenants_are_decided,
    templates_are_sound,
    prompts_can_be_seen,
    no_text_is_cut_short,
    no_text_is_a_template,
    what_varies_comes_last,
    examples_are_conversations,
    what_the_user_says_is_sent,
    nothing_else_is_called_message,
    functions_exist,
    nothing_of_its_own_runs,
    nothing_outside_is_named,
    middleware_order,
    admission_knows_enough,
    databases_fit,
    every_limit_is_enforced,
    every_limiter_has_a_limit,
    a_model_is_chosen,
    a_name_is_declared_once,
    templates_can_use_a_name,
    models_are_alive,
    models_are_known,
    pools_have_models_as_members,
    members_of_a_pool_are_alike,
    fallbacks_differ,
    models_accept_their_settings,
    response_formats_are_valid,
    results_fit_the_windows,
    tools_are_not_too_many,
    chosen_tools_exist,
    context_budget,
    every_name_is_used,
    every_key_has_an_effect,
    tests_can_be_told_apart,
    tests_give_requests,
    tests_have_sound_schemas,
    tests_name_what_there_is,
)


def lint(subject: LintInput) -> Iterator[Diagnostic]:
    """What every rule finds."""
    for rule in RULES:
        yield from rule(subject)
