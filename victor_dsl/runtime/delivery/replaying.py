"""Replays dead letters: hands them to their exporters again, and forgets those that were taken."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from victor_dsl.language.kinds import Exporter
from victor_dsl.runtime.delivery.dead_letters import DeadLetters
from victor_dsl.runtime.delivery.storing import Refusal, store

BATCH = 500


@frozen
class Replayed:
    """What came of a replay. `refusals` are those that were refused again, each with its newer reason."""

    delivered: int
    refusals: tuple[Refusal, ...]


async def replay(
    letters: DeadLetters, exporter: Exporter, node: str, numbers: Sequence[int] | None, now: float
) -> Replayed:
    """Delivers an exporter's letters, all or those of the numbers. Raises StoreError where its place is away.

    An event that is there already counts once, so a replay that was cut off is begun again without harm.
    """
    delivered = 0
    refused: list[Refusal] = []
    after = 0
    while batch := await letters.read(exporter=node, numbers=numbers, after=after, most=BATCH):
        after = batch[-1].number
        again = await store(exporter, [letter.event for letter in batch])
        kept = {refusal.event.id for refusal in again}
        await letters.put(node, again, now)
        await letters.remove([letter.number for letter in batch if letter.event.id not in kept])
        delivered += len(batch) - len(again)
        refused += again
    return Replayed(delivered, tuple(refused))
