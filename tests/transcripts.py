"""Hypothesis strategies for conversations: tidy ones, and any that a caller may send."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from victor_dsl.values.message import Message, Role, ToolCall

IDS = st.sampled_from(["a", "b", "c", ""])
LARGE = "a megabyte of text " * 55_189
TEXTS = st.one_of(
    st.sampled_from(["yes", "the same text again and again", "", "预订明天的航班", "🙂" * 9, "x" * 400]),
    st.sampled_from(
        [
            "ไม่มีช่องว่างระหว่างคำ",
            "def fix(x):\n    return {'id': x} # A-4711",
            "QUJD" * 90,
            "\x00\ud83d",
            "今日は予約を確認したい" * 20,
        ]
    ),
    st.text(st.characters(), max_size=60),
)
CONTENTS = st.one_of(
    st.none(),
    TEXTS,
    st.lists(
        st.one_of(
            TEXTS.map(lambda text: {"type": "text", "text": text}),
            st.just({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}),
            st.just({}),
        ),
        max_size=3,
    ).map(tuple),
)
CALLS = st.lists(st.builds(ToolCall, IDS, st.just("look_up"), st.just('{"order": 7}')), max_size=3).map(tuple)


def message(
    role: Role, content: str | None = None, *, calls: Sequence[str] = (), answers: str | None = None
) -> Message:
    """A message, with tool calls of these ids, or as the answer to one."""
    return Message(role, content, tuple(ToolCall(id, "look_up", "{}") for id in calls), answers)


ANY_MESSAGE = st.one_of(
    st.builds(
        Message, st.sampled_from(["user", "assistant"]), CONTENTS, pinned=st.integers(0, 9).map(lambda n: n == 0)
    ),
    st.builds(Message, st.just("assistant"), CONTENTS, CALLS),
    st.builds(Message, st.just("tool"), CONTENTS, tool_call_id=st.one_of(IDS, st.none())),
    st.builds(Message, st.just("system"), CONTENTS),
)
TRANSCRIPTS = st.one_of(st.lists(ANY_MESSAGE, max_size=8), st.lists(ANY_MESSAGE, min_size=10, max_size=40)).map(tuple)
"""Any messages in any order: repeated ids, results without calls, calls without results, system messages between."""


@st.composite
def agent_transcripts(draw: st.DrawFn) -> tuple[Message, ...]:
    """Conversations as agents have them: rounds of calls, with results in any order, some late, some never; one may be huge."""
    messages = [Message("user", draw(TEXTS))]
    late: list[Message] = []
    for turn in range(draw(st.integers(0, 8))):
        ids = [draw(st.sampled_from(["a", f"call-{turn}"])) for _ in range(draw(st.integers(0, 3)))]
        if ids:
            messages.append(message("assistant", draw(st.one_of(st.none(), TEXTS)), calls=ids))
            results = [Message("tool", draw(TEXTS), tool_call_id=id) for id in draw(st.permutations(ids))]
            answered = draw(st.integers(0, len(results)))
            messages += results[:answered]
            late += results[answered:]
        interrupted = draw(st.booleans())
        if late and interrupted:
            messages += [draw(ANY_MESSAGE), late.pop()]
        messages.append(Message("assistant", draw(TEXTS)))
        if draw(st.integers(0, 4)):
            messages.append(Message("user", draw(TEXTS), pinned=draw(st.integers(0, 9)) == 0))
    if draw(st.integers(0, 30)) == 0:
        messages.insert(draw(st.integers(0, len(messages))), Message("assistant", LARGE))
    if draw(st.booleans()):
        messages.append(message("assistant", calls=["last"]))
    return tuple(messages)


CONVERSATIONS = st.one_of(TRANSCRIPTS, agent_transcripts())


def callers(messages: Sequence[Message]) -> dict[int, int]:
    """For each result with an earlier call of its id: the index of the nearest such call. A rule said in another way."""
    found = {}
    for index, result in enumerate(messages):
        if result.role == "tool":
            for earlier in reversed(range(index)):
                if any(call.id == result.tool_call_id for call in messages[earlier].tool_calls):
                    found[index] = earlier
                    break
    return found
