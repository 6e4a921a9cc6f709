"""The scorer of tool selection, on requests whose score is known."""

from __future__ import annotations

from pathlib import Path

from bench.recall import SPEC, scored

CORPUS = {
    "tools": [
        {"name": "get_weather", "description": "The weather of a city.", "parameters": {"city": {"type": "string"}}},
        {"name": "send_mail", "parameters": {"type": "object", "properties": {"to": {"type": "string"}}}},
        {"name": "add"},
    ],
    "queries": [
        {"query": "the weather in Oslo", "gold": ["get_weather"], "candidates": ["add", "get_weather"]},
        {"query": "send a mail about the weather", "gold": ["get_weather", "send_mail"]},
        {"query": "add up the mail", "gold": ["send_mail"], "candidates": ["send_mail"]},
    ],
}


def test_the_share_of_right_tools_is_told_among_all_and_among_a_request_s_own(tmp_path: Path) -> None:
    spec = tmp_path / "victor.yml"
    spec.write_text(SPEC.format(embedder="", selection="{k: 1}"), encoding="utf-8")
    assert scored(spec, "shop", CORPUS) == [
        ["shop, among 3", "3", "0.500", "0.333", "0.667"],
        ["shop, among their own", "1", "1.000", "1.000", "1.000"],
    ]
