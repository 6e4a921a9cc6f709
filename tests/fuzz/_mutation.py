"""Changes JSON values and their text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

DEEP = [json.loads("[" * levels + "]" * levels) for levels in (90, 260)]
WRONG: tuple[Any, ...] = (
    *(None, True, False, 0, 5, -1, 2**63, 2**70, 10**400, 0.5, 1e308, float("nan"), float("inf"), *DEEP),
    *("", "x", "\ud800", "x\0", "é\U0001f600\u202e", "${env:HOME}", "{{ x }}", "x" * 5000, "a b"),
    *([], [5], [[]], [None], ["a"], {}, {"a": 1}, {"type": 5}, {"type": "text"}, {"": None}, {"a": {"b": [1.5]}}),
)
"""Values of every type, odd ones among them."""
PIECES = (
    *(b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"\\u", b"\\ud800", b"\n", b"\r", b"\0", b" ", b"\xff", b"\xc3"),
    *(
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\xe2\x80\xa8",
        b"null",
        b"NaN",
        b"1e999",
        b"9" * 30,
        b"- ",
        b"&a ",
        b"*a",
        b"#",
    ),
    b"[" * 2000,
)


def holders_of(value: Any) -> Iterator[Any]:
    """All maps and lists of a value."""
    if isinstance(value, dict | list):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from holders_of(inner)


def _copied(value: Any) -> Any:
    return json.loads(json.dumps(value))


def mutated(value: Any, random: Random, most: int = 3) -> Any:
    """The value with up to that many parts replaced, removed, renamed, moved or added."""
    value = _copied(value)
    for _ in range(random.randint(0, most)):
        holders = list(holders_of(value))
        holder, source = random.choice(holders), random.choice(holders)
        keys: Sequence[Any] = list(holder) if isinstance(holder, dict) else range(len(holder))
        if not keys:
            continue
        key, part = random.choice(keys), _copied(random.choice((*WRONG, source)))
        match random.randrange(5):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[str(key) + random.choice(("", "x", "_", " ", "\0"))] = holder.pop(key)
            case 2 if isinstance(holder, dict):
                holder[random.choice([name for one in holders if isinstance(one, dict) for name in one])] = part
            case 2:
                holder.insert(key, part)
            case _:
                holder[key] = part
    return value


def written(value: Any, random: Random) -> bytes:
    """The value as JSON; a lone surrogate as an escape or as bytes that are not UTF-8."""
    return json.dumps(value, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")


def damaged(data: bytes, random: Random) -> bytes:
    """Bytes of which up to three are removed, repeated, changed or put in, or the end is cut off."""
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(data) + 1)
        match random.randrange(5):
            case 0:
                data = data[:at] + data[at + random.randint(1, 20) :]
            case 1:
                data = data[:at] + data[max(0, at - random.randint(1, 40)) :]
            case 2:
                data = data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]
            case 3:
                data = data[:at] + random.choice(PIECES) + data[at:]
            case _ if random.random() < 0.3:
                data = data[:at]
    return data
