"""The prompt coordinator: the system prompt out of the contributors' pieces, within their budgets and its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import define, frozen

from victor_dsl.errors import BudgetError, ContributorError, VictorError
from victor_dsl.graph.plan import Node, Overflow, PromptPolicy
from victor_dsl.language.kinds import Contributor
from victor_dsl.runtime.coordinators.analytics import error_data
from victor_dsl.values.tokens import CHARACTERS_PER_TOKEN, text_tokens
from victor_dsl.values.turn import Contribution, Turn

GAP = "\n\n"


@frozen
class _Source:
    """A contributor and what its item says about its piece."""

    node: Node
    contributor: Contributor
    priority: int
    max_tokens: int | None
    overflow: Overflow
    optional: bool


@define
class _Piece:
    """One contributor's text in the making."""

    source: _Source
    text: str
    dropped: bool = False


@frozen
class _Composed:
    """A prompt, and the texts that it was composed of."""

    texts: tuple[str, ...]
    system: str
    contributions: tuple[Contribution, ...]


class PromptCoordinator:
    """Joins the contributors' pieces by a blank line, in the order given (the plan has them by priority)."""

    def __init__(self, contributors: Sequence[tuple[Node, Contributor]], policy: PromptPolicy) -> None:
        self._sources = tuple(_source(node, contributor) for node, contributor in contributors)
        self._policy = policy
        self._last = _Composed((), "", ())

    async def compose(self, turn: Turn) -> Turn:
        """The turn with its system prompt; system messages of the request come last.

        Raises ContributorError where a piece cannot be made, BudgetError where a budget is exceeded that may not be.
        """
        pieces = [await _contribute(source, turn) for source in self._sources]
        composed = self._composed(pieces)
        system = composed.system
        if turn.system_messages:
            said = [text for message in turn.system_messages if (text := message.text())]
            system = GAP.join([system, *said] if system else said)
        return turn.replace(system=system, contributions=composed.contributions)

    def _composed(self, pieces: list[_Piece]) -> _Composed:
        """What comes of the pieces; the same as last time where their texts are."""
        texts = tuple(piece.text for piece in pieces)
        if any(piece.dropped for piece in pieces):
            return self._compose(texts, pieces)
        if texts != self._last.texts:
            self._last = self._compose(texts, pieces)
        return self._last

    def _compose(self, texts: tuple[str, ...], pieces: list[_Piece]) -> _Composed:
        for piece in pieces:
            _hold_budget(piece)
        system = self._hold_policy(pieces)
        contributions = tuple(
            Contribution(
                piece.source.node.type,
                piece.source.node.name,
                piece.source.priority,
                0 if piece.dropped else text_tokens(piece.text),
                piece.dropped,
            )
            for piece in pieces
        )
        return _Composed(texts, system, contributions)

    def _hold_policy(self, pieces: list[_Piece]) -> str:
        most = self._policy.max_tokens
        system = _join(pieces)
        if most is None or text_tokens(system) <= most:
            return system
        if self._policy.overflow == "truncate":
            return _cut_to(pieces, most)
        if self._policy.overflow == "drop":
            lowest_first = pieces[::-1]
            lowest_first.sort(key=lambda piece: piece.source.priority)
            for piece in lowest_first:
                if piece.text and not piece.dropped:
                    piece.dropped = True
                    if (shorter := _join(pieces)) and text_tokens(shorter) <= most:
                        return shorter
        raise BudgetError(
            f"the system prompt has {text_tokens(system)} tokens; prompt.max_tokens allows {most}",
            hint="shorten or drop contributors, or raise prompt.max_tokens",
        )


def _source(node: Node, contributor: Contributor) -> _Source:
    config: Any = node.config
    return _Source(node, contributor, config.priority, config.max_tokens, config.overflow, config.optional)


async def _contribute(source: _Source, turn: Turn) -> _Piece:
    try:
        text = await source.contributor.contribute(turn)
        if not isinstance(text, str):
            raise ContributorError(f"gave {type(text).__name__} instead of text")
    except Exception as error:
        failure = _placed(error, source.node)
        if not source.optional:
            raise failure from error
        turn.record("error", error_data(failure))
        return _Piece(source, "", dropped=True)
    return _Piece(source, text.strip("\n") if text and not text.isspace() else "")


def _placed(error: Exception, node: Node) -> ContributorError:
    if isinstance(error, VictorError):
        return ContributorError(f"{node.place}: {error.message}", node=node.id, hint=error.hint)
    return ContributorError(f"{node.place}: failed: {type(error).__name__}: {error}", node=node.id)


def _hold_budget(piece: _Piece) -> None:
    """Cuts or drops a piece over its own `max_tokens`, or raises BudgetError."""
    source, tokens = piece.source, text_tokens(piece.text)
    if source.max_tokens is None or tokens <= source.max_tokens:
        return
    if source.overflow == "drop":
        piece.dropped = True
    elif source.overflow == "truncate":
        piece.text = piece.text[: source.max_tokens * CHARACTERS_PER_TOKEN]
    else:
        raise BudgetError(
            f"{source.node.place}: the piece has {tokens} tokens; its max_tokens allows {source.max_tokens}",
            node=source.node.id,
            hint="shorten it, raise max_tokens, or say overflow: drop or truncate",
        )


def _cut_to(pieces: list[_Piece], most: int) -> str:
    """The prompt cut at its end; a piece of which nothing is left is dropped."""
    room = most * CHARACTERS_PER_TOKEN
    for piece in pieces:
        if not piece.text or piece.dropped:
            continue
        piece.text = piece.text[: max(room, 0)]
        piece.dropped = not piece.text
        room -= len(piece.text) + len(GAP)
    return _join(pieces)


def _join(pieces: list[_Piece]) -> str:
    return GAP.join(piece.text for piece in pieces if piece.text and not piece.dropped)
