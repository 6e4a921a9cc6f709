"""A request as a spec writes it, with a model's arguments in its `{gaps}`: they can change neither the host nor the path around them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

import orjson
from attrs import frozen

from victor_dsl.errors import ToolError

GAP = re.compile(r"\{([A-Za-z_][A-Za-z0-9_-]*)\}")
BODILESS = frozenset({"GET", "HEAD", "DELETE"})


@frozen
class Request:
    """One request. `url` is already percent-encoded."""

    method: str
    url: str
    body: bytes | None


def gaps(text: str) -> list[str]:
    """The names in braces."""
    return GAP.findall(text)


def gaps_of_body(body: Any) -> Iterator[str]:
    """The names in braces in any text of a body."""
    if isinstance(body, str):
        yield from gaps(body)
    elif isinstance(body, Mapping):
        for value in body.values():
            yield from gaps_of_body(value)
    elif isinstance(body, list):
        for value in body:
            yield from gaps_of_body(value)


def filled(method: str, url: str, body: Any, arguments: Mapping[str, Any]) -> Request:
    """The request with all arguments in it. Raises ToolError for an argument that its place in the path does not allow.

    Arguments without a gap go into the query of a GET, HEAD or DELETE, and into the JSON body of others, unless the spec
    writes the body.
    """
    address, _, query = url.partition("?")
    pairs = [pair for pair in query.split("&") if pair]
    sent = _path(address, arguments) + _joined([_pair(pair, arguments) for pair in pairs])
    used = {*gaps(url), *gaps_of_body(body)}
    rest = {name: value for name, value in arguments.items() if name not in used}
    if method in BODILESS:
        more = [f"{quote(name, safe='')}={_escaped(one)}" for name, value in rest.items() for one in _several(value)]
        sent = sent + ("&" if "?" in sent else "?") * bool(more) + "&".join(more)
        return Request(method, sent, None)
    content = _filled_body(body, arguments) if body is not None else rest
    return Request(method, sent, _json(content))


def _path(address: str, arguments: Mapping[str, Any]) -> str:
    start = address.index("/", address.index("//") + 2) if address.count("/") > 2 else len(address)
    return address[:start] + "/".join(_segment(segment, arguments) for segment in address[start:].split("/"))


def _segment(segment: str, arguments: Mapping[str, Any]) -> str:
    if not GAP.search(segment):
        return segment
    for name in gaps(segment):
        if _text(arguments.get(name, "")) == "":
            raise ToolError(f"the argument '{name}' is part of an address and must not be empty")
    filled = GAP.sub(lambda gap: _escaped(arguments[gap.group(1)]), segment)
    # Some servers look for `..` only after they have decoded escaped slashes.
    if any(part in {".", ".."} for part in re.split(r"[/\\]", unquote(filled))):
        raise ToolError("an argument that is part of an address must not contain the parts '.' and '..'")
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
    present = [pair for pair in pairs if pair]
    return f"?{'&'.join(present)}" if present else ""


def _filled_body(body: Any, arguments: Mapping[str, Any]) -> Any:
    """The body; a text that is a single gap becomes the argument itself, and a field whose argument is left out is dropped."""
    if isinstance(body, str):
        if (whole := GAP.fullmatch(body)) is not None:
            return arguments[whole.group(1)]
        return GAP.sub(lambda gap: _text(arguments.get(gap.group(1), "")), body)
    if isinstance(body, Mapping):
        return {key: _filled_body(value, arguments) for key, value in body.items() if _is_present(value, arguments)}
    if isinstance(body, list):
        return [_filled_body(value, arguments) for value in body if _is_present(value, arguments)]
    return body


def _is_present(value: Any, arguments: Mapping[str, Any]) -> bool:
    whole = GAP.fullmatch(value) if isinstance(value, str) else None
    return whole is None or whole.group(1) in arguments


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _escaped(value: Any) -> str:
    return quote(_text(value), safe="", errors="replace")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _json(value).decode()


def _json(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # integers over 64 bits
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
