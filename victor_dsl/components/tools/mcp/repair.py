"""Repairs what MCP servers answer, part by part: one tool or block that breaks the protocol does not cost the others."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import ObjectSendStream
from mcp.client import Transport
from mcp.shared.message import SessionMessage
from mcp_types import ContentBlock, JSONRPCResponse
from mcp_types.methods import validate_server_result
from pydantic import TypeAdapter, ValidationError

TOOLS_VERSION = "2025-11-25"
"""The version of the protocol by whose rules each tool is checked; later ones ask the same of a single tool."""

OnLeftOut = Callable[[str], None]
_block: TypeAdapter[ContentBlock] = TypeAdapter(ContentBlock)


@asynccontextmanager
async def repaired(transport: Transport, on_left_out: OnLeftOut) -> AsyncIterator[Any]:
    """The transport, with the answers repaired. `on_left_out` is called with a sentence for each tool that is left out."""
    async with transport as (received, sent):
        incoming, messages = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        async with incoming, messages, anyio.create_task_group() as group:
            group.start_soon(_pass_on, received, incoming, on_left_out)
            try:
                yield messages, sent
            finally:
                group.cancel_scope.cancel()


async def _pass_on(
    received: AsyncIterable[SessionMessage | Exception],
    incoming: ObjectSendStream[SessionMessage | Exception],
    on_left_out: OnLeftOut,
) -> None:
    async with incoming:
        async for message in received:
            if isinstance(message, SessionMessage) and isinstance(message.message, JSONRPCResponse):
                message.message.result = repair(message.message.result, on_left_out)
            await incoming.send(message)


def repair(result: dict[str, Any], on_left_out: OnLeftOut) -> dict[str, Any]:
    """A result with its readable tools or blocks. It is of a list of tools, or of a call, where it looks like one."""
    repaired = {"resultType": "complete", **result}
    if "tools" in result:
        tools = result["tools"] or []
        if isinstance(tools, list):
            repaired["tools"] = [_without_output(tool) for tool in tools if _is_tool(tool, on_left_out)]
        if not result.get("nextCursor"):  # some servers write an empty text at the end
            repaired.pop("nextCursor", None)
        return repaired
    if "structuredContent" not in result and "content" not in result:
        return repaired if "supportedVersions" in result else result
    content = result.get("content")
    if content is None:
        content = []
    repaired["content"] = [_readable(block) for block in (content if isinstance(content, list) else [content])]
    if "isError" in result:
        repaired["isError"] = result["isError"] in (True, "true", 1)
    if "resultType" not in result and not isinstance(result.get("structuredContent", {}), dict):
        # Only servers of 2026 and later, which write `resultType`, may send something else than an object.
        repaired["structuredContent"] = {"result": result["structuredContent"]}
    return repaired


def fault_of(error: ValidationError) -> str:
    """The first fault that was found, in one line."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(step) for step in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]


def _is_tool(tool: Any, on_left_out: OnLeftOut) -> bool:
    try:
        validate_server_result("tools/list", TOOLS_VERSION, {"tools": [tool]})
    except ValidationError as error:
        name = tool.get("name") if isinstance(tool, dict) else None
        which = f"the tool '{name}'" if isinstance(name, str) else "a tool without a name"
        on_left_out(f"{which} of the MCP server is left out: {fault_of(error).removeprefix('tools.0.')}")
        return False
    return True


def _without_output(tool: dict[str, Any]) -> dict[str, Any]:
    """The tool without its schema for results: where a result breaks it, the SDK would hide the whole result."""
    return {key: value for key, value in tool.items() if key != "outputSchema"}


def _readable(block: Any) -> Any:
    if isinstance(block, str):
        block = {"type": "text", "text": block}
    try:
        _block.validate_python(block, by_name=False)
    except ValidationError:
        type = block.get("type") if isinstance(block, dict) else None
        return {"type": "text", "text": f"[a part of type {type!r}, which cannot be read]"}
    return block
