"""What every compaction keeps to: the rules said in another way than the code says them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from attrs import evolve, frozen

from tests.transcripts import callers
from victor_dsl.values.history import SUMMARY_HEADING, group
from victor_dsl.values.mending import NO_RESULT, mend
from victor_dsl.values.message import Message, messages_tokens
from victor_dsl.values.turn import Turn


@frozen
class Trial:
    """One conversation to compact, to what share of it, the model's window where it is known, and how it goes on."""

    messages: tuple[Message, ...]
    ratio: float
    window: int | None = None
    more: tuple[Message, ...] = ()


def faults_of(trial: Trial, after: Turn) -> Iterator[str]:
    """The names of what is broken."""
    messages, sent = trial.messages, after.messages
    places = tuple(range(len(sent))) if after.conversation is None else after.conversation.places
    kept = sorted(place for place in places if place is not None)
    others = [place for place in places if place is not None and messages[place].role != "tool"]  # late results move
    if (
        len(places) != len(sent)
        or kept != sorted(set(kept))
        or others != sorted(others)
        or not all(0 <= place < len(messages) for place in kept)
    ):
        yield "disordered"
        return
    made = [message for message, place in zip(sent, places, strict=True) if place is None]
    if any(
        not _same(message, messages[place]) for message, place in zip(sent, places, strict=True) if place is not None
    ):
        yield "changed"
    summaries = [message for message in made if message.role == "user" and SUMMARY_HEADING in message.text()]
    if len(summaries) > 1 or any(m not in summaries and m.content != NO_RESULT for m in made):
        yield "invented"
    known = callers(messages)
    if any((result in kept) != (call in kept) for result, call in known.items()) or refused(sent):
        yield "torn"
    if not must_be_kept(messages) <= set(kept):
        yield "lost"
    if after.compaction is None:
        if trial.window is not None and messages_tokens(sent) > trial.window // 2 and not _all_fixed(sent):
            yield "over budget"
        return
    sound = whole(messages)
    if messages_tokens(sent) > max(after.compaction.target, group(sound).fixed_tokens):
        yield "over budget"
    if messages_tokens(sent) != after.compaction.after:
        yield "miscounted"


def _same(message: Message, original: Message) -> bool:
    """Whether a message is the original, but for the ids of calls that share one."""
    return message is original or (
        message != original
        and message == evolve(original, tool_calls=message.tool_calls, tool_call_id=message.tool_call_id)
    )


def _all_fixed(messages: tuple[Message, ...]) -> bool:
    return all(group.fixed for group in group(messages).groups)


def must_be_kept(messages: Sequence[Message]) -> set[int]:
    """What stays whatever compacts. A rule said in another way: a pinned result without a call cannot be sent."""
    known = callers(messages)
    alone = {i for i, message in enumerate(messages) if message.role == "tool"} - known.keys()
    users = [index for index, message in enumerate(messages) if message.role == "user"]
    must = {index for index, message in enumerate(messages) if message.role == "system" or message.pinned}
    must.update(users[:1], users[-1:])
    last = max((index for index, message in enumerate(messages) if message.role == "assistant"), default=None)
    if last is not None and messages[last].tool_calls and all(m.role != "user" for m in messages[last:]):
        must |= {last, *(result for result, call in known.items() if call == last)}
    must |= {known[index] for index in must if index in known}
    return must - alone


def whole(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The messages as a provider takes them."""
    mended = mend(messages)
    return messages if mended is None else mended.messages


def refused(sent: Sequence[Message]) -> bool:
    """Whether a provider would refuse it: a result without a call, or a call without a result that is not open at the end."""
    known = callers(sent)
    if any(message.role == "tool" and index not in known for index, message in enumerate(sent)):
        return True
    last = max((index for index, message in enumerate(sent) if message.role != "tool"), default=-1)
    for index, message in enumerate(sent):
        results = Counter(sent[result].tool_call_id or "" for result, call in known.items() if call == index)
        if index != last and Counter(call.id for call in message.tool_calls) - results:
            return True
    return False
