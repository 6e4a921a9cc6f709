"""Recall and precision of `redact` on the corpus beside it, as the reference of `redact` gives them.

    python -m tests.components.middleware.redact_corpus

A secret counts as found if all of it is replaced by its own name; a match counts as right if it is a secret of its kind.
"""

from __future__ import annotations

import re
import string
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

from attrs import frozen
from ruamel.yaml import YAML

from victor_dsl.values.redaction.detectors import DETECTORS
from victor_dsl.values.redaction.folding import Folded
from victor_dsl.values.redaction.redactor import Redactor

CORPUS = Path(__file__).with_name("redact_corpus.yml")
_RANDOM = re.compile(r"\{(\d+)\}")
_MARKED = re.compile("«(.*?)»", re.DOTALL)


@frozen
class Marked:
    """A text and the places of its secrets, by kind."""

    text: str
    secrets: frozenset[tuple[int, int, str]]


@frozen
class Score:
    """How many secrets there are of a kind, and matches, and how many are both."""

    secrets: int
    matches: int
    right: int

    def row(self, name: str) -> str:
        """A row of the table in the reference."""
        return f"| `{name}` | {self.secrets} | {self.right / self.secrets:.1%} | {self.right / self.matches:.1%} |"


def corpus() -> Iterator[Marked]:
    """The texts of the corpus."""
    random = Random(0)
    for kind, texts in YAML(typ="safe").load(CORPUS).items():
        for written in texts:
            filled = _RANDOM.sub(
                lambda size: "".join(random.choices(string.ascii_letters + string.digits, k=int(size[1]))), written
            )
            text, secrets, place = "", set(), 0
            for marked in _MARKED.finditer(filled):
                text += filled[place : marked.start()]
                secrets.add((len(text), len(text) + len(marked[1]), kind))
                text += marked[1]
                place = marked.end()
            yield Marked(text + filled[place:], frozenset(secrets))


def found(marked: Marked) -> frozenset[tuple[int, int, str]]:
    """The matches in a text."""
    text = Folded()
    text.add(marked.text)
    return frozenset(Redactor(DETECTORS, {}).find(text, 0))


def scores() -> dict[str, Score]:
    """The score of each kind, over all texts."""
    results = [(marked.secrets, found(marked)) for marked in corpus()]

    def count(kind: str, which: int) -> int:
        sets = ((secrets, matches, secrets & matches)[which] for secrets, matches in results)
        return sum(name == kind for places in sets for _, _, name in places)

    return {kind: Score(count(kind, 0), count(kind, 1), count(kind, 2)) for kind in DETECTORS}


def main() -> None:
    """Prints the table, and what was missed or found wrongly."""
    for name, score in scores().items():
        sys.stdout.write(score.row(name) + "\n")
    for marked in corpus():
        matches = found(marked)
        for begin, end, name in sorted(marked.secrets ^ matches):
            what = "missed" if (begin, end, name) in marked.secrets else "found wrongly"
            sys.stdout.write(f"{what}: {name} {marked.text[begin:end]!r} in {marked.text!r}\n")


if __name__ == "__main__":
    main()
