"""The handler that gets redacted turns, and whose streams and replies are redacted."""

from __future__ import annotations

from typing import Any

from attrs import Factory, define, evolve, field, frozen

from victor_dsl.errors import ModelError
from victor_dsl.values.message import Delta, Reply
from victor_dsl.values.redaction.messages import MessageRedactor
from victor_dsl.values.redaction.redactor import RedactedStream, Redactor
from victor_dsl.values.turn import Emit, Handler, Turn


@frozen
class Redact:
    """Redacts the turn on the way in, and the stream and the reply on the way out."""

    redactor: Redactor
    _of: MessageRedactor = field(
        init=False, default=Factory(lambda self: MessageRedactor(self.redactor), takes_self=True)
    )

    def wrap(self, handler: Handler) -> Handler:
        async def redacted(turn: Turn) -> Reply:
            inner = self.reshape(turn)
            if not turn.streaming:
                return self._reply(await handler(inner))
            stream = _Stream(turn.emit, self._of)
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
            after = self._of.messages(before)
            if after is not before:
                changes[name] = after
        if turn.system:
            changes["system"] = self.redactor.text(turn.system)
        if turn.call is not None:
            changes["call"] = self._of.call(turn.call)
        return turn.replace(**changes) if changes else turn

    def _reply(self, reply: Reply) -> Reply:
        message = self._of.message(reply.message)
        return reply if message is reply.message else evolve(reply, message=message)


@define
class _Stream:
    """Redacts text, thoughts and tool calls, and passes them on."""

    emit: Emit
    redact: MessageRedactor
    _text: RedactedStream = field(init=False)
    _thoughts: RedactedStream = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._text, self._thoughts = RedactedStream(self.redact.redactor), RedactedStream(self.redact.redactor)

    async def take(self, delta: Delta) -> None:
        if delta.tool_call is not None:
            await self.end()  # the answer that calls the tool is complete
            self._begin()
            await self.emit(evolve(delta, tool_call=self.redact.call(delta.tool_call)))
            return
        if delta.tool_result is not None:
            await self.emit(delta)
            return
        if delta.restart:
            self._begin()  # what was held back of the broken answer is taken back too
        text = self._text.feed(delta.text) if delta.text else ""
        thoughts = self._thoughts.feed(delta.reasoning) if delta.reasoning else ""
        if delta.restart:
            await self.emit(Delta(text, thoughts, restart=True))
        else:
            await self._pass_on(text, thoughts)

    def waiting(self) -> str:
        """The text that was not passed on yet."""
        return self._text.waiting()

    async def end(self) -> None:
        await self._pass_on(self._text.end(), self._thoughts.end())

    async def _pass_on(self, text: str, thoughts: str) -> None:
        if thoughts:
            await self.emit(Delta(reasoning=thoughts))
        if text:
            await self.emit(Delta(text))
