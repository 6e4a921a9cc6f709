"""Drawings of a plan as the path of a request: text, Mermaid and Graphviz dot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from attrs import frozen

from victor_dsl.graph.plan import Node, Plan


@frozen
class Stop:
    """One node on the path: its label (`main (anthropic)`), its part in the stage (`answers`) and its nested nodes."""

    node: Node
    label: str
    note: str = ""
    nested: tuple[Stop, ...] = ()


@frozen
class Stage:
    """One stage of the path, which a request passes from the first to the last."""

    title: str
    stops: tuple[Stop, ...]


def stages(plan: Plan) -> tuple[Stage, ...]:
    """The stages of a plan that have a node."""
    roles, values = plan.roles, _settings(plan)
    found = (
        Stage("admission", _stops(plan, roles.admission)),
        Stage("history", _stops(plan, [roles.sessions])),
        Stage("settings, lowest first", _stops(plan, roles.providers, _priority)),
        Stage(
            "middleware", tuple(_stop(plan, id, "" if at == "turn" else f"around {at}") for id, at in roles.middleware)
        ),
        Stage("system prompt", _stops(plan, roles.contributors, _priority)),
        Stage("few-shot messages", _stops(plan, roles.messages, _role)),
        Stage("what the user says", _stops(plan, [roles.message] if roles.message else ())),
        Stage("tools", _stops(plan, roles.tools)),
        Stage("tool selection", _stops(plan, [roles.tool_selection]) if roles.tools else ()),
        Stage("compaction", _stops(plan, [roles.compaction])),
        Stage("answer", tuple(_models(plan, values))),
        Stage("events, sideways", _stops(plan, roles.exporters)),
    )
    return tuple(stage for stage in found if stage.stops)


def as_text(plan: Plan) -> str:
    """The path as a tree, with the file and line of each node."""
    rows: list[tuple[str, str]] = []
    path = stages(plan)
    for number, stage in enumerate(path):
        last = number == len(path) - 1
        rows.append((f"{'└' if last else '├'}─ {stage.title}", ""))
        rows.extend(_tree(plan, stage.stops, "   " if last else "│  "))
    width = max(len(left) for left, _ in rows)
    lines = [_title(plan), *(f"{left:{width}}  {right}".rstrip() for left, right in rows)]
    return "\n".join(lines) + "\n"


def as_mermaid(plan: Plan) -> str:
    """The path as a Mermaid flowchart."""
    path, names = stages(plan), _Names()
    lines = ["flowchart TD", f"  %% {_title(plan)}", "  request([request])"]
    for number, stage in enumerate(path):
        lines.append(f'  subgraph stage{number}["{_mermaid(stage.title)}"]')
        lines += [f'    {names[stop.node.id]}["{_mermaid(_caption(stop))}"]' for stop in _flat(stage.stops)]
        lines.append("  end")
    resources = _resources(plan)
    lines += [f'  {names[node.id]}[("{_mermaid(_label(node))}")]' for node in resources]
    lines.append("  reply([reply])")
    ends = ["request", *(f"stage{n}" for n, stage in enumerate(path) if not _sideways(stage)), "reply"]
    lines += [f"  {one} --> {other}" for one, other in pairwise(ends)]
    lines += [f"  reply -.-> stage{n}" for n, stage in enumerate(path) if _sideways(stage)]
    lines += [f"  {names[one]} -.-> {names[other]}" for one, other in _uses(path, resources)]
    return "\n".join(lines) + "\n"


def as_dot(plan: Plan) -> str:
    """The path as a Graphviz digraph."""
    path, resources = stages(plan), _resources(plan)
    lines = [
        f"digraph {_dot(plan.written_name)} {{",
        f"  label={_dot(_title(plan))}; labelloc=t; rankdir=TB; compound=true; fontname=Helvetica;",
        "  node [shape=box, style=rounded, fontname=Helvetica]; edge [fontname=Helvetica];",
        "  request [shape=oval]; reply [shape=oval];",
    ]
    for number, stage in enumerate(path):
        lines.append(f"  subgraph cluster_{number} {{ label={_dot(stage.title)};")
        lines += [f"    {_dot(stop.node.id)} [label={_dot(_caption(stop))}];" for stop in _flat(stage.stops)]
        lines.append("  }")
    lines += [f"  {_dot(node.id)} [shape=cylinder, label={_dot(_label(node))}];" for node in resources]
    before, tail = "request", ""
    for number, stage in enumerate(path):
        first = _dot(stage.stops[0].node.id)
        if _sideways(stage):
            lines.append(f"  reply -> {first} [lhead=cluster_{number}, style=dashed];")
            continue
        lines.append(f"  {before} -> {first} [{tail}lhead=cluster_{number}];")
        before, tail = _dot(stage.stops[-1].node.id), f"ltail=cluster_{number}, "
    lines.append(f"  {before} -> reply{f' [{tail[:-2]}]' if tail else ''};")
    lines += [f"  {_dot(one)} -> {_dot(other)} [style=dotted];" for one, other in _uses(path, resources)]
    return "\n".join([*lines, "}"]) + "\n"


DRAWINGS: Mapping[str, Callable[[Plan], str]] = {"text": as_text, "mermaid": as_mermaid, "dot": as_dot}


def _settings(plan: Plan) -> Mapping[str, Any]:
    values: Mapping[str, Any] = {}
    for layer in (plan.spec, *plan.overlays):
        values = layer.settings_upon(values)
    return values


def _models(plan: Plan, values: Mapping[str, Any]) -> Iterator[Stop]:
    models = dict(plan.roles.models)
    chosen = values.get("model") or plan.only_model()
    pools = {need: id for id in models.values() for need in plan.by_id[id].needs}
    order = [name for name in (chosen, *(values.get("fallbacks") or ())) if name in models]
    for name in dict.fromkeys([*order, *models]):
        note = "answers" if name == chosen else "stands in" if name in order else "if a provider or request names it"
        if name not in order and models[name] in pools:
            note = f"for {pools[models[name]]}"
        yield _stop(plan, models[name], note)


def _stops(plan: Plan, ids: Iterable[str], note: Callable[[Node], str] = lambda _: "") -> tuple[Stop, ...]:
    return tuple(_stop(plan, id, note(plan.by_id[id])) for id in ids)


def _stop(plan: Plan, id: str, note: str) -> Stop:
    node = plan.by_id[id]
    return Stop(node, _label(node), note, tuple(_nested(plan, node)))


def _nested(plan: Plan, parent: Node) -> Iterator[Stop]:
    """The nodes nested in a node's fields; the note is the field."""
    for need in parent.needs:
        if need.startswith(f"{parent.id}.") and (node := plan.by_id.get(need)):
            yield Stop(node, node.type, need.removeprefix(f"{parent.id}."), tuple(_nested(plan, node)))


def _label(node: Node) -> str:
    return node.name if node.name == node.type else f"{node.name} ({node.type})"


def _priority(node: Node) -> str:
    return f"priority {node.references.get('priority', getattr(node.config, 'priority', 50))}"


def _role(node: Node) -> str:
    return str(getattr(node.config, "role", ""))


def _title(plan: Plan) -> str:
    parts = [plan.written_name, f"plan {plan.digest[:12]}"]
    if plan.tenant is not None:
        parts.append(f"tenant {plan.tenant}")
    parts += [f"{experiment}={arm}" for experiment, arm in plan.arms.items()]
    return " · ".join(parts)


def _tree(plan: Plan, stops: tuple[Stop, ...], indent: str) -> Iterator[tuple[str, str]]:
    for number, stop in enumerate(stops):
        last = number == len(stops) - 1
        uses = [need for need in stop.node.needs if need in plan.by_id and not need.startswith(f"{stop.node.id}.")]
        note = f"  {stop.note}" if stop.note else ""
        arrow = f"  → {', '.join(uses)}" if uses else ""
        yield f"{indent}{'└' if last else '├'}─ {stop.label}{note}{arrow}", _place(plan, stop.node)
        yield from _tree(plan, stop.nested, indent + ("   " if last else "│  "))


def _place(plan: Plan, node: Node) -> str:
    """Where a node was written; where an overlay changed it, there."""
    origin = plan.origin(node.id)
    return str(origin) if origin.file else node.place


def _caption(stop: Stop) -> str:
    return f"{stop.label}\n{stop.note}" if stop.note else stop.label


def _flat(stops: Iterable[Stop]) -> Iterator[Stop]:
    for stop in stops:
        yield stop
        yield from _flat(stop.nested)


def _sideways(stage: Stage) -> bool:
    return stage.stops[0].node.kind == "exporters"


def _resources(plan: Plan) -> list[Node]:
    """The nodes that others refer to and that are on no stage: databases and embedders."""
    return [node for node in plan.nodes if node.kind in ("databases", "embedders")]


def _uses(path: Iterable[Stage], resources: Iterable[Node]) -> Iterator[tuple[str, str]]:
    nodes = [stop.node for stage in path for stop in _flat(stage.stops)] + list(resources)
    known = {node.id for node in nodes}
    for node in nodes:
        yield from ((node.id, need) for need in node.needs if need in known)


class _Names:
    """Short names for nodes, because their ids have characters that are syntax in Mermaid."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def __getitem__(self, id: str) -> str:
        return self._names.setdefault(id, f"n{len(self._names)}")


def _mermaid(text: str) -> str:
    escaped = "".join(c if c.isalnum() or c in " _-./()=,:\n" else f"#{ord(c)};" for c in text)
    return escaped.replace("\n", "<br>")


def _dot(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "")
    return f'"{escaped}"'
