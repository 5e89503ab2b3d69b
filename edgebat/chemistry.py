"""Whether two cells are of one chemistry, out of how their sources write it: ``NCM811``, ``LiNi0.83Co0.11Mn0.07O2 (NCM)``.

A cell of another chemistry often takes charge through a window as a known cell of another age does, so that no distance
notices it (docs/trust.md); what its source states does. NumPy is not needed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

NOT_KNOWN = re.compile(r"unknown|not stated|unstated|\?", re.IGNORECASE)
FORMULA = re.compile(r"LI[\d.]*\(?((?:(?:NI|CO|MN|AL|FE|PO4|P|O)[\d./]*\)?)+)", re.IGNORECASE)
ELEMENT = re.compile(r"(NI|CO|MN|AL|FE|PO4|P|O)([\d./]*)", re.IGNORECASE)
NAME = re.compile(r"(?<![A-Z])(NCMA|LNMO|LMFP|NMC|NCM|NCA|LFP|LCO|LMO)[ -]?(\d{3})?(?![A-Z])", re.IGNORECASE)
TITANATE = re.compile(r"LTO|titanate|Li4Ti5", re.IGNORECASE)
ELEMENTS = {
    frozenset({"NI", "CO", "AL"}): "NCA",
    frozenset({"NI", "CO", "MN"}): "NMC",
    frozenset({"NI", "CO", "MN", "AL"}): "NCMA",
    frozenset({"FE"}): "LFP",
    frozenset({"FE", "MN"}): "LMFP",
    frozenset({"CO"}): "LCO",
    frozenset({"MN"}): "LMO",
    frozenset({"NI", "MN"}): "LNMO",
}
"""Metals of a cathode -> its name."""


@dataclass(frozen=True)
class Materials:
    """What a cell is made of, as far as a text says: ``cathodes`` (several in a blend), nickel of an NMC in tenths of its
    metals (None where it is not said), and whether lithium titanate takes the place of graphite."""

    cathodes: frozenset[str]
    nickel: int | None = None
    titanate: bool = False

    def like(self, other: Materials) -> bool:
        """The same, as far as both say."""
        nickel = self.nickel is None or other.nickel is None or self.nickel == other.nickel
        return self.cathodes == other.cathodes and nickel and self.titanate == other.titanate


def materials(text: str) -> Materials | None:
    """Of a cell whose chemistry is written as ``text``; None where it names none, or says that it is not known."""
    if NOT_KNOWN.search(text):
        return None
    cathodes: set[str] = set()
    nickel = None
    for formula in FORMULA.findall(text):
        parts = {name.upper(): share for name, share in ELEMENT.findall(formula)}
        cathode = ELEMENTS.get(frozenset(parts) - {"O", "P", "PO4"})
        cathodes |= {cathode} if cathode else set()
        if cathode == "NMC":
            nickel = _tenths(parts["NI"])
    for name, digits in NAME.findall(text):
        cathode = "NMC" if name.upper() == "NCM" else name.upper()
        cathodes.add(cathode)
        if cathode == "NMC" and digits:
            nickel = round(10 * int(digits[0]) / sum(map(int, digits)))
    return Materials(frozenset(cathodes), nickel, bool(TITANATE.search(text))) if cathodes else None


def _tenths(share: str) -> int | None:
    """Of ``0.83`` or ``1/3``; None for anything else."""
    found = re.fullmatch(r"(\d?\.\d+|\d)(?:/(\d))?", share)
    value = float(found[1]) / float(found[2] or 1) if found and found[2] != "0" else None
    return None if value is None else round(10 * value)


def unlike(stated: str, known: Sequence[str]) -> bool:
    """Whether a cell that states its chemistry is of none of those ``known``. What is not stated, of the cell or of all that
    are known, is unlike nothing."""
    own, others = materials(stated), [found for text in known if (found := materials(text))]
    return own is not None and bool(others) and not any(own.like(other) for other in others)
