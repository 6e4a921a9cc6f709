"""The diagnostic codes. `<code>.md` beside this file explains one: what it means, a wrong spec, its output, a right spec.

`victor explain`, the reference and the tests read these files; compiling a spec never does. Headings give each block its
part:

    # unknown-key             and the meaning, in one paragraph
    ## base.yml               a file that both specs need (any number of these)
    ## Wrong                  the spec that has the fault (`Wrong, saved as latin-1`: in that encoding)
    ## victor validate --env  what the command prints for it
    ## Right                  the spec without it
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from attrs import frozen

GROUPS: Mapping[str, tuple[str, ...]] = {
    "The text": (
        *("yaml-syntax", "json-syntax", "tab-indentation", "control-character", "not-utf8", "empty-file", "not-a-map"),
        *("several-documents", "duplicate-key", "empty-value", "complex-key", "unknown-tag", "bad-tag", "bad-number"),
        *("unknown-alias", "alias-loop", "bad-merge", "too-deep", "too-large"),
    ),
    "Files and variables": (
        *("unreadable-file", "extends-missing", "extends-cycle", "bad-extends", "siblings-disagree"),
        *(
            "unknown-interpolation",
            "bad-interpolation",
            "shell-variable",
            "missing-variable",
            "missing-secret",
            "missing-file",
        ),
        *("ignored-file", "ambiguous-file"),
    ),
    "Keys, values and names": (
        *("unknown-version", "unknown-key", "missing-key", "wrong-type", "wrong-value", "bad-name"),
        *(
            "unknown-component",
            "unknown-name",
            "duplicate-name",
            "unused-name",
            "set-twice",
            "literal-secret",
            "cleartext-secret",
        ),
    ),
    "Overlays": (
        *("untouchable", "required-guard", "locked", "ambiguous-name", "bad-addition", "arms-disagree"),
        *("arm-over-tenant", "unknown-tenants", "bad-weights"),
    ),
    "Specs that cannot work, or look like a mistake": (
        *(
            "no-model",
            "unknown-function",
            "untrusted-code",
            "untrusted-path",
            "template-syntax",
            "template-error",
            "undefined-variable",
        ),
        *("over-budget", "compaction-too-late", "before-auth", "idle-limiter", "unheld-limit", "wrong-database"),
        *(
            "empty-prompt",
            "comment-in-text",
            "template-in-text",
            "unwise-order",
            "volatile-before-stable",
            "no-effect",
            "nested-pool",
            "uneven-pool",
            "repeated-fallback",
        ),
        *(
            "model-retired",
            "model-retires",
            "unknown-model",
            "setting-refused",
            "setting-not-sent",
            "bad-response-format",
        ),
        "no-tests",
        *("large-results", "too-many-tools", "unknown-tool", "message-order", "lost-message"),
    ),
}
"""The codes by subject, in the order in which a spec is read."""

CODES: tuple[str, ...] = tuple(code for codes in GROUPS.values() for code in codes)

FOLDER = Path(__file__).parent
MAX_COLUMNS = 100

_PART = re.compile(r"^## (?P<title>[^\n]+)\n\n(?:```(?P<language>\w+)\n(?P<text>.*?)^```$)?", re.MULTILINE | re.DOTALL)


@frozen
class Explanation:
    """One code, explained. `wrong` and `right` are whole files named `file`; `beside` are the files that both need.

    `wrong` has this fault and no other, `right` has none. `options` are those of `victor validate` that show it, and
    `output` is what that prints; `encoding` is the one that `wrong` is saved in.
    """

    code: str
    meaning: str
    beside: Mapping[str, str]
    wrong: str
    right: str
    output: str
    file: str
    encoding: str
    options: tuple[str, ...]

    @property
    def severity(self) -> str:
        """`error` or `warning`, as the output has it."""
        return "warning" if ": warning: " in self.output.partition("\n")[0] else "error"

    @property
    def summary(self) -> str:
        """The meaning's first sentence."""
        return self.meaning.split(". ")[0].rstrip(".") + "."

    def examples(self) -> list[tuple[str, str]]:
        """The parts of a diagnostic's page, with their titles: the files beside the spec, the wrong one, its output, the right one."""
        beside = [(f"With {name}", shown(text)) for name, text in self.beside.items()]
        command = " ".join(("victor validate", *self.options, self.file))
        return [*beside, ("Wrong", shown(self.wrong)), (command, self.output), ("Right", shown(self.right))]


@cache
def explain(code: str) -> Explanation:
    """The explanation of one of CODES."""
    page = (FOLDER / f"{code}.md").read_text(encoding="utf-8")
    head, _, _ = page.partition("\n## ")
    parts = {part["title"]: part for part in _PART.finditer(page)}
    wrong = next(title for title in parts if title.startswith("Wrong"))
    command = next(title for title in parts if title.startswith("victor validate"))
    own = {wrong, command, "Right"}
    return Explanation(
        code,
        meaning=" ".join(head.partition("\n")[2].split()),
        beside={title: part["text"] for title, part in parts.items() if title not in own},
        wrong=parts[wrong]["text"] or "",
        right=parts["Right"]["text"],
        output=parts[command]["text"],
        file="victor.json" if parts["Right"]["language"] == "json" else "victor.yml",
        encoding=wrong.partition("saved as ")[2] or "utf-8",
        options=tuple(command.split()[2:]),
    )


def shown(text: str) -> str:
    """A file's text as it is safe to print: control characters as pictures, long lines cut at MAX_COLUMNS."""
    lines = text.translate({code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"}).splitlines()
    return "\n".join(line if len(line) <= MAX_COLUMNS else f"{line[:MAX_COLUMNS]}…" for line in lines)
