"""A request as a spec writes it, with a model's arguments put in: they can change neither host nor path, only fill gaps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

import orjson
from attrs import frozen

from victor_dsl.components.tools._http_gaps import BODILESS, GAP, gaps, gaps_of_body
from victor_dsl.errors import ToolError


@frozen
class Request:
    """One request. `url` is escaped as it will be sent."""

    method: str
    url: str
    body: bytes | None


def filled(method: str, url: str, body: Any, arguments: Mapping[str, Any]) -> Request:
    """The request with all arguments in it. Raises ToolError for what a path cannot hold.

    Arguments that have no gap go into the query of a GET, HEAD or DELETE, and into the JSON body of others, unless
    that is written.
    """
    address, _, query = url.partition("?")
    pairs = [pair for pair in query.split("&") if pair]
    sent = _path(address, arguments) + _joined([_pair(pair, arguments) for pair in pairs])
    used = {*gaps(url), *gaps_of_body(body)}
    rest = {name: value for name, value in arguments.items() if name not in used}
    if method in BODILESS:
        further = [f"{quote(name, safe='')}={_escaped(one)}" for name, value in rest.items() for one in _several(value)]
        sent = sent + ("&" if "?" in sent else "?") * bool(further) + "&".join(further)
        return Request(method, sent, None)
    content = _filled_body(body, arguments) if body is not None else rest
    return Request(method, sent, orjson.dumps(content))


def _path(address: str, arguments: Mapping[str, Any]) -> str:
    start = address.index("/", address.index("//") + 2) if address.count("/") > 2 else len(address)
    return address[:start] + "/".join(_segment(segment, arguments) for segment in address[start:].split("/"))


def _segment(segment: str, arguments: Mapping[str, Any]) -> str:
    if not GAP.search(segment):
        return segment
    for name in gaps(segment):
        if _text(arguments.get(name, "")) == "":
            raise ToolError(f"the argument '{name}' stands in an address and may not be empty")
    filled = GAP.sub(lambda gap: _escaped(arguments[gap.group(1)]), segment)
    # Some servers look for `..` only after they have unescaped slashes.
    if any(part in {".", ".."} for part in re.split(r"[/\\]", unquote(filled))):
        raise ToolError("no argument that stands in an address may have a part '.' or '..'")
    return filled


def _pair(pair: str, arguments: Mapping[str, Any]) -> str | None:
    """A pair of the query; None where an argument of it is left out."""
    if any(name not in arguments for name in gaps(pair)):
        return None
    name, equals, value = pair.partition("=")
    if GAP.fullmatch(value):
        return "&".join(f"{name}={_escaped(one)}" for one in _several(arguments[value[1:-1]]))
    return name + equals + GAP.sub(lambda gap: _escaped(arguments[gap.group(1)]), value)


def _joined(pairs: list[str | None]) -> str:
    known = [pair for pair in pairs if pair]
    return f"?{'&'.join(known)}" if known else ""


def _filled_body(body: Any, arguments: Mapping[str, Any]) -> Any:
    """The body; a text that is one gap becomes the argument itself, and a field whose argument is left out goes."""
    if isinstance(body, str):
        if (whole := GAP.fullmatch(body)) is not None:
            return arguments[whole.group(1)]
        return GAP.sub(lambda gap: _text(arguments.get(gap.group(1), "")), body)
    if isinstance(body, Mapping):
        return {key: _filled_body(value, arguments) for key, value in body.items() if _is_given(value, arguments)}
    if isinstance(body, list):
        return [_filled_body(value, arguments) for value in body if _is_given(value, arguments)]
    return body


def _is_given(value: Any, arguments: Mapping[str, Any]) -> bool:
    whole = GAP.fullmatch(value) if isinstance(value, str) else None
    return whole is None or whole.group(1) in arguments


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _escaped(value: Any) -> str:
    return quote(_text(value), safe="", errors="replace")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
