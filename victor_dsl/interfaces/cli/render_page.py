"""The page of `victor render` that people read on a terminal: what a request is rendered to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from victor_dsl.interfaces.cli.output import count_of
from victor_dsl.interfaces.cli.pages import (
    BAD,
    FAINT,
    GOOD,
    HEAD,
    Fitted,
    Page,
    as_json,
    grid_of,
    heading,
    in_lines,
    indented,
    one_line,
    origin_text,
)
from victor_dsl.lazy import Lazy
from victor_dsl.values.message import Message
from victor_dsl.values.outcome import Explained, Rendered
from victor_dsl.values.settings import DEFAULT, Origin
from victor_dsl.values.turn import Contribution, SelectionRecord

if TYPE_CHECKING:
    from rich import console, rule, table, text
else:
    console, rule = Lazy("rich.console"), Lazy("rich.rule")
    table, text = Lazy("rich.table"), Lazy("rich.text")

FIRST_MESSAGES, LAST_MESSAGES = 2, 8
"""How many messages of a long history are shown, unless all are asked for."""
LEAST_WORDS = 24
"""The columns that the words of a message have at least."""
READ_CHARACTERS = 2_000
"""How much of a message is read for its first words: secrets in it are hidden before the text is cut."""
PARTS = (("system", "█", "blue"), ("messages", "▓", "green"), ("tools", "▒", "magenta"), ("free", "░", "dim"))
"""The parts of the budget: each has a character of its own, so that colour is not needed."""


def render_page(rendered: Rendered, spec: str, *, explain: bool = False) -> Page:
    """What the model would be sent, and why. `spec` is the name of the spec's file; `explain` shows every message of the input."""
    yield from _top(rendered, spec)
    yield from _system(rendered)
    yield from _messages(rendered, explain=explain)
    yield from _tools(rendered)
    if rendered.settings:
        yield from _values(rendered)
    yield from _budget(rendered)
    if rendered.error is not None:
        yield ""
        yield text.Text.assemble(("error: ", f"bold {BAD}"), in_lines(str(rendered.error)))


def _top(rendered: Rendered, spec: str) -> Page:
    about = [f"plan {rendered.plan[:12]}"] if rendered.plan else []
    about += [f"tenant {rendered.tenant}"] if rendered.tenant is not None else []
    about += [f"arm {experiment}.{arm}" for experiment, arm in rendered.variants.items()]
    if model := rendered.settings.get("model"):
        about.append(f"model {model}")
    about.append(f"session {rendered.session}")
    yield text.Text.assemble((one_line(spec), HEAD), *(f" · {one_line(word)}" for word in about))


def _values(rendered: Rendered) -> Page:
    """Settings, vars and inputs, each with its origin."""
    parts = (("settings", rendered.settings), ("vars", rendered.vars), ("inputs", rendered.inputs))
    rows = [(part, path, value) for part, values in parts for path, value in _leaves(values, part)]
    yield from heading("Values")
    cells = [
        (one_line(path.removeprefix("settings.") if part == "settings" else path), one_line(as_json(value)), path)
        for part, path, value in rows
    ]

    def fitted(width: int) -> Any:
        grid = grid_of(3)
        grid.columns[0].no_wrap = max(len(name) for name, _, _ in cells) <= width // 2
        for name, value, path in cells:
            grid.add_row(name, value, origin_text(rendered.origins.get(path, DEFAULT)))
        return grid

    yield Fitted(fitted)


def _leaves(values: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{path}.{key}")
        else:
            yield f"{path}.{key}", value


def _system(rendered: Rendered) -> Page:
    dropped = sum(piece.dropped for piece in rendered.contributors)
    about = [count_of(rendered.tokens.system, "token")] if rendered.system else ["none"]
    if rendered.error is not None and not rendered.contributors:
        about = ["not made"]
    about += [f"{dropped} of {count_of(len(rendered.contributors), 'piece')} dropped"] if dropped else []
    yield from heading("System prompt", *about)
    for piece in rendered.contributors:
        yield _piece_head(piece, rendered.origins.get(f"contributors.{piece.name}"))
        if piece.why:
            yield indented(text.Text(f"{'dropped' if piece.dropped else 'cut'}: {in_lines(piece.why)}", "yellow"))
        elif not piece.text:
            yield indented(text.Text("no text for this request", FAINT))
        if piece.text:
            yield indented(text.Text(in_lines(piece.text)))
    own = "\n\n".join(piece.text for piece in rendered.contributors if piece.text)
    if more := rendered.system[len(own) :].strip("\n"):
        yield _ruled(text.Text("system messages of the request", HEAD), text.Text(""))
        yield indented(text.Text(in_lines(more)))


def _piece_head(piece: Contribution, origin: Origin | None) -> Any:
    name = piece.name if piece.name == piece.type else f"{piece.name} ({piece.type})"
    left = text.Text.assemble((one_line(name), HEAD), "  ", origin_text(origin) if origin is not None else "")
    right = text.Text("dropped", "yellow") if piece.dropped else text.Text(count_of(piece.tokens, "token"))
    return _ruled(left, right)


def _ruled(left: Any, right: Any) -> Any:
    """One line: what is on the left, a rule, what is on the right."""
    grid = table.Table.grid(expand=True, padding=(0, 1, 0, 0))
    grid.add_column(overflow="fold")
    grid.add_column(ratio=1)
    grid.add_column(justify="right", no_wrap=True, width=right.cell_len)
    grid.add_row(left, rule.Rule(style=FAINT), right)
    return grid


def _messages(rendered: Rendered, *, explain: bool) -> Page:
    few_shot = rendered.messages[: len(rendered.messages) - len(_sent(rendered))]
    rows = rendered.explained
    if not rows and not few_shot:
        return
    yield from heading("Messages", *_about_messages(rendered))
    if few_shot:
        origins = [origin_text(rendered.origins.get(f"messages/{index}", DEFAULT)) for index in range(len(few_shot))]
        yield Fitted(lambda width: _few_shot(few_shot, origins, width))
    if not rows:
        return
    grid = table.Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, expand=True, header_style=FAINT)
    for name in ("index", "role", "tokens", "kept"):
        grid.add_column(name, justify="right" if name in ("index", "tokens") else "left", no_wrap=True)
    grid.add_column("why", max_width=28, overflow="fold")
    grid.add_column("text", ratio=1, overflow="fold")
    for row in _short(rows, everything=explain):
        if row is None:
            hidden = rows[FIRST_MESSAGES:-LAST_MESSAGES]
            kept = sum(one.kept for one in hidden)
            grid.add_row(
                "…", "", "", "", "", f"{count_of(len(hidden), 'message')}, {kept} kept: --explain-compaction shows all"
            )
            continue
        words = text.Text(in_lines(_words(row.message)))
        if row is not rows[-1]:
            words = text.Text(one_line(_words(row.message)[:READ_CHARACTERS]), no_wrap=True, overflow="ellipsis")
        mark = text.Text("yes", GOOD) if row.kept else text.Text("no", BAD)
        grid.add_row(
            str(row.index),
            row.message.role,
            f"{row.tokens:,}",
            mark,
            one_line(row.why),
            words,
            style="" if row.kept else FAINT,
        )
    yield grid
    if "message" in rendered.origins:
        yield text.Text.assemble("the user's words stand in the template of ", origin_text(rendered.origins["message"]))


def _sent(rendered: Rendered) -> Sequence[Message]:
    """The messages that are sent without those of the spec, which are the first."""
    examples = sum(name.startswith("messages/") for name in rendered.origins)
    return rendered.messages[examples:]


def _few_shot(messages: Sequence[Message], origins: Sequence[Any], width: int) -> Any:
    """Examples with their places: beside the words, or below them where the words would have too little room."""
    beside = max(map(len, origins)) <= width - LEAST_WORDS - len("few-shot  assistant    ")
    grid = grid_of(4 if beside else 3, wide=2)
    for message, origin in zip(messages, origins, strict=True):
        row = text.Text("few-shot", FAINT), message.role, in_lines(_words(message))
        if beside:
            grid.add_row(*row, origin)
        else:
            grid.add_row(*row)
            grid.add_row("", "", origin)
    return grid


def _short(rows: Sequence[Explained], *, everything: bool) -> Iterator[Explained | None]:
    """The rows to show; None stands for those left out."""
    if everything or len(rows) <= FIRST_MESSAGES + LAST_MESSAGES + 1:
        yield from rows
        return
    yield from rows[:FIRST_MESSAGES]
    yield None
    yield from rows[-LAST_MESSAGES:]


def _about_messages(rendered: Rendered) -> Iterator[str]:
    """What compaction and the mending of the conversation did."""
    yield count_of(rendered.tokens.messages, "token")
    kept = [row for row in rendered.explained if row.kept]
    if len(kept) < len(rendered.explained):
        yield f"{len(kept)} of {len(rendered.explained):,} kept"
    if (record := rendered.compaction) is not None:
        stands_in = ", the fallback of one that failed" if record.fallback else ""
        again = " (as before)" if record.reused else ""
        yield f"compaction by {record.type}{stands_in}{again}: {record.before:,} → {record.after:,} tokens, target {record.target:,}"
    if (mending := rendered.mending) is not None:
        for done, indices in (
            ("tool calls got a stand-in result in", mending.closed),
            ("results without a call left out", mending.left_out),
            ("results moved behind their call", mending.moved),
        ):
            if indices:
                yield f"{done}: {', '.join(map(str, indices))}"


def _tools(rendered: Rendered) -> Page:
    if not rendered.sent_tools:
        return
    selection = rendered.selection
    about = [count_of(rendered.tokens.tools, "token")]
    if selection is not None:
        about.append(f"{len(selection.offered)} of {selection.candidates}{_chosen(selection)}")
    if sum(tool.tokens for tool in rendered.definitions) > rendered.tokens.tools:
        about.append("the model finds their definitions when it needs them")
    yield from heading("Tools", *about)
    ranks = {name: rank for rank, name in enumerate(rendered.tools, 1)}
    grid = grid_of(4, wide=3)
    for tool in sorted(rendered.definitions, key=lambda tool: ranks.get(tool.name, len(ranks) + 1)):
        before = "" if tool.name in ranks else "(offered before in this session) "
        tokens = text.Text(count_of(tool.tokens, "token"), FAINT)
        name = text.Text(one_line(tool.name), HEAD)
        grid.add_row(f"{ranks[tool.name]}." if not before else "·", name, tokens, before + one_line(tool.description))
    yield grid


def _chosen(selection: SelectionRecord) -> str:
    """How the tools were chosen."""
    everything = len(selection.offered) == selection.candidates and selection.type == "all"
    by = "" if everything else f", chosen by {selection.type}"
    if selection.failed:
        return f"{by}, the fallback of one that failed"
    if selection.fallback:
        return f"{by}, as none matches"
    return f"{by}{'' if everything else ', best first'}"


def _budget(rendered: Rendered) -> Page:
    tokens = rendered.tokens
    sizes = {"system": tokens.system, "messages": tokens.messages, "tools": tokens.tools}
    total = sum(sizes.values())
    if tokens.limit is None:
        yield from heading("Budget", count_of(total, "token"), "the model's window is not known")
    else:
        share = f"{100 * total / tokens.limit:.1f} %" if tokens.limit else ""
        yield from heading("Budget", f"{total:,} of {tokens.limit:,} tokens ({share})")
        sizes["free"] = max(0, tokens.limit - total)
    yield _Bar(sizes)
    legend = text.Text()
    for part, sign, style in PARTS:
        if part in sizes:
            legend.append(f"{sign} ", style).append(f"{part} {sizes[part]:,}   ")
    yield legend
    cache = rendered.cache
    if rendered.error is not None:
        return
    if cache.changed_at is not None:
        words = f"{cache.stable_tokens:,} tokens as in this session's last rendering, then {cache.changed_at} changed"
    elif cache.stable_tokens:
        words = f"{cache.stable_tokens:,} tokens as in this session's last rendering, which this one continues"
    else:
        words = "nothing to compare with: this session's first rendering here"
    yield text.Text.assemble(("prompt cache ", FAINT), words)


class _Bar:
    """A bar as wide as the page, one part for each size; a part that is not empty has at least one cell."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self._sizes = sizes

    def __rich_console__(self, terminal: console.Console, options: console.ConsoleOptions) -> Iterator[Any]:
        parts = [part for part in PARTS if self._sizes.get(part[0])]
        total = sum(self._sizes.values()) or 1
        room = options.max_width
        cells = {part[0]: max(1, round(room * self._sizes[part[0]] / total)) for part in parts}
        if cells:
            largest = max(cells, key=cells.__getitem__)
            cells[largest] += room - sum(cells.values())
        yield text.Text.assemble(*((sign * cells[name], style) for name, sign, style in parts))


def _words(message: Message) -> str:
    words = message.text()
    if words.strip():
        return words
    return ", ".join(f"{call.name}({call.arguments})" for call in message.tool_calls)
