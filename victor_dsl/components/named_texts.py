"""Texts that come with a component, chosen by name: one Markdown file each, in the component's folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic_core import PydanticKnownError


def read_texts(folder: Path) -> dict[str, str]:
    """The text of each `NAME.md` in the folder, by its name, in alphabetical order; without the line end at its end."""
    return {path.stem: path.read_text(encoding="utf-8").rstrip("\n") for path in sorted(folder.glob("*.md"))}


def check_name(name: str, names: Iterable[str]) -> str:
    """The name, if it is one of these. Raises what pydantic raises for a `Literal` of the names.

    So the diagnostic has the name's place and the nearest of the others, as it has where the names are part of a type.
    """
    quoted = [f"'{other}'" for other in dict.fromkeys(names)]
    if f"'{name}'" not in quoted:
        raise PydanticKnownError("literal_error", {"expected": f"{', '.join(quoted[:-1])} or {quoted[-1]}"})
    return name
