"""Searches for texts whose stream, however it is cut, comes out other than the whole text.

    python -m tests.fuzz.redaction --count 1000000

Texts are made of personal data, keys, parts of them, what stands between groups of digits, and noise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from random import Random

from tests.components.middleware.secrets_made import MAKERS
from tests.fuzz._running import random_of, run
from victor_dsl.values.redaction.detectors import DETECTORS
from victor_dsl.values.redaction.redactor import RedactedStream, Redactor

CUSTOM = {"staff": r"\bEMP-\d{6}\b", "euro": r"\d{1,6}(?: ?€)"}
NOISE = (
    *(" ", "  ", "\n", "\r\n", "\t", ", ", ". ", "-", "--", "-----", "+", "(", ")", "/", "_", ":", "@", ".", "0", "00", "7"),
    *("\u200b", "\u00a0", "\u2011", "\uff0d", "\u202e", "\ufe0f", "\u0665", "\uff11", "\uff20", "\u00e9", "\u6f22", "\U0001d7d8"),
    *("a", "DE", "DE89", "at12 noon", "sk-", "eyJ", "EMP-", "EMP-123456", "123456", "4111 1111", "3704 0044", "order 4711", "2026-01-31 12:30"),
    *("-----BEGIN", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "\\n", "MIIEvQIBADANBgkqhkiG9w0B", "Proc-Type: 4,E"),
    *(",", "|", " | ", "   ", "%40", "&#64;", "&#x40;", "://", "://a:", ":b@c", "AccountKey=", f"AccountKey={'aB3/' * 21}+A==", "postgres://app:s3cret!@db", "hooks.slack.com/", ":AA", "(06) ", "&", ";", "="),
    *("WEST 1234", "5698", "[card]", "€", "42 €", "x\n"),
)  # fmt: skip


def text_of(random: Random) -> str:
    """A text of up to twelve pieces; of some secrets only a part, and some written with other signs."""
    pieces = []
    for _ in range(random.randint(1, 12)):
        if random.random() < 0.6:
            pieces.append(random.choice(NOISE))
            continue
        secret = random.choice(list(MAKERS.values()))(random)
        kind = random.random()
        if kind < 0.3:
            secret = secret[random.randint(0, len(secret)) :]
        elif kind < 0.5:
            secret = secret[: random.randint(0, len(secret))]
        elif kind < 0.7:
            place = random.randint(0, len(secret))
            secret = secret[:place] + random.choice(NOISE) + secret[place:]
        elif kind < 0.8:
            secret = secret.replace(" ", random.choice(NOISE))
        pieces.append(secret)
    return "".join(pieces)


def cut(random: Random, text: str) -> list[str]:
    """The text in pieces: characters, words, or of any size."""
    size = random.choice((1, 3, 8, 40))
    pieces = []
    while text:
        length = random.randint(1, size)
        pieces.append(text[:length])
        text = text[length:]
    return pieces


def search(numbers: Iterable[int], seed: int = 0) -> Counter[str]:
    """Tries a text for each number, and counts what was found in them. Raises AssertionError with the first that differs."""
    found = Counter[str]()
    redactor = Redactor(DETECTORS, CUSTOM)
    for number in numbers:
        random = random_of(number, seed)
        text = text_of(random)
        pieces = cut(random, text)
        whole, stream = redactor.text(text), RedactedStream(redactor)
        streamed = "".join([*map(stream.feed, pieces), stream.end()])
        assert streamed == whole, (pieces, streamed, whole)
        found.update(name for name in (*DETECTORS, *CUSTOM) if f"[{name}]" in whole)
    return found


if __name__ == "__main__":
    run(search, __doc__)
