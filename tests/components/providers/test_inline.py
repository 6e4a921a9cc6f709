"""The layer that is written in the spec."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.components.context import TURN, surroundings
from victor_dsl.components.providers.inline import Config, build
from victor_dsl.values.settings import Origin


async def test_the_layer_has_the_values_of_the_spec_with_their_line(tmp_path: Path) -> None:
    config = Config.model_validate(
        {"values": {"settings": {"temperature": 0.3, "limits": {"concurrency": 2}}, "vars": {"product": {"name": "A"}}}}
    )
    provider = build(config, surroundings(tmp_path, "providers/inline", place="specs/victor.yml:7").context)
    layer = await provider.read(TURN)
    assert layer.settings == {"temperature": 0.3, "limits": {"concurrency": 2}}
    assert layer.vars == {"product": {"name": "A"}}
    place = Origin("providers/inline", "specs/victor.yml", 7)
    assert layer.origins == dict.fromkeys(
        ["settings.temperature", "settings.limits.concurrency", "vars.product.name"], place
    )
    assert await provider.read(TURN) is layer


async def test_a_null_is_kept_so_that_it_removes_the_value_of_lower_layers(tmp_path: Path) -> None:
    config = Config.model_validate({"values": {"settings": {"seed": None}}})
    layer = await build(config, surroundings(tmp_path).context).read(TURN)
    assert layer.settings == {"seed": None}


@pytest.mark.parametrize(
    "values",
    [{"setings": {}}, {"settings": {"temprature": 1}}, {"settings": {"temperature": True}}, {"vars": {"a b": 1}}, None],
)
def test_an_unknown_setting_is_a_fault_of_the_spec(values: object) -> None:
    with pytest.raises(ValidationError):
        Config.model_validate({"values": values})
