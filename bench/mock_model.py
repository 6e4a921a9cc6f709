"""The server of `mock_model.c` where there is no C compiler: `python -m bench.mock_model`.

It listens on a free port of the loopback interface, prints the port, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

TEXT = ("All is well. " * 54)[:700]
BODY = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "gpt-4o-mini",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": TEXT, "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 12, "completion_tokens": 140, "total_tokens": 152},
    }
).encode()
REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


class Connection(asyncio.Protocol):
    """One client's connection."""

    def connection_made(self, transport: Any) -> None:
        """Begins with nothing received."""
        self.transport = transport
        self.received = b""

    def data_received(self, data: bytes) -> None:
        """Answers every request that is complete."""
        self.received += data
        while whole := _whole_request(self.received):
            self.received = self.received[whole:]
            self.transport.write(REPLY)


def _whole_request(received: bytes) -> int:
    """The bytes of the first request, 0 while it is not complete."""
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return 0
    before = len(head) + len(end)
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            whole = before + int(value)
            return whole if len(received) >= whole else 0
        if name == b"transfer-encoding":
            at = body.find(b"0\r\n\r\n")
            return 0 if at < 0 else before + at + 5
    return before


async def main() -> None:
    """Serves until standard input ends."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
