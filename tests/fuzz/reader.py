"""Searches for input that makes reading fail with anything but diagnostics.

    python -m tests.fuzz.reader --count 100000

Documents, broken documents and noise go through the reader, `extends`, interpolation and the excerpts.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from victor_dsl.compiler.extends import read_family
from victor_dsl.source.excerpt import render
from victor_dsl.source.interpolate import interpolate
from victor_dsl.source.located import Span
from victor_dsl.source.reader import Files

SPEC = """\
victor: 1
name: support
defaults: &defaults {temperature: 0.7, stop: [a, "b\\n", 'c']}
models:
  main: {type: openai, base_url: http://127.0.0.1:1/v1, api_key: "${env:KEY}"}
  spare: {<<: *defaults, type: echo, text: "${env:HOME:-x} $${y} ${file:spec.md}"}
contributors:
  - type: text
    text: |
      Hello ${env:NAME},
        the answer is 42.
  - !!str text
settings: {seed: 0x1F, top_p: .5, limits: {tools: {deny: ["files__*"]}}} # done
extends: []
"""
JSON = '{"victor": 1, "name": "\\ud83d\\ude00 \\u00e9", "settings": {"seed": -1.5e3, "stop": ["${env:X}", null, true]}}'

FRAGMENTS = (
    *(
        "\t",
        "\n",
        "\r\n",
        "\r",
        " ",
        "  ",
        "- ",
        "? ",
        ": ",
        ":",
        ", ",
        "{",
        "}",
        "[",
        "]",
        "|",
        ">",
        "|2-",
        "'",
        '"',
        "\\",
    ),
    *(
        "&a ",
        "*a",
        "<<: *a",
        "!!int ",
        "!x ",
        "!",
        "%TAG ! x:",
        "---\n",
        "...\n",
        "#",
        "null",
        "0o7",
        "9" * 1200,
        "1e999",
    ),
    *(
        "${env:",
        "${file:",
        "}",
        "$${",
        "\ufeff",
        "\x00",
        "\x85",
        "\u2028",
        "😀",
        "\ud83d",
        "\ue000",
        "\\ud83d",
        "@",
        "`",
    ),
    *("extends: spec.yml\n", "extends: [., -, ~]\n", "a: &a [*a]\n", "{a: " * 120, "- " * 120, "é" * 1100 + ": 1"),
)


NOISE = st.lists(st.sampled_from(FRAGMENTS), max_size=20).map("".join) | st.text(max_size=40)


@st.composite
def inputs(draw: st.DrawFn) -> tuple[bytes, str]:
    """A document with some stretches cut, doubled or replaced, or noise; mostly under the name that fits it."""
    name, text = draw(st.sampled_from((("spec.yml", SPEC), ("spec.yml", SPEC), ("spec.json", JSON), ("", ""))))
    if not name:
        name = draw(st.sampled_from(("spec.yml", "spec.json")))
        noise = draw(NOISE.map(encoded) | st.binary(max_size=60))
        return noise, name
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(text)))
        end = min(len(text), at + draw(st.integers(0, 12)))
        new = draw(st.sampled_from(FRAGMENTS) | st.text(max_size=4) | st.just(text[at:end] * 2))
        text = text[:at] + new + text[end:]
    return encoded(text), name


def encoded(text: str) -> bytes:
    """UTF-8, and half surrogates as no UTF-8 has them."""
    return text.encode("utf-8", "surrogatepass")


def check(data: bytes, name: str) -> list[str]:
    """Reads one input all the way, and gives the codes found. Raises where anything but diagnostics comes of it."""
    files = Files()
    files.parse(data, name)
    family = read_family(files, name, {})
    found = list(family.diagnostics)
    if family.document is not None:
        document, faults = interpolate(family.document, {"KEY": "k"}, files)
        found += faults
        assert isinstance(document.value, dict)
        for _, node in document.walk():
            held(node.span, files)
    else:
        assert found
    for fault in found:
        for span in (fault.span, *(related.span for related in fault.related)):
            held(span, files)
        assert render(fault, files)
        fault.as_json()
    return [fault.code for fault in found]


def held(span: Span, files: Files) -> None:
    """The span lies in its file, and does not end before it begins."""
    lines = files.lines(span.file) or [""]
    assert (span.line, span.column) <= (span.end_line, span.end_column), span
    assert 1 <= span.line <= span.end_line <= len(lines), span
    assert 1 <= span.column <= len(lines[span.line - 1]) + 1, span
    assert 1 <= span.end_column <= len(lines[span.end_line - 1]) + 1, span


def search(count: int, *, steady: bool = False) -> Counter[str]:
    """Tries that many inputs, and counts the codes that came of them."""
    codes: Counter[str] = Counter()

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=steady,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs())
    def run(tried: tuple[bytes, str]) -> None:
        found = check(*tried)
        codes.update(set(found) or {"none"})

    run()
    return codes


def main(arguments: Sequence[str] | None = None) -> None:
    """Searches, and prints how often each code was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    count: int = parser.parse_args(arguments).count
    for code, times in search(count).most_common():
        sys.stdout.write(f"{times:>8}  {code}\n")


if __name__ == "__main__":
    main()
