"""The handler that gets redacted turns, and whose streams and replies are redacted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from attrs import define, evolve, field, frozen

from victor_dsl.components.middleware.redact.redactor import RedactedStream, Redactor
from victor_dsl.errors import ModelError
from victor_dsl.values.message import Delta, Message, Part, Reply, ToolCall, without_lone_surrogates
from victor_dsl.values.turn import Emit, Handler, Turn


@frozen
class Redact:
    """Redacts the turn on the way in, and the stream and the reply on the way out."""

    redactor: Redactor

    def wrap(self, handler: Handler) -> Handler:
        async def redacted(turn: Turn) -> Reply:
            inner = self.reshape(turn)
            if not turn.streaming:
                return self._reply(await handler(inner))
            stream = _Stream(turn.emit, self.redactor)
            try:
                reply = await handler(inner.replace(emit=stream.take))
            except ModelError:
                if turn.settings.broken_stream == "continue":
                    turn.trace.streamed.take_back(stream.waiting())
                raise
            await stream.end()
            return self._reply(reply)

        return redacted

    def reshape(self, turn: Turn) -> Turn:
        """The turn with its messages, few-shot messages, system prompt and tool call redacted."""
        changes: dict[str, Any] = {}
        for name in ("messages", "system_messages", "examples"):
            before = getattr(turn, name)
            after = self._messages(before)
            if after is not before:
                changes[name] = after
        if turn.system:
            changes["system"] = self.redactor.text(turn.system)
        if turn.call is not None:
            changes["call"] = self._call(turn.call)
        return turn.replace(**changes) if changes else turn

    def _messages(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        redacted = tuple(map(self._message, messages))
        return messages if all(map(_is, redacted, messages)) else redacted

    def _message(self, message: Message) -> Message:
        content = message.content
        if isinstance(content, str):
            content = self.redactor.text(content)
        elif content is not None:
            content = tuple(map(self._part, content))
            if message.content is not None and all(map(_is, content, message.content)):
                content = message.content
        calls = tuple(map(self._call, message.tool_calls)) if message.tool_calls else ()
        said = None if message.said is None else self.redactor.text(message.said)
        if content is message.content and said is message.said and all(map(_is, calls, message.tool_calls)):
            return message
        return evolve(message, content=content, tool_calls=calls, said=said)

    def _part(self, part: Part) -> Part:
        text = part.get("text")
        if not isinstance(text, str) or (redacted := self.redactor.text(text)) is text:
            return part
        return {**part, "text": redacted}

    def _call(self, call: ToolCall) -> ToolCall:
        """The call with its arguments redacted; they remain valid JSON."""
        repeated: list[bool] = []
        try:
            values = json.loads(call.arguments, object_pairs_hook=lambda pairs: _map(pairs, repeated))
        except (ValueError, RecursionError):
            arguments = self.redactor.text(call.arguments)
        else:
            redacted = self._value(values)
            if redacted == values and not any(repeated):
                return call
            arguments = without_lone_surrogates(json.dumps(redacted, ensure_ascii=False, separators=(",", ":")))
        return call if arguments == call.arguments else evolve(call, arguments=arguments)

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.redactor.text(value)
        if isinstance(value, Mapping):
            return dict(zip(self._keys(value), map(self._value, value.values()), strict=True))
        if isinstance(value, list):
            return [self._value(inner) for inner in value]
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

    def _reply(self, reply: Reply) -> Reply:
        message = self._message(reply.message)
        return reply if message is reply.message else evolve(reply, message=message)


@define
class _Stream:
    """Redacts text and thoughts, and passes them on."""

    emit: Emit
    redactor: Redactor
    _text: RedactedStream = field(init=False)
    _thoughts: RedactedStream = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._text, self._thoughts = RedactedStream(self.redactor), RedactedStream(self.redactor)

    async def take(self, delta: Delta) -> None:
        if delta.restart:
            self._begin()  # what was held back of the broken answer is taken back too
        text = self._text.feed(delta.text) if delta.text else ""
        thoughts = self._thoughts.feed(delta.reasoning) if delta.reasoning else ""
        if text or thoughts or delta.restart:
            await self.emit(Delta(text, thoughts, delta.restart))

    def waiting(self) -> str:
        """The text that was not passed on yet."""
        return self._text.waiting()

    async def end(self) -> None:
        text, thoughts = self._text.end(), self._thoughts.end()
        if text or thoughts:
            await self.emit(Delta(text, thoughts))


def _map(pairs: list[tuple[str, Any]], repeated: list[bool]) -> dict[str, Any]:
    """The map of these keys and values. Of a key that is written twice only the last value is in it, so the text must not stay."""
    made = dict(pairs)
    repeated.append(len(made) < len(pairs))
    return made


def _is(a: object, b: object) -> bool:
    return a is b
