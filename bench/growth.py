"""How the time and memory of `victor validate` grow with every list and map of the language.

    python -m bench.growth [NAME...]

Each spec has 250, 500, 1,000 and 8,000 items of one kind. The slope is that of time over items on a double logarithmic scale,
without the time of a spec without items: 1 is linear, 2 quadratic. Each run is a process of its own. Products have as many tenants
as items; where they would take too long they are refused, so they have no slope.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

SIZES = (250, 500, 1_000, 8_000)
MOST_SLOPE, MOST_SECONDS, MOST_MB = 1.3, 5.0, 300
HEAD = "victor: 1\nname: growth\n"
MODEL = "models: {main: {type: echo}}\n"


def _list(section: str, item: str, head: str = HEAD + MODEL) -> Callable[[int], str]:
    return lambda n: f"{head}{section}:\n" + "".join(f"- {item.replace('N', str(i))}\n" for i in range(n))


def _map(section: str, item: str, head: str = HEAD + MODEL) -> Callable[[int], str]:
    return lambda n: f"{head}{section}:\n" + "".join(f"  n{i}: {item.replace('N', str(i))}\n" for i in range(n))


def _in(before: str, item: str, after: str, joint: str = ", ") -> Callable[[int], str]:
    """Many items on one line."""
    return lambda n: HEAD + MODEL + before + joint.join(item.replace("N", str(i)) for i in range(n)) + after + "\n"


TOOL = '{type: http, name: tN, description: d, url: "http://x/"}'
ARMS = "variants: {tone: {arms: {"

SPECS: Mapping[str, Callable[[int], str]] = {
    "contributors": _list("contributors", "{type: text, name: cN, text: a}"),
    "contributors, unnamed": _list("contributors", "{type: text, text: a}"),
    "contributors, templates": _list("contributors", '{type: template, name: cN, template: "{{ message }} {% if user %}a{% endif %}"}'),
    "contributors, templates that differ": _list("contributors", '{type: template, name: cN, template: "{{ message }} {% if user %}N{% endif %}"}'),
    "tools": _list("tools", TOOL),
    "models": _map("models", "{type: echo}", HEAD + "settings: {model: n0, fallbacks: [n1]}\n"),
    "fallbacks": lambda n: _map("models", "{type: echo}", HEAD)(n) + "settings: {model: n0, fallbacks: [" + ", ".join(f"n{i}" for i in range(1, n)) + "]}\n",
    "members": lambda n: _map("models", "{type: echo}", HEAD)(n) + "  pool: {type: pool, members: [" + ", ".join(f"n{i}" for i in range(n)) + "]}\nsettings: {model: pool}\n",
    "databases": _map("databases", "{type: sqlite, path: aN.db}"),
    "embedders": _map("embedders", "{type: tfidf}"),
    "tenants": _map("tenants", "{with: {settings: {temperature: 0.5}}}"),
    "tenants that change a list": lambda n: _map("tenants", "{with: {contributors: {a: {text: b}}}}")(n) + "contributors: [{type: text, name: a, text: a}]\n",
    "tenants that change an input": lambda n: _map("tenants", "{with: {inputs: {a: {default: bN}}}}")(n) + "inputs: {a: {type: string, default: a}}\n",
    "arms": _in(ARMS, "aN: {with: {settings: {temperature: 0.N}}}", "}}}"),
    "arms that change a list": lambda n: _in(ARMS, "aN: {with: {contributors: {a: {text: bN}}}}", "}}}")(n) + "contributors: [{type: text, name: a, text: a}]\n",
    "experiments": _map("variants", "{arms: {a: {}, b: {with: {vars: {xN: y}}}}}"),
    "middleware": _list("middleware", "{type: logging, name: mN}"),
    "exporters": _list("exporters", "{type: jsonl, name: eN, path: eN.jsonl}"),
    "providers": _list("providers", "{type: inline, name: pN, values: {settings: {temperature: 0.5}}}"),
    "vars": _map("vars", "a"),
    "inputs": _map("inputs", "{type: text, default: a}"),
    "enum": _in("inputs: {a: {type: text, enum: [", "vN", "]}}"),
    "settings.stop": _in("settings: {stop: [", "sN", "]}"),
    "limits.tools.deny": _in("settings: {limits: {tools: {deny: [", "tN__*", "]}}}"),
    "request": _in("request: [", "model", "]"),
    "tests": _list("tests", "{name: tN, given: {message: hi}, expect: {system: {contains: a}}}"),
    "messages": _list("messages", "{user: aN, assistant: b}"),
    "parameters": _in('tools: [{type: http, name: a, description: d, url: "http://x/", method: POST, parameters: {type: object, properties: {', "pN: {type: string}", "}}}]"),
    "replies": lambda n: HEAD + "models: {main: {type: scripted, replies: [" + ", ".join(f"a{i}" for i in range(n)) + "]}}\n",
    "x- keys": lambda n: HEAD + MODEL + "".join(f"x-n{i}: a\n" for i in range(n)),
    "aliases": lambda n: f"{HEAD}{MODEL}x-a: &a [b]\nvars:\n" + "".join(f"  n{i}: *a\n" for i in range(n)),
    "anchors": lambda n: HEAD + MODEL + "x-a:\n" + "".join(f"- &a{i} b\n- *a{i}\n" for i in range(n)),
    "tags": lambda n: HEAD + MODEL + "vars:\n" + "".join(f"  n{i}: !!str 1\n" for i in range(n)),
    "values that are not there": lambda n: HEAD + MODEL + "vars:\n" + "".join(f"  n{i}:\n" for i in range(n)),
    "equal keys": _in("vars: {", "a: 1", "}"),
    "unknown keys": _in("settings: {", "zzN: 1", "}"),
    "unknown keys of an overlay": _in("tenants: {a: {with: {", "zzN: 1", "}}}"),
    "unknown names": lambda n: _map("models", "{type: echo}", HEAD)(n) + "settings: {model: n0, fallbacks: [" + ", ".join(f"m{i}" for i in range(n)) + "]}\n",
    "unknown types": _list("contributors", "{type: txtN}"),
    "wrong types": _list("contributors", "{type: text, name: cN, text: [1]}"),
    "unknown aliases": lambda n: HEAD + MODEL + "x-a:\n" + "".join(f"- *a{i}\n" for i in range(n)),
    "unknown aliases below anchors": lambda n: HEAD + MODEL + "x-a:\n" + "".join(f"- &a{i} b\n- *b{i}\n" for i in range(n)),
    "unknown tags": lambda n: HEAD + MODEL + "x-a: [" + ", ".join(f"!t{i} a" for i in range(n)) + "]\n",
    "good references": _in('contributors: [{type: text, text: "', "${env:AN:-a}", '"}]', " "),
    "bad references": _in('contributors: [{type: text, text: "', "${foo:AN}", '"}]', " "),
    "undefined variables": _in('contributors: [{type: template, template: "', "{{ vN }}", '"}]', " "),
    "secrets on one line": _in("vars: {", "aN: sk-ant-aaaaaaaaaaaaaaaaaaaaaaaa", "}"),
    "fields on one name": lambda n: f"{HEAD}{MODEL}contributors: {{a: {{text: b}}}}\nvars: {{{'k' * n * 100}: 1}}\n",
}  # fmt: skip


def _tenants(overlay: str, rest: str) -> Callable[[int], str]:
    """As many tenants as items of the rest, where the item is between `<` and `>`."""

    def spec(n: int) -> str:
        before, item, after = re.split("[<>]", rest)
        items = "".join(item.replace("N", str(i)) for i in range(n))
        return _map("tenants", f"{{with: {{{overlay}}}}}")(n) + before + items + after + "\n"

    return spec


TEMPLATES = 'contributors: [<{type: template, name: cN, template: "{{ user }} {% if vN %}N{% endif %}"}, >]'

PRODUCTS: Mapping[str, Callable[[int], str]] = {
    "tenants x arms": _tenants("settings: {temperature: 0.5}", ARMS + "<aN: {with: {settings: {seed: N}}}, >}}}"),
    "tenants x arms that change a list": _tenants("settings: {temperature: 0.5}", "contributors: [{type: text, name: a, text: a}]\n" + ARMS + "<aN: {with: {contributors: {a: {text: bN}}}}, >}}}"),
    "tenants x experiments": _tenants("settings: {temperature: 0.5}", "variants: {<eN: {arms: {a: {}, b: {}}}, >}"),
    "tenants x items of a changed list": _tenants("contributors: {c0: {text: b}}", "contributors: [<{type: text, name: cN, text: a}, >]"),
    "tenants x changed models": _tenants("models: {m0: {type: echo}}", "settings: {model: main}\ntools: [<{type: http, name: tN, description: d, url: 'http://x/'}, >]"),
    "tenants x changed inputs": _tenants("inputs: {n0: {default: bN}}", "inputs: {<nN: {type: string, default: a}, >}"),
    "tenants x inputs": _tenants("settings: {temperature: 0.5}", "inputs: {<nN: {type: string, default: a}, >}"),
    "tenants x vars": _tenants("vars: {vN: b}", "vars: {<vN: a, >}"),
    "tenants x providers": _tenants("settings: {temperature: 0.5}", "providers: [<{type: inline, name: pN, values: {settings: {temperature: 0.5}}}, >]"),
    "tenants with nulls x templates": _tenants("vars: {v0: null}", "vars: {v0: a}\n" + TEMPLATES.replace("vN", "v0")),
}  # fmt: skip


def measure(spec: Path) -> tuple[float, float]:
    """The CPU seconds and the MB of one `victor validate` of a spec."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    script = (
        "import resource, sys\n"
        "from victor_dsl.interfaces.cli import main\n"
        "try:\n    main(['validate', '--format', 'json', sys.argv[1]])\n"
        "finally:\n    sys.stderr.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(spec)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if done.returncode not in (0, 1):
        raise SystemExit(f"validate ended with {done.returncode}: {done.stderr.decode()}")
    return seconds, int(done.stderr.split()[-1]) / 1024


def main() -> None:
    """Prints a row for each list and map; exits 1 where one grows too fast or takes too much."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", metavar="NAME", nargs="*", help="the rows; all by default")
    rows = {**SPECS, **PRODUCTS}
    names = parser.parse_args().names or list(rows)
    worse = False
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        path = Path("victor.yml")
        path.write_text(HEAD + MODEL)
        nothing = min(measure(path)[0] for _ in range(3))
        print(f"{'':36} {' '.join(f'{size:>8,}' for size in SIZES)}     MB  slope")
        for name in names:
            measured = []
            for size in SIZES:
                path.write_text(rows[name](size))
                measured.append(measure(path))
            times, memory = [seconds for seconds, _ in measured], max(mb for _, mb in measured)
            first, last = (max(0.05, times[i] - nothing) for i in (-2, -1))
            slope = math.log(last / first) / math.log(SIZES[-1] / SIZES[-2]) if name in SPECS else 0.0
            bad = slope > MOST_SLOPE or max(times) > MOST_SECONDS or memory > MOST_MB
            worse |= bad
            row = " ".join(f"{seconds:8.2f}" for seconds in times)
            print(f"{name:36} {row} {memory:6.0f} {slope:6.2f}{'  too much' if bad else ''}", flush=True)
    raise SystemExit(worse)


if __name__ == "__main__":
    main()
