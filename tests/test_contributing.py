"""The component that CONTRIBUTING.md shows is a whole one: it compiles into a spec and contributes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from victor_dsl.compiler import compile_spec
from victor_dsl.language.kinds import KINDS
from victor_dsl.language.registry import Registry, describe
from victor_dsl.runtime.orchestrator import Orchestrator
from victor_dsl.values.request import Request

CONTRIBUTING = Path(__file__).parent.parent / "CONTRIBUTING.md"


async def test_the_component_of_the_guide_works(spec: Callable[..., Path]) -> None:
    module = ModuleType("date")
    exec(_code(CONTRIBUTING.read_text(encoding="utf-8")), vars(module))
    registry = Registry([describe(KINDS["contributors"], "date", module)])
    path = spec(f"""\
        victor: 1
        name: dated
        models: {{main: echo}}
        contributors:
          - {module.EXAMPLE}
    """)
    compilation = compile_spec(str(path), environment={}, registry=registry)
    assert compilation.program, compilation.diagnostics
    async with Orchestrator(compilation.program, registry=registry) as orchestrator:
        rendered = await orchestrator.render(Request(message="What day is it?"))
    assert re.fullmatch(r"Today is \d\d [A-Z][a-z]+ \d{4}\.", rendered.to_dict()["system"])


def _code(guide: str) -> str:
    block = re.search(r"```python\n(.*?)```", guide, re.DOTALL)
    assert block, "the guide has no Python"
    return re.sub(r"^ {3}", "", block[1], flags=re.MULTILINE)
