"""Tool selection by the field that a request belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from attrs import define, field
from pydantic import Field

from victor_dsl.components.tool_selection._lexical import Index
from victor_dsl.components.tool_selection._query import query
from victor_dsl.components.tool_selection._step import as_step
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
    by its words: by the domain's name and `keywords`, or where it has none by the texts of its tools. Words match whole, in
    any of their forms. A request of no known domain finds nothing, so that the fallback selects.
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


@define(eq=False)
class _Catalogue:
    """One list of tools by domain, and what requests were found to ask for."""

    tools: tuple[Tool, ...]
    members: Mapping[str, frozenset[int]]
    general: frozenset[int]
    index: Index
    found: dict[tuple[tuple[str, float], ...], tuple[str, ...]] = field(factory=dict)


class ByDomain:
    """Classifies requests by BM25 over the domains' words. Catalogues and classifications are remembered."""

    def __init__(self, config: Config) -> None:
        self._max_domains = config.max_domains
        self._rules = {
            name: rule if isinstance(rule, Domain) else Domain(keywords=rule, tools=[])
            for name, rule in config.domains.items()
        }
        self._catalogues: list[_Catalogue] = []

    async def select(self, tools: Sequence[Tool], turn: Turn) -> Sequence[Tool]:
        catalogue = self._catalogue(tuple(tools))
        domains = self._classified(catalogue, query(turn))
        if not domains:
            return ()
        order = [position for name in domains for position in sorted(catalogue.members[name])]
        chosen = dict.fromkeys([*order, *sorted(catalogue.general)])
        return [tools[position] for position in chosen][: turn.settings.k]

    def _classified(self, catalogue: _Catalogue, asked: Mapping[str, float]) -> tuple[str, ...]:
        """The domains of a request, best first; none where none is known."""
        key = tuple(sorted(asked.items()))
        if key not in catalogue.found:
            if len(catalogue.found) >= CLASSIFICATIONS_KEPT:
                del catalogue.found[next(iter(catalogue.found))]
            scores = catalogue.index.scores(asked)
            ranking = sorted(scores, key=lambda position: (-scores[position], position))
            last = scores[ranking[min(self._max_domains, len(ranking)) - 1]] if ranking else 0.0
            catalogue.found[key] = tuple(catalogue.index.tools[n].name for n in ranking if scores[n] >= last)
        return catalogue.found[key]

    def _catalogue(self, tools: tuple[Tool, ...]) -> _Catalogue:
        known = next((catalogue for catalogue in self._catalogues if catalogue.tools == tools), None)
        if known is None:
            known = self._made(tools)
        others = [other for other in self._catalogues if other is not known]
        self._catalogues = [known, *others[: CATALOGUES_KEPT - 1]]
        return known

    def _made(self, tools: tuple[Tool, ...]) -> _Catalogue:
        members: dict[str, set[int]] = {}
        for position, tool in enumerate(tools):
            for name in self._domains_of(tool):
                members.setdefault(name, set()).add(position)
        general = set(range(len(tools))).difference(*members.values())
        texts = tuple(self._told_by(name, [tools[n] for n in positions]) for name, positions in members.items())
        frozen = {name: frozenset(positions) for name, positions in members.items()}
        return _Catalogue(tools, frozen, frozenset(general), Index(texts))

    def _domains_of(self, tool: Tool) -> list[str]:
        named = [name for name, rule in self._rules.items() if any(fnmatchcase(tool.name, glob) for glob in rule.tools)]
        return [tool.domain, *named] if tool.domain is not None else named

    def _told_by(self, name: str, tools: Sequence[Tool]) -> Tool:
        """A domain as the lexical index knows texts: by its name, and its keywords or its tools."""
        rule = self._rules.get(name)
        if rule is not None and rule.keywords:
            return Tool(name, " ".join(rule.keywords), {})
        properties = {str(n): {"properties": tool.parameters.get("properties")} for n, tool in enumerate(tools)}
        return Tool(name, " ".join(f"{tool.name} {tool.description}" for tool in tools), {"properties": properties})


def build(config: Config, context: Context) -> ToolSelection:
    """The strategy, with nothing remembered yet."""
    return as_step(ByDomain(config), config, context)
