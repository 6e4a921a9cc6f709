"""Searches for a key that `auth` admits and that is not in the file of keys, and for a file that fails in another way.

    python -m tests.fuzz.keys --count 100000

Files of keys are mutated as values and as bytes, and each meets its right key and others, in and out of headers.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from attrs import evolve

from tests.components.middleware.harness import KEY, Guard, a_turn, harness, hashed
from tests.fuzz._mutation import WRONG, damaged, mutated, written
from tests.fuzz._running import random_of, run
from victor_dsl.errors import Refused, Unauthenticated
from victor_dsl.values.request import API_KEY, HEADERS
from victor_dsl.values.turn import Turn

OTHER = "vk_of-globex-9876543210-9876"
WHOLE = {
    "keys": [
        {"key_hash": hashed(KEY), "tenant_id": "acme", "user_id": "ann", "active": True},
        {"key_hash": hashed(OTHER), "tenant_id": "globex", "expires_at": "2027-01-01T00:00:00Z"},
        {"key_hash": hashed("a"), "active": True},
        {"key_hash": hashed(""), "active": True},
    ]
}
"""The last two are of keys that are too short."""
WHOLE_TEXT = json.dumps(WHOLE).encode()
RIGHT = {KEY: ("acme", "ann"), OTHER: ("globex", None)}


def presented(random: Random) -> Any:
    """What a request comes with as its key: the right one in one of three."""
    key = random.choice(list(RIGHT))
    if random.random() < 0.3:
        return key
    odd = key[: random.randint(0, 30)] + random.choice(("", " ", "\n", "\0", "é", "\ud800", "x", "Bearer ", "\u200b"))
    values = (odd, odd + key, key + odd, key.upper(), hashed(key), hashed(key)[7:], "Bearer " + key, *WRONG, "x" * 4097)
    return random.choice(values)


def asking(key: Any, header: str, random: Random) -> Turn:
    """A turn with that key in one of its places, and a tenant and user that it may ask for."""
    turn = a_turn()
    metadata = random.choice(
        ({API_KEY: key}, {HEADERS: {header: key}}, {API_KEY: "x", HEADERS: {header: key, "x": "y"}})
    )
    tenant, user = random.choice((None, None, "acme", "globex", "")), random.choice((None, None, "ann", "bob"))
    request = evolve(turn.request, metadata=metadata, tenant=tenant, user=user)
    return turn.replace(request=request, metadata=metadata)


def search(numbers: Iterable[int], seed: int = 0) -> Counter[str]:
    """Asks with an odd key and a mutated file of keys for each number; how the turns ended."""
    with TemporaryDirectory() as folder:
        return asyncio.run(_search(Path(folder), numbers, seed))


async def _search(folder: Path, numbers: Iterable[int], seed: int) -> Counter[str]:
    endings, doors = Counter[str](), []
    async with AsyncExitStack() as stack:
        for name in ("keys.yml", "keys.json"):
            path = folder / name
            write(path, WHOLE_TEXT)
            for header_set in (None, "X-Key"):
                auth = harness("auth", folder, keys=str(path), header=header_set, cache_seconds=0, outage_seconds=0)
                doors.append((path, (header_set or "Authorization").lower(), await stack.enter_async_context(auth)))
        for number in numbers:
            random = random_of(number, seed)
            data = written(mutated(WHOLE, random), random) if random.random() < 0.7 else WHOLE_TEXT
            if random.random() < 0.3:
                data = damaged(data, random)
            path, header, guard = random.choice(doors)
            write(path, data)
            guard.clock.time += 1  # what was looked up before is too old to use
            guard.reached.clear()
            key = presented(random)
            try:
                endings[await _ending(guard, asking(key, header, random), key, data)] += 1
            except Exception as error:
                raise AssertionError(f"file {number} of seed {seed}, key {key!r}:\n{data!r}") from error
    return endings


def write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    path.chmod(0o600)


async def _ending(guard: Guard, turn: Turn, key: Any, data: bytes) -> str:
    refusal = None
    try:
        await guard(turn)
    except (Refused, Unauthenticated) as error:
        refusal = error.message
    if refusal is not None:
        assert not guard.reached
        assert not isinstance(key, str) or len(key) < 20 or key not in refusal, "the key is shown"
        return refusal
    (admitted,) = guard.reached
    right = key.removeprefix("Bearer ").strip()
    assert right in RIGHT, "a wrong key was admitted"
    assert hashed(right).encode() in data or b"\\" in data, "a key was admitted that is not in the file"
    assert turn.request.tenant in (None, admitted.tenant)
    assert KEY not in json.dumps(dict(admitted.metadata), default=str)
    return "admitted"


if __name__ == "__main__":
    run(search, __doc__)
