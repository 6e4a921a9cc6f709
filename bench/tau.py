"""Renders and runs recorded conversations through a small window, and checks what comes out.

    python -m bench.tau transcripts.json            # [{"id": …, "messages": [OpenAI chat format]}, …]
    python -m bench.tau transcripts.json --convert requests.jsonl

The window is small, so that most conversations are compacted. Every line must be answered without an error and with the same
plan's digest. The messages sent must be those in `kept`, among them the task and the latest user message, and no tool call
may be separated from its results.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bench.measure import BIN, table

Json = dict[str, Any]

SPEC = """\
victor: 1
name: transcripts
models:
  small: {{type: echo, context_window: {window}}}
settings: {{max_tokens: 256}}
compaction: {{type: recent, threshold: 0.8, target_ratio: 0.5}}
"""


def main() -> None:
    """Converts, renders, runs and checks; exits with 1 if anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.tau", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("transcripts", type=Path)
    parser.add_argument("--convert", type=Path, metavar="FILE", help="only write the request lines")
    parser.add_argument("--window", type=int, default=4096, help="the model's context window, in tokens")
    options = parser.parse_args()
    requests = list(convert(json.loads(options.transcripts.read_text(encoding="utf-8"))))
    if options.convert:
        _write(options.convert, requests)
        return
    with tempfile.TemporaryDirectory() as folder:
        spec, lines = Path(folder, "victor.yml"), Path(folder, "requests.jsonl")
        spec.write_text(SPEC.format(window=options.window), encoding="utf-8")
        _write(lines, requests)
        rendered, answered = (_victor(command, spec, lines) for command in ("render", "run"))
    faults = [*check(requests, rendered), *check_answers(requests, answered)]
    faults += [f"different plans: {plans}"] if len(plans := {line["plan"] for line in rendered + answered}) != 1 else []
    print(_report(rendered, answered))
    print("\n".join(faults) or "\nnothing wrong")
    sys.exit(bool(faults))


def convert(transcripts: Sequence[Json]) -> Iterator[Json]:
    """Request lines, one for each transcript."""
    for transcript in transcripts:
        yield {"id": transcript["id"], "session": transcript["id"], "messages": transcript["messages"]}


def check(requests: Sequence[Json], rendered: Sequence[Json]) -> Iterator[str]:
    """What is wrong with rendered lines."""
    yield from _answered_once(requests, rendered)
    given = {request["id"]: request["messages"] for request in requests}
    for line in rendered:
        if line["error"] or line["id"] not in given:
            continue
        messages, kept = given[line["id"]], line["kept"]
        users = [i for i, message in enumerate(messages) if message["role"] == "user"]
        must = {i for i, message in enumerate(messages) if message["role"] == "system"} | {*users[:1], *users[-1:]}
        if missing := must - set(kept):
            yield f"{line['id']}: dropped messages that must stay: {sorted(missing)}"
        if list(kept) != sorted(set(kept)):
            yield f"{line['id']}: the order changed: {kept}"
        for i in torn(messages, kept):
            yield f"{line['id']}: the result in message {i} is separated from its call"
        if [_essence(messages[i]) for i in kept if messages[i]["role"] != "system"] != [
            *map(_essence, line["messages"])
        ]:
            yield f"{line['id']}: the messages sent are not those in `kept`"
        if line["tokens"]["total"] > line["tokens"]["limit"]:
            yield f"{line['id']}: {line['tokens']['total']} tokens, over the limit of {line['tokens']['limit']}"


def check_answers(requests: Sequence[Json], answered: Sequence[Json]) -> Iterator[str]:
    """What is wrong with reply lines."""
    yield from _answered_once(requests, answered)
    for line in answered:
        if not line["error"] and not line["reply"]:
            yield f"{line['id']}: the reply is empty"


def torn(messages: Sequence[Json], kept: Collection[int]) -> Iterator[int]:
    """Indices of tool results that were kept without their call, or whose call was kept without them.

    Ids may repeat: a result belongs to the nearest earlier call with its id.
    """
    call_at: dict[str, int] = {}
    for i, message in enumerate(messages):
        call = call_at.get(message.get("tool_call_id", ""))
        if message["role"] == "tool" and call is not None and (call in kept) != (i in kept):
            yield i
        call_at.update((call["id"], i) for call in message.get("tool_calls") or ())


def _answered_once(requests: Sequence[Json], lines: Sequence[Json]) -> Iterator[str]:
    counts = Counter(line["id"] for line in lines)
    for request in requests:
        if counts.pop(request["id"], 0) != 1:
            yield f"{request['id']}: not answered exactly once"
    yield from (f"{id_}: no such request" for id_ in counts)
    for line in lines:
        if line["error"]:
            yield f"{line['id']}: {line['error']['code']}: {line['error']['message']}"
        elif not line["plan"]:
            yield f"{line['id']}: no plan"


def _essence(message: Json) -> tuple[Any, ...]:
    calls = [(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in message.get("tool_calls") or ()]
    return message["role"], message.get("content"), message.get("tool_call_id"), calls


def _victor(command: str, spec: Path, lines: Path) -> list[Json]:
    output = spec.with_name(f"{command}.jsonl")
    called = [str(BIN / "victor"), command, str(spec), "--input", str(lines), "--output", str(output)]
    if (done := subprocess.run(called, capture_output=True, text=True, check=False)).returncode not in {0, 1}:
        raise SystemExit(f"{' '.join(called)}: exit {done.returncode}\n{done.stderr}")
    return [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]


def _write(path: Path, requests: Sequence[Json]) -> None:
    path.write_text("".join(json.dumps(request) + "\n" for request in requests), encoding="utf-8")


def _report(rendered: Sequence[Json], answered: Sequence[Json]) -> str:
    compacted = [line["compaction"] for line in rendered if line["compaction"]]
    saved = [1 - record["after"] / record["before"] for record in compacted]
    rows = [
        ["rendered", str(len(rendered))],
        ["answered", str(sum(not line["error"] for line in answered))],
        ["compacted", str(len(compacted))],
        ["tokens of history saved by compaction, median", f"{median(saved):.0%}" if saved else "-"],
        ["messages sent", str(sum(len(line["messages"]) for line in rendered if not line["error"]))],
        ["plans", str(len({line["plan"] for line in [*rendered, *answered]}))],
    ]
    return table(["conversations", ""], rows)


if __name__ == "__main__":
    main()
