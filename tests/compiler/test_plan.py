"""The Plan: nodes in the order in which they can be opened, roles, fingerprints; immutable, cached, without secrets."""

from __future__ import annotations

from itertools import product

import attrs
import pydantic
import pytest

from tests.compiler.conftest import Compile, Programme
from victor_dsl.graph.plan import Plan

SPEC = """\
victor: 1
name: support
models:
  main: {type: echo}
databases:
  app: {type: sqlite, path: app.db}
contributors:
  - {type: text, name: tone, text: Be brief.}
  - {type: file, path: standards.md}
middleware:
  - logging
  - auth
  - cache
  - {type: retry, around: tool}
sessions: {type: sqlite, path: sessions.db}
tenants:
  acme: {with: {contributors: {tone: {text: Be kind.}}}}
  globex: {with: {settings: {temperature: 0.1}}}
variants:
  warmth: {arms: {control: {}, warm: {with: {settings: {seed: 1}}}}}
  length: {arms: {short: {}, long: {with: {settings: {max_tokens: 9}}}}}
"""
FILES = {"standards.md": "Say please."}


def every(program: Programme, text: str = SPEC, files: dict[str, str] | None = None) -> list[Plan]:
    """Every plan of the spec."""
    made = program(text, files or FILES)
    tenants, warmth, length = (None, "acme", "globex"), (None, "control", "warm"), (None, "short", "long")
    return [
        made.plan_for(tenant, {name: arm for name, arm in (("warmth", w), ("length", n)) if arm})
        for tenant, w, n in product(tenants, warmth, length)
    ]


def test_what_a_node_needs_comes_before_it(program: Programme) -> None:
    for plan in every(program):
        opened: set[str] = set()
        for node in plan.nodes:
            assert set(node.needs) <= opened
            opened.add(node.id)


def test_every_role_is_played_by_a_node_of_the_plan(program: Programme) -> None:
    for plan in every(program):
        roles = plan.roles
        played = {*roles.models.values(), *roles.providers, *roles.contributors, *roles.tools, *roles.exporters}
        played |= {roles.tool_selection, roles.compaction, roles.sessions, *roles.admission}
        assert played | {id for id, _ in roles.middleware} <= plan.by_id.keys()


def test_admission_is_the_middleware_up_to_auth_and_each_other_wraps_what_it_says(program: Programme) -> None:
    roles = program(SPEC, FILES).plan_for(None, {}).roles
    assert roles.admission == ("middleware/logging", "middleware/auth")
    assert roles.middleware == (("middleware/cache", "model"), ("middleware/retry", "tool"))


def test_a_plan_is_made_once_for_each_tenant_and_arms(program: Programme) -> None:
    made = program(SPEC, FILES)
    assert made.plan_for("acme", {"warmth": "warm"}) is made.plan_for("acme", {"warmth": "warm"})
    assert made.plan_for("acme", {"length": "long", "warmth": "warm"}) is made.plan_for(
        "acme", {"warmth": "warm", "length": "long"}
    )


def test_a_tenant_without_an_overlay_has_the_base_plan(program: Programme) -> None:
    made = program(SPEC, FILES)
    assert made.plan_for("unheard-of", {}) is made.plan_for(None, {})
    assert made.tenants == {"acme", "globex"}


def test_plans_share_the_nodes_that_overlays_do_not_change(program: Programme) -> None:
    made = program(SPEC, FILES)
    base, acme = made.plan_for(None, {}), made.plan_for("acme", {})
    assert [node.id for node in base.nodes if acme.by_id[node.id] is not node] == ["contributors/tone"]


def test_nothing_of_a_plan_can_be_set(program: Programme) -> None:
    plan = program(SPEC, FILES).plan_for(None, {})
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        plan.digest = ""  # type: ignore[misc]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        plan.nodes[0].id = ""  # type: ignore[misc]
    with pytest.raises(pydantic.ValidationError):
        plan.by_id["contributors/tone"].config.text = ""  # type: ignore[attr-defined]


def test_a_fingerprint_is_the_same_for_the_same_component_and_another_for_another(program: Programme) -> None:
    before = program(SPEC, FILES).plan_for(None, {})
    after = program(SPEC.replace("Be brief.", "Be brisk."), FILES).plan_for(None, {})
    changed = [node.id for node in before.nodes if after.by_id[node.id].fingerprint != node.fingerprint]
    assert changed == ["contributors/tone"]


def test_a_fingerprint_covers_the_content_of_files_read(program: Programme) -> None:
    before = program(SPEC, FILES).plan_for(None, {})
    after = program(SPEC, {"standards.md": "Say thanks."}).plan_for(None, {})
    changed = [node.id for node in before.nodes if after.by_id[node.id].fingerprint != node.fingerprint]
    assert changed == ["contributors/file"]


def test_a_fingerprint_covers_those_of_what_the_node_needs(program: Programme) -> None:
    text = "victor: 1\nname: s\nmodels: {main: {type: echo}}\ntool_selection: {type: all, fallback: {type: keyword, k: 3}}\n"
    before, after = (program(one).plan_for(None, {}) for one in (text, text.replace("k: 3", "k: 4")))
    changed = {node.id for node in before.nodes if after.by_id[node.id].fingerprint != node.fingerprint}
    assert changed == {"tool_selection/all", "tool_selection/all.fallback"}


def test_paths_in_a_plan_are_absolute_and_nodes_know_their_line(program: Programme) -> None:
    plan = program(SPEC, FILES).plan_for("acme", {})
    assert plan.by_id["contributors/file"].config.path.startswith("/")  # type: ignore[attr-defined]
    assert plan.by_id["contributors/file"].place == "victor.yml:9"


def test_experiments_have_their_control_and_weights(program: Programme) -> None:
    first, second = program(SPEC, FILES).experiments
    assert (first.name, first.control, dict(first.arms)) == ("warmth", "control", {"control": 1.0, "warm": 1.0})
    assert (second.name, second.control, second.unit, second.status) == ("length", "short", "session", "running")


def test_a_spec_with_an_error_has_no_program_and_one_with_warnings_has(compile: Compile) -> None:
    assert compile("victor: 1\nname: s\nmodels: {main: {type: ecko}}\n").program is None
    assert compile(
        SPEC.replace("  - logging\n  - auth\n  - cache", "  - {type: cache, around: turn}\n  - auth"), FILES
    ).program
