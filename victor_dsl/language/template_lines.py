"""White space around the tags of templates: lines that hold only tags vanish, and the rest is as Jinja2 has it by default."""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator
from itertools import islice
from operator import itemgetter

from jinja2.exceptions import TemplateSyntaxError
from jinja2.lexer import Lexer

from victor_dsl.language.template_work import MOST_TOKENS

Token = tuple[int, str, str]

TAG, OTHER = "\x01", "\x02"
_BREAK = re.compile(r"\r\n?")
_VISIBLE = re.compile(r"\S")
_ONLY_TAGS = re.compile(rf"^[^\S\n]*{TAG}(?:[^\S\n]|{TAG})*(?:\n|\Z)", re.MULTILINE)


class LineLexer(Lexer):
    """Jinja2's lexer without `trim_blocks` and `lstrip_blocks`, with one rule of its own.

    A line that holds only block tags and comments, none of them with `-` or `+`, vanishes with its line end. A tag with `-`
    or `+` does what it does by default in Jinja2, and nothing more.
    """

    def tokeniter(
        self, source: str, name: str | None, filename: str | None = None, state: str | None = None
    ) -> Iterator[Token]:
        """The tokens, the text among them without the lines that vanish."""
        text = _BREAK.sub("\n", source).removesuffix("\n")
        tokens: list[Token] = []
        error = None
        try:
            for token in super().tokeniter(source, name, filename, state):
                if len(tokens) >= MOST_TOKENS:
                    message = f"it has more than {MOST_TOKENS:,} words and signs in its tags: split it into several"
                    raise TemplateSyntaxError(message, token[0], name, filename)
                tokens.append(token)
        except TemplateSyntaxError as found:  # the parser may find one on an earlier line
            error = found
        starts = list(_starts(text, tokens))
        cuts = [match.span() for match in _ONLY_TAGS.finditer(_mask(text, tokens, starts))]
        for start, (line, kind, value) in zip(starts, tokens, strict=True):
            rest = _without(value, start, cuts) if kind == "data" else value
            if rest or kind != "data":
                yield line, kind, rest
        if error is not None:
            raise error


def _starts(text: str, tokens: list[Token]) -> Iterator[int]:
    """Where each token begins. The lexer has left out white space before tags with `-`."""
    position = 0
    for _, _, value in tokens:
        if not text.startswith(value, position):
            found = _VISIBLE.search(text, position)
            position = found.start() if found else len(text)
        yield position
        position += len(value)


def _mask(text: str, tokens: list[Token], starts: list[int]) -> str:
    """The text with each character of a tag as TAG, any other visible one as OTHER, and white space between them as it is."""
    pieces: list[str] = []
    position = 0
    opened: tuple[int, bool] | None = None
    for start, (_, kind, value) in zip(starts, tokens, strict=True):
        end = start + len(value.rstrip())
        if kind in ("block_begin", "comment_begin", "variable_begin"):
            opened = (start, kind != "variable_begin" and value[-1] not in "-+")
        elif opened is not None and kind in ("block_end", "comment_end", "variable_end"):
            begin, plain = opened
            opened = None
            pieces += [_VISIBLE.sub(OTHER, text[position:begin])]
            pieces += [(TAG if plain and value[0] not in "-+" else OTHER) * (end - begin)]
            position = end
        elif kind in ("raw_begin", "raw_end"):
            plain = value[2] not in "-+" and value.rstrip()[-3] not in "-+"
            pieces += [_VISIBLE.sub(OTHER, text[position:start]), (TAG if plain else OTHER) * (end - start)]
            position = end
    return "".join([*pieces, _VISIBLE.sub(OTHER, text[position:])])


def _without(value: str, start: int, cuts: list[tuple[int, int]]) -> str:
    """The text that begins at `start`, without what lies in the cuts."""
    pieces, position, stop = [], start, start + len(value)
    for begin, end in islice(cuts, bisect(cuts, start, key=itemgetter(1)), None):
        if begin >= stop:
            break
        pieces.append(value[position - start : max(begin - start, position - start)])
        position = end
    return "".join([*pieces, value[position - start :]]) if position < start + len(value) else "".join(pieces)
