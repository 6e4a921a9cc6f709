"""Settings and vars from environment variables."""

from pathlib import Path
from typing import Any

import pytest

from tests.components.context import TURN, surroundings
from victor_dsl.components.providers.env import Config, build
from victor_dsl.errors import ProviderError
from victor_dsl.values.settings import Layer


async def read(tmp_path: Path, **environment: str) -> Layer:
    context = surroundings(tmp_path, "providers/env", environment=environment).context
    provider = build(Config(prefix="SUPPORT_"), context)
    layer = await provider.read(TURN)
    assert await provider.read(TURN) is layer
    return layer


@pytest.mark.parametrize(
    ("name", "text", "settings"),
    [
        ("TEMPERATURE", ".8", {"temperature": 0.8}),
        ("TEMPERATURE", "1", {"temperature": 1.0}),
        ("MAX_TOKENS", "8192", {"max_tokens": 8192}),
        ("MODEL", "8192", {"model": "8192"}),
        ("MODEL", "true", {"model": "true"}),
        ("FALLBACKS", "spare, other", {"fallbacks": ["spare", "other"]}),
        ("STOP", '["a, b", "c"]', {"stop": ["a, b", "c"]}),
        ("RESPONSE_FORMAT", '{"type": "json_object"}', {"response_format": {"type": "json_object"}}),
        ("LIMITS__REQUESTS_PER_MINUTE", "60", {"limits": {"requests_per_minute": 60.0}}),
        ("LIMITS__TOOLS__DENY", "files__*", {"limits": {"tools": {"deny": ["files__*"]}}}),
        ("SEED", "null", {"seed": None}),
        ("THINKING__BUDGET_TOKENS", "100", {"thinking": {"budget_tokens": 100}}),
    ],
)
async def test_a_variable_becomes_what_its_setting_is(
    tmp_path: Path, name: str, text: str, settings: dict[str, Any]
) -> None:
    layer = await read(tmp_path, **{f"SUPPORT_{name}": text})
    assert layer.settings == settings
    assert [type(value) for value in layer.settings.values()] == [type(value) for value in settings.values()]


async def test_vars_are_text_at_any_depth(tmp_path: Path) -> None:
    layer = await read(tmp_path, SUPPORT_VARS__PRODUCT="8192", SUPPORT_VARS__A__B="x", OTHER="x", support_model="x")
    assert layer.vars == {"product": "8192", "a": {"b": "x"}}
    assert layer.called["vars.a.b"] == "the variable SUPPORT_VARS__A__B"
    assert layer.settings == {}
    assert layer.source == "providers/env"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("TEMPERATURE", "hot-7531", "the variable SUPPORT_TEMPERATURE must be a number"),
        ("TEMPERATURE", "true", "must be a number"),
        ("TEMPERATURE", "nan", "must be a finite number"),
        ("TEMPERATURE", "7531", "must be at most 2"),
        ("MAX_TOKENS", "7531.5", "must be a whole number"),
        ("MAX_TOKENS", "7_531", "must be a whole number"),
        ("MAX_TOKENS", "0", "must be at least 1"),
        ("STOP", "[7531]", "SUPPORT_STOP must be text"),
        ("STOP", "[7531", "SUPPORT_STOP must be a list"),
        ("RESPONSE_FORMAT", "7531", "must be a map"),
        ("RESPONSE_FORMAT", "{7531", "must be a map"),
        ("LIMITS", "7531", "is not the name of a setting; there are: ALPHA"),
        (
            "TEMPRATURE",
            "7531",
            "the variable SUPPORT_TEMPRATURE is not the name of a setting; did you mean 'SUPPORT_TEMPERATURE'?",
        ),
        ("temperature", "7531", "the variable SUPPORT_temperature is not the name of a setting"),
        ("VARS__", "7531", "has an empty name"),
        ("VARS__A____B", "7531", "has an empty name"),
    ],
)
async def test_a_faulty_variable_is_named_without_its_value(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(ProviderError) as caught:
        await read(tmp_path, **{f"SUPPORT_{name}": text})
    assert said in str(caught.value)
    assert "7531" not in str(caught.value)
    assert "not text" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["TEMPERATURE", "STOP", "FALLBACKS", "MODEL", "VARS__PRODUCT", "VARS__A__B", "TEMPRATURE"]
)
async def test_an_empty_variable_counts_as_not_set(tmp_path: Path, name: str) -> None:
    layer = await read(tmp_path, **{f"SUPPORT_{name}": ""})
    assert (layer.settings, layer.vars) == ({}, {})


async def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match=r"SUPPORT_TOP_K .*; the variable SUPPORT_MAX_TOKENS "):
        await read(tmp_path, SUPPORT_MAX_TOKENS="x", SUPPORT_TOP_K="x")


@pytest.mark.parametrize(
    "names",
    [("VARS__A", "VARS__A__B"), ("VARS__A", "VARS__a")],
)
async def test_two_variables_for_one_name_are_a_fault(tmp_path: Path, names: tuple[str, str]) -> None:
    with pytest.raises(ProviderError, match="another variable sets"):
        await read(tmp_path, **{f"SUPPORT_{name}": "x" for name in names})


LINKS = {
    "SUPPORT_SERVICE_HOST": "10.96.0.12",
    "SUPPORT_SERVICE_PORT": "80",
    "SUPPORT_SERVICE_PORT_HTTP": "80",
    "SUPPORT_PORT": "tcp://10.96.0.12:80",
    "SUPPORT_PORT_80_TCP": "tcp://10.96.0.12:80",
    "SUPPORT_PORT_80_TCP_PROTO": "tcp",
    "SUPPORT_PORT_53_UDP_ADDR": "10.96.0.12",
    "SUPPORT_API_V2_SERVICE_HOST": "10.96.0.13",
    "SUPPORT_API_PORT_443_TCP_PORT": "443",
}


async def test_service_links_of_kubernetes_are_ignored_and_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    layer = await read(tmp_path, SUPPORT_TEMPERATURE="0.3", SUPPORT_VARS__SERVICE_HOST="mine", **LINKS)
    assert (layer.settings, layer.vars) == ({"temperature": 0.3}, {"service_host": "mine"})
    (record,) = caplog.records
    assert all(name in record.getMessage() for name in LINKS)


@pytest.mark.parametrize("name", ["SUPPORT_HOST", "SUPPORT_PORTS", "SUPPORT_PORT_TCP", "SUPPORT_SERVICE_HOSTS"])
async def test_what_only_looks_like_a_service_link_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(ProviderError, match=f"the variable {name} is not the name of a setting"):
        await read(tmp_path, **{name: "x"})


async def test_the_settings_are_listed_once_however_many_names_are_unknown(tmp_path: Path) -> None:
    with pytest.raises(ProviderError) as caught:
        await read(tmp_path, SUPPORT_XX="1", SUPPORT_YY="2", SUPPORT_TEMPRATURE="3")
    message = str(caught.value)
    assert "the variables SUPPORT_XX, SUPPORT_YY are not names of settings; there are: " in message
    assert message.count("there are: ") == 1


async def test_an_optional_provider_leaves_out_the_variables_at_fault_alone(tmp_path: Path) -> None:
    environment = {
        "SUPPORT_TEMPERATURE": "hot",
        "SUPPORT_MAX_TOKENS": "99",
        "SUPPORT_LIMITS__REQUESTS_PER_MINUTE": "many",
        "SUPPORT_XX": "1",
        "SUPPORT_VARS__PRODUCT": "Acme",
    }
    made = surroundings(tmp_path, "providers/env", environment=environment)
    provider = build(Config(prefix="SUPPORT_", optional=True), made.context)
    layer = await provider.read(TURN)
    assert (layer.settings, layer.vars) == ({"max_tokens": 99, "limits": {}}, {"product": "Acme"})
    ((message, _),) = made.reports
    assert all(name in message for name in ("SUPPORT_TEMPERATURE", "SUPPORT_LIMITS__REQUESTS_PER_MINUTE", "SUPPORT_XX"))
