"""The query of a conversation."""

from __future__ import annotations

import pytest

from tests.components.context import TURN
from tests.transcripts import message
from victor_dsl.components.ranking import query
from victor_dsl.components.ranking.query import query_of, read
from victor_dsl.components.ranking.words import terms


def test_a_text_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    split: list[str] = []
    query._remembered_query.cache_clear()
    monkeypatch.setattr(query, "terms", lambda text: split.append(text) or terms(text))  # type: ignore[func-returns-value]
    history = (message("user", "is parcel 17 late, or not?"), message("assistant", "It is late by 3 days, in fact."))
    for question in ("why is that?", "since when is that?", "why is that?"):
        query_of(TURN.replace(messages=(*history, message("user", question))))
    assert len(split) == len(set(split)) > 0


def test_a_long_text_is_not_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    split: list[str] = []
    monkeypatch.setattr(query, "terms", lambda text: split.append(text) or terms(text))  # type: ignore[func-returns-value]
    text = "weather " * query.LONGEST_REMEMBERED
    read(text)
    read(text)
    assert len(split) == 2
