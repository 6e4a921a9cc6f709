"""Models that their providers have retired, or will, and those whose name is probably misspelt."""

from __future__ import annotations

from collections.abc import Iterator

from victor_dsl.compiler.lint.input import LintInput
from victor_dsl.language.config import ModelConfig
from victor_dsl.source.diagnostic import Diagnostic

RETIREMENT_CODES = ("model-retired", "model-retires")
"""The codes that commands which run a spec show, while they go on."""


def models_are_alive(subject: LintInput) -> Iterator[Diagnostic]:
    """Every model with a day of retirement. From that day on it is an error at the provider's own address.

    Other servers may offer the model for longer: there it stays a warning, as it does where the spec is to run.
    """
    if subject.today is None:
        return
    for item in subject.items():
        if not isinstance(item.config, ModelConfig) or ("model",) in item.unknown:
            continue
        retirement = item.config.retirement()
        if retirement is None:
            continue
        day, successor, at_home = retirement
        at_home = at_home and ("base_url",) not in item.unknown
        is_retired = day <= subject.today
        fails = is_retired and at_home and not subject.allow_retired
        place = item.located.at(("model",))
        name = getattr(item.config, "model", item.id)
        verb = f"retired '{name}' on {day}" if is_retired else f"retires '{name}' on {day}"
        elsewhere = "" if at_home else "; this server may have another date"
        yield Diagnostic(
            "model-retired" if is_retired else "model-retires",
            f"the provider {verb}{elsewhere}",
            place.span,
            (*item.path, "model"),
            f"use '{successor}', which the provider recommends instead" if successor else "use another model",
            severity="error" if fails else "warning",
        )


def models_are_known(subject: LintInput) -> Iterator[Diagnostic]:
    """Every model that its provider probably has under another name."""
    for item in subject.items():
        if not isinstance(item.config, ModelConfig) or item.unknown & {("model",), ("base_url",)}:
            continue
        if meant := item.config.model_meant():
            place = item.located.at(("model",))
            yield Diagnostic(
                "unknown-model",
                f"neither the window nor the price of '{getattr(item.config, 'model', item.id)}' is known",
                place.span,
                (*item.path, "model"),
                f"did you mean '{meant}'? otherwise write its `context_window`: without it nothing shortens a long history in time",
                severity="warning",
            )
