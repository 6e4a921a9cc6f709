"""Tool selection by the field that a request belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from attrs import field, frozen
from pydantic import Field

from victor_dsl.components.tool_selection._catalogue import Latest
from victor_dsl.components.tool_selection._index import Index, best_first
from victor_dsl.components.tool_selection._query import Asked, asked
from victor_dsl.components.tool_selection._step import as_step
from victor_dsl.components.tool_selection._words import Words
from victor_dsl.language.component import Context
from victor_dsl.language.config import Model, ToolSelectionConfig
from victor_dsl.language.kinds import ToolSelection
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

CATALOGUES_KEPT = 4
CLASSIFICATIONS_KEPT = 1024


class Domain(Model):
    """What tells a domain, and which tools it has."""

    keywords: list[str] = Field(
        default_factory=list,
        description="Words that requests of this domain have. Left out, the texts of its tools tell it.",
    )
    tools: list[str] = Field(
        default_factory=list,
        description="Globs of the tools that belong to it, beside those whose own `domain` it is.",
        examples=[["git__*"]],
    )


class Config(ToolSelectionConfig):
    """Names the domain of a request, and offers the tools of that domain, then those that have none.

    The domains are those that the tools' own `domain` says, and those written here. Which one a request belongs to is told
    by its words: by the domain's name and `keywords`, or where it has none by the tool of it that fits the request best. Words
    match whole, in any of their forms. A request of no known domain finds nothing, so that the fallback selects.
    """

    domains: dict[str, Domain | list[str]] = Field(
        default_factory=dict,
        description="Domains by name: a list of keywords, or a map of `keywords` and `tools`.",
        examples=[{"coding": ["code", "function", "pull request"], "web": {"tools": ["browser__*"]}}],
    )
    max_domains: int = Field(
        1, ge=1, description="How many domains a request may belong to, best first; those that fit equally all count."
    )


EXAMPLE = "{type: domain, domains: {coding: [code, function, bug], web: {keywords: [page, link], tools: [browse*]}}}"


@frozen(eq=False)
class _Catalogue:
    """One list of tools by domain, and what requests were found to ask for.

    `told` has the domain that each text of the index tells.
    """

    members: Mapping[str, Sequence[int]]
    general: Sequence[int]
    index: Index
    told: Sequence[str]
    found: dict[tuple[frozenset[tuple[str, float]], ...], tuple[str, ...]] = field(factory=dict)


class ByDomain:
    """Classifies requests by BM25 over the domains' words. The latest catalogues are remembered, with their classifications."""

    def __init__(self, config: Config) -> None:
        self._max_domains = config.max_domains
        self._rules = {
            name: rule if isinstance(rule, Domain) else Domain(keywords=rule, tools=[])
            for name, rule in config.domains.items()
        }
        self._words = Words()
        self._catalogues: Latest[_Catalogue] = Latest(CATALOGUES_KEPT)

    async def select(self, tools: Sequence[Tool], turn: Turn) -> Sequence[Tool]:
        whole = tuple(tools)
        catalogue = self._catalogues.find(whole) or self._catalogues.keep(whole, self._made(whole))
        domains = self._classified(catalogue, asked(turn, self._words))
        if not domains:
            return ()
        order = [position for name in domains for position in catalogue.members[name]]
        chosen = dict.fromkeys([*order, *catalogue.general])
        return [tools[position] for position in chosen][: turn.settings.k]

    def _classified(self, catalogue: _Catalogue, request: Asked) -> tuple[str, ...]:
        """The domains of a request, best first; none where none is known."""
        key = tuple(frozenset(asking.words.items()) for asking in (request.whole, *request.clauses))
        found = catalogue.found.get(key)
        if found is None:
            if len(catalogue.found) >= CLASSIFICATIONS_KEPT:
                del catalogue.found[next(iter(catalogue.found))]
            scores = catalogue.index.scores(request)
            best: dict[str, float] = {}
            for position in best_first(scores):
                best.setdefault(catalogue.told[position], scores[position])
            last = [*best.values()][: self._max_domains][-1] if best else 0.0
            found = tuple(name for name, score in best.items() if score >= last)
            catalogue.found[key] = found
        return found

    def _made(self, tools: tuple[Tool, ...]) -> _Catalogue:
        members: dict[str, list[int]] = {}
        general: list[int] = []
        for position, tool in enumerate(tools):
            domains = self._domains_of(tool)
            for name in dict.fromkeys(domains):
                members.setdefault(name, []).append(position)
            if not domains:
                general.append(position)
        texts = [(name, text) for name, places in members.items() for text in self._told_by(name, tools, places)]
        index = Index(tuple(text for _, text in texts), self._words, exact=True)
        return _Catalogue(members, general, index, [name for name, _ in texts])

    def _domains_of(self, tool: Tool) -> list[str]:
        named = [name for name, rule in self._rules.items() if any(fnmatchcase(tool.name, glob) for glob in rule.tools)]
        return [tool.domain, *named] if tool.domain is not None else named

    def _told_by(self, name: str, tools: Sequence[Tool], places: Sequence[int]) -> list[Tool]:
        """What tells a domain, as the lexical index knows texts: its name, and its keywords or its tools."""
        rule = self._rules.get(name)
        if rule is not None and rule.keywords:
            return [Tool(name, " ".join(rule.keywords), {})]
        return [Tool(name, "", {}), *(tools[position] for position in places)]


def build(config: Config, context: Context) -> ToolSelection:
    """The strategy, with nothing remembered yet."""
    return as_step(ByDomain(config), config, context)
