"""The pool: ranks its members for a turn's session, and calls one after the other until one answers."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

from attrs import define

from victor_dsl.components.models.pool.member import Call, Member, Unavailable
from victor_dsl.errors import ModelError
from victor_dsl.values.message import Delta, Reply
from victor_dsl.values.rendezvous import score
from victor_dsl.values.turn import Emit, Turn

MAX_SESSIONS = 10_000
"""How many sessions' members `least_busy` remembers; beyond that, it forgets the session that was silent longest."""


class Pool:
    """Calls the first of the ranked members that is well and within its limits; after a failure, the next.

    `sessions` remembers the member of each session, for `least_busy`; it outlives the pool.
    """

    members: Sequence[str]

    def __init__(self, node: str, by: str, members: Sequence[Member], sessions: OrderedDict[bytes, str]) -> None:
        self.members = tuple(member.name for member in members)
        self._node = node
        self._by = by
        self._members = list(members)
        self._sessions = sessions

    async def answer(self, turn: Turn) -> Reply:
        """The reply of the first member that answers. Raises ModelError if none does, or the request is at fault."""
        key = _session(turn)
        stream = _Stream(turn.emit)
        watched = turn.replace(emit=stream.pass_on) if turn.streaming else turn
        failures: list[ModelError] = []
        unavailable: list[tuple[Member, Unavailable]] = []
        ranked = self._ranked(turn, key)
        for member in ranked:
            call = await member.reserve(turn)
            if isinstance(call, Unavailable):
                unavailable.append((member, call))
                continue
            if failures:
                turn.record("error", _data(failures[-1]))
            try:
                left = turn.fallback_left or member is not ranked[-1]
                reply = await self._call(member, call, watched.replace(fallback_left=left))
            except ModelError as error:
                error.node = error.node or member.node
                turn.trace.failed |= {member.node}
                if not _goes_on(error, turn) or stream.is_final(turn):
                    raise
                failures.append(error)
            else:
                self._remember(key, member)
                return reply
        raise self._failure(failures, unavailable)

    async def _call(self, member: Member, call: Call, turn: Turn) -> Reply:
        async with member.running(call, turn):
            reply = await turn.call_member(member.name, member.live.answer, turn)
            call.usage = reply.usage
            return reply

    def _ranked(self, turn: Turn, key: bytes) -> list[Member]:
        """The members in the order in which they are tried; last those that failed in this turn."""
        members = self._members
        if self._by != "order":
            unit = key.hex()
            members = sorted(members, key=lambda member: -score(member.weight, f"{self._node}\0{member.name}\0{unit}"))
        if self._by == "least_busy":
            own = self._sessions.get(key)
            members = sorted(members, key=lambda member: (member.name != own, member.busy))
        if turn.trace.failed:
            members = sorted(members, key=lambda member: member.node in turn.trace.failed)
        return members

    def _remember(self, key: bytes, member: Member) -> None:
        if self._by == "least_busy":
            self._sessions[key] = member.name
            self._sessions.move_to_end(key)
            if len(self._sessions) > MAX_SESSIONS:
                self._sessions.popitem(last=False)

    def _failure(self, failures: Sequence[ModelError], unavailable: Sequence[tuple[Member, Unavailable]]) -> ModelError:
        """The one error, where every member failed or could not be called: transient if one of them may answer later."""
        if len(failures) == 1 and not unavailable:
            return failures[0]
        limit = None
        reasons = [str(failure) for failure in failures]
        reasons += [f"{member.node}: {found.reason}" for member, found in unavailable]
        waits = [found.wait_s for _, found in unavailable if found.wait_s is not None]
        if failures:
            chosen = next((failure for failure in failures if failure.transient), failures[0])
            kind, status, wait_s = chosen.kind, chosen.status, chosen.retry_after_s
            limit = chosen.limit
        else:
            at_limit = any(found.is_limit for _, found in unavailable)
            kind, status, wait_s = "rate_limited" if at_limit else "circuit_open", None, min(waits, default=None)
        error = ModelError(
            f"no member answered: {'; '.join(reasons)}",
            kind=kind,
            node=self._node,
            status=status,
            retry_after_s=wait_s,
            limit=limit,
        )
        error.__cause__ = failures[0] if failures else None
        return error


@define
class _Stream:
    """Passes pieces on, and records that text was streamed."""

    emit: Emit
    began: bool = False

    async def pass_on(self, delta: Delta) -> None:
        self.began = self.began or bool(delta.text)
        await self.emit(delta)

    def is_final(self, turn: Turn) -> bool:
        """Whether text went out that another member's answer could not replace or continue."""
        return not turn.may_try_again or (self.began and not turn.trace.streamed.reached)


def _goes_on(error: ModelError, turn: Turn) -> bool:
    return error.kind in ModelError.STAND_IN or error.kind in (turn.settings.fallbacks_on or ())


def _session(turn: Turn) -> bytes:
    """Stands for the turn's session; for a whole conversation without one, its first message stands for it."""
    if turn.request.session is None and turn.request.messages is not None and len(turn.messages) > 1:
        conversation = turn.messages if turn.conversation is None else turn.conversation.messages
        subject = f"\0{conversation[0].role}\0{conversation[0].counted_text()}"
    else:
        subject = turn.session
    owner = turn.tenant if turn.session_user is None else turn.session_key[:2]
    return hashlib.blake2b(f"{owner!r}\0{subject}".encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _data(error: ModelError) -> dict[str, object]:
    """The data of an `error` event about a member's failure, after which another one is called."""
    return {"code": error.to_dict()["code"], "node": error.node, "status": error.status}
