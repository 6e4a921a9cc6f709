"""Tool selection by the subject domain of a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from attrs import field, frozen
from pydantic import Field

from victor_dsl.components.ranking.bm25 import Index, best_first
from victor_dsl.components.ranking.catalogue import PerCatalogue
from victor_dsl.components.ranking.nested import nested
from victor_dsl.components.ranking.query import Query, query_of
from victor_dsl.language.component import Context
from victor_dsl.language.config import ToolSelectionConfig
from victor_dsl.language.kinds import ToolSelection
from victor_dsl.values.model import Model
from victor_dsl.values.tool import Tool
from victor_dsl.values.turn import Turn

CLASSIFICATIONS_REMEMBERED = 1024


class Domain(Model):
    """What identifies a domain, and which tools it has."""

    keywords: list[str] = Field(
        default_factory=list,
        description="Words that identify requests of this domain. Left out, the texts of its tools do.",
    )
    tools: list[str] = Field(
        default_factory=list,
        description="Globs of the tools that belong to it, in addition to those whose own `domain` names it.",
        examples=[["git__*"]],
    )


class Config(ToolSelectionConfig):
    """Finds the domain of a request, and offers the tools of that domain, then those without a domain.

    The domains are those named by the tools' own `domain`, and those written here. A request belongs to the domain whose
    name and `keywords` match its words best; a domain without keywords is matched by the texts of its tools. Words
    match whole, in any of their forms. A request that matches no domain finds nothing, so that the fallback selects.
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
class _Domains:
    """The domains of one catalogue, and the classifications of the latest queries.

    `members` and `general` have positions of tools: those of each domain, and those of none. `index` holds the texts that
    identify domains, and `identified` the domain of each of these texts.
    """

    members: Mapping[str, Sequence[int]]
    general: Sequence[int]
    index: Index
    identified: Sequence[str]
    classified: dict[tuple[frozenset[tuple[str, float]], ...], tuple[str, ...]] = field(factory=dict)


class ByDomain:
    """Classifies requests by BM25 over the domains' words."""

    def __init__(self, config: Config) -> None:
        self._max_domains = config.max_domains
        self._rules = {
            name: rule if isinstance(rule, Domain) else Domain(keywords=rule, tools=[])
            for name, rule in config.domains.items()
        }
        self._domains: PerCatalogue[_Domains] = PerCatalogue(self._domains_in)

    async def select(self, tools: Sequence[Tool], turn: Turn) -> Sequence[Tool]:
        domains = await self._domains.of(tuple(tools))
        names = self._classify(domains, query_of(turn))
        if not names:
            return ()
        order = [position for name in names for position in domains.members[name]]
        chosen = dict.fromkeys([*order, *domains.general])
        return [tools[position] for position in chosen][: turn.settings.k]

    def _classify(self, domains: _Domains, query: Query) -> tuple[str, ...]:
        """The domains of a query, best first; none where none matches."""
        key = tuple(frozenset(part.words.items()) for part in (query, *query.clauses))
        found = domains.classified.get(key)
        if found is None:
            scores = domains.index.scores(query)
            best: dict[str, float] = {}
            for position in best_first(scores):
                best.setdefault(domains.identified[position], scores[position])
            last = [*best.values()][: self._max_domains][-1] if best else 0.0
            found = tuple(name for name, score in best.items() if score >= last)
            if len(domains.classified) >= CLASSIFICATIONS_REMEMBERED:
                del domains.classified[next(iter(domains.classified))]
            domains.classified[key] = found
        return found

    def _domains_in(self, tools: tuple[Tool, ...]) -> _Domains:
        members: dict[str, list[int]] = {}
        general: list[int] = []
        for position, tool in enumerate(tools):
            names = self._names_of(tool)
            for name in dict.fromkeys(names):
                members.setdefault(name, []).append(position)
            if not names:
                general.append(position)
        texts = [(name, text) for name, places in members.items() for text in self._texts_of(name, tools, places)]
        index = Index(tuple(text for _, text in texts), exact=True)
        return _Domains(members, general, index, [name for name, _ in texts])

    def _names_of(self, tool: Tool) -> list[str]:
        named = [name for name, rule in self._rules.items() if any(fnmatchcase(tool.name, glob) for glob in rule.tools)]
        return [tool.domain, *named] if tool.domain is not None else named

    def _texts_of(self, name: str, tools: Sequence[Tool], places: Sequence[int]) -> list[Tool]:
        """What identifies a domain, in the form that the index reads: its name, and its keywords or its tools."""
        rule = self._rules.get(name)
        if rule is not None and rule.keywords:
            return [Tool(name, " ".join(rule.keywords), {})]
        return [Tool(name, "", {}), *(tools[position] for position in places)]


def build(config: Config, context: Context) -> ToolSelection:
    """The strategy; it indexes the domains of a catalogue when it first meets it."""
    return nested(ByDomain(config), config, context)
