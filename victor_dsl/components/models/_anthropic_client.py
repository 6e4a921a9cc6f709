"""The live `anthropic` model."""

from __future__ import annotations

from contextlib import aclosing
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from victor_dsl.components.models._anthropic_messages import Unsupported
from victor_dsl.components.models._anthropic_reply import Answer, ends
from victor_dsl.components.models._anthropic_request import body
from victor_dsl.components.models._tool_names import given
from victor_dsl.errors import ModelError
from victor_dsl.language.component import Context
from victor_dsl.transport.http import Http
from victor_dsl.transport.shape import Malformed
from victor_dsl.values.message import Delta, Reply
from victor_dsl.values.turn import Turn

if TYPE_CHECKING:
    from victor_dsl.components.models.anthropic import Config


class Anthropic:
    """Asks a messages server."""

    def __init__(self, config: Config, context: Context) -> None:
        self._config = config
        self._node = context.node
        self._rates = config.rates()
        self._http = Http(
            config,
            node=context.node,
            now=context.clock.now,
            url=f"{config.base_url}/v1/messages",
            api_key=None if config.api_key is None else partial(context.secret, config.api_key),
            key_name=str(config.api_key),
            key_header=config.api_key_header,
            headers={"anthropic-version": config.version},
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
        answer = Answer()
        try:
            asked = body(turn, self._config)
            if not turn.streaming:
                answer.take_whole(await self._http.post(asked))
            else:
                async with aclosing(self._http.stream(asked, ends)) as events:
                    async for event in events:
                        if text := answer.take(event):
                            await turn.emit(Delta(text))
            return answer.reply(names=given(turn), rates=self._rates)
        except Unsupported as error:
            raise ModelError(str(error), kind="bad_request", node=self._node) from error
        except Malformed as error:
            raise self._http.failures.bad_response(str(error)) from error
