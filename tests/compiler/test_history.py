"""Who wrote what: the history of a variation agrees with what the overlays make."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compiler.conftest import Programme
from victor_dsl.compiler.check import Checker
from victor_dsl.compiler.extends import members, merge_family, nulls, read_family
from victor_dsl.compiler.history import History
from victor_dsl.compiler.lower import _writers
from victor_dsl.compiler.variations import Variation, Variations
from victor_dsl.graph.plan import Plan
from victor_dsl.language.registry import Registry
from victor_dsl.source.interpolate import interpolate
from victor_dsl.source.reader import Files
from victor_dsl.values.settings import Origin

EXAMPLES = Path(__file__).parents[2] / "examples"

BASE = """\
victor: 1
name: base
databases: {app: {type: sqlite, path: a.db}}
models:
  main: {type: echo, context_window: 100}
contributors:
  - {type: text, name: rules, text: base, priority: 70}
  - {type: text, name: late, text: late}
  - {type: text, text: one}
middleware:
  - {type: auth, database: app}
  - {type: logging, level: info}
"""

MIDDLE = """\
victor: 1
name: middle
extends: base.yml
+contributors: [{type: text, text: two}]
"""

SPEC = """\
victor: 1
name: shop
extends: middle.yml
settings: {model: main}
models:
  main: {context_window: 200}
  spare:
    type: echo
contributors:
  rules: {text: shop}
compaction: {type: recent, fallback: {type: recent}}
messages:
  - {role: user, text: Hi}
  - {role: assistant, text: Ho}
inputs:
  plan: {type: string, default: free}
variants:
  tone:
    arms:
      control: {}
      warm:
        with:
          contributors:
            rules:
              text: warm
            new: {type: text, text: new}
          middleware: [{type: retry}]
      template:
        with:
          contributors: {rules: {template: "{{ session }}", type: template}}
          models: {spare: {type: scripted, replies: [a]}}
          compaction: {fallback: null}
tenants:
  acme:
    with:
      contributors:
        late: null
        rules: {priority: 10}
      +messages: [{role: user, text: A}, {role: assistant, text: b}]
      inputs: {plan: {default: gold}}
  plain:
    with:
      variants: {tone: null}
      contributors: [{type: text, name: only, text: only}]
      message: {template: "{{ message }}"}
"""


def variations_of(name: str, environment: dict[str, str]) -> Iterator[Variation]:
    """Every variation of a spec."""
    files = Files()
    family = read_family(files, name, environment)
    document, _ = merge_family(family)
    assert document is not None
    document, _ = interpolate(document, environment, files)
    return Variations(document, Checker(Registry()), nulls(family), History(members(family))).all()


def assert_agrees(variation: Variation) -> int:
    """Each leaf of each item is where its writer is said to have written it; how many leaves that are."""
    checked, count = variation.checked, 0
    writers = _writers(checked, variation.writers())
    for section in checked.sections.values():
        for item in section:
            if item.id not in writers:  # nobody wrote it
                assert variation.checked.document.get(item.id.partition("/")[0]) is None
                continue
            fields = {
                path: found.span
                for path, found in item.located.walk()
                if path and not isinstance(found.value, dict) and all(isinstance(step, str) for step in path)
            }
            for path, span in fields.items():
                if path == ("name",) and "name" not in writers[item.id]:
                    continue  # the key in the map of an overlay
                origin = writers[item.id][".".join(map(str, path))]
                assert (origin.file, origin.line) == (span.file, span.line), (variation.label, item.id, path)
            said = {field.partition(".")[0] for field, origin in writers[item.id].items() if field}
            assert said - {"type", "name"} <= {str(path[0]) for path in fields}, (variation.label, item.id)
            count += len(fields)
    return count


def test_the_history_agrees_with_the_overlays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("base.yml").write_text(BASE)
    Path("middle.yml").write_text(MIDDLE)
    Path("victor.yml").write_text(SPEC)
    counts = [assert_agrees(variation) for variation in variations_of("victor.yml", {})]
    assert len(counts) == 9
    assert min(counts) > 10


@pytest.mark.parametrize("spec", sorted(EXAMPLES.glob("*/victor.yml")), ids=lambda path: path.parent.name)
def test_the_histories_of_the_examples_agree_with_their_overlays(spec: Path) -> None:
    assert sum(map(assert_agrees, variations_of(str(spec), {}))) > 0


def origin(plan: Plan, id: str, field: str = "") -> tuple[str, str | None, int | None]:
    found = plan.origin(id, field)
    return found.source, found.file, found.line


def test_an_item_shows_all_layers_that_had_a_say_in_order(program: Programme) -> None:
    made = program(SPEC, {"base.yml": BASE, "middle.yml": MIDDLE}, registry=Registry())
    base = made.plan_for(None, {})
    assert origin(base, "contributors/late") == ("spec", "base.yml", 8)
    assert origin(base, "contributors/text#2") == ("spec", "middle.yml", 4)
    assert base.origin("contributors/rules") == Origin(
        "spec", "victor.yml", 10, (Origin("spec", "base.yml", 7), Origin("spec", "victor.yml", 10))
    )
    warm = made.plan_for("acme", {"tone": "warm"})
    assert [str(one) for one in warm.origin("contributors/rules").layers] == [
        "base.yml:7", "victor.yml:10", "victor.yml:38 (tenant acme)", "victor.yml:25 (arm tone.warm)",
    ]  # fmt: skip
    assert origin(warm, "contributors/rules", "text") == ("arm tone.warm", "victor.yml", 25)
    assert origin(warm, "contributors/rules", "priority") == ("tenant acme", "victor.yml", 38)
    assert origin(warm, "contributors/rules", "type") == ("spec", "base.yml", 7)
    assert origin(warm, "contributors/new") == ("arm tone.warm", "victor.yml", 26)
    assert origin(warm, "middleware/auth") == ("spec", "base.yml", 11)
    assert origin(warm, "inputs/plan", "default") == ("tenant acme", "victor.yml", 40)
    assert origin(base, "compaction/recent.fallback") == ("spec", "victor.yml", 11)
    assert origin(base, "sessions/memory") == ("default", None, None)


def test_a_type_that_an_overlay_changes_keeps_the_kinds_own_fields(program: Programme) -> None:
    plan = program(SPEC, {"base.yml": BASE, "middle.yml": MIDDLE}, registry=Registry()).plan_for(
        None, {"tone": "template"}
    )
    assert set(plan.writers["contributors/rules"]) == {"", "type", "name", "priority", "template"}
    assert set(plan.writers["models/spare"]) == {"", "type", "replies"}
