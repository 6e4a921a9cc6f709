"""The live `openai` model."""

from __future__ import annotations

from contextlib import aclosing
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from victor_dsl.components.models._openai_reply import Answer
from victor_dsl.components.models._openai_request import body
from victor_dsl.components.models._tool_names import given
from victor_dsl.language.component import Context
from victor_dsl.transport.http import Http
from victor_dsl.transport.shape import Malformed
from victor_dsl.values.message import Delta, Reply
from victor_dsl.values.turn import Turn

if TYPE_CHECKING:
    from victor_dsl.components.models.openai import Config


class OpenAI:
    """Asks a chat completions server."""

    def __init__(self, config: Config, context: Context) -> None:
        self._config = config
        self._rates = config.rates()
        self._http = Http(
            config,
            node=context.node,
            now=context.clock.now,
            url=f"{config.base_url}/chat/completions",
            api_key=None if config.api_key is None else partial(context.secret, config.api_key),
            key_name=str(config.api_key),
            key_header=config.api_key_header,
            headers={"OpenAI-Organization": config.organization} if config.organization else {},
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def answer(self, turn: Turn) -> Reply:
        """One request and its answer, streamed where anyone listens. Raises ModelError."""
        answer, asked = Answer(), body(turn, self._config)
        try:
            if not turn.streaming:
                answer.take(await self._http.post(asked))
            else:
                async with aclosing(self._http.stream(asked)) as pieces:
                    async for piece in pieces:
                        if text := answer.take(piece):
                            await turn.emit(Delta(text))
            return answer.reply(names=given(turn), rates=self._rates, call_prefix=f"call_{len(turn.messages)}_")
        except Malformed as error:
            raise self._http.failures.bad_response(str(error)) from error
