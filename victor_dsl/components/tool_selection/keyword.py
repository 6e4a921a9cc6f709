"""Tool selection by the words that a request shares with a tool's name, description and parameters."""

from __future__ import annotations

from victor_dsl.components.ranking.nested import nested
from victor_dsl.language.component import Context
from victor_dsl.language.config import ToolSelectionConfig
from victor_dsl.language.kinds import ToolSelection


class Config(ToolSelectionConfig):
    """Offers the `k` tools whose names, descriptions and parameters match the latest user message best (BM25).

    A short message is read together with the few before it; in a message that asks for several things, each sentence also
    counts by itself. Tools that match nothing fill up the rest, in their order; where no tool matches at all, the fallback
    selects.
    """


EXAMPLE = "{type: keyword, k: 8}"


def build(config: Config, context: Context) -> ToolSelection:
    """The strategy; it indexes a catalogue when it first meets it."""
    from victor_dsl.components.ranking.lexical import LexicalRanking

    return nested(LexicalRanking(), config, context)
