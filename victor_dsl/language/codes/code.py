"""What a diagnostic's code is: a word, what it means, and the shortest specs that are wrong and right about it."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from victor_dsl.source.diagnostic import Severity

MOST_COLUMNS = 100


@frozen
class Code:
    """One code. `wrong` and `right` are whole files, named `file`; `beside` holds the files that both need, by name.

    `wrong` gives this code and no other, `right` gives none. `encoding` is the one that `wrong` is saved in.
    """

    word: str
    meaning: str
    wrong: str
    right: str
    severity: Severity = "error"
    file: str = "victor.yml"
    beside: Mapping[str, str] = field(factory=dict)
    encoding: str = "utf-8"

    @property
    def summary(self) -> str:
        """The meaning's first sentence."""
        return self.meaning.split(". ")[0].rstrip(".") + "."

    def examples(self) -> list[tuple[str, str]]:
        """What a person is shown, each with its title: the files beside the spec, the wrong one, the right one."""
        files = [(f"Given {name}", text) for name, text in self.beside.items()]
        return [(title, shown(text)) for title, text in (*files, ("Wrong", self.wrong), ("Right", self.right))]


def shown(text: str) -> str:
    """A text fit for a terminal: control characters as their pictures, long lines cut."""
    lines = text.translate({code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"}).splitlines()
    return "\n".join(line if len(line) <= MOST_COLUMNS else f"{line[:MOST_COLUMNS]}…" for line in lines)
