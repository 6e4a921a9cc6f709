"""Embeds by any server that speaks OpenAI's `/embeddings`: OpenAI, vLLM, Ollama, llama.cpp, gateways."""

from __future__ import annotations

import base64
import binascii
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Self

import orjson
from pydantic import Field

from victor_dsl.components.embedding.config import CachedConfig
from victor_dsl.errors import ModelError
from victor_dsl.language.component import Context
from victor_dsl.language.http_config import OpenAIServerConfig
from victor_dsl.language.kinds import Embedder
from victor_dsl.lazy import Lazy
from victor_dsl.transport.json_values import Malformed, as_list

if TYPE_CHECKING:
    import asyncio

    import numpy as np

    from victor_dsl.components.embedding.vectors import Matrix
    from victor_dsl.transport import http
else:
    asyncio = Lazy("asyncio")
    np = Lazy("numpy")
    http = Lazy("victor_dsl.transport.http")

_RETRIED = frozenset({"rate_limited", "overloaded", "timeout", "unreachable"})
_FIRST_PAUSE_S = 0.5


class Config(OpenAIServerConfig, CachedConfig):
    """Embeds by a server that speaks OpenAI's embeddings API.

    Requests go to `base_url` followed by `/embeddings`. If the server replaces a model behind the same name, this is
    noticed only when the vectors have another length, so use a different name for each model.
    """

    RESERVED_FIELDS: ClassVar[frozenset[str]] = frozenset({"model", "input", "dimensions"})

    model: str = Field(
        min_length=1, description="The name of the model on the server.", examples=["text-embedding-3-small"]
    )
    dimensions: int | None = Field(
        None, ge=1, le=65_536, description="The length of a vector, for models that can shorten theirs."
    )
    batch_size: int = Field(64, ge=1, le=2048, description="The largest number of texts in one request.")
    concurrency: int = Field(
        4, ge=1, le=1000, description="The largest number of requests at the same time, for all turns together."
    )
    retries: int = Field(
        2,
        ge=0,
        le=20,
        description="How often a request is repeated after a rate limit (429), a failing server or no connection.",
    )
    timeout_seconds: float = Field(
        30.0, gt=0, description="The time limit for one attempt, and for the pause before the next one."
    )


EXAMPLE = '{type: openai, model: text-embedding-3-small, api_key: "${env:OPENAI_API_KEY}"}'


def build(config: Config, context: Context) -> AbstractAsyncContextManager[Embedder]:
    """The client. It owns its connections and its cache file while it is entered."""
    from victor_dsl.components.embedding.cache import cached

    return cached(EmbeddingsApi(config, context), config, context)


class EmbeddingsApi:
    """Requests vectors, several batches at the same time, and repeats a request that failed for a passing reason."""

    cancellable = True

    def __init__(self, config: Config, context: Context) -> None:
        self._config = config
        self._context = context
        self.batch_size = config.batch_size
        self._slots = asyncio.Semaphore(config.concurrency)
        url = f"{config.base_url}/embeddings"
        self._http = http.Http(config, url, node=context.node, now=context.clock.now, secret=context.secret)

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._http.__aexit__(None, None, None)

    async def identity(self) -> str:
        """Everything in a request except the texts."""
        config = self._config
        request = [config.base_url, config.model, config.dimensions, config.extra_body]
        return f"openai {orjson.dumps(request, option=orjson.OPT_SORT_KEYS).decode()}"

    async def rows(self, texts: list[str]) -> Matrix:
        """One row for each text. Raises ModelError."""
        wanted = self._config.dimensions
        body: dict[str, Any] = {"model": self._config.model, "input": texts}
        if wanted is not None:
            body["dimensions"] = wanted
        body |= self._config.extra_body
        async with self._slots:
            answer = await self._post(body)
        try:
            rows = read_vectors(answer, len(texts))
            if wanted not in (None, rows.shape[1]):
                raise Malformed(f"vectors of {rows.shape[1]} numbers instead of {wanted}")
        except Malformed as error:
            raise self._http.failures.bad_response(str(error)) from error
        return rows

    async def _post(self, body: dict[str, Any]) -> dict[str, Any]:
        for attempt in range(self._config.retries + 1):
            try:
                return await self._http.post(body)
            except ModelError as error:
                pause_s = self._pause_s(error, attempt)
                if pause_s is None:
                    raise
            await self._context.clock.sleep(pause_s)
        raise AssertionError("the last attempt returns or raises")

    def _pause_s(self, error: ModelError, attempt: int) -> float | None:
        """How long to wait before the next attempt, None if there is none."""
        if error.kind not in _RETRIED or attempt == self._config.retries:
            return None
        if error.retry_after_s is not None:
            return error.retry_after_s if error.retry_after_s <= self._config.timeout_seconds else None
        longest = min(_FIRST_PAUSE_S * 2.0**attempt, self._config.timeout_seconds)
        return longest * self._context.random.uniform(0.5, 1)  # so that many clients do not return at the same time


def read_vectors(answer: dict[str, Any], count: int) -> Matrix:
    """The vectors of an answer, in the order of the texts. Raises Malformed."""
    items = as_list(answer.get("data"), "`data`")
    if len(items) != count:
        raise Malformed(f"{len(items)} vectors for {count} texts")
    rows: list[Matrix | None] = [None] * count
    for position, item in enumerate(items):
        if not isinstance(item, dict):
            raise Malformed("an item of `data` is not an object")
        index = item.get("index", position)
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < count or rows[index] is not None:
            raise Malformed("the `index` of an item does not stand for one text")
        rows[index] = _vector(item.get("embedding"))
    lengths = {len(row) for row in rows if row is not None}
    if len(lengths) != 1 or lengths == {0}:
        raise Malformed("vectors of different lengths" if len(lengths) > 1 else "empty vectors")
    matrix = np.stack([row for row in rows if row is not None])
    if not np.isfinite(matrix).all():
        raise Malformed("a vector with a number that is not finite")
    return matrix


def _vector(value: Any) -> Matrix:
    """A list of numbers, or float32 in base64."""
    try:
        if isinstance(value, str):
            return np.frombuffer(base64.b64decode(value, validate=True), dtype="<f4").astype(np.float32)
        if isinstance(value, list):
            with np.errstate(over="ignore"):  # a number that is too large becomes infinite, and is refused as such
                row: Matrix = np.array(value, dtype=np.float64).astype(np.float32)
            if row.ndim == 1:
                return row
    except (binascii.Error, ValueError, TypeError, OverflowError) as error:
        raise Malformed("an `embedding` is not a list of numbers") from error
    raise Malformed("an `embedding` is not a list of numbers")
