"""The layer that stands in the spec."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.components.context import TURN, surroundings
from victor_dsl.components.providers.inline import Config, build
from victor_dsl.values.settings import Origin


async def test_the_layer_is_what_is_written_and_says_where(tmp_path: Path) -> None:
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


async def test_a_null_is_kept_so_that_it_removes_what_is_below(tmp_path: Path) -> None:
    config = Config.model_validate({"values": {"settings": {"seed": None}}})
    layer = await build(config, surroundings(tmp_path).context).read(TURN)
    assert layer.settings == {"seed": None}


@pytest.mark.parametrize(
    "values",
    [{"setings": {}}, {"settings": {"temprature": 1}}, {"settings": {"temperature": True}}, {"vars": {"a b": 1}}, None],
)
def test_what_is_no_setting_is_a_fault_of_the_spec(values: object) -> None:
    with pytest.raises(ValidationError):
        Config.model_validate({"values": values})
