"""What a source of tools returns, and what of it reaches the model."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from attrs import frozen

from tests.components.context import TURN
from tests.components.tools.calling import answer_message
from tests.runtime.stage import Says, Spy, Stage, Toolbox, call
from victor_dsl.language.config import ToolConfig
from victor_dsl.values.images import MOST_IMAGE_BYTES, image_part, image_type, text_part
from victor_dsl.values.message import Part, ToolCall
from victor_dsl.values.tool import Tool, api_tool_name
from victor_dsl.values.turn import Turn

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


@frozen
class Returns:
    """A source whose only tool returns one value."""

    value: Any

    async def tools(self) -> Sequence[Tool]:
        return (Tool("shoot", source="tools/shoot"),)

    async def call(self, call: ToolCall, turn: Turn) -> Any:
        return self.value


def image(content: bytes = PNG) -> Part:
    part = image_part(content)
    assert part is not None
    return part


def address(url: str) -> Part:
    return {"type": "image_url", "image_url": {"url": url}}


TEXT, LONG = text_part("a cat"), text_part("x" * 1000)
RESULTS: list[tuple[str, Any, int, Any]] = [
    ("text", "a cat", 100, "a cat"),
    ("texts alone become one text", (TEXT, text_part("a dog")), 100, "a cat\na dog"),
    ("no parts", (), 100, ""),
    ("half a surrogate pair in a part", (text_part("cut \ud83d"),), 100, "cut \ufffd"),
    ("an image beside a text", (TEXT, image()), 8000, (TEXT, image())),
    ("a long text before an image", (LONG, TEXT), 100, f"{'x' * 400}\n[cut: only the first 100 tokens are shown]"),
    ("a long text after an image", (image(), text_part("x" * 40_000)), 8000, None),
    ("too many images", (image(),) * 30, 80_000, (*(image(),) * 8, text_part("[images that are left out: 22; only the first 8 are shown]"))),
    ("an image that is too large", (address("data:image/png;base64," + "A" * (MOST_IMAGE_BYTES * 2)), TEXT), 8000, "a cat\n[images that are left out: 1; more than 5,000,000 bytes]"),
    ("an image behind an address", (address("https://example.com/cat.png"),), 100, "Error: the tool 'shoot' returned tuple instead of text or parts"),
    ("a part of no type", ({"text": "a cat"},), 100, "Error: the tool 'shoot' returned tuple instead of text or parts"),
    ("a list", [TEXT], 100, "Error: the tool 'shoot' returned list instead of text or parts"),
    ("nothing", None, 100, "Error: the tool 'shoot' returned NoneType instead of text or parts"),
    ("bytes", PNG, 100, "Error: the tool 'shoot' returned bytes instead of text or parts"),
]  # fmt: skip
"""What a tool returns, its `max_result_tokens`, and what the model receives."""


@pytest.mark.parametrize(("value", "most", "expected"), [row[1:] for row in RESULTS], ids=[row[0] for row in RESULTS])
async def test_a_result_reaches_the_model_within_its_limits(value: Any, most: int, expected: Any) -> None:
    message = await answer_message(Returns(value), ToolConfig(name="shoot", max_result_tokens=most), "{}", turn=TURN)
    if expected is None:
        assert isinstance(message.content, tuple)
        assert message.content[0] == image()
        assert message.tokens <= most + 20
    else:
        assert message.content == expected


@pytest.mark.parametrize(
    ("content", "type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0 JFIF", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"<svg/>", None),
        (b"", None),
        (b"\x89PNG", None),
    ],
)
def test_an_image_is_recognised_by_its_first_bytes(content: bytes, type: str | None) -> None:
    assert image_type(content) == type
    expected = None if type is None else address(f"data:{type};base64,{base64.b64encode(content).decode()}")
    assert image_part(content) == expected


def test_an_image_that_is_too_large_is_no_part() -> None:
    assert image_part(PNG + bytes(MOST_IMAGE_BYTES)) is None


async def photo(vars: Mapping[str, Any]) -> Any:
    return (text_part("Ada's cat, ada@example.com"), image())


SPEC = """
models: {main: {type: given}}
tools: [{type: given}]
embedders: {words: {type: hashing}}
middleware: [logging, redact]
exporters: [given]
sessions: {type: sqlite, path: sessions.db}
settings: {threshold: 0}
"""


@pytest.mark.parametrize(
    "compaction",
    [
        "recent",
        "truncate",
        "salience",
        "keywords",
        "{type: semantic, embedder: words}",
        "{type: summarize, model: main}",
    ],
)
async def test_an_image_stays_in_the_session_and_no_event_has_it(stage: Stage, compaction: str) -> None:
    model, spy = Says([[call("photo")], "It is grey."] + ["Still grey."] * 40), Spy()
    stage.objects |= {"models/main": model, "tools/given": Toolbox({"photo": photo}), "exporters/given": spy}
    text = ""
    async with stage.orchestrator(f"{SPEC}compaction: {compaction}") as orchestrator:
        for message in ("show", "and now?", "and then? " + "more " * 50):
            text = (await orchestrator.chat(message, session_id="s")).message.text()
    assert text == "Still grey."
    assert model.turns[1].messages[-1].content == (text_part("Ada's cat, [email]"), image())
    assert len(spy.of("tool_call")) == 1
    assert "base64" not in str(spy.events)
    store = stage.folder / "sessions.db"
    assert image()["image_url"]["url"].encode() in b"".join(
        path.read_bytes() for path in store.parent.glob("sessions.db*")
    )


async def test_an_unknown_tool_is_answered_with_the_names_that_the_model_was_sent(stage: Stage) -> None:
    long = "shop__" + "look_up_" * 10
    model = Says([[call("shop__look_up")], "sorry"])
    stage.objects |= {
        "models/main": model,
        "tools/given": Toolbox({long: photo, "b.c": photo}),
        "exporters/given": Spy(),
    }
    async with stage.orchestrator(
        "models: {main: {type: given}}\ntools: [{type: given}]\nexporters: [given]"
    ) as orchestrator:
        await orchestrator.chat("go")
    expected = f"there are: {', '.join(sorted(map(api_tool_name, (long, 'b.c'))))}"
    assert model.turns[1].messages[-1].text() == f"Error: there is no tool 'shop__look_up'; {expected}"
