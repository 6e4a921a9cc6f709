"""The message coordinator: writes the spec's few-shot messages, and wraps what the user says in its template."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import define, evolve

from victor_dsl.errors import ContributorError
from victor_dsl.graph.plan import Node
from victor_dsl.language.boundary import is_fault
from victor_dsl.language.kinds import Contributor
from victor_dsl.language.spec import ExampleMessage
from victor_dsl.runtime.coordinators.prompt import placed
from victor_dsl.values.message import Content, Message
from victor_dsl.values.turn import Turn

Writer = tuple[Node, Contributor]

LONG_MESSAGE = 100_000
"""Characters of a message that may be why its template exceeds a bound."""


@define
class MessageCoordinator:
    """Writes messages by contributors: each of the `examples`, and with `template` what the user says."""

    examples: Sequence[Writer]
    template: Writer | None
    _latest: tuple[Message, ...] = ()

    async def add_examples(self, turn: Turn) -> Turn:
        """The turn with the few-shot messages, without those that have no text. Raises ContributorError."""
        written = [(node, await _text(writer, node, turn)) for node, writer in self.examples]
        said = tuple([Message(_role(node), text) for node, text in written if not _is_blank(text)])
        if said != self._latest:  # as in most turns they are the same, and their tokens are counted already
            self._latest = said
        return turn.replace(examples=self._latest)

    async def wrap(self, turn: Turn) -> Turn:
        """The turn with its last message in the template, if it is the user's. The session gets it as it is sent.

        Raises ContributorError.
        """
        if self.template is None or not turn.messages or (last := turn.messages[-1]).role != "user":
            return turn
        node, writer = self.template
        # An input comes before vars of the same name.
        said = last.text()
        try:
            text = await _text(writer, node, turn.replace(inputs={**turn.inputs, "message": said}))
        except ContributorError as error:
            if len(said) > LONG_MESSAGE:
                error.hint = f"what the user says has {len(said):,} characters"
            raise
        if _is_blank(text) and not _is_blank(said):
            hint = "write `{{ message }}` outside of any `{% if %}`"
            lost = ContributorError("it writes nothing, so what the user says would not be sent", hint=hint)
            raise placed(lost, node)
        wrapped = evolve(last, content=_with_text(last.content, text), said=said)
        turn.trace.exchange = tuple(wrapped if message is last else message for message in turn.trace.exchange)
        return turn.replace(messages=(*turn.messages[:-1], wrapped))


async def _text(writer: Contributor, node: Node, turn: Turn) -> str:
    try:
        return await writer.contribute(turn)
    except BaseException as error:
        if not is_fault(error):
            raise
        raise placed(error, node) from error


def _is_blank(text: str) -> bool:
    return not text or text.isspace()


def _role(node: Node) -> Any:
    assert isinstance(node.config, ExampleMessage)
    return node.config.role


def _with_text(content: Content | None, text: str) -> Content:
    """The content with its text replaced: all its texts become one, where the first one was. Other parts stay."""
    if content is None or isinstance(content, str):
        return text
    texts = [part for part in content if part.get("type") == "text"]
    fields = {name: value for part in texts for name, value in part.items()}
    one = ({**fields, "type": "text", "text": text},) if text else ()
    place = next((place for place, part in enumerate(content) if part.get("type") == "text"), 0)
    before, after = content[:place], content[place:]
    return (*before, *one, *(part for part in after if part.get("type") != "text"))
