"""YAML files as people write them, well or badly: random values with random indentation, quotes, comments and blank lines."""

from __future__ import annotations

import json
from random import Random
from typing import Any

WORDS = [
    "a",
    "word",
    "two words",
    "ünïcode ✓",
    "http://h:1/p?q=1",
    "it's",
    "true",
    "010",
    "{{ x }}",
    "# no comment",
    " led",
    "-",
    "a: b",
]
LINES = ["line", "  more", "a # b", "", "- x", "\ttab", "k: v "]
KEYS = ["k", "name", "a-b", "x y", "ключ", "0", "url"]


def file(random: Random) -> str:
    """A file whose top is a map. Its comments are numbered in their order: `#c1`, `#c2`."""
    page = _Page(random)
    page.map(0, random.choice([0, 0, 2]), 3)
    end = random.choice(["", "\n", "\n\n"])
    lines = page.lines if end else _without_end(page.lines)
    return random.choice(["\n", "\r\n"]).join("\n".join(lines).split("\n")) + end


def _without_end(lines: list[str]) -> list[str]:
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    return lines


class _Page:
    def __init__(self, random: Random) -> None:
        self.random = random
        self.lines: list[str] = []
        self.comments = 0
        self.anchors = 0
        self.after_text = False

    def chance(self, of: int) -> bool:
        return self.random.randint(1, of) == 1

    def comment(self) -> str:
        self.comments += 1
        return f"#c{self.comments}{self.random.choice(['', ' x', chr(9) + 'tab', ' é: ['])}"

    def gap(self, column: int) -> None:
        """Comments and blank lines before an entry. Behind a block text a deeper line would belong to it."""
        while self.chance(4):
            if self.chance(2):
                self.lines.append(" " * self.random.randint(0, 3) if not self.after_text else "")
            else:
                self.lines.append(
                    " " * self.random.randint(0, column if self.after_text else column + 6) + self.comment()
                )
                self.after_text = False

    def trailing(self) -> str:
        return self.random.choice([" ", "  ", "\t", "      "]) + self.comment() if self.chance(4) else ""

    def map(self, column: int, own: int, depth: int) -> None:
        for key in self.random.sample(KEYS, self.random.randint(1, 4)):
            self.gap(column + own)
            self.value(
                " " * (column + own) + json.dumps(key, ensure_ascii=False) + " " * self.chance(6) + ":",
                column + own,
                depth,
                in_map=True,
            )

    def list(self, column: int, depth: int) -> None:
        for _ in range(self.random.randint(1, 3)):
            self.gap(column)
            self.value(" " * column + "-", column, depth, in_map=False)

    def value(self, before: str, column: int, depth: int, *, in_map: bool) -> None:
        kind = self.random.choice(
            ["plain", "flow", "text", "map", "list", "alias"] if depth else ["plain", "flow", "text"]
        )
        space = " " * self.random.randint(1, 4)
        if kind == "alias" and self.anchors:
            self.lines.append(f"{before}{space}*a{self.random.randint(1, self.anchors)}{self.trailing()}")
            return
        anchor = ""
        if self.chance(6) and kind in ("plain", "flow"):
            self.anchors += 1
            anchor = f"&a{self.anchors} "
        self.after_text = False
        if kind == "text":
            self.text(before + space, column)
        elif kind == "map":
            self.lines.append(before + self.trailing())
            self.map(column, self.random.randint(1, 5), depth - 1)
        elif kind == "list":
            self.lines.append(before + self.trailing())
            self.list(column + self.random.randint(0 if in_map else 1, 4), depth - 1)
        elif kind == "flow":
            self.lines.append(before + space + anchor + self.flow(column + 1, 2) + self.trailing())
        else:
            self.lines.append(before + space + anchor + self.scalar(column + 1) + self.trailing())

    def text(self, before: str, column: int) -> None:
        lines = self.random.choices(LINES, k=self.random.randint(1, 5))
        first = next((line for line in lines if line), "")
        indent = self.random.randint(1, 5)
        number = str(indent) if first.startswith((" ", "\t")) or not first or self.chance(5) else ""
        header = self.random.choice("|>") + number + self.random.choice(["", "-", "+"])
        self.lines.append(before + header + self.trailing())
        self.lines += [" " * (column + indent) + line if line else "" for line in lines]
        self.after_text = True

    def scalar(self, column: int) -> str:
        word = self.random.choice(WORDS)
        style = self.random.choice("'\"p")
        if style == "p" and word[0] not in " -#{" and ": " not in word and " #" not in word:
            return word.replace(" ", "\n" + " " * (column + 1)) if self.chance(8) else word
        if style == "'":
            return "'" + word.replace("'", "''") + "'"
        return json.dumps(word, ensure_ascii=self.chance(2))

    def flow(self, column: int, depth: int) -> str:
        space = self.random.choice(["", " ", "  ", "\n" + " " * column, "\n\n" + " " * (column + 3)])
        if self.chance(8):
            space = " " + self.comment() + "\n" + " " * column
        inner: list[str] = []
        is_map = self.chance(2)
        for key in self.random.sample(KEYS, self.random.randint(1, 4)):
            value = self.flow(column, depth - 1) if depth and self.chance(4) else json.dumps(self.random.choice(WORDS))
            inner.append(f"{json.dumps(key)}:{' ' * self.random.randint(1, 3)}{value}" if is_map else value)
        opening, closing = "{}" if is_map else "[]"
        return (
            opening
            + space
            + f"{space if '#' not in space else ' '},{' ' * self.chance(2)}".join(inner)
            + space * ("#" not in space)
            + closing
        )


def plain(node: Any) -> Any:
    """The value of a located one."""
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value
