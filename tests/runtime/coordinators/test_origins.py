"""Where values came from."""

from __future__ import annotations

from tests.runtime.stage import Says, Stage
from victor_dsl.values.request import Request


async def test_only_values_that_are_in_force_have_an_origin(stage: Stage) -> None:
    stage.objects["models/main"] = Says(["a"])
    spec = "models: {main: {type: given}}\ntenants: {acme: {with: {settings: {temperature: 1}}}}\n"
    async with stage.orchestrator(spec, answering=False) as orchestrator:
        rendered = await orchestrator.render(Request(message="a", tenant="acme"))
    assert rendered.settings["temperature"] == 1.0
    assert rendered.origins["settings.temperature"].source == "tenant acme"
    assert all(path.startswith("settings.") for path in rendered.origins)
    assert {path.removeprefix("settings.") for path in rendered.origins} == set(rendered.settings)
