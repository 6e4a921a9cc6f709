"""Inputs on the command line, in request lines and in Python."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

import victor_dsl
from tests.interfaces.conftest import OFFLINE, Victor
from victor_dsl.errors import RequestError

SPEC = (
    OFFLINE
    + """\
vars: {product: Acme, beta: false, legal: No advice., brand: {color: blue, year: 2020}}
locked: [vars.legal, vars.brand.year, settings.top_p]
request: [model]
inputs:
  customer: {required: true, max_length: 20, description: The customer's name.}
  plan: {enum: [free, pro], default: free}
  seats: {type: integer, min: 1}
  order: {type: map}
contributors:
  - type: template
    template: "{{ customer }}, {{ plan }}{% if seats %}, {{ seats + 1 }}{% endif %}{% if order %}, {{ order.id }}{% endif %}"
tenants: {acme: {with: {inputs: {customer: {required: false, default: Acme}}}}}
"""
)


@pytest.fixture(autouse=True)
def spec(folder: Path) -> None:
    (folder / "victor.yml").write_text(SPEC)


def test_inputs_are_set_on_the_command_line(victor: Victor) -> None:
    done = victor("render", "victor.yml", "--message", "x", "--set", "customer=Ada", "--set", "seats=3")
    assert done.json["system"] == "Ada, free, 4"
    origins = {name: origin["source"] for name, origin in done.json["origins"].items() if name.startswith("inputs")}
    assert origins == {
        "inputs.customer": "request",
        "inputs.plan": "spec",
        "inputs.seats": "request",
        "inputs.order": "default",
    }
    assert done.json["origins"]["inputs.plan"]["line"] == SPEC.partition("plan:")[0].count("\n") + 1
    done = victor("render", "victor.yml", "--message", "x", "--tenant", "acme")
    assert done.json["origins"]["inputs.customer"]["source"] == "tenant acme"
    assert victor("run", "victor.yml", "hi", "--set", "customer=Ada").code == 0


def test_a_request_without_a_required_input_is_refused(victor: Victor) -> None:
    done = victor("run", "victor.yml", "hi")
    assert done.code == 1
    assert "inputs.customer is required; add 'customer' to 'inputs': The customer's name." in done.err
    assert victor("run", "victor.yml", "hi", "--tenant", "acme").code == 0


def test_an_input_is_no_var(victor: Victor) -> None:
    done = victor("render", "victor.yml", "--message", "x", "--var", "plan=pro", "--set", "customer=Ada")
    assert (
        "vars.plan is not declared; it is an input: write it under 'inputs' (`--set` on the command line)" in done.err
    )
    done = victor("render", "victor.yml", "--message", "x", "--var", "customer=Ada")
    assert "vars.customer is not declared; it is an input" in done.err


def test_lines_win_over_the_command_line(victor: Victor, folder: Path) -> None:
    line = {"message": "x", "inputs": {"customer": "Bo", "order": {"id": "<b>{{ 7 }}</b>"}}}
    (folder / "in.jsonl").write_text(json.dumps(line))
    done = victor("render", "victor.yml", "--input", "in.jsonl", "--set", "customer=Ada", "--set", "plan=pro")
    assert done.lines[0]["system"] == "Bo, pro, <b>{{ 7 }}</b>"


def test_the_example_is_a_valid_request(victor: Victor, folder: Path) -> None:
    example = victor("render", "victor.yml", "--example").out
    assert json.loads(example)["inputs"] == {"customer": "customer", "plan": "free", "seats": 1, "order": {}}
    (folder / "in.jsonl").write_text(example)
    assert victor("render", "victor.yml", "--input", "in.jsonl").code == 0
    Draft202012Validator(victor("schema", "--requests", "victor.yml").json).validate(json.loads(example))


@pytest.mark.parametrize(
    ("line", "is_valid"),
    [
        ({"message": "x", "inputs": {"customer": "Ada"}}, True),
        ({"messages": [{"role": "user", "content": "x"}], "inputs": {"customer": "Ada", "seats": None}}, True),
        ({"message": "x", "inputs": {"customer": "Ada"}, "vars": {"beta": True}, "settings": {"model": "main"}}, True),
        ({"message": "x"}, False),
        ({"inputs": {"customer": "Ada"}}, False),
        ({"message": "x", "inputs": {"customer": "Ada", "plan": "gold"}}, False),
        ({"message": "x", "inputs": {"customer": "Ada", "seats": 0}}, False),
        ({"message": "x", "inputs": {"custmer": "Ada"}}, False),
        ({"message": "x", "inputs": {"customer": "A" * 21}}, False),
        ({"message": "x", "inputs": {"customer": "Ada"}, "vars": {"beta": "maybe"}}, False),
        ({"message": "x", "inputs": {"customer": "Ada"}, "vars": {"prodct": "x"}}, False),
        ({"message": "x", "inputs": {"customer": "Ada"}, "settings": {"fallbacks": []}}, False),
        ({"message": "x", "inputs": {"customer": "Ada"}, "vars": {"legal": ""}}, False),
        ({"message": "x", "inputs": {"customer": "Ada"}, "vars": {"brand": {"color": "red"}}}, True),
        ({"message": "x", "inputs": {"customer": "Ada"}, "vars": {"brand": {"year": 1990}}}, False),
        ({"message": "x", "inputs": {"customer": "Ada"}, "settings": {"top_p": 0.5}}, False),
    ],
)
def test_the_schema_of_requests_says_what_is_refused(
    victor: Victor, folder: Path, line: dict[str, object], is_valid: bool
) -> None:
    schema = victor("schema", "--requests", "victor.yml").json
    Draft202012Validator.check_schema(schema)
    assert Draft202012Validator(schema).is_valid(line) is is_valid
    (folder / "in.jsonl").write_text(json.dumps(line))
    assert (victor("render", "victor.yml", "--input", "in.jsonl").lines[0]["error"] is None) is is_valid


async def test_inputs_are_given_in_python(folder: Path) -> None:
    async with victor_dsl.open(folder / "victor.yml") as orchestrator:
        assert (await orchestrator.chat("x", inputs={"customer": "Ada"})).message.text() == "x"
        with pytest.raises(RequestError, match=r"inputs\.customr is not declared; did you mean 'customer'"):
            await orchestrator.chat("x", inputs={"customr": "Ada"})
        rendered = await orchestrator.render("x", inputs={"customer": "Ada", "order": {"id": 7}})
    assert rendered.system == "Ada, free, 7"


def test_the_schema_of_a_tenants_requests_has_its_inputs(victor: Victor) -> None:
    base = victor("schema", "--requests", "victor.yml").json
    acme = victor("schema", "--requests", "victor.yml", "--tenant", "acme").json
    assert not Draft202012Validator(base).is_valid({"message": "x"})
    assert Draft202012Validator(acme).is_valid({"message": "x"})
    assert victor("schema", "--tenant", "acme").code == 2
