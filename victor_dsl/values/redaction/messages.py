"""Redacts messages in the chat format: their texts, and the arguments of their calls."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from attrs import evolve, frozen

from victor_dsl.values.message import Message, Part, ToolCall, without_lone_surrogates
from victor_dsl.values.redaction.redactor import Redactor


@frozen
class MessageRedactor:
    """Redacts texts, but not images, files and ids."""

    redactor: Redactor

    def messages(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """The messages redacted; the same tuple if nothing is found."""
        redacted = tuple(map(self.message, messages))
        return messages if all(map(_is, redacted, messages)) else redacted

    def message(self, message: Message) -> Message:
        """The message with its texts and calls redacted; the same object if nothing is found."""
        content = message.content
        if isinstance(content, str):
            content = self.redactor.text(content)
        elif content is not None:
            content = tuple(map(self._part, content))
            if message.content is not None and all(map(_is, content, message.content)):
                content = message.content
        calls = tuple(map(self.call, message.tool_calls)) if message.tool_calls else ()
        said = None if message.said is None else self.redactor.text(message.said)
        if content is message.content and said is message.said and all(map(_is, calls, message.tool_calls)):
            return message
        return evolve(message, content=content, tool_calls=calls, said=said)

    def _part(self, part: Part) -> Part:
        text = part.get("text")
        if not isinstance(text, str) or (redacted := self.redactor.text(text)) is text:
            return part
        return {**part, "text": redacted}

    def call(self, call: ToolCall) -> ToolCall:
        """The call with its arguments redacted; they remain valid JSON."""
        repeated: list[bool] = []
        try:
            values = json.loads(call.arguments, object_pairs_hook=lambda pairs: _map(pairs, repeated))
        except (ValueError, RecursionError):
            arguments = self.redactor.text(call.arguments)
        else:
            redacted = self.value(values)
            if redacted == values and not any(repeated):
                return call
            arguments = without_lone_surrogates(json.dumps(redacted, ensure_ascii=False, separators=(",", ":")))
        return call if arguments == call.arguments else evolve(call, arguments=arguments)

    def value(self, value: Any) -> Any:
        """A JSON value with its texts, numbers and keys redacted."""
        if isinstance(value, str):
            return self.redactor.text(value)
        if isinstance(value, Mapping):
            return dict(zip(self._keys(value), map(self.value, value.values()), strict=True))
        if isinstance(value, list):
            return [self.value(inner) for inner in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            written = str(value)
            return value if (text := self.redactor.text(written)) == written else text
        return value

    def _keys(self, keys: Iterable[str]) -> Iterator[str]:
        """The keys redacted. Those that would be equal have numbers, as in `[email]` and `[email 2]`: a map has each key once."""
        names = [(key, self.redactor.text(key)) for key in keys]
        taken = {key for key, name in names if name == key}
        last = Counter[str]()
        for key, name in names:
            free = name
            while key != name and free in taken:
                last[name] = max(last[name], 1) + 1
                free = f"{name[:-1]} {last[name]}]" if name.endswith("]") else f"{name} {last[name]}"
            taken.add(free)
            yield free


def _map(pairs: list[tuple[str, Any]], repeated: list[bool]) -> dict[str, Any]:
    """The map of these keys and values. Of a key that is written twice only the last value is in it, so the text must not stay."""
    made = dict(pairs)
    repeated.append(len(made) < len(pairs))
    return made


def _is(a: object, b: object) -> bool:
    return a is b
