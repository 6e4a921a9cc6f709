"""What a model's Config says about its settings is what its adapter does with them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.components.models.asking import HELLO, asking
from tests.components.models.playback import Playback, whole
from tests.components.models.recorded import openai_whole
from victor_dsl.components.models import anthropic, openai
from victor_dsl.errors import ModelError
from victor_dsl.language.config import Secret
from victor_dsl.values.settings import MODEL_SETTINGS, Settings

VALUES: dict[str, list[Any]] = {
    "temperature": [0.5, 1.5],
    "top_p": [0.5],
    "max_tokens": [5000],
    "stop": [["END"], ["END", "\n"], [" "]],
    "frequency_penalty": [0.5],
    "presence_penalty": [0.5],
    "seed": [7],
    "response_format": [
        {"type": "json_object"},
        {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
    ],
    "thinking": [
        {"type": "enabled", "budget_tokens": 2000},
        {"type": "enabled", "budget_tokens": 500},
        {"type": "adaptive"},
    ],
    "reasoning_effort": ["low"],
}
"""A value or more of each setting that does not depend on tools."""

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt-4.1": ("openai", {"model": "gpt-4.1"}),
    "o3": ("openai", {"model": "o3"}),
    "gpt-5 with sampling": ("openai", {"model": "gpt-5", "sampling": True}),
    "a local model": ("openai", {"model": "qwen3"}),
    "a local model without sampling": ("openai", {"model": "qwen3", "sampling": False}),
    "responses": ("openai", {"model": "gpt-4.1", "api": "responses"}),
    "responses of o3": ("openai", {"model": "o3", "api": "responses"}),
    "claude-sonnet-4-5": ("anthropic", {"model": "claude-sonnet-4-5"}),
    "claude-sonnet-4-20250514": ("anthropic", {"model": "claude-sonnet-4-20250514"}),
    "claude with budgets": ("anthropic", {"model": "claude-sonnet-4-5", "thinking_mode": "budget"}),
    "claude that adapts": ("anthropic", {"model": "claude-sonnet-4-5", "thinking_mode": "adaptive"}),
    "claude without sampling": ("anthropic", {"model": "claude-sonnet-4-5", "sampling": False}),
}

CASES = [
    *({name: value} for name, values in VALUES.items() for value in values),
    {"temperature": 0.5, "top_p": 0.5},
    {"temperature": 0.5, "thinking": {"type": "enabled", "budget_tokens": 2000}},
    {"max_tokens": 1500, "thinking": {"type": "enabled", "budget_tokens": 2000}},
    {"max_tokens": 1000, "thinking": {"type": "enabled", "budget_tokens": 500}},
]

WHOLE = {
    "openai": openai_whole({"content": "Hi."}),
    "responses": {
        "status": "completed",
        "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi."}]}],
    },
    "anthropic": {"content": [{"type": "text", "text": "Hi."}], "stop_reason": "end_turn"},
}


def test_every_setting_of_a_request_without_tools_has_a_value() -> None:
    assert set(MODEL_SETTINGS) - VALUES.keys() == {"tool_choice", "parallel_tool_calls"}


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("model", MODELS)
async def test_a_setting_has_a_fault_exactly_where_the_adapter_does_not_send_it(
    model: str, case: dict[str, Any]
) -> None:
    type, fields = MODELS[model]
    module = {"openai": openai, "anthropic": anthropic}[type]
    config = module.Config.model_validate({"base_url": "http://localhost:1", "api_key": Secret("env", "KEY"), **fields})
    settings = Settings.model_validate(case)
    faults = {fault.setting: fault.effect for fault in config.setting_faults(settings)}
    reply = whole(WHOLE["responses" if fields.get("api") else type])

    async with Playback(reply) as server, asking(type, server.url, stream=False, **fields) as live:

        async def body(settings: Settings) -> Any:
            await live.answer(HELLO.replace(settings=settings))
            return server.asked[-1].body

        if "refused" in faults.values():
            with pytest.raises(ModelError):
                await body(settings)
            return
        sent = await body(settings)
        for name in case:
            without = await body(settings.replace(**{name: None}))
            assert (sent == without) == (faults.get(name) == "not sent"), name


@pytest.mark.parametrize(
    ("model", "refused"),
    [
        ("claude-sonnet-4-5", True),
        ("claude-sonnet-4-5-20250929", True),
        ("claude-opus-4-1", True),
        ("claude-haiku-4-5", True),
        ("claude-sonnet-4-20250514", False),
        ("claude-opus-4", False),
        ("claude-3-7-sonnet", False),
        ("my-model", False),
    ],
)
def test_claude_since_opus_4_1_refuses_temperature_and_top_p_together(model: str, refused: bool) -> None:
    config = anthropic.Config.model_validate({"model": model, "api_key": Secret("env", "KEY"), "sampling": True})
    faults = list(config.setting_faults(Settings(temperature=0.5, top_p=0.5)))
    assert [fault.setting for fault in faults] == (["top_p"] if refused else [])


def test_reasoning_effort_is_refused_by_openais_other_models_alone() -> None:
    def faults(**fields: Any) -> list[str]:
        config = openai.Config.model_validate({"api_key": Secret("env", "KEY"), **fields})
        return [fault.effect for fault in config.setting_faults(Settings(reasoning_effort="low"))]

    assert faults(model="gpt-4.1") == ["refused"]
    assert faults(model="o3") == faults(model="gpt-4.1", base_url="http://localhost:1") == []


@pytest.mark.parametrize(("number", "faults"), [(4, []), (5, ["stop"])])
def test_openai_accepts_only_so_many_stop_texts(number: int, faults: list[str]) -> None:
    config = openai.Config.model_validate({"model": "gpt-4.1", "api_key": Secret("env", "KEY")})
    settings = Settings(stop=tuple("abcdef"[:number]))
    assert [fault.setting for fault in config.setting_faults(settings)] == faults
