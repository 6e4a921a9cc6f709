"""Settings and vars from a file, while it changes."""

import asyncio
from pathlib import Path

import pytest

from tests.components.context import TURN, Surroundings, surroundings
from victor_dsl.components.providers.file import Config, build
from victor_dsl.errors import ProviderError
from victor_dsl.language.kinds import Provider


@pytest.fixture
def around(tmp_path: Path) -> Surroundings:
    (tmp_path / "settings.yml").write_text("settings: {temperature: 0.3}\n")
    return surroundings(tmp_path, "providers/file")


def provider(around: Surroundings, name: str = "settings.yml", *, watch: bool = True) -> Provider:
    return build(Config(path=str(around.context.directory / name), watch=watch), around.context)


def write(around: Surroundings, text: str) -> None:
    (around.context.directory / "settings.yml").write_text(text)


async def test_a_change_takes_effect_after_a_second(around: Surroundings) -> None:
    file = provider(around)
    first = await file.read(TURN)
    write(around, "settings: {temperature: 0.9}")
    around.clock.time += 0.9
    assert await file.read(TURN) is first
    around.clock.time += 0.2
    assert (await file.read(TURN)).settings == {"temperature": 0.9}


async def test_the_layer_is_the_same_object_while_the_content_is(around: Surroundings) -> None:
    file = provider(around)
    first = await file.read(TURN)
    write(around, "settings: {temperature: 0.3}\n")
    around.clock.time += 2
    assert await file.read(TURN) is first


async def test_an_unwatched_file_is_read_once(around: Surroundings) -> None:
    file = provider(around, watch=False)
    first = await file.read(TURN)
    write(around, "settings: {temperature: 0.9}")
    around.clock.time += 100
    assert await file.read(TURN) is first


@pytest.mark.parametrize("watch", [True, False])
async def test_a_faulty_file_is_an_error_with_its_line_until_it_is_corrected(around: Surroundings, watch: bool) -> None:
    write(around, "settings:\n  temperature: hot\n")
    file = provider(around, watch=watch)
    for _ in range(2):
        with pytest.raises(ProviderError) as caught:
            await file.read(TURN)
        assert str(caught.value) == (
            "providers/file: settings.yml:2:16: settings.temperature must be a number, not text"
        )
    write(around, "settings: {temperature: 0.5}")
    around.clock.time += 2
    assert (await file.read(TURN)).settings == {"temperature": 0.5}


async def test_a_missing_file_is_an_error_until_it_exists(around: Surroundings) -> None:
    file = provider(around, "later.yml")
    with pytest.raises(ProviderError, match=r"cannot read 'later\.yml': no such file or directory"):
        await file.read(TURN)
    (around.context.directory / "later.yml").write_text("vars: {a: 1}")
    around.clock.time += 2
    assert (await file.read(TURN)).vars == {"a": 1}


async def test_many_turns_at_once_read_the_file_once(around: Surroundings) -> None:
    file = provider(around)
    layers = await asyncio.gather(*[file.read(TURN) for _ in range(20)])
    assert len({id(layer) for layer in layers}) == 1


async def test_a_file_that_others_may_write_is_reported_once(around: Surroundings) -> None:
    path = around.context.directory / "settings.yml"
    path.chmod(0o666)
    file = provider(around)
    await file.read(TURN)
    around.clock.time += 2
    await file.read(TURN)
    assert [message for message, _ in around.reports] == [
        "users other than its owner can write 'settings.yml'; run: chmod go-w settings.yml"
    ]


async def test_a_file_that_others_may_read_is_accepted(around: Surroundings) -> None:
    (around.context.directory / "settings.yml").chmod(0o644)
    await provider(around).read(TURN)
    assert around.reports == []


def test_an_unknown_suffix_is_a_fault_of_the_spec() -> None:
    with pytest.raises(ValueError, match=r"must end in one of \.yml, \.yaml, \.json"):
        Config(path="settings.toml")


async def test_paths_in_messages_are_relative_like_the_specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "settings.yml").write_text("x: 1")
    monkeypatch.chdir(tmp_path)
    context = surroundings(tmp_path / "specs", place="specs/../base/base.yml:3").context
    file = build(Config(path=str(tmp_path / "base" / "settings.yml")), context)
    with pytest.raises(ProviderError, match=r"section/name: base/settings\.yml:1:1: a values file has no 'x'"):
        await file.read(TURN)


async def test_a_file_adds_to_lists_and_says_which(around: Surroundings) -> None:
    write(around, "settings:\n  limits: {tools: {+deny: [refund]}}\nvars: {+tags: [a]}\n")
    layer = await provider(around).read(TURN)
    assert (layer.settings, layer.vars) == ({"limits": {"tools": {"deny": ["refund"]}}}, {"tags": ["a"]})
    assert layer.added == {("settings", "limits", "tools", "deny"), ("vars", "tags")}
    assert layer.origins["settings.limits.tools.deny"].line == 2


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("settings:\n  +stop: END\n", r"settings\.yml:2:3: settings: '\+stop' adds to a list, .* not text"),
        ("vars:\n  tags: [a]\n  +tags: [b]\n", r"settings\.yml:3:3: vars: '\+tags' and 'tags' stand in one map"),
        ("settings:\n  +stop: [1]\n", r"settings\.yml:2:11: "),
        ("settings:\n  +stopp: [a]\n", r"settings\.yml:2:3: .*did you mean 'stop'"),
    ],
)
async def test_a_faulty_addition_is_placed(around: Surroundings, text: str, fault: str) -> None:
    write(around, text)
    with pytest.raises(ProviderError, match=fault):
        await provider(around).read(TURN)
