"""How much work it is to check the combinations of tenants and arms, in entries that are checked anew: each takes about 2 µs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import define, field

from victor_dsl.source.located import Located

MOST_WORK = 2_000_000
"""About 4 seconds; a spec whose combinations take more is refused."""

_COMBINATION = 25
"""What a combination takes whose overlays set only values, beside the providers, vars and inputs that it has."""
_DOCUMENT = 50
"""What it takes more to lay an overlay that changes anything else."""
_AGAIN = 2
"""What an entry takes where each template is compared with the names that it sees."""
_VALUES = ("settings", "vars")
_NOT_OVERLAID = ("tenants", "variants", "tests")
_MERGED = ("providers", "vars", "inputs")
_NAMED = ("models", "databases", "embedders")


@define
class Work:
    """Adds up the work of combinations of one document, each given as its overlays from the lowest to the highest."""

    document: Located
    _entries: int = field(init=False)
    _merged: int = field(init=False)
    _laid: dict[int, int] = field(factory=dict)
    _rereads: dict[int, bool] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self._entries = self._sizes(self.document.value.keys() - {*_NOT_OVERLAID})
        self._merged = self._sizes(_MERGED)

    def is_too_much(self, combinations: Iterable[Sequence[Located]]) -> bool:
        """Whether to check the combinations takes more than MOST_WORK."""
        work = 0
        for overlays in combinations:
            work += _COMBINATION + self._merged
            if overlays:
                work += self._laying(overlays[-1])
            if any(map(self._is_reread, overlays)):
                work += _AGAIN * self._entries
            if work > MOST_WORK:
                return True
        return False

    def _laying(self, overlay: Located) -> int:
        """The entries of the sections that an overlay changes; all, where names may refer to something else."""
        if id(overlay) not in self._laid:
            changed = {name.removeprefix("+") for name in overlay.value} - {*_VALUES}
            work = _DOCUMENT if changed else 0
            work += self._sizes(changed) if changed.isdisjoint(_NAMED) else self._entries
            self._laid[id(overlay)] = work
        return self._laid[id(overlay)]

    def _is_reread(self, overlay: Located) -> bool:
        """Whether an overlay may take a name away from templates, so that all are checked again."""
        if id(overlay) not in self._rereads:
            values = (overlay.get(name) for name in _VALUES)
            self._rereads[id(overlay)] = "inputs" in overlay.value or any(
                leaf.value is None for section in values if section is not None for _, leaf in section.walk()
            )
        return self._rereads[id(overlay)]

    def _sizes(self, names: Iterable[str]) -> int:
        sections = (self.document.get(name) for name in names)
        return sum(len(one.value) for one in sections if one is not None and isinstance(one.value, dict | list))
