"""The prompt coordinator: joins the contributors' pieces into the system prompt, within their budgets and its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from attrs import define, frozen

from victor_dsl.errors import BudgetError, ContributorError, VictorError
from victor_dsl.graph.plan import Node, PromptPolicy
from victor_dsl.language.boundary import describe, is_fault
from victor_dsl.language.config import ContributorConfig
from victor_dsl.language.kinds import Contributor
from victor_dsl.runtime.coordinators.analytics import error_data
from victor_dsl.values.tokens import estimated_tokens, first_tokens, text_tokens
from victor_dsl.values.turn import Contribution, Turn

GAP = "\n\n"

OF_TOOLS = ContributorConfig(priority=0, max_tokens=1000, overflow="truncate", optional=True)
"""The Config of the pieces that sources of tools contribute."""


@frozen
class _Piece:
    """One contributor's text as it stands in the prompt; empty where it is dropped."""

    text: str
    contribution: Contribution


@define
class _Source:
    """A contributor with its Config, and its latest piece with the text that it was made of.

    `varies` is true once its text has changed.
    """

    node: Node
    contributor: Contributor
    config: ContributorConfig
    latest: tuple[str, _Piece] | None = None
    varies: bool = False

    def piece(self, text: str, *, dropped: bool = False, why: str = "") -> _Piece:
        text, tokens = ("", 0) if dropped else (text, text_tokens(text))
        contribution = Contribution(self.node.type, self.node.name, self.config.priority, tokens, dropped, text, why)
        return _Piece(text, contribution)

    def piece_of(self, text: str) -> _Piece:
        """The piece of a contributed text, made once for the same text. Raises BudgetError as `_within_budget` does."""
        if self.latest is None or self.latest[0] != text:
            self.varies = self.varies or self.latest is not None
            self.latest = (text, _within_budget(self, text))
        return self.latest[1]


class PromptCoordinator:
    """Joins the contributors' pieces by a blank line, in the plan's order, which is by priority.

    `tools` are sources of tools that contribute, too; their pieces come last.
    """

    def __init__(
        self,
        contributors: Sequence[tuple[Node, Contributor]],
        policy: PromptPolicy,
        tools: Sequence[tuple[Node, Contributor]] = (),
    ) -> None:
        self._sources = (
            *(_Source(node, contributor, cast("ContributorConfig", node.config)) for node, contributor in contributors),
            *(_Source(node, contributor, OF_TOOLS) for node, contributor in tools),
        )
        self._policy = policy

    async def compose(self, turn: Turn) -> Turn:
        """The turn with its system prompt; system messages of the request come last.

        Raises ContributorError where a piece cannot be made, BudgetError where a budget with `overflow: fail` is exceeded.
        """
        pieces: list[_Piece] = []
        first_varying: int | None = None
        for place, source in enumerate(self._sources):
            try:
                text = await source.contributor.contribute(turn)
                if not isinstance(text, str):
                    raise ContributorError(f"returned {type(text).__name__} instead of text")
            except BaseException as error:
                if not is_fault(error):
                    raise
                pieces.append(_missing(source, error, turn))
            else:
                pieces.append(source.piece_of(text))
            if source.varies and first_varying is None:
                first_varying = place
        system = _join(pieces)
        if self._policy.max_tokens is not None and estimated_tokens(system) > self._policy.max_tokens:
            pieces = self._cut(pieces, self._policy.max_tokens)
            system = _join(pieces)
        stable = None if first_varying is None else len(_join(pieces[:first_varying]))
        if turn.system_messages:
            requested = [text for message in turn.system_messages if (text := message.text())]
            stable = len(system) if stable is None else stable
            system = GAP.join([system, *requested] if system else requested)
        contributions = tuple([piece.contribution for piece in pieces])
        return turn.replace(system=system, stable_system=stable, contributions=contributions)

    def _cut(self, pieces: list[_Piece], most: int) -> list[_Piece]:
        """The pieces within the budget of the whole prompt. Raises BudgetError where they cannot be, or none would be left."""
        cut = list(pieces)
        if self._policy.overflow == "truncate":
            return self._truncated(cut, most)
        if self._policy.overflow == "drop":
            lowest_first = sorted(range(len(cut)), key=lambda place: (self._sources[place].config.priority, -place))
            for place in lowest_first:
                if cut[place].text:
                    cut[place] = self._sources[place].piece("", dropped=True, why=self._why(pieces))
                    if (shorter := _join(cut)) and estimated_tokens(shorter) <= most:
                        return cut
        raise BudgetError(
            f"the system prompt has {estimated_tokens(_join(pieces))} tokens; prompt.max_tokens allows {most}",
            hint="shorten or drop contributors, or raise prompt.max_tokens",
        )

    def _truncated(self, pieces: list[_Piece], most: int) -> list[_Piece]:
        """The prompt cut at its end; a piece of which nothing is left is dropped."""
        room, whole = len(first_tokens(_join(pieces), most)), self._why(pieces)
        for place, piece in enumerate(pieces):
            if piece.text:
                text = piece.text[: max(room, 0)]
                room -= len(text) + len(GAP)
                why = piece.contribution.why if text == piece.text else whole
                pieces[place] = self._sources[place].piece(text, dropped=not text, why=why)
        return pieces

    def _why(self, pieces: list[_Piece]) -> str:
        """Why pieces are dropped or cut to fit the budget of the whole prompt."""
        return f"the prompt has {estimated_tokens(_join(pieces)):,} tokens; prompt.max_tokens allows {self._policy.max_tokens:,}"


def _missing(source: _Source, error: BaseException, turn: Turn) -> _Piece:
    """The dropped piece of a contributor that failed. Raises ContributorError where its piece is not optional."""
    failure = placed(error, source.node)
    if not source.config.optional:
        raise failure from error
    turn.record("error", error_data(failure))
    return source.piece("", dropped=True, why=failure.message)


def _within_budget(source: _Source, text: str) -> _Piece:
    """The piece; over its own `max_tokens` it is cut or dropped, or BudgetError is raised, as `overflow` says."""
    text = text.strip("\n") if text and not text.isspace() else ""
    most = source.config.max_tokens
    if most is None or estimated_tokens(text) <= most:
        return source.piece(text)
    why = f"the piece has {estimated_tokens(text):,} tokens; its max_tokens allows {most:,}"
    if source.config.overflow == "drop":
        return source.piece("", dropped=True, why=why)
    if source.config.overflow == "truncate":
        return source.piece(first_tokens(text, most), why=why)
    raise BudgetError(
        f"{source.node.places}: the piece has {estimated_tokens(text)} tokens; its max_tokens allows {most}",
        node=source.node.id,
        hint="shorten it, raise max_tokens, or set overflow: drop or truncate",
    )


def placed(error: BaseException, node: Node) -> ContributorError:
    """The error of a contributor, with the place of its item, unless it has a line of its own there."""
    if isinstance(error, VictorError):
        placed = error.message.startswith(f"{node.span.file}:")  # at a line of its own
        message = error.message if placed else f"{node.places}: {error.message}"
        return ContributorError(message, node=node.id, hint=error.hint)
    return ContributorError(f"{node.places}: failed: {describe(error)}", node=node.id)


def _join(pieces: list[_Piece]) -> str:
    return GAP.join([piece.text for piece in pieces if piece.text])
