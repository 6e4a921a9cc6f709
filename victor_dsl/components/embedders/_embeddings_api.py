"""A server that speaks OpenAI's embeddings API: asked in batches, a few at once, and again where that may help."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import orjson

from victor_dsl.components.embedders._vectors import Matrix
from victor_dsl.errors import ModelError
from victor_dsl.language.component import Context
from victor_dsl.transport.http import Http
from victor_dsl.transport.json_values import Malformed, as_list

if TYPE_CHECKING:
    from victor_dsl.components.embedders.openai import Config

_AGAIN = frozenset({"rate_limited", "overloaded", "timeout", "unreachable"})
_FIRST_WAIT_S = 0.5


class EmbeddingsApi:
    """The vectors that the server gives, in the order of the texts."""

    goes_on = False

    def __init__(self, config: Config, context: Context) -> None:
        self._config = config
        self._context = context
        self.batch_size = config.batch_size
        self._running = asyncio.Semaphore(config.concurrency)
        url = f"{config.base_url}/embeddings"
        self._http = Http(config, url, node=context.node, now=context.clock.now, secret=context.secret)

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._http.__aexit__(None, None, None)

    async def identity(self) -> str:
        """All that the request says but the texts."""
        config = self._config
        asked = [config.base_url, config.model, config.dimensions, config.extra_body]
        return f"openai {orjson.dumps(asked, option=orjson.OPT_SORT_KEYS).decode()}"

    async def rows(self, texts: list[str]) -> Matrix:
        """One row for each text. Raises ModelError."""
        body: dict[str, Any] = {"model": self._config.model, "input": texts}
        if self._config.dimensions is not None:
            body["dimensions"] = self._config.dimensions
        body |= self._config.extra_body
        async with self._running:
            answer = await self._ask(body)
        try:
            rows = read(answer, len(texts))
            if self._config.dimensions not in (None, rows.shape[1]):
                raise Malformed(f"vectors of {rows.shape[1]} numbers, where {self._config.dimensions} were asked for")
        except Malformed as error:
            raise self._http.failures.bad_response(str(error)) from error
        return rows

    async def _ask(self, body: dict[str, Any]) -> dict[str, Any]:
        for tried in range(self._config.retries + 1):
            try:
                return await self._http.post(body)
            except ModelError as error:
                wait = self._wait(error, tried)
                if wait is None:
                    raise
            await self._context.clock.sleep(wait)
        raise AssertionError("the last try returns or raises")

    def _wait(self, error: ModelError, tried: int) -> float | None:
        """How long to wait before the next try, None where there shall be none."""
        if error.kind not in _AGAIN or tried == self._config.retries:
            return None
        if error.retry_after_s is not None:
            return error.retry_after_s if error.retry_after_s <= self._config.timeout_seconds else None
        longest = min(_FIRST_WAIT_S * 2.0**tried, self._config.timeout_seconds)
        return longest * self._context.random.uniform(0.5, 1)  # so that many clients do not come back together


def read(answer: dict[str, Any], count: int) -> Matrix:
    """The answer's vectors in the order of the texts. Raises Malformed."""
    items = as_list(answer.get("data"), "`data`")
    if len(items) != count:
        raise Malformed(f"{len(items)} vectors for {count} texts")
    rows: list[Matrix | None] = [None] * count
    for place, item in enumerate(items):
        if not isinstance(item, dict):
            raise Malformed("an item of `data` is not an object")
        index = item.get("index", place)
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < count or rows[index] is not None:
            raise Malformed("the `index` of an item is not that of one text")
        rows[index] = _vector(item.get("embedding"))
    lengths = {len(row) for row in rows if row is not None}
    if len(lengths) != 1 or lengths == {0}:
        raise Malformed("vectors of different lengths" if len(lengths) > 1 else "vectors with nothing in them")
    matrix = np.stack([row for row in rows if row is not None])
    if not np.isfinite(matrix).all():
        raise Malformed("a vector that is not finite")
    return matrix


def _vector(value: Any) -> Matrix:
    """A list of numbers, or float32 in base64."""
    try:
        if isinstance(value, str):
            return np.frombuffer(base64.b64decode(value, validate=True), dtype="<f4").astype(np.float32)
        if isinstance(value, list):
            with np.errstate(over="ignore"):  # becomes infinite, and is refused for that
                row: Matrix = np.array(value, dtype=np.float64).astype(np.float32)
            if row.ndim == 1:
                return row
    except (binascii.Error, ValueError, TypeError, OverflowError) as error:
        raise Malformed("an `embedding` is not a list of numbers") from error
    raise Malformed("an `embedding` is not a list of numbers")
