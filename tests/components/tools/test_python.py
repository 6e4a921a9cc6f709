"""Python functions as tools."""

import asyncio
import json
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.components.context import TURN, surroundings
from tests.components.tools.calling import answer, answer_message
from victor_dsl.components.tools.python import Config, build
from victor_dsl.errors import ComponentError, ToolError
from victor_dsl.language.kinds import ToolSource
from victor_dsl.language.off_loop import THREAD_NAME
from victor_dsl.values.images import image_part, text_part
from victor_dsl.values.message import ToolCall

MODULE = '''
from __future__ import annotations
import asyncio, dataclasses, enum, sys, threading, time
from typing import TYPE_CHECKING, Annotated, Literal, Optional
from pydantic import BaseModel, Field
from typing_extensions import TypedDict
if TYPE_CHECKING:
    from victor_dsl.values.turn import Turn

print("imported")
PNG = b"\\x89PNG\\r\\n\\x1a\\n" + bytes(9)
gate = threading.Event()
begun = threading.Event()

class Item(TypedDict):
    name: str
    title: str

@dataclasses.dataclass
class Address:
    street: str
    number: int = 1

class Order(BaseModel):
    id: int
    items: list[Item] = []

class Colour(enum.Enum):
    RED = "red"

def lookup(order: int, detail: Literal["short", "long"] = "short", note: Optional[str] = None) -> dict:
    """Looks an order up
    by its number.

    It never fails.

    Args:
        order (int): The order's number:
            as printed on the bill.
        detail: How much to say.

    Returns:
        note: nothing.
    """
    return {"order": order, "detail": detail, "note": note}

def rich(items: list[Item], address: Address, order: Order, colour: Colour, sizes: dict[str, float],
         n: Annotated[int, Field(ge=1, description="A number.")] = 1, any=None):
    return [items, address, order, colour, sizes, n, any]

async def later(text: str, turn: Turn) -> str:
    await asyncio.sleep(0)
    return f"{text} for {turn.session} in {threading.current_thread().name}"

def where(a, /, b=2, c=3, *, d=4): return [a, b, c, d, threading.current_thread().name]
def nothing(): pass
def picture(): return b"\\x89PNG\\r\\n"
class Figure:
    def _repr_png_(self): return PNG
class Blank:
    def _repr_png_(self): return None
    def __str__(self): return "blank"
def photo(): return PNG
def figure(): return Figure()
def mixed(): return ["before", PNG, {"a": 1}, Figure()]
async def photos(): return PNG, bytearray(PNG)
def nested(): return {"photo": PNG}
def blank(): return Blank()
def classes(): return [Figure, 1]
def enormous(): return PNG + bytes(6_000_000)
def utf8(): return "caf\\u00e9".encode()
def of_bytes(): return [b"a\\0", bytearray(b"ok")]
def raises(): raise ValueError("no such order")
def raises_much(): raise ValueError("x" * 5000)
async def cancels(): raise asyncio.CancelledError
def exits(): sys.exit(3)
def stops(): raise StopIteration
def hangs(): begun.set(); gate.wait()
async def hangs_async(): await asyncio.Event().wait()
async def hangs_in_group():
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError as error:
        raise BaseExceptionGroup("group", [error])
def times_out(): raise TimeoutError("upstream")
def prints(text: str):
    print(text)
    sys.stdout.write("more\\n")
    return "printed"
async def prints_async(): print("async line")
def long(n: int): return "x" * n
def surrogate(): return "a\\ud800"
def odd(): return {1: {3, 1}, "big": 2**70, "at": Address("a")}
def circular():
    a = []; a.append(a); return a
def coroutine_maker(): return later("made", type("T", (), {"session": "s"}))
def json_(schema: str, copy: int, model_config: str, _under: int = 0): return [schema, copy, model_config, _under]
def stars(*args): pass
def kwargs(a, **kw): pass
def generator(): yield 1
async def agenerator(): yield 1
def opaque(a: threading.Event): pass
def unresolved(a: Nowhere): pass
constant = 7
class Caller:
    def __call__(self, a: int) -> int: return a + 1
caller = Caller()
'''

pytestmark = pytest.mark.usefixtures("modules")


@pytest.fixture
def modules(tmp_path: Path) -> Any:
    """A module for the tool, and an interpreter that has not seen it before or after."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").write_text("")
    (tmp_path / "shop" / "tools.py").write_text(MODULE)
    path = list(sys.path)
    yield
    assert sys.path == path
    for name in [name for name in sys.modules if name.split(".")[0] in {"shop", "other"}]:
        del sys.modules[name]


@asynccontextmanager
async def tool(tmp_path: Path, function: str, **config: Any) -> AsyncIterator[ToolSource]:
    made = Config.model_validate({"function": function if ":" in function else f"shop.tools:{function}", **config})
    async with build(made, surroundings(tmp_path, "tools/python").context) as source:
        yield source


async def call(tmp_path: Path, function: str, arguments: str = "", **config: Any) -> str:
    """What the model receives."""
    async with tool(tmp_path, function, **config) as source:
        return await answer(source, Config(function="unused:unused", **config), arguments)


def let_hanging_end() -> None:
    sys.modules["shop.tools"].gate.set()
    for thread in threading.enumerate():
        if thread.name == THREAD_NAME:
            thread.join()


async def test_the_signature_is_the_schema(tmp_path: Path) -> None:
    async with tool(tmp_path, "lookup", name="find", cost="low", cost_usd=0.1, domain="orders") as source:
        (definition,) = await source.tools()
        assert await source.tools() is await source.tools()
    assert (definition.name, definition.cost, definition.cost_usd, definition.domain, definition.source) == (
        "find", "low", 0.1, "orders", "tools/python",
    )  # fmt: skip
    assert definition.description == "Looks an order up by its number."
    assert definition.parameters == {
        "type": "object",
        "additionalProperties": False,
        "required": ["order"],
        "properties": {
            "order": {"type": "integer", "description": "The order's number: as printed on the bill."},
            "detail": {
                "type": "string",
                "enum": ["short", "long"],
                "default": "short",
                "description": "How much to say.",
            },
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        },
    }


async def test_rich_types_are_read_and_written(tmp_path: Path) -> None:
    async with tool(tmp_path, "rich") as source:
        (definition,) = await source.tools()
    assert set(definition.parameters["properties"]) == {"items", "address", "order", "colour", "sizes", "n", "any"}
    assert definition.parameters["properties"]["n"]["description"] == "A number."
    assert set(definition.parameters["$defs"]["Item"]["properties"]) == {"name", "title"}
    assert "title" not in definition.parameters["$defs"]["Item"]
    items = [{"name": "a", "title": "b"}]
    order = {"id": 7, "items": items}
    arguments = {"items": items, "address": {"street": "s"}, "order": order, "colour": "red", "sizes": {"a": 1}}
    assert json.loads(await call(tmp_path, "rich", json.dumps(arguments))) == [
        items, {"street": "s", "number": 1}, order, "red", {"a": 1.0}, 1, None,
    ]  # fmt: skip


async def test_a_parameter_turn_receives_the_turn_and_is_not_in_the_schema(tmp_path: Path) -> None:
    async with tool(tmp_path, "later") as source:
        (definition,) = await source.tools()
    assert list(definition.parameters["properties"]) == ["text"]
    assert await call(tmp_path, "later", '{"text": "hi"}') == f"hi for s1 in {threading.current_thread().name}"


async def test_a_plain_function_runs_in_a_thread_with_arguments_of_every_kind(tmp_path: Path) -> None:
    assert json.loads(await call(tmp_path, "where", '{"a": 1, "c": 9, "d": 8}')) == [1, 2, 9, 8, THREAD_NAME]


async def test_names_that_pydantic_uses_itself_are_allowed_as_arguments(tmp_path: Path) -> None:
    arguments = '{"schema": "a", "copy": 1, "model_config": "b", "_under": 2}'
    assert await call(tmp_path, "json_", arguments) == '["a",1,"b",2]'


@pytest.mark.parametrize(
    ("function", "result"),
    [
        ("nothing", "null"),
        ("surrogate", "a\ufffd"),
        ("picture", "[6 bytes; they cannot be shown as text]"),
        ("utf8", "caf\u00e9"),
        ("nested", '{"photo":"[17 bytes; they cannot be shown as text]"}'),
        ("blank", '"blank"'),
        ("classes", "[\"<class 'shop.tools.Figure'>\",1]"),
        ("enormous", "[6,000,017 bytes; an image of more than 5,000,000 bytes cannot be shown]"),
        ("of_bytes", '["[2 bytes; they cannot be shown as text]","ok"]'),
        ("coroutine_maker", "made for s in MainThread"),
    ],
)
async def test_a_result_becomes_text(tmp_path: Path, function: str, result: str) -> None:
    assert await call(tmp_path, function) == result


PNG = image_part(b"\x89PNG\r\n\x1a\n" + bytes(9))


@pytest.mark.parametrize(
    ("function", "parts"),
    [
        ("photo", (PNG,)),
        ("figure", (PNG,)),
        ("photos", (PNG, PNG)),
        ("mixed", (text_part("before"), PNG, text_part('{"a":1}'), PNG)),
    ],
)
async def test_an_image_is_shown_to_the_model(tmp_path: Path, function: str, parts: tuple[Any, ...]) -> None:
    async with tool(tmp_path, function) as source:
        message = await answer_message(source, Config(function=f"tools:{function}", name=function), "{}")
    assert message.content == parts


async def test_results_that_are_not_json_become_text_or_an_error(tmp_path: Path) -> None:
    assert json.loads(await call(tmp_path, "odd")) == {"1": [1, 3], "big": 2**70, "at": "Address(street='a', number=1)"}
    assert (await call(tmp_path, "circular")).startswith("Error: the function's result cannot be written as JSON: ")


async def test_a_callable_object_is_a_tool(tmp_path: Path) -> None:
    assert await call(tmp_path, "caller", '{"a": 1}') == "2"


async def test_a_long_result_is_cut_and_says_so(tmp_path: Path) -> None:
    assert await call(tmp_path, "long", '{"n": 400}', max_result_tokens=100) == "x" * 400
    text = await call(tmp_path, "long", '{"n": 401}', max_result_tokens=100)
    assert text == "x" * 400 + "\n[cut: only the first 100 tokens are shown]"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("{", "the arguments of 'python' are not JSON: unexpected end of data"),
        ("[1]", "the arguments of 'python' are not a JSON object"),
        ("7", "the arguments of 'python' are not a JSON object"),
        ("", "the argument 'order' is missing"),
        ('{"order": "many"}', "the argument 'order' is wrong: input should be a valid integer"),
        ('{"order": 1, "detail": "x"}', "the argument 'detail' is wrong: input should be 'short' or 'long'"),
        ('{"order": 1, "detial": "x"}', "unknown argument 'detial'; did you mean 'detail'?"),
        ('{"ordr": 1}', "the argument 'order' is missing; unknown argument 'ordr'"),
    ],
)
async def test_wrong_arguments_are_explained_to_the_model(tmp_path: Path, arguments: str, expected: str) -> None:
    assert (await call(tmp_path, "lookup", arguments)).startswith(f"Error: {expected}")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [("{", "the arguments are not JSON: EOF"), ("[1]", "the arguments must be a JSON object")],
)
async def test_arguments_that_middleware_broke_are_explained_too(tmp_path: Path, arguments: str, expected: str) -> None:
    async with tool(tmp_path, "lookup") as source:
        with pytest.raises(ToolError, match=expected):
            await source.call(ToolCall("c1", "python", arguments), TURN)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("raises", "failed: ValueError: no such order"),
        ("raises_much", "failed: ValueError: " + "x" * 1955 + "\n[cut: only the first 500 tokens are shown]"),
        ("exits", "failed: SystemExit: 3"),
        ("stops", "failed: RuntimeError: StopIteration"),
        ("times_out", "failed: TimeoutError: upstream"),
        ("cancels", "failed: CancelledError"),
        ("hangs", "exceeded its time limit of 0.05 s"),
        ("hangs_async", "exceeded its time limit of 0.05 s"),
        ("hangs_in_group", "exceeded its time limit of 0.05 s"),
    ],
)
async def test_a_tool_that_fails_or_hangs_is_an_error_for_the_model(
    tmp_path: Path, function: str, expected: str
) -> None:
    text = await call(tmp_path, function, timeout_seconds=0.05 if "hangs" in function else 5)
    assert text == f"Error: the tool 'python' {expected}"
    let_hanging_end()


async def test_a_cancelled_call_is_cancelled_at_once(tmp_path: Path) -> None:
    async with tool(tmp_path, "hangs") as source:
        task = asyncio.create_task(source.call(ToolCall("c", "python", ""), TURN))
        await asyncio.to_thread(sys.modules["shop.tools"].begun.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        let_hanging_end()


async def test_many_calls_at_once_all_end(tmp_path: Path) -> None:
    async with tool(tmp_path, "lookup") as source:
        calls = [source.call(ToolCall("c", "python", f'{{"order": {n}}}'), TURN) for n in range(100)]
        assert [json.loads(str(text))["order"] for text in await asyncio.gather(*calls)] == list(range(100))


async def test_what_a_tool_prints_goes_to_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout
    async with tool(tmp_path, "prints") as source, tool(tmp_path, "prints_async") as other:
        calls = [
            source.call(ToolCall("c", "python", '{"text": "hello"}'), TURN),
            other.call(ToolCall("c", "p", ""), TURN),
        ]
        sys.stdout.write('{"a line": "of the machine"}')
        result, _ = await asyncio.gather(*calls)
        sys.stdout.write("after")
    assert sys.stdout is before
    out, err = capsys.readouterr()
    assert result == "printed"
    assert out == '{"a line": "of the machine"}after'
    assert sorted(err.split("\n")) == ["", "async line", "hello", "imported", "more"]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("nowhere:f", "the function 'nowhere:f': there is no module 'nowhere'"),
        ("shop.nowhere:f", "there is no module 'shop.nowhere'"),
        ("shop.tools:lokup", "the module 'shop.tools' has no 'lokup' (did you mean 'lookup'?"),
        ("stars", "it takes *args, which a schema cannot express"),
        ("kwargs", "it takes **kw, which a schema cannot express"),
        ("generator", "it is a generator; a tool must return its result"),
        ("agenerator", "it is a generator; a tool must return its result"),
        ("opaque", "its signature cannot be expressed as JSON Schema: "),
        ("unresolved", "its type annotations cannot be read: name 'Nowhere' is not defined"),
        ("constant", "it is not a function but int"),
        ("shop.broken:f", "importing 'shop.broken' failed: ZeroDivisionError: division by zero"),
        ("shop.exits:f", "importing 'shop.exits' failed: SystemExit: 3"),
        ("shop.needs:f", "importing 'shop.needs' failed: No module named 'not_installed'"),
        ("shop.syntax:f", "importing 'shop.syntax' failed: SyntaxError: "),
    ],
)
async def test_a_function_that_cannot_be_a_tool_is_refused_when_it_is_opened(
    tmp_path: Path, function: str, expected: str
) -> None:
    (tmp_path / "shop" / "broken.py").write_text("1 / 0")
    (tmp_path / "shop" / "exits.py").write_text("raise SystemExit(3)")
    (tmp_path / "shop" / "needs.py").write_text("import not_installed")
    (tmp_path / "shop" / "syntax.py").write_text("def (")
    stdout = sys.stdout
    with pytest.raises(ComponentError) as caught:
        await call(tmp_path, function)
    assert str(caught.value).startswith("tools/python: the function '")
    assert expected in str(caught.value)
    assert sys.stdout is stdout


async def test_two_specs_may_each_have_a_module_of_one_name(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "other").mkdir(parents=True)
        (tmp_path / name / "other" / "part.py").write_text(f"name = '{name}'")
        (tmp_path / name / "other" / "tools.py").write_text("from other.part import name\ndef f() -> str: return name")
    for _ in range(2):
        assert [await call(tmp_path / name, "other.tools:f") for name in ("one", "two", "one")] == ["one", "two", "one"]


async def test_a_module_on_pythons_path_is_found_after_the_specs_folder(tmp_path: Path) -> None:
    assert await call(tmp_path, "textwrap:dedent", '{"text": "  a"}') == "a"


@pytest.mark.parametrize("function", ["f", "a:", ":f", "a.b", "a/b:f", "a:b.c", "a b:c"])
def test_a_malformed_function_name_is_a_fault_of_the_spec(function: str) -> None:
    with pytest.raises(ValueError, match="function"):
        Config(function=function)
