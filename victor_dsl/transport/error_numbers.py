"""The numbers in servers' errors: the tokens of a request that is too long, and how long to wait."""

from __future__ import annotations

import re

from victor_dsl.transport.json_values import as_count

_MAX_DIGITS = 12

_TOKEN_COUNTS = (
    # OpenAI, Azure and OpenRouter, with the answer in the count
    r"context length is (?P<window>\d+) tokens.{0,50}? (?P<all>\d+) tokens \(.{0,80}?(?P<answer>\d+) (?:in|for) the (?:comp|outp)",
    # OpenAI and vLLM, without it
    r"context length is (?P<window>\d+) tokens.{0,50}?(?:has|in|least|requested) (?P<counted>\d+) (?:input )?tokens",
    r"passed (?P<counted>\d+) input tokens.{0,120}?context length is only (?P<window>\d+) tokens",
    # Anthropic
    r"prompt is too long: (?P<counted>\d+) tokens > (?P<window>\d+) maximum",
    r"exceed context limit: (?P<counted>\d+) \+ \d+ > (?P<window>\d+)",
    # Gemini and Vertex
    r"input token count exceeds the maximum number of tokens allowed \(?(?P<window>\d+)",
    r"input token count is (?P<counted>\d+) but model only supports up to (?P<window>\d+)",
    r"input token count \((?P<counted>\d+)\) exceeds the maximum number of tokens allowed \((?P<window>\d+)\)",
    # xAI
    r"maximum prompt length is (?P<window>\d+) but the request contains (?P<counted>\d+)",
    # Copilot; Poolside and GLM; Together and SGLang; vLLM; DS4
    r"token count of (?P<counted>\d+) exceeds the limit of (?P<window>\d+)",
    r"input length \(?(?P<counted>\d+)\)? exceeds (?:the )?(?:model's )?(?:maximum )?(?:allowed )?(?:input |context )?length (?:of |\()?(?P<window>\d+)",
    r"\(?(?P<counted>\d+) tokens\)? is longer than the (?:maximum )?model(?:'s)? (?:context )?length \(?(?:of )?(?P<window>\d+)",
    r"prompt has (?P<counted>\d+) tokens?, but the configured context size is (?P<window>\d+)",
    # Mistral
    r"prompt contains (?P<counted>\d+) tokens.{0,60}?too large for model with (?P<window>\d+) maximum context",
    # llama.cpp; Bedrock; SiliconFlow; DeepInfra; GitHub Models; Cloudflare, whose count has the answer in it
    r"\((?P<counted>\d+) tokens\) exceeds the available context size \((?P<window>\d+)",
    r"max input tokens: (?P<window>\d+), request input token count: (?P<counted>\d+)",
    r"prompt_tokens \((?P<counted>\d+)\) must be less than max_seq_len \((?P<window>\d+)",
    r"context length of (?P<window>\d+) tokens.{0,80}? (?P<counted>\d+) tokens from the input",
    r"body too large.{0,80}? max size: (?P<window>\d+) tokens",
    r"exceeded this model context window limit \((?P<window>\d+)",
    # Groq's and OpenAI's limit per minute, which no larger request can meet
    r"too large.{0,200}?limit:? (?P<window>\d+), requested:? (?P<counted>\d+)",
    # TGI, DashScope, Moonshot: they name only the window
    r"`?inputs`? tokens \+ `?max_new_tokens`? must be <= (?P<window>\d+)(?:\. given: (?P<counted>\d+))?",
    r"`?inputs`? must have less than (?P<window>\d+) tokens(?:\. given: (?P<counted>\d+))?",
    r"input length should be \[\d+, (?P<window>\d+)\]",
    r"exceeded model token limit:? (?P<window>\d+)(?: \(requested:? (?P<counted>\d+)\))?",
    r"maximum context length (?:is|of) (?P<window>\d+) tokens",
)
"""How servers write the tokens that they counted and accept. llama.cpp uses fields of its error instead."""

_WAIT = re.compile(
    r"(?:^|\b(?:try again|retry|retrying|wait)(?: in| after| for)? )"
    r"(?:(?P<hours>\d{1,9}) ?h(?:ours?)?)? ?(?:(?P<minutes>\d{1,9}) ?m(?:in(?:utes?)?)?)? ?"
    r"(?:(?P<ms>\d{1,9}(?:\.\d{1,9})?) ?m(?:illi)?s(?:econds?)?|(?P<seconds>\d{1,9}(?:\.\d{1,9})?) ?s(?:ec(?:onds?)?)?)?(?![\w.]*\w)",
    re.IGNORECASE,
)
"""`Please try again in 1m26.4s`, `retry after 20 seconds`, `wait 3000 seconds`, or the time alone."""


def find_counts(text: str) -> tuple[int | None, int | None]:
    """The tokens of a request that is too long, and the context window, if the text has them."""
    text = without_commas(text)
    found = next((found for pattern in _TOKEN_COUNTS if (found := re.search(pattern, text, re.IGNORECASE))), None)
    if found is None:
        return None, None
    numbers = {name: int(text) for name, text in found.groupdict().items() if text and len(text) <= _MAX_DIGITS}
    if {"all", "answer"} <= numbers.keys():
        return as_count(numbers["all"] - numbers["answer"]), numbers.get("window")
    return as_count(numbers.get("counted")), numbers.get("window")


def find_wait(text: str) -> float | None:
    """The seconds that the text asks to wait, if it does."""
    for found in _WAIT.finditer(text):
        times = {name: float(number) for name, number in found.groupdict().items() if number}
        if times:
            return sum(times.get(name, 0) * scale for name, scale in _SECONDS.items())
    return None


_SECONDS = {"hours": 3600, "minutes": 60, "seconds": 1, "ms": 0.001}


def without_commas(text: str) -> str:
    """The text with its numbers in plain digits."""
    return re.sub(r"(?<=\d)[,_](?=\d{3})", "", text)
