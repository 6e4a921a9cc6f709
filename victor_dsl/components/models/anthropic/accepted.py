"""Which settings Anthropic's API, or one of its models, does not accept as they are written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from victor_dsl.language.config import SettingFault
from victor_dsl.values.settings import Settings

LEAST_THINKING = 1024
"""The smallest budget of thoughts that the API accepts, in tokens."""


def sampling_faults(settings: Settings, *, refused: str | None, one: bool) -> Iterator[SettingFault]:
    """Faults of `temperature` and `top_p`. `refused` says why neither is sent, `one` that only one of them is."""
    written = [name for name in ("temperature", "top_p") if getattr(settings, name) is not None]
    if refused is None and settings.thinking is not None and settings.thinking.type != "disabled":
        refused = "this API refuses it together with `thinking`"
    if refused is not None:
        yield from (SettingFault(name, "not sent", refused) for name in written)
        return
    if one and len(written) == 2:
        yield SettingFault("top_p", "not sent", "the model refuses it together with `temperature`")
    if settings.temperature is not None and settings.temperature > 1:
        yield SettingFault("temperature", "changed", "it is sent as 1, this API's maximum")


def thinking_faults(settings: Settings, *, mode: str | None) -> Iterator[SettingFault]:
    """Faults of `thinking`. `mode` is what the model accepts, None where that is both."""
    thinking = settings.thinking
    if thinking is None:
        return
    if thinking.type == "adaptive" and mode == "budget":
        yield SettingFault("thinking", "refused", "it is `adaptive`, but the model has `thinking_mode: budget`")
    if thinking.budget_tokens is None or mode == "adaptive":
        return
    if thinking.budget_tokens < LEAST_THINKING:
        yield SettingFault("thinking", "changed", f"its budget is sent as {LEAST_THINKING:,}, this API's minimum")
    budget = max(thinking.budget_tokens, LEAST_THINKING)
    if settings.max_tokens is not None and budget >= settings.max_tokens:
        reason = f"its budget of {budget:,} must be less than max_tokens ({settings.max_tokens:,}), which covers the answer too"
        hint = f"set max_tokens of this model well above {budget:,}, or leave `thinking` out"
        yield SettingFault("thinking", "refused", reason, hint)


def other_faults(settings: Settings) -> Iterator[SettingFault]:
    """Faults of settings that the API does not have."""
    for name in ("seed", "frequency_penalty", "presence_penalty"):
        if getattr(settings, name) is not None:
            yield SettingFault(name, "not sent", "this API does not have it")
    if settings.stop and not all(stop.strip() for stop in settings.stop):
        effect: Literal["changed", "not sent"] = (
            "changed" if any(stop.strip() for stop in settings.stop) else "not sent"
        )
        yield SettingFault("stop", effect, "this API refuses texts of white space alone, so these are not sent")
    kind = (settings.response_format or {}).get("type", "text")
    if kind not in ("text", "json_schema"):
        yield SettingFault("response_format", "refused", f"this API has no `{kind}`; it has `json_schema`")
