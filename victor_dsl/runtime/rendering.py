"""Renders a request: takes a turn as far as the model, without admission, counting or writing."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from itertools import takewhile
from typing import Any

from attrs import frozen

from victor_dsl.errors import RequestError, VictorError
from victor_dsl.graph.plan import Plan
from victor_dsl.language.boundary import component_error, is_fault
from victor_dsl.runtime.coordinators.compaction_memory import WIDTH, fingerprints, leading_same
from victor_dsl.runtime.coordinators.config import REQUEST
from victor_dsl.runtime.coordinators.conversation import conversation_of
from victor_dsl.runtime.generation import Generation, with_messages
from victor_dsl.runtime.pipeline import Pipeline
from victor_dsl.values.frozen import FrozenMap
from victor_dsl.values.message import messages_tokens
from victor_dsl.values.outcome import CacheUse, Explained, Rendered, Tokens
from victor_dsl.values.request import Request, check_request
from victor_dsl.values.settings import DEFAULT, TOOL_LISTS, Layer, Origin, Settings, joined
from victor_dsl.values.tokens import text_tokens
from victor_dsl.values.tool import Tool, tools_tokens
from victor_dsl.values.turn import Mending, Turn

MOST_SESSIONS = 1_000
"""How many sessions' last rendered requests are remembered; over that, the one rendered longest ago is forgotten."""


@frozen(eq=False)
class _Request:
    """A rendered request: its tools, and the fingerprints of its system prompt and messages."""

    tools: tuple[Tool, ...]
    system: int
    messages: bytes


class RenderedRequests:
    """The last rendered request of each session, in this process only."""

    def __init__(self) -> None:
        self._requests: OrderedDict[Hashable, _Request] = OrderedDict()

    def compare(self, turn: Turn) -> CacheUse:
        """What the turn's request has in common with the session's last one, which it replaces."""
        session = turn.session_key
        request = _Request(turn.tools, hash(turn.system), fingerprints(turn.messages))
        last = self._requests.pop(session, None)
        self._requests[session] = request
        if len(self._requests) > MOST_SESSIONS:
            self._requests.popitem(last=False)
        return CacheUse() if last is None else _common(last, request, turn)


def _common(last: _Request, request: _Request, turn: Turn) -> CacheUse:
    """Providers cache tools, system prompt and messages in this order, so a change ends what they can reuse."""
    pairs = zip(last.tools, request.tools, strict=False)
    same = len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
    stable = tools_tokens(request.tools[:same])
    if not same == len(last.tools) == len(request.tools):
        return CacheUse(stable, "tools")
    if last.system != request.system:
        return CacheUse(stable, "system")
    stable += text_tokens(turn.system or "")
    same = leading_same(last.messages, request.messages)
    stable += messages_tokens(turn.messages[:same])
    goes_on = same * WIDTH in {len(last.messages), len(request.messages)}
    return CacheUse(stable, None if goes_on else f"messages/{same}")


async def render(turn: Turn, generation: Generation, requests: RenderedRequests, *, explains: bool = True) -> Rendered:
    """What the model would be sent; after an error, what is known until then. Only cancellation is raised.

    `requests` are those rendered before. Without `explains`, origins and reasons are left out, which take a tenth of the time.
    """
    progress = _Progress(turn, explains=explains)
    try:
        check_request(turn.request)
    except RequestError as error:
        progress.error, progress.turn = error, turn.replace(request=Request(id=turn.request.id))
        return progress.rendered(CacheUse())
    try:
        await progress.go(generation)
    except BaseException as error:
        if not is_fault(error):
            raise
        progress.error = component_error(error)
    cache = CacheUse() if progress.error is not None else requests.compare(progress.turn.with_examples())
    return progress.rendered(cache)


class _Progress:
    """A turn on its way to the model, with its conversation as it came in (`conversation`), and who wrote what plans have origins of."""

    def __init__(self, turn: Turn, *, explains: bool) -> None:
        self.turn = turn
        self.explains = explains
        self.conversation = turn
        self.limit: int | None = None
        self.error: VictorError | None = None
        self.listed: tuple[Tool, ...] = ()
        self.written: Mapping[str, Origin] = {}

    async def go(self, generation: Generation) -> None:
        self.turn = await generation.identified(self.turn.replace(rendering=True))
        self.turn, plan = await generation.planned(self.turn)
        self.written = _written(plan)
        lease = await generation.pipelines.take(plan)
        try:
            await self._steps(lease.resource)
        finally:
            generation.pipelines.end(lease)

    async def _steps(self, pipeline: Pipeline) -> None:
        self.turn = self.conversation = await with_messages(self.turn, pipeline)
        for step in pipeline.rendering():
            self.turn = await step(self.turn)
            self.limit = pipeline.window(self.turn)
            if self.turn.selection is None:
                self.listed = self.turn.tools

    def rendered(self, cache: CacheUse) -> Rendered:
        turn, sent = self.turn, self.turn.with_examples().messages
        settled = bool(turn.layers)
        offered = turn.tools if turn.selection is not None else ()
        return Rendered(
            id=turn.request.id,
            session=turn.session,
            tenant=turn.tenant,
            variants=turn.trace.arms,
            settings=_settings_as_json(turn.settings) if settled else {},
            origins=origins(turn, self.written) if settled and self.explains else {},
            system=turn.system or "",
            contributors=turn.contributions,
            messages=sent,
            kept=self._kept(),
            tools=turn.selection.offered if turn.selection is not None else (),
            sent_tools=tuple(turn.callable_tools()) if offered else (),
            definitions=tuple(turn.callable_tools().values()) if offered else (),
            tokens=Tokens(
                system=text_tokens(turn.system or ""),
                messages=messages_tokens(sent),
                tools=tools_tokens(offered),
                limit=self.limit,
            ),
            compaction=turn.compaction,
            plan=turn.trace.plan,
            error=self.error,
            mending=self._mending(),
            listed_tools=tuple(tool.name for tool in self.listed),
            explained=tuple(self._explained()) if self.explains else (),
            input_messages=len(turn.request.messages or self.conversation.messages),
            cache=cache,
            vars=turn.vars,
            inputs=turn.inputs,
            layers=turn.layers,
            selection=turn.selection,
        )

    def _kept(self) -> tuple[int, ...]:
        """The indices of the input's messages that are sent; system messages always are."""
        kept = range(len(self.conversation.messages)) if self.turn.kept is None else self.turn.kept
        system = (i for i, message in enumerate(self.turn.request.messages or ()) if message.role == "system")
        return tuple(sorted([*system, *self._input(kept)]))

    def _mending(self) -> Mending | None:
        if (mending := self.turn.trace.mending) is None:
            return None
        return Mending(self._input(mending.closed), self._input(mending.left_out), self._input(mending.moved))

    def _explained(self) -> Iterator[Explained]:
        """Why each message of the input is sent or not. What the user says is shown as it is sent, in its template."""
        messages = list(self.turn.request.messages or self.conversation.messages)
        if "message" in self.written and (sent := conversation_of(self.turn).messages):
            messages[self._input([len(sent) - 1])[0]] = sent[-1]
        kept = frozenset(self._kept())
        mending = self._mending()
        left_out = frozenset(mending.left_out if mending is not None else ())
        why = dict(zip(self._input(self.turn.why), self.turn.why.values(), strict=True))
        for index, message in enumerate(messages):
            because = "a result without a call" if index in left_out else "all fits"
            if message.role == "system":
                because = "system"
            yield Explained(index, message, message.tokens, index in kept, why.get(index, because))

    def _input(self, indices: Iterable[int]) -> tuple[int, ...]:
        """The indices in the input of messages of the conversation; the input has system messages between them."""
        messages = self.turn.request.messages
        if messages is None:
            return tuple(indices)
        others = [index for index, message in enumerate(messages) if message.role != "system"]
        return tuple(others[index] for index in indices)


def _written(plan: Plan) -> dict[str, Origin]:
    """Who wrote each piece of the prompt, each message of the spec and the default of each input."""
    found = {f"contributors.{plan.by_id[id].name}": plan.origin(id) for id in plan.roles.contributors}
    for name in plan.inputs:
        if (default := plan.writers.get(f"inputs/{name}", {}).get("default")) is not None:
            found[f"inputs.{name}"] = default
    found |= {id: plan.origin(id) for id in plan.roles.messages}
    return found if plan.roles.message is None else {**found, "message": plan.origin(plan.roles.message)}


def _settings_as_json(settings: Settings) -> dict[str, Any]:
    """The settings that are set, as JSON values."""
    return {key: value for key, value in settings.model_dump(mode="json", exclude_none=True).items() if value != {}}


def origins(turn: Turn, written: Mapping[str, Origin] = FrozenMap()) -> dict[str, Origin]:
    """The origin of each value in force, by its dotted path: `settings.temperature`, `vars.product`, `inputs.customer`.

    And that of each piece of the prompt and message of the spec. `written` are those of the plan.
    """
    paths = [*_leaves(_settings_as_json(turn.settings), ("settings",)), *_leaves(turn.vars, ("vars",))]
    found = {".".join(path): origin_of(path, turn.layers) for path in paths}
    given = turn.request.inputs or {}
    for path in _leaves(turn.inputs, ("inputs",)):
        default = written.get(".".join(path[:2]), DEFAULT)
        found[".".join(path)] = default if given.get(path[1]) is None else Origin(REQUEST)
    return found | {name: origin for name, origin in written.items() if not name.startswith("inputs.")}


def origin_of(path: tuple[str, ...], layers: tuple[Layer, ...]) -> Origin:
    """The origin in the highest layer that has the path; the default if that value is null, or no layer has it.

    Of a list that adds to others, as those of tools always do, with those in all of its layers.
    """
    added: list[Origin] = []
    for layer in reversed(layers):
        here: Any = layer.settings if path[0] == "settings" else layer.vars
        for step in path[1:]:
            if not isinstance(here, Mapping) or step not in here:
                break
            here = here[step]
            if here is None:
                if path in TOOL_LISTS:
                    break
                return joined(added)
        else:
            added.append(place_in(path, layer))
            if path not in layer.added and path not in TOOL_LISTS:
                return joined(added)
    return joined(added)


def place_in(path: tuple[str, ...], layer: Layer) -> Origin:
    """Where a layer writes a value that it has."""
    for length in range(len(path), 0, -1):
        if (origin := layer.origins.get(".".join(path[:length]))) is not None:
            return origin
    return Origin(layer.source)


def _leaves(value: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            yield from _leaves(inner, (*path, key))
        else:
            yield (*path, key)
