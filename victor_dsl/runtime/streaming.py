"""What a model streams, on its way to the caller: buffered, restarted or continued where an answer breaks off."""

from __future__ import annotations

from attrs import define, field

from victor_dsl.errors import ModelError
from victor_dsl.language.component import Clock
from victor_dsl.values.message import Delta, Reply
from victor_dsl.values.turn import Turn


@define(eq=False)
class Attempt:
    """Passes on the pieces of one attempt at an answer as `settings.broken_stream` says, and notes the time of the first.

    What earlier attempts at the same answer streamed is in the turn's `trace.streamed`.
    """

    turn: Turn
    clock: Clock
    first: float | None = None
    written: list[str] = field(factory=list)
    """The text and the thoughts that arrived."""
    _buffered: list[Delta] = field(factory=list)
    _begun: bool = False
    _to_repeat: str = ""

    def watched(self) -> Turn:
        """The turn whose `emit` passes on this attempt's pieces."""
        return self.turn.replace(emit=self.take)

    async def take(self, delta: Delta) -> None:
        """Passes on a piece."""
        if self.first is None:
            if not delta.text and not delta.reasoning:
                return
            self.first = self.clock.monotonic()
        self.written += (delta.text, delta.reasoning)
        if not self.turn.streaming:
            return
        match self.turn.settings.broken_stream:
            case "hold":
                self._buffered.append(delta)
            case "restart":
                await self._restart(delta)
            case "continue":
                await self._continue(delta)
            case _:
                await self.turn.emit(delta)

    async def end(self, reply: Reply) -> None:
        """Passes on the buffered pieces of a complete answer. Raises ModelError where it does not continue the earlier attempt."""
        for delta in self._buffered:
            await self.turn.emit(delta)
        if not self._begun and self.turn.trace.streamed.text:  # this model streams nothing
            go_on = self._restart if self.turn.settings.broken_stream == "restart" else self._continue
            await go_on(Delta(reply.message.text()))
        if self._to_repeat:
            raise self._diverged()

    async def _restart(self, delta: Delta) -> None:
        streamed = self.turn.trace.streamed
        if not self._begun and streamed.text:
            streamed.text.clear()
            await self.turn.emit(Delta(restart=True))
            if streamed.before:
                await self.turn.emit(Delta(streamed.before))
        self._begun = True
        await self._pass_on(delta)

    async def _continue(self, delta: Delta) -> None:
        streamed = self.turn.trace.streamed
        if not self._begun:
            self._begun = True
            self._to_repeat = "".join(streamed.text)
        if self._to_repeat:
            same = min(len(delta.text), len(self._to_repeat))
            if delta.text[:same] != self._to_repeat[:same]:
                raise self._diverged()
            self._to_repeat = self._to_repeat[same:]
            delta = Delta(delta.text[same:])
        await self._pass_on(delta)

    async def _pass_on(self, delta: Delta) -> None:
        if delta.text:
            self.turn.trace.streamed.text.append(delta.text)
        if delta.text or delta.reasoning:
            await self.turn.emit(delta)

    def _diverged(self) -> ModelError:
        self.turn.trace.streamed.stuck = True
        return ModelError(
            "the answer broke off, and another attempt does not begin with the same text", kind="bad_response"
        )


async def note_reached(turn: Turn, delta: Delta) -> None:
    """Passes a piece on to the caller, and notes that text reached it."""
    if delta.text:
        turn.trace.streamed.reached = True
    await turn.emit(delta)
