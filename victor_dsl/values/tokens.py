"""Token estimates by a stated rule, used until a model's reported usage teaches better.

A text costs ceil(characters / 4). `Message.tokens` and `Tool.tokens` follow from that.
"""

from __future__ import annotations

from collections.abc import Callable

from victor_dsl.values.frozen import value

CHARACTERS_PER_TOKEN = 4
MESSAGE_OVERHEAD = 4

TokenCounter = Callable[[str], int]
"""A model's own tokenizer: the tokens of a text."""


@value
class Size:
    """What the tokens of a text, a message or a request are estimated from; sizes add up.

    `stated` is the number of tokens by the stated rule. `counted` is the number by the model's tokenizer, or `stated`
    where there is none. `extra` is the number of UTF-8 bytes beyond one per character (0 for ASCII, 2 for each Chinese
    character), and 0 where a tokenizer counted. `whole` is False if some content is not text, such as an image.
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
    return Size(stated, stated, extra_bytes(text)) if count is None else Size(stated, count(text))


def extra_bytes(text: str) -> int:
    """The bytes of a text in UTF-8 beyond one per character."""
    return 0 if text.isascii() else len(text.encode("utf-8", "surrogatepass")) - len(text)
