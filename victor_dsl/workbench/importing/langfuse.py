"""Langfuse's prompts as a spec: the prompt, its variables, and the model in its `config`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from victor_dsl.errors import SpecError
from victor_dsl.source.json_text import compose
from victor_dsl.source.located import Located
from victor_dsl.workbench.importing.endpoints import model_by_name
from victor_dsl.workbench.importing.prompts import Prompt, texts_of, without_empty
from victor_dsl.workbench.importing.sources import Imported, Section, name_of, plain, read_document, read_text

SETTINGS = (
    "temperature",
    "top_p",
    "max_tokens",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "reasoning_effort",
    "response_format",
    "tool_choice",
    "parallel_tool_calls",
)
OTHER_NAMES = {
    "max_output_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "topP": "top_p",
    "maxTokens": "max_tokens",
}
HISTORY = "the history of the session, or the request's `messages`, stands there"
TOOLS = "a tool needs something that answers its calls: an item of `tools`, or the request's own `tools`"
BOOKKEEPING = (
    "name",
    "type",
    "version",
    "labels",
    "id",
    "projectId",
    "createdAt",
    "updatedAt",
    "createdBy",
    "isActive",
)
"""What an export says of a version, which version control says of a file."""
_COMPOSED = re.compile(r"@@@langfusePrompt:name=([^|@]+)(?:\|[^@]*)?@@@")


def read_langfuse(path: str, wanted: str | None) -> Imported:
    """The spec of one prompt of an export: an object of Langfuse's API, a list of them, or JSON lines. Raises SpecError."""
    imported = Imported()
    prompts: dict[str, list[Located]] = {}
    for located in _prompts(path, imported):
        prompts.setdefault(str(plain(located).get("name") or "prompt"), []).append(located)
    if not prompts:
        raise SpecError(f"{path}: there is no prompt in it: an object with `prompt`")
    name = next(iter(prompts)) if wanted is None else wanted
    if name not in prompts:
        raise SpecError(f"{path}: there is no prompt '{name}' in it; there are {', '.join(list(prompts)[:20])}")
    texts = {other: plain(_current(versions)).get("prompt") for other, versions in prompts.items()}
    current = _current(prompts[name])
    for other, versions in prompts.items():
        for one in versions:
            if one is not current:
                what = f"version {plain(one).get('version')}" if other == name else f"prompt '{other}'"
                hint = (
                    "version control keeps older versions"
                    if other == name
                    else f"a spec has one prompt: --prompt {other}"
                )
                imported.report(one.span, what, hint)
    _read(Section(current, name, imported), name, texts)
    return imported


def _prompts(path: str, imported: Imported) -> Iterator[Located]:
    if path.lower().endswith(".jsonl"):
        for number, line in enumerate(read_text(path).split("\n")):
            if line.strip():
                document, _ = compose("\n" * number + line, path)
                if document is not None:
                    imported.documents.append(document)
                    yield from _found(document)
        return
    yield from _found(read_document(path, imported))


def _found(located: Located) -> Iterator[Located]:
    """The prompts in a document, however they are wrapped."""
    if isinstance(located.value, list):
        for inner in located.value:
            yield from _found(inner)
    elif isinstance(located.value, dict):
        prompt = located.get("prompt")
        if prompt is not None and isinstance(prompt.value, str | list):
            yield located
            return
        for inner in located.value.values():
            if isinstance(inner.value, dict | list):
                yield from _found(inner)


def _current(versions: list[Located]) -> Located:
    """The version that production uses: by its label, else the latest."""

    def rank(located: Located) -> tuple[bool, bool, float]:
        labels, version = plain(located).get("labels"), plain(located).get("version")
        labels = labels if isinstance(labels, list) else [labels]
        return "production" in labels, "latest" in labels, version if isinstance(version, int | float) else 0

    return max(versions, key=rank)


def _read(section: Section, name: str, texts: dict[str, Any]) -> None:
    imported, prompt = section.imported, Prompt()
    found = section.located("prompt")
    assert found is not None, "it has a prompt"
    if isinstance(found.value, str):
        prompt.add("system", _composed(found.value, texts, found, imported, ()))
    else:
        for index, message in enumerate(found.value):
            _add_message(prompt, Section(message, f"{name}.prompt[{index}]", imported), texts)
    imported.spec |= {"victor": 1, "name": name_of(name, {}, "prompt"), "models": {}, "settings": {}}
    _read_config(section.section("config"), imported)
    imported.spec |= prompt.spec()
    imported.notes += prompt.notes()
    for key in BOOKKEEPING:
        section.take(key)
    section.drop("it is about the prompt's life in Langfuse; version control has it", *section.left())


def _add_message(prompt: Prompt, message: Section, texts: dict[str, Any]) -> None:
    kind, role = message.text("type"), message.text("role")
    if kind == "placeholder":
        message.report("type", f"the placeholder '{message.text('name')}': {HISTORY}")
        message.end()
        return
    content = message.located("content")
    text = None if content is None else texts_of(content, f"{message.path}.content", message.imported)
    if content is None or text is None or role not in ("system", "developer", "user", "assistant"):
        message.report("content" if content is not None else "role", "it is not a message with text")
        return
    prompt.add(role, _composed(text, texts, content, message.imported, ()))
    message.end()


def _composed(text: str, texts: dict[str, Any], at: Located, imported: Imported, within: tuple[str, ...]) -> str:
    """The text with the text prompts that it includes."""

    def included(found: re.Match[str]) -> str:
        name = found[1].strip()
        other = texts.get(name)
        if isinstance(other, str) and name not in within and len(within) < 10:
            return _composed(other, texts, at, imported, (*within, name))
        imported.report(at.span, found[0][:80], "the prompt that it includes is no text in this file")
        return ""

    return _COMPOSED.sub(included, text)


def _read_config(config: Section, imported: Imported) -> None:
    model = config.text("model") or config.text("model_name") or config.text("modelName")
    item = None if model is None else model_by_name(model)
    if item is None:
        why = "it names no model" if model is None else f"nothing is known of the API of '{model}'"
        config.report("model", f"{why}: `echo` stands in, which answers with the user's words")
        item = {"type": "echo"}
    imported.spec["models"] = {"main": item}
    settings: dict[str, Any] = {"model": "main"}
    for name in (*SETTINGS, *OTHER_NAMES):
        if name in config:
            settings[OTHER_NAMES.get(name, name)] = config.take(name)
    for key in ("stop", "stop_sequences"):
        if (stop := config.take(key)) is not None:
            settings["stop"] = stop if isinstance(stop, list) else [stop]
    imported.spec["settings"] = without_empty(settings.items())
    config.drop(TOOLS, "tools", "functions")
    config.drop("a key is not part of a prompt", "api_key", "apiKey")
    config.end("it is the application's own: a var (`vars`), if templates need it")
