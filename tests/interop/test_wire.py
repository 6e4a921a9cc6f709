"""What real servers send, as rows: each row's bytes are played back to the adapter of their format."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.components.models.asking import MODULES
from tests.components.models.playback import whole
from tests.components.models.test_failures import failing
from tests.interop.refusals import REFUSALS, Refusal
from victor_dsl.errors import ModelError

TYPES = pytest.mark.parametrize("type", list(MODULES))


def _id(row: Any) -> str:
    return f"{row.kind}: {row.server}"


@TYPES
@pytest.mark.parametrize("row", REFUSALS, ids=_id)
async def test_a_refusal_has_its_kind_whatever_its_shape(type: str, row: Refusal) -> None:
    body = row.body if isinstance(row.body, bytes) else json.dumps(row.body).encode()
    error = await failing(type, whole(body, f"{row.status} Refused"))
    _check(error, row)
    assert error.status == row.status
    if row.body and not isinstance(row.body, bytes | list):
        _check(await failing(type, whole(json.dumps([row.body]).encode(), f"{row.status} Refused")), row)


def _check(error: ModelError, row: Refusal) -> None:
    assert (error.kind, error.counted, error.window) == (row.kind, row.counted, row.window), error.message
