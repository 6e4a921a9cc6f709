"""OpenAI's stored prompts as a spec: their JSON, and the places in code that name them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from victor_dsl.errors import SpecError
from victor_dsl.source.json_text import compose
from victor_dsl.source.located import Located, Span
from victor_dsl.workbench.importing.endpoints import model_by_name
from victor_dsl.workbench.importing.langfuse import TOOLS
from victor_dsl.workbench.importing.prompts import Prompt, texts_of, without_empty
from victor_dsl.workbench.importing.sources import Imported, Section, name_of, read_text

ID = re.compile(r"pmpt_[A-Za-z0-9]{4,}")
MOST_FILES = 20_000
MOST_FILE_BYTES = 1 << 20
SKIPPED = frozenset(
    {".git", ".hg", "node_modules", ".venv", "venv", "__pycache__", "dist", "build", ".next", "target", ".victor"}
)
BINARY = frozenset(
    {
        ".png",
        ".jpg",
        ".jpeg",
        ".gif",
        ".pdf",
        ".zip",
        ".gz",
        ".woff",
        ".woff2",
        ".ico",
        ".mp4",
        ".pyc",
        ".so",
        ".db",
        ".lock",
    }
)
PASTE = (
    "its text is at OpenAI: copy it from the dashboard as JSON into a file {id}.json beside the code, and import again"
)
SETTINGS = ("temperature", "top_p", "max_output_tokens", "max_tokens", "tool_choice", "parallel_tool_calls")


def read_openai_prompts(path: str, wanted: str | None) -> Imported:
    """The spec of a stored prompt: its JSON in a file, or in a folder with the code that names it. Raises SpecError, with the
    places of ids without a text."""
    imported = Imported()
    prompts, named = _search(path, imported)
    for id, places in named.items():
        for place in places if id not in prompts else ():
            imported.report(place, id, PASTE.format(id=id))
    if not prompts:
        what = (
            "there is no text of a stored prompt in it" if named else "it names no stored prompt (pmpt_…), and is none"
        )
        raise SpecError(f"{path}: {what}", tuple(imported.not_taken))
    id = next(iter(prompts)) if wanted is None else wanted
    if id not in prompts:
        raise SpecError(f"{path}: there is no prompt '{id}' in it; there are {', '.join(list(prompts)[:20])}")
    for other, prompt in prompts.items():
        if other != id:
            imported.report(prompt.span, other, f"a spec has one prompt: --prompt {other}")
    imported.documents.append(prompts[id])
    _read(Section(prompts[id], "", imported), id)
    for place in named.get(id, ()):
        imported.report(
            place,
            id,
            "here the code sends the stored prompt; it can ask victor instead, with the prompt's variables as `inputs`",
        )
    return imported


def _search(path: str, imported: Imported) -> tuple[dict[str, Located], dict[str, list[Span]]]:
    """The stored prompts by id, and the places in other files that name one."""
    prompts: dict[str, Located] = {}
    named: dict[str, list[Span]] = {}
    for file in _files(path):
        try:
            text = read_text(file)
        except SpecError:
            if file == path:
                raise
            continue
        if file.lower().endswith(".json") and (prompt := _stored(text, file)) is not None:
            id = _id(prompt, file)
            if prompts.setdefault(id, prompt) is not prompt:
                imported.report(prompt.span, id, f"{prompts[id].span.file} has a prompt of this id, which is taken")
            continue
        for number, line in enumerate(text.split("\n"), 1):
            for id, found in {found[0]: found for found in ID.finditer(line)}.items():
                named.setdefault(id, []).append(Span(file, number, found.start() + 1, number, found.end() + 1))
    return prompts, named


def _files(path: str) -> Iterator[str]:
    if not os.path.isdir(path):
        yield path
        return
    count = 0
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        for name in sorted(files):
            file = Path(folder, name)
            if file.suffix.lower() in BINARY or not file.is_file() or file.stat().st_size > MOST_FILE_BYTES:
                continue
            count += 1
            if count > MOST_FILES:
                raise SpecError(f"{path}: it has more than {MOST_FILES:,} files; name a smaller folder")
            yield str(file)


def _stored(text: str, file: str) -> Located | None:
    """The stored prompt in a JSON file: an object with the messages of the Responses API; None where it is another file."""
    document, _ = compose(text, file)
    if document is None or not isinstance(document.value, dict):
        return None
    for key in ("prompt", "template", "response", "body"):
        inner = document.get(key)
        if inner is not None and _has_messages(inner):
            return inner
    return document if _has_messages(document) else None


def _has_messages(located: Located) -> bool:
    messages = located.get("input") or located.get("messages")
    listed = (
        messages is not None and isinstance(messages.value, list) and any(one.get("role") for one in messages.value)
    )
    return listed or (located.get("instructions") is not None and located.get("model") is not None)


def _id(prompt: Located, file: str) -> str:
    id = prompt.get("id")
    return id.value if id is not None and isinstance(id.value, str) else Path(file).stem


def _read(section: Section, id: str) -> None:
    imported, prompt = section.imported, Prompt()
    section.take("id")
    name = section.text("name") or id
    if (instructions := section.text("instructions")) is not None:
        prompt.add("developer", instructions)
    for key in ("input", "messages"):
        for located, path in section.items(key):
            message = Section(located, path, imported)
            role, content = message.text("role"), message.located("content")
            text = None if content is None else texts_of(content, f"{path}.content", imported)
            if text is None or role not in ("system", "developer", "user", "assistant"):
                message.report("content", "only messages with text are taken")
                continue
            prompt.add(role, text)
            message.drop("it says nothing to the model", "id", "type", "status")
            message.end()
    item = _model(section)
    settings = _settings(section, item)
    imported.spec |= {"victor": 1, "name": name_of(name, {}, "prompt"), "models": {"main": item}, "settings": settings}
    imported.spec |= prompt.spec()
    imported.notes += prompt.notes()
    _end(section, set(prompt.names))


def _model(section: Section) -> dict[str, Any]:
    model = section.text("model")
    item = None if model is None else model_by_name(model)
    if item is None:
        section.report("model", "it names no model of OpenAI: `echo` stands in, which answers with the user's words")
        return {"type": "echo"}
    return {**item, "api": "responses"} if item["type"] == "openai" else item


def _settings(section: Section, item: dict[str, Any]) -> dict[str, Any]:
    """The prompt's settings; a summary of the reasoning is a field of the model."""
    settings: dict[str, Any] = {"model": "main"}
    for key in SETTINGS:
        if (value := section.take(key)) is not None:
            settings["max_tokens" if key == "max_output_tokens" else key] = value
    reasoning, text_format = section.section("reasoning"), section.section("text")
    if (effort := reasoning.text("effort")) is not None:
        settings["reasoning_effort"] = effort
    if (summary := reasoning.text("summary")) in ("auto", "concise", "detailed") and item["type"] == "openai":
        item["reasoning_summary"] = summary
    wanted = text_format.take("format") or section.take("response_format")
    if isinstance(wanted, dict) and wanted.get("type") != "text":
        settings["response_format"] = _response_format(wanted)
    if isinstance(settings.get("tool_choice"), dict):
        section.report("tool_choice", "it names a tool, which the spec does not have")
        del settings["tool_choice"]
    for part in (reasoning, text_format):
        part.end()
    return without_empty(settings.items())


def _end(section: Section, names: set[str]) -> None:
    section.drop(TOOLS, "tools")
    variables = section.take("variables")
    for name in variables if isinstance(variables, dict | list) else ():
        if isinstance(name, str) and name not in names:
            section.report("variables", f"the text does not have the variable '{name}'")
    section.drop(
        "sessions keep the conversation, and nothing is stored at OpenAI",
        "store",
        "previous_response_id",
        "conversation",
        "truncation",
        "include",
        "background",
    )
    for key in ("version", "created_at", "updated_at", "object", "status", "is_default", "creator_user_id"):
        section.take(key)
    section.end()


def _response_format(wanted: dict[str, Any]) -> dict[str, Any]:
    if wanted.get("type") != "json_schema" or "json_schema" in wanted:
        return wanted
    return {"type": "json_schema", "json_schema": {key: value for key, value in wanted.items() if key != "type"}}
