"""Every diagnostic code, with its meaning and its examples: what `victor explain` and the reference print."""

from __future__ import annotations

from collections.abc import Mapping

from victor_dsl.language.codes import files, overlays, rules, structure, text
from victor_dsl.language.codes.code import Code

GROUPS: Mapping[str, tuple[Code, ...]] = {
    "The text": text.CODES,
    "Files and variables": files.CODES,
    "Keys, values and names": structure.CODES,
    "Overlays": overlays.CODES,
    "What cannot work, or is hardly meant": rules.CODES,
}
"""The codes by what they are about, in the order in which a spec is read."""

CODES: Mapping[str, Code] = {code.word: code for codes in GROUPS.values() for code in codes}

__all__ = ["CODES", "GROUPS", "Code"]
