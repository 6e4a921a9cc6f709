"""The circuit of a tenant's own model, which stands under a name that other tenants use too."""

from __future__ import annotations

from pathlib import Path

import pytest

import victor_dsl
from tests.components.models.playback import Playback, whole
from tests.components.models.recorded import openai_whole
from victor_dsl.values.request import Request

SPECS = {
    "circuit_breaker": """
models: {{eu: {{type: openai, model: m, base_url: "{url}"}}}}
middleware: [{{type: circuit_breaker, failures: 2}}]
""",
    "pool": """
models: {{main: {{type: pool, members: [eu], circuit: {{failures: 2}}}}, eu: {{type: openai, model: m, base_url: "{url}"}}}}
settings: {{model: main}}
""",
}


@pytest.mark.parametrize("spec", SPECS)
async def test_a_tenants_own_server_that_is_down_blocks_no_other_tenant(tmp_path: Path, spec: str) -> None:
    path = tmp_path / "victor.yml"
    down = Playback(whole({"error": {"message": "down"}}, "503 Down"))
    async with Playback(whole(openai_whole({"content": "Good."}))) as well, down:
        text = "victor: 1\nname: t" + SPECS[spec].format(url=well.url)
        path.write_text(
            f"{text}tenants: {{acme: {{with: {{models: {{eu: {{base_url: '{down.url}'}}}}}}}}, other: {{}}}}\n"
        )
        async with victor_dsl.open(path) as orchestrator:
            for _ in range(3):
                failed = await orchestrator.answer(Request(message="hi", tenant="acme"))
                assert failed.error is not None
            assert len(down.asked) == 2
            assert (await orchestrator.answer(Request(message="hi", tenant="other"))).text == "Good."
