"""Token estimates by a stated rule, used until a model's reported usage teaches better.

A text costs ceil(characters / 4). `Message.tokens` and `Tool.tokens` follow from that. The rule is right for English and a
little low for other languages in Latin letters, but far too low for other scripts: budgets use `estimated_tokens`.

The weights of scripts were fitted to the tokenizers of OpenAI (o200k_base), Claude, Gemini, DeepSeek, Llama 3, Qwen 3 and
Mistral on prose and on texts of programs. Tokenizers differ by two to three times in most scripts. An estimate should
not be far below any of the first four, so it is above the tokenizer that knows a script best.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from victor_dsl.values.frozen import value

CHARACTERS_PER_TOKEN = 4
MESSAGE_OVERHEAD = 4

TOKENS_PER_EXTRA = 0.1
"""`Size.extra` is in tenths of a token."""

IMAGE_TOKENS = 1_600
"""One image. Providers count by its size, which is unknown behind a URL. Anthropic scales to at most about 1,600 tokens (width *
height / 750, https://docs.claude.com/en/docs/build-with-claude/vision); OpenAI's GPT-4o takes 765 for 1,024 * 1,024 pixels and at
most 1,445 (https://platform.openai.com/docs/guides/images-vision), Gemini 258 per tile."""
LOW_DETAIL_IMAGE_TOKENS = 85
"""One image with `detail: low`, of any size, for OpenAI's models."""
AUDIO_TOKENS = 1_000
"""One recording: about 100 seconds at OpenAI's 10 tokens a second, or half a minute at Gemini's 32."""
FILE_TOKENS = 3_000
"""One file, such as a PDF: a page of it has 1,500 to 3,000 tokens of text, beside its image."""

_PART_TOKENS = {
    **dict.fromkeys(("image_url", "image", "input_image"), IMAGE_TOKENS),
    **dict.fromkeys(("input_audio", "audio"), AUDIO_TOKENS),
    **dict.fromkeys(("file", "document", "input_file"), FILE_TOKENS),
}
_LATIN = re.compile("[\0-\u024f\u2000-\u206f\u20ac]+")
"""Latin letters and punctuation."""
_SCRIPTS = (
    ("\u0400-\u052f", 2),  # Cyrillic
    ("\u0250-\u03ff\u0530-\u07ff\u1f00-\u1fff\u2500-\u25ff", 5),  # Greek, Armenian, Hebrew, Arabic; lines and boxes
    ("\u0900-\u097f\u0e00-\u0eff", 6),  # Devanagari, Thai, Lao
    ("\u2e80-\u30ff\u3400-\u9fff\uff00-\uffef", 8),  # Chinese characters, kana, and the punctuation between them
    # symbols and emoji; Vietnamese letters with two marks, which split words whose other letters are Latin
    ("\u2070-\u20ab\u20ad-\u24ff\u2600-\u2bff\U00010000-\U0010ffff\u1e00-\u1eff", 20),
)
_OTHER_SCRIPTS = 9  # Hangul, most scripts of India, Georgian, Khmer and all others
_RUNS = re.compile("|".join(f"([{chars}]+)" for chars, _ in (*_SCRIPTS, ("^" + "".join(c for c, _ in _SCRIPTS), 0))))
_TENTHS = (*(tenths for _, tenths in _SCRIPTS), _OTHER_SCRIPTS)

TokenCounter = Callable[[str], int]
"""A model's own tokenizer: the tokens of a text."""


@value
class Size:
    """What the tokens of a text, a message or a request are estimated from; sizes add up.

    `stated` is the number of tokens by the stated rule. `counted` is the number by the model's tokenizer, or `stated`
    where there is none. `extra` is what scripts other than Latin cost beyond it (`extra_tenths`), and 0 where a tokenizer
    counted. `whole` is False if some content is not text, such as an image.
    """

    stated: int = 0
    counted: int = 0
    extra: int = 0
    whole: bool = True

    def __add__(self, other: Size) -> Size:
        return Size(
            self.stated + other.stated,
            self.counted + other.counted,
            self.extra + other.extra,
            self.whole and other.whole,
        )


def text_tokens(text: str) -> int:
    """ceil(characters / 4)."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def text_size(text: str, count: TokenCounter | None = None) -> Size:
    """A text's size; `count` is the model's tokenizer."""
    stated = text_tokens(text)
    return Size(stated, stated, extra_tenths(text)) if count is None else Size(stated, count(text))


def extra_tenths(text: str) -> int:
    """What the characters of a text that are not Latin cost beyond the stated rule, in tenths of a token."""
    if text.isascii():
        return 0
    runs = _RUNS.finditer(_LATIN.sub("", text))
    return sum((run.end() - run.start()) * _TENTHS[cast("int", run.lastindex) - 1] for run in runs)


def estimated_tokens(text: str) -> int:
    """What a text costs in any script: ceil(characters / 4) in Latin letters, more in others."""
    return text_tokens(text) + math.ceil(TOKENS_PER_EXTRA * extra_tenths(text))


def first_tokens(text: str, most: int) -> str:
    """The longest beginning of a text that has at most so many tokens (`estimated_tokens`)."""
    text = text[: most * CHARACTERS_PER_TOKEN]
    if estimated_tokens(text) <= most:
        return text
    fits, exceeds = 0, len(text)
    while exceeds - fits > 1:
        middle = (fits + exceeds) // 2
        if estimated_tokens(text[:middle]) <= most:
            fits = middle
        else:
            exceeds = middle
    return text[:fits]


def part_tokens(part: Mapping[str, Any]) -> int:
    """What a part of a message's content costs that is not text: a flat number for its type; 0 for text and unknown types."""
    type = part.get("type")
    tokens = _PART_TOKENS.get(type, 0) if isinstance(type, str) else 0
    if tokens == IMAGE_TOKENS:
        image = part.get("image_url")
        if (image if isinstance(image, Mapping) else part).get("detail") == "low":
            return LOW_DETAIL_IMAGE_TOKENS
    return tokens
