"""Runs a command in a fork of `server.py`, as `python` or `victor`. It imports little, because it must start quickly: `signal` needs longer than Python."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _socket
import marshal
import os
import sys

FILES = next((path for path in ("/proc/self/fd", "/dev/fd") if os.path.isdir(path)), None)
PASSED_ON = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP)


def plain(arguments: list[str]) -> None:
    """Becomes a Python that knows nothing of the server."""
    os.execv(sys.executable, [sys.executable, *arguments])


def known(arguments: list[str]) -> bool:
    """Whether the server can run Python with these arguments."""
    if arguments[:1] in (["-I"], ["-P"]):
        arguments = arguments[1:]
    if arguments[:1] == ["-m"]:
        return arguments[1].partition(".")[0] == "victor_dsl"
    return arguments[:1] == ["-c"] or bool(arguments and not arguments[0].startswith("-"))


def inheritable(number: int) -> bool:
    """Whether a command inherits an open file."""
    try:
        return os.get_inheritable(number)
    except OSError:  # that of the listing itself
        return False


def run(server: str, files: str) -> int:
    """The exit code of the command; below 0 it is a signal."""
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    connection.connect(server)
    numbers = [number for number in map(int, os.listdir(files)) if number <= 2 or inheritable(number)]
    message = marshal.dumps((numbers, os.getcwd(), sys.argv, dict(os.environ)))
    sent = b"".join(number.to_bytes(4, sys.byteorder) for number in numbers)
    connection.sendmsg([len(message).to_bytes(4, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, sent)])
    while message:
        message = message[connection.send(message) :]
    for number in PASSED_ON:
        _signal.signal(number, lambda number, _: connection.send(bytes([number])))
    status = connection.recv(4)
    if len(status) < 4:
        sys.exit("the server of warm processes has gone")
    return int.from_bytes(status, "big", signed=True)


def main() -> None:
    """Does what Python, or `victor`, does with these arguments."""
    folder, name = os.path.split(sys.argv[0])
    victor = name == "victor"
    if FILES is None or not (victor or known(sys.argv[1:])):
        plain(["-m", "victor_dsl", *sys.argv[1:]] if victor else sys.argv[1:])
    assert FILES is not None
    code = run(os.path.join(folder, os.pardir, "socket"), FILES)
    if code >= 0:
        os._exit(code)
    if -code in PASSED_ON:
        _signal.signal(-code, _signal.SIG_DFL)
    os.kill(os.getpid(), -code)
    os._exit(1)


if __name__ == "__main__":
    main()
