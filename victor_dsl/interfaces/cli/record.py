"""`victor record`: a proxy that writes request lines of what an application asks a model's API."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import click
from yarl import URL

from victor_dsl.errors import EXIT_OUTSIDE, UsageError, VictorError
from victor_dsl.interfaces.cli.app import Command
from victor_dsl.interfaces.cli.output import count_of, say, warning_line
from victor_dsl.interfaces.cli.running import run
from victor_dsl.storage.file_value import reason
from victor_dsl.storage.line_file import LineFile
from victor_dsl.storage.permissions import exposure
from victor_dsl.values.traffic import TrafficWriter
from victor_dsl.workbench.recording.proxy import recording

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@click.command("record", cls=Command, example="victor record --upstream https://api.openai.com --output traffic.jsonl")
@click.option("--upstream", metavar="URL", required=True, help="The API that requests are passed on to.")
@click.option("--output", "-o", metavar="FILE", required=True, help="Where request lines are appended.")
@click.option(
    "--port",
    metavar="P",
    type=click.IntRange(0, 65535),
    default=8790,
    show_default=True,
    help="The proxy's port; 0 chooses a free one.",
)
@click.option("--no-redact", is_flag=True, help="Keep personal data; keys are always removed.")
@click.option(
    "--max-mb",
    metavar="N",
    type=click.IntRange(1),
    default=1024,
    show_default=True,
    help="The maximum size of FILE with FILE.1, to which FILE is renamed at half of it.",
)
def record(*, upstream: str, output: str, port: int, no_redact: bool, max_mb: int) -> None:
    """Record what an application asks a model, before there is a spec.

    It is a proxy on 127.0.0.1: give your application its address in place of the API's (base_url). All requests and answers
    pass unchanged, streams as they come. Those of /chat/completions and /v1/responses (OpenAI) and /v1/messages (Anthropic)
    are written as request lines with model, usage and latency, without headers, keys and personal data. `victor render`,
    `victor plan` and `victor run` read these lines. Ctrl-C ends it.
    """
    run(_serve(_upstream(upstream), output, port, redact=not no_redact, most_bytes=max_mb << 19))


def _upstream(text: str) -> URL:
    try:
        url = URL(text)
    except ValueError:
        url = URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise UsageError("--upstream must be a URL such as https://api.openai.com")
    if url.user or url.password or url.query_string or url.fragment:
        raise UsageError("--upstream must be without user, password, query and fragment: requests bring their own keys")
    if url.scheme == "http" and url.host not in LOOPBACK:
        say(warning_line(f"{url} is not encrypted: keys are sent in clear text"))
    return url


def _has_other_text(output: str) -> bool:
    """Whether the file begins with anything but a JSON object."""
    if not os.path.isfile(output):
        return False
    with open(output, "rb") as file:
        start = file.read(1)
    return start not in (b"", b"{")


async def _serve(upstream: URL, output: str, port: int, *, redact: bool, most_bytes: int) -> None:
    file = LineFile(output, most_bytes=most_bytes)
    try:
        if _has_other_text(output):
            raise VictorError(f"'{output}' has other text than request lines; name another file")
        file.open()
        if problem := exposure(Path(output), output, private=True):
            say(warning_line(problem))
    except OSError as error:
        raise VictorError(f"cannot write '{output}': {reason(error)}") from error
    ended = asyncio.Event()
    for stop in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(stop, ended.set)
    writer = TrafficWriter(os.urandom(32), personal_data=not redact)
    try:
        async with recording(upstream, port, file, writer, lambda text: say(warning_line(text))) as (at, recorder):
            say(f"recording requests to {upstream} in {output}; end with Ctrl-C. Give your application:")
            say(f"  OPENAI_BASE_URL=http://127.0.0.1:{at}/v1")
            say(f"  ANTHROPIC_BASE_URL=http://127.0.0.1:{at}")
            await ended.wait()
    except OSError as error:
        raise VictorError(f"cannot listen on 127.0.0.1:{port}: {reason(error)}") from error
    say(f"{count_of(recorder.recorded, 'request')} recorded in {output}")
    for why, number in recorder.skipped.most_common(10):
        say(f"  {number:,} not recorded: {why}")
    if recorder.skipped.get("the file could not be written"):
        raise click.exceptions.Exit(EXIT_OUTSIDE)
