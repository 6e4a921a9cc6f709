"""Resolves every name: references between sections, models in settings, experiments and arms."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from attrs import define, field

from victor_dsl.compiler.checked import Checked, Item
from victor_dsl.compiler.variations import Variation, Variations
from victor_dsl.language.annotations import Ref, annotated_fields
from victor_dsl.language.spec import Spec
from victor_dsl.nearest import Choices, suggest
from victor_dsl.source.diagnostic import Diagnostic
from victor_dsl.source.interpolate import Interpolated, as_read
from victor_dsl.source.located import Located, Path
from victor_dsl.values.settings import REQUEST_SETTINGS, SETTING_NAMES

_NAMED = ("models", "databases", "embedders")
"""Sections whose items are referred to by name."""

_REQUESTABLE = SETTING_NAMES - REQUEST_SETTINGS


@define
class Linker:
    """Collects faults of names, and which names of the spec are used in any variation."""

    diagnostics: list[Diagnostic] = field(factory=list)
    used: set[tuple[str, str]] = field(factory=set)
    _named: dict[Checked, tuple[int, ...]] = field(factory=dict)
    _items: dict[tuple[int, ...], set[Item]] = field(factory=dict)
    _settings: set[tuple[str, int, tuple[int, ...]]] = field(factory=set)
    _choices: Choices = field(factory=Choices)

    def link(self, variation: Variation) -> None:
        """The references of one variation, and the models that its settings name."""
        checked = variation.checked
        if checked not in self._named:
            named = self._named[checked] = tuple(id(checked.document.get(kind)) for kind in _NAMED)
            self._link(variation, self._items.setdefault(named, set()))
        named = self._named[checked]
        for setting in ("model", "fallbacks"):
            for path, leaf, value in variation.pieces(setting):
                key = (setting, id(leaf), named)
                if key in self._settings:
                    continue
                self._settings.add(key)
                if isinstance(leaf.value, Interpolated) and isinstance(value, list):  # one variable with a list in it
                    for name in value:
                        self._name(variation, "models", name, leaf, path)
                    continue
                leaves = enumerate(leaf.value) if isinstance(leaf.value, list) else [(None, leaf)]
                for i, one in leaves:
                    self._leaf(variation, one, path if i is None else (*path, i))

    def _link(self, variation: Variation, linked: set[Item]) -> None:
        """The references of each item, unless it is among those that were linked to the same names before."""
        for section in variation.checked.sections.values():
            for item in section:
                if item not in linked:
                    linked.add(item)
                    for member in item.family():
                        for ref, name, leaf, path in references(member):
                            self._name(variation, ref.kind, name, leaf, path)

    def link_experiments(self, spec: Spec | None, variations: Variations) -> None:
        """Controls, weights, opted-out experiments, and the names of requestable settings."""
        document = variations.document
        for name, experiment in ((spec.variants if spec else None) or {}).items():
            here = document.at(("variants", name))
            if experiment.control is not None and experiment.control not in experiment.arms:
                self._unknown(
                    f"variants.{name}.arms",
                    experiment.control,
                    experiment.arms,
                    here.at(("control",)),
                    ("variants", name, "control"),
                )
            if not any(arm.weight > 0 for arm in experiment.arms.values()):
                arms = here.at(("arms",))
                message = f"the arms of {name} have no weight above 0, so nobody can be assigned"
                hint = "give at least one arm a weight above 0, or set `status: stopped`"
                span = arms.key_span or arms.span
                self.diagnostics.append(Diagnostic("bad-weights", message, span, ("variants", name, "arms"), hint))
        for tenant, experiments in variations.opted_out.items():
            at: Path = ("tenants", tenant, "with", "variants")
            for name in experiments - variations.experiments.keys():
                leaf = document.at((*at, name))
                self._unknown("variants", name, variations.experiments, leaf, (*at, name), key=True)
        for i, name in enumerate((spec.request if spec else None) or ()):
            leaf = document.at(("request", i))
            if name not in SETTING_NAMES:
                self._unknown("settings", name, _REQUESTABLE, leaf, ("request", i))

    def _leaf(self, variation: Variation, leaf: Located, path: Path) -> None:
        text = as_read(leaf.value)
        if isinstance(text, str):
            self._name(variation, "models", text, leaf, path)

    def _name(self, variation: Variation, kind: str, name: str, leaf: Located, path: Path) -> None:
        section = variation.checked.document.get(kind)
        names = section.value if section is not None and isinstance(section.value, dict) else {}
        self.used.add((kind, name))
        if name not in names:
            self._unknown(kind, name, names, leaf, path)
            if (removal := variation.removal(kind, name)) is not None:
                removal.blame_last(self.diagnostics)

    def _unknown(
        self, holder: str, name: str, names: Collection[str], leaf: Located, path: Path, *, key: bool = False
    ) -> None:
        span = leaf.key_span if key and leaf.key_span else leaf.span
        hint = suggest(name, self._choices.of(names), what=f"names in {holder}")
        shown = leaf.value.text if isinstance(leaf.value, Interpolated) else name
        self.diagnostics.append(Diagnostic("unknown-name", f"{holder} has no '{shown}'", span, path, hint))


def references(item: Item) -> Iterator[tuple[Ref, str, Located, Path]]:
    """What an item refers to: the annotation of its field, the name, and the place of the reference."""
    for field_name, annotation in annotated_fields(item.component.config).items():
        value = item.located.get(field_name)
        if not isinstance(annotation, Ref) or value is None:
            continue
        places = enumerate(value.value) if isinstance(value.value, list) else [(None, value)]
        for i, leaf in places:
            text = as_read(leaf.value)
            if isinstance(text, str):
                yield annotation, text, leaf, (*item.path, field_name, *(() if i is None else (i,)))
