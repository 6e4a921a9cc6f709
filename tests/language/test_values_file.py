"""Values files: what they say, and where."""

import pytest

from victor_dsl.errors import ProviderError
from victor_dsl.language.values_file import read_values
from victor_dsl.values.settings import Origin

YAML = b"""\
settings:
  temperature: 0.3
  limits: {concurrency: 2}
  seed: null
vars:
  product: ${env:SECRET}
  empty: {}
"""


def test_a_layer_knows_the_line_of_every_value() -> None:
    layer = read_values(YAML, "conf/settings.yml", "providers/file")
    assert layer.settings == {"temperature": 0.3, "limits": {"concurrency": 2}, "seed": None}
    assert layer.vars == {"product": "${env:SECRET}", "empty": {}}
    lines = {path: origin.line for path, origin in layer.origins.items()}
    assert lines == {
        "settings.temperature": 2,
        "settings.limits.concurrency": 3,
        "settings.seed": 4,
        "vars.product": 6,
        "vars.empty": 7,
    }
    assert layer.origins["vars.product"] == Origin("providers/file", "conf/settings.yml", 6)


def test_json_says_the_same() -> None:
    layer = read_values(b'{"settings": {"max_tokens": 5},\n "vars": null}', "a.json", "p")
    assert (layer.settings, layer.vars) == ({"max_tokens": 5}, {})
    assert layer.origins["settings.max_tokens"].line == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "a.yml:1:1: the file is empty"),
        (b"- 1", "a.yml:1:1: the top of the file is a list, not a map"),
        (b"settings: [", "a.yml:1:"),
        (b"settings: {}\nsettings: {}", "a.yml:2:1: "),
        (b"\xff", "a.yml:1:1: byte 0xff (at offset 0) is not UTF-8"),
        (
            b"vars: {}\nsetings: {}",
            "a.yml:2:1: a values file has no 'setings'; did you mean 'settings'?",
        ),
        (b"settings: 3", "a.yml:1:11: settings must be a map, not a number"),
        (b"vars: [1]", "a.yml:1:7: vars must be a map, not a list"),
        (b"settings:\n  temperature: true", "a.yml:2:16: settings.temperature must be a number, not true or false"),
        (b"settings:\n  temperature: .nan", "a.yml:2:16: settings.temperature must be"),
        (b"settings:\n  seed: 1\n  temprature: 1", "a.yml:3:3: settings has no 'temprature'; did you mean"),
        (b"settings:\n  limits:\n    tools: {deny: [a, 3]}", "a.yml:3:23: settings.limits.tools.deny[1] must be text"),
    ],
)
def test_a_fault_is_named_with_its_place(text: bytes, said: str) -> None:
    with pytest.raises(ProviderError) as caught:
        read_values(text, "a.yml", "providers/file")
    assert said in str(caught.value)


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(ProviderError) as caught:
        read_values(b"x: 1\nsettings: {top_p: 7}\nvars: 1", "a.yml", "p")
    assert [part.split(": ")[0] for part in str(caught.value).split("; a.")] == ["a.yml:1:1", "yml:2:19", "yml:3:7"]
