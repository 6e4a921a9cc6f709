"""Prompts that Langfuse and OpenAI store become specs that compile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment

from tests.workbench.importing.importing import Result, imported, imported_file
from victor_dsl.errors import SpecError
from victor_dsl.workbench.importing.langfuse import read_langfuse
from victor_dsl.workbench.importing.openai_prompts import read_openai_prompts

ID = "pmpt_0123456789abcdef"


def langfuse(folder: Path, value: Any, prompt: str | None = None, name: str = "export.json") -> Result:
    text = value if isinstance(value, str) else json.dumps(value, indent=1)
    return imported(read_langfuse, folder, name, text, prompt)


def text_prompt(name: str, prompt: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "text", "prompt": prompt, "version": 1, "labels": [], "tags": [], **more}


CHAT = {
    "name": "team/triage",
    "type": "chat",
    "prompt": [
        {"role": "system", "content": "Sort mail of {{product-name}}. Answer as {json}, not {% x %}."},
        {"type": "placeholder", "name": "history"},
        {"role": "user", "content": "{{ticket}}"},
    ],
    "config": {"model": "gpt-4.1-mini", "temperature": 0, "max_tokens": 80, "tools": [{}], "languages": ["en"]},
    "labels": ["production"],
    "commitMessage": None,
}


def test_a_chat_prompt_with_its_model_and_variables(tmp_path: Path) -> None:
    done = langfuse(tmp_path, CHAT)
    assert done.spec["name"] == "team-triage"
    assert done.spec["models"]["main"]["model"] == "gpt-4.1-mini"
    assert done.spec["settings"] == {"model": "main", "temperature": 0, "max_tokens": 80}
    assert done.spec["inputs"] == {"product_name": {"required": True}}
    (piece,) = done.spec["contributors"]
    assert piece["template"] == "Sort mail of {{ product_name }}. Answer as {json}, not {{ '{%' }} x %}."
    assert "message" not in done.spec
    assert "# `{{ticket}}` is what the user says: the request's message." in done.text
    assert "# `{{product-name}}` is now `product_name`." in done.text
    assert [one.partition(": ")[2] for one in done.not_taken] == [
        "team/triage.prompt[1].type",
        "team/triage.config.tools",
        "team/triage.config.languages",
    ]


@pytest.mark.parametrize("wrapped", ["list", "data", "lines"])
def test_of_several_versions_that_of_production_is_taken(tmp_path: Path, wrapped: str) -> None:
    prompts = [
        text_prompt("a", "newer {{x}}", version=3, labels=["latest"]),
        text_prompt("a", "current {{x}}", version=2, labels=["production"]),
        text_prompt("b", "other"),
    ]
    if wrapped == "lines":
        done = langfuse(tmp_path, "\n".join(map(json.dumps, prompts)), name="export.jsonl")
        assert {"1: version 3", "3: prompt 'b'"} < set(done.not_taken)
    else:
        done = langfuse(tmp_path, prompts if wrapped == "list" else {"data": prompts, "meta": {}})
    assert done.spec["contributors"][0]["template"] == "current {{ x }}"
    assert any("--prompt b" in why for why in done.not_taken.values())
    assert langfuse(tmp_path, prompts, "b").spec["contributors"][0]["text"] == "other"


def test_a_prompt_that_includes_another_has_its_text(tmp_path: Path) -> None:
    prompts = [
        text_prompt(
            "a", "Begin. @@@langfusePrompt:name=tone|label=production@@@ @@@langfusePrompt:name=none|version=1@@@"
        ),
        text_prompt("tone", "Be kind to {{who}}."),
    ]
    done = langfuse(tmp_path, prompts)
    assert done.spec["contributors"][0]["template"] == "Begin. Be kind to {{ who }}. "
    assert "the prompt that it includes is no text in this file" in done.not_taken.values()


def test_a_file_without_prompts_and_an_unknown_name_are_errors(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="there is no prompt in it"):
        langfuse(tmp_path, {"data": [{"name": "a", "versions": [1, 2]}]})
    with pytest.raises(SpecError, match="there is no prompt 'c' in it; there are a"):
        langfuse(tmp_path, text_prompt("a", "x"), "c")


def stored(**more: Any) -> dict[str, Any]:
    return {
        "id": ID,
        "model": "gpt-5-mini",
        "input": [
            {"role": "developer", "content": [{"type": "input_text", "text": "Help {{customer}}, briefly."}]},
            {"role": "user", "content": "{{question}}"},
        ],
        "text": {"format": {"type": "json_schema", "name": "answer", "schema": {"type": "object"}}, "verbosity": "low"},
        "reasoning": {"effort": "low", "summary": "auto"},
        "max_output_tokens": 500,
        "tools": [{"type": "web_search"}],
        "store": True,
        "version": "3",
        **more,
    }


def test_a_stored_prompt_and_the_code_that_names_it(tmp_path: Path) -> None:
    (folder := tmp_path / "app").mkdir()
    (folder / "node_modules").mkdir()
    (folder / "node_modules" / "x.js").write_text(f'"{ID}"')
    (folder / f"{ID}.json").write_text(json.dumps(stored()))
    (folder / "main.py").write_text(f'client.responses.create(\n    prompt={{"id": "{ID}", "version": "3"}})\n')
    (folder / "other.ts").write_text('const id = "pmpt_ffff0000";\n')
    done = imported_file(read_openai_prompts, folder)
    assert done.spec["models"]["main"] == {
        "type": "openai",
        "model": "gpt-5-mini",
        "api_key": "${env:OPENAI_API_KEY}",
        "api": "responses",
        "reasoning_summary": "auto",
    }
    assert done.spec["settings"] == {
        "model": "main",
        "max_tokens": 500,
        "reasoning_effort": "low",
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}},
    }
    assert done.spec["contributors"][0]["template"] == "Help {{ customer }}, briefly."
    assert set(done.not_taken) == {f"2: {ID}", "1: pmpt_ffff0000", "1: text.verbosity", "1: tools", "1: store"}


def test_ids_without_a_text_are_an_error_that_names_their_places(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(f'\nPROMPT = "{ID}"\n')
    with pytest.raises(SpecError, match="there is no text of a stored prompt in it") as caught:
        read_openai_prompts(str(tmp_path), None)
    (place,) = caught.value.diagnostics
    assert str(place).startswith(f"{tmp_path}/main.py:2: {ID}: its text is at OpenAI")
    (tmp_path / "main.py").write_text("nothing")
    with pytest.raises(SpecError, match="it names no stored prompt"):
        read_openai_prompts(str(tmp_path), None)


def test_pasted_json_without_an_id_has_the_name_of_its_file(tmp_path: Path) -> None:
    pasted = {"model": "gpt-4.1-mini", "instructions": "Answer in French.", "input": "ignored"}
    done = imported(read_openai_prompts, tmp_path, "french.json", json.dumps(pasted))
    assert done.spec["name"] == "french"
    assert done.spec["contributors"][0]["text"] == "Answer in French."


def test_labels_that_are_no_list_and_unknown_keys_of_parts(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "Hi {{a}}", "odd": 1}]
    export = [
        {"name": "p", "labels": "production", "prompt": [{"role": "user", "content": parts}]},
        {"name": "p", "labels": 5, "prompt": "x"},
    ]
    done = imported(read_langfuse, tmp_path, "export.json", json.dumps(export))
    assert done.not_taken["1: p.prompt[0].content[0].odd"] == "`victor import` does not know it"
    assert "1: version None" in done.not_taken


def test_what_looks_like_mustache_stays_text_and_braces_beside_a_variable_too(tmp_path: Path) -> None:
    done = langfuse(tmp_path, text_prompt("p", "{{{x}}} {{#if y}}a{{/if}} {% raw %} {{! c }} {{}}"))
    assert done.spec["inputs"] == {"x": {"required": True}}
    template = done.spec["contributors"][0]["template"]
    assert Environment().from_string(template).render(x="X") == "{X} {{#if y}}a{{/if}} {% raw %} {{! c }} {{}}"


def test_a_second_prompt_of_one_id_is_named(tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir()
    for name in ("a", "b"):
        prompt = {"id": ID, "model": "gpt-5", "instructions": f"Text {name}."}
        (app / f"{name}.json").write_text(json.dumps(prompt))
    done = imported_file(read_openai_prompts, app)
    assert done.spec["contributors"][0]["text"] == "Text a."
    assert done.not_taken == {f"1: {ID}": f"{app / 'a.json'} has a prompt of this id, which is taken"}
