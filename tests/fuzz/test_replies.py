"""The short form of the search."""

from __future__ import annotations

from tests.fuzz.replies import search


def test_whatever_a_server_sends_is_a_reply_or_an_error_of_the_model() -> None:
    endings = search(range(500))
    for api in ("openai", "responses", "anthropic"):
        assert {f"{api}: stop", f"{api}: tool_calls", f"{api}: bad_response", f"{api}: rate_limited"} <= set(endings)
