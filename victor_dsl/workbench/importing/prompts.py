"""Prompts of other tools as the parts of a spec: contributors, few-shot messages, and the template around what the user says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import define, field

from victor_dsl.language.template import RESERVED, VISIBLE
from victor_dsl.source.located import Located
from victor_dsl.workbench.importing.sources import Imported, Section

SAID = (
    "message",
    "user_message",
    "question",
    "query",
    "user_input",
    "user_query",
    "user_prompt",
    "input",
    "prompt",
    "text",
    "topic",
    "content",
)
"""Names of variables that usually stand for what the user says, the likeliest first."""

_VARIABLE = re.compile(r"\{\{-?\s*(\w(?:[\w .-]{0,198}\w)?)\s*-?\}\}")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MARK = re.compile(r"\{\{|\{%|\{#")


@define
class Prompt:
    """A prompt's messages, each a role and a template, and its variables by their names in the foreign prompt."""

    messages: list[tuple[str, str]] = field(factory=list)
    names: dict[str, str] = field(factory=dict)
    said: str | None = None
    """The variable that stands for what the user says."""

    def add(self, role: str, text: str) -> None:
        """Adds a message of a prompt whose only markup is `{{variable}}`."""
        self.messages.append((role, self._template(text)))

    def add_template(self, role: str, text: str) -> None:
        """Adds a message that is a template of Nunjucks, whose variables, filters and blocks are nearly Jinja2's."""
        for name in template_names(text):
            self._rename(name)
        for old, new in self.names.items():
            if old != new:
                text = re.sub(rf"(\{{[{{%][^}}]*?)\b{re.escape(old)}\b", rf"\g<1>{new}", text)
        text = re.sub(r"(\{%-?\s*)else\s*if\b", r"\1elif", text)
        text = re.sub(r"(\{\{[^}]*?\|\s*)dump\b", r"\1tojson", text)
        self.messages.append((role, text))

    def spec(self) -> dict[str, Any]:
        """The sections `inputs`, `contributors`, `messages` and `message`."""
        messages = list(self.messages)
        system = [text for role, text in messages if role in ("system", "developer")]
        others = [(role, text) for role, text in messages if role not in ("system", "developer")]
        last = others.pop()[1] if others and others[-1][0] == "user" else None
        inputs = {new: {**self._type(new), "required": True} for new in self.names.values()}
        spec: dict[str, Any] = {}
        if last is not None:
            self.said = next((name for name in SAID if name in inputs and _uses(last, name)), None)
            if self.said is None and len(used := [name for name in inputs if _uses(last, name)]) == 1:
                self.said = used[0]
            if self.said is not None and not any(
                _uses(text, self.said) for text in (*system, *(text for _, text in others))
            ):
                del inputs[self.said]
                last = re.sub(rf"(\{{[{{%][^}}]*?)\b{self.said}\b", r"\g<1>message", last)
            else:
                self.said = None
        if inputs:
            spec["inputs"] = inputs
        contributors = [
            _piece(text, f"system-{number}" if number > 1 else "system") for number, text in enumerate(system, 1)
        ]
        if contributors:
            spec["contributors"] = contributors
        if others:
            spec["messages"] = [{"role": role, **_text_or_template(text)} for role, text in others]
        if last is not None and not re.fullmatch(r"\s*\{\{-?\s*message\s*-?\}\}\s*", last):
            spec["message"] = {"template": last}
        return spec

    def _type(self, name: str) -> dict[str, str]:
        """What the templates show of the type of a variable's values."""
        texts = [text for _, text in self.messages]
        if any(re.search(rf"\{{%-?\s*for\s[^%]*\sin\s+{name}\b(?!\.)", text) for text in texts):
            return {"type": "list"}
        if any(re.search(rf"\{{[{{%][^}}'\"]*\b(?<!\.){name}\.[A-Za-z_]", text) for text in texts):
            return {"type": "map"}
        return {}

    def notes(self) -> list[str]:
        """What readers of the spec should know of its names."""
        renamed = [(old, new) for old, new in self.names.items() if new not in (old, self.said)]
        notes = [f"`{{{{{old}}}}}` is now `{new}`." for old, new in renamed]
        said = next((old for old, new in self.names.items() if new == self.said), None)
        return notes if said is None else [*notes, f"`{{{{{said}}}}}` is what the user says: the request's message."]

    def given(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """A test's request with these values of the variables."""
        inputs = {self.names[name]: value for name, value in values.items() if name in self.names}
        said = inputs.pop(self.said, None) if self.said is not None else None
        given: dict[str, Any] = {"message": str(said) if said is not None else "-"}
        return {**given, "inputs": inputs} if inputs else given

    def _template(self, text: str) -> str:
        pieces, place = [], 0
        for found in _VARIABLE.finditer(text):
            before = literal(text[place : found.start()])
            if before.endswith("{"):  # it would join the braces that follow
                before = before[:-1] + "{{ '{' }}"
            pieces += [before, f"{{{{ {self._rename(found[1])} }}}}"]
            place = found.end()
        return "".join([*pieces, literal(text[place:])])

    def _rename(self, name: str) -> str:
        if name not in self.names:
            new = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_") or "value"
            if not _WORD.match(new) or new in VISIBLE | RESERVED or new == "message":
                new = f"{new}_given" if _WORD.match(new) else f"v_{new}"
            if name == "message":
                new = "user_message"
            while new in self.names.values():
                new += "_"
            self.names[name] = new
        return self.names[name]


def template_names(text: str) -> list[str]:
    """The names that a Nunjucks template's expressions begin with, in order, without those that it sets itself."""
    own = set(re.findall(r"\{%-?\s*(?:for|set)\s+([A-Za-z_]\w*)", text)) | {"loop"}
    names: dict[str, None] = {}
    for inside in re.findall(r"\{\{(.*?)\}\}|\{%-?\s*(?:if|elif|else\s*if|for\s+\w+\s+in)\s(.*?)%\}", text, re.DOTALL):
        expression = re.sub(r"'[^']*'|\"[^\"]*\"", "", inside[0] or inside[1])
        for piece in re.split(r"\bif\b|\band\b|\bor\b|\bnot\b|\bin\b|\belse\b|[=<>!+*/(),~\[\]-]", expression):
            if (word := re.match(r"\s*([A-Za-z_]\w*)", piece)) and word[1] not in own | {
                "true",
                "false",
                "none",
                "null",
                "is",
            }:
                names[word[1]] = None
    return list(names)


def texts_of(content: Located, path: str, imported: Imported) -> str | None:
    """The text of a message's content; None where it has other parts than text. What parts have beside it is reported."""
    if isinstance(content.value, str):
        return content.value
    parts = content.value if isinstance(content.value, list) else []
    found = [part.get("text") for part in parts]
    texts = [text.value for text in found if text is not None and isinstance(text.value, str)]
    if not texts or len(texts) != len(parts):
        return None
    for index, part in enumerate(parts):
        section = Section(part, f"{path}[{index}]", imported)
        section.take("type")
        section.take("text")
        section.end()
    return "\n".join(texts)


def _piece(text: str, name: str) -> dict[str, Any]:
    written = _text_or_template(text)
    return {"type": next(iter(written)), "name": name, **written}


def _text_or_template(text: str) -> dict[str, str]:
    return {"template": text} if _MARK.search(text) else {"text": text}


def _uses(text: str, name: str) -> bool:
    return name in template_names(text)


def literal(text: str) -> str:
    """A template that renders to the text, whatever markup it has."""
    return _MARK.sub(lambda found: f"{{{{ '{found[0]}' }}}}", text)


def without_empty(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The map without what is None or empty."""
    return {key: value for key, value in items if value is not None and value not in ({}, [], "")}
