"""``report.html`` of a corpus: what was read, mended, dropped and why, cell by cell, with pictures. Needs Jinja2."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from edgebat import __version__
from edgebat.assemble.coverage import Window, windows_of
from edgebat.assemble.findings import KINDS, Finding
from edgebat.assemble.provenance import Provenance
from edgebat.cells import CellHistory
from edgebat.data.fleet import Fleet
from edgebat.errors import require
from edgebat.files import atomic_write
from edgebat.report.svg import Chart, padded_range

NAME = "report.html"
CURVES_SHOWN = 6


def write_report(corpus: Path, fleet: Fleet, proposed: Window | None) -> Path:
    """Write the report of the corpus, whose cells are ``fleet``, into it; returns its path. proposed: the window for a
    recipe. Raises DataError, MissingExtra."""
    jinja2, known = require("jinja2", extra="report"), Provenance.read(corpus)
    safe = jinja2.utils.markupsafe.Markup
    quality = dict(zip(fleet.keys, fleet.cells["quality"], strict=True))
    cells = [_cell(history, quality[history.key], known, safe) for history in fleet.histories()]
    rows: list[dict[str, Any]] = [
        {"name": note.name, "sha256": note.sha256, **about}
        for note in known.sources.values() for about in note.channels.values()
    ]  # fmt: skip
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = (resources.files("edgebat.assemble") / "templates" / "corpus.html.j2").read_text(encoding="utf-8")
    page = environment.from_string(template).render(
        version=__version__,
        name=corpus.resolve().name,
        css=safe((resources.files("edgebat.report") / "templates" / "report.css").read_text(encoding="utf-8")),
        summary=f"{len(cells)} cells out of {len(known.sources)} files. What was mended, dropped or flagged stands at each.",
        tiles=_tiles(cells, proposed),
        cells=cells,
        windows=windows_of(fleet),
        proposed=proposed,
        files=sorted(rows, key=lambda row: str(row["name"])),
        guesses=_grouped((str(text), str(row["name"])) for row in rows for text in (*row["guesses"], *row["notes"])),
        left_out=sorted(known.left_out.items()),
    )
    atomic_write(corpus / NAME, page)
    return corpus / NAME


def _tiles(cells: Sequence[dict[str, Any]], window: Window | None) -> list[tuple[str, str, str, str]]:
    tiles = [
        ("Cells", str(len(cells)), "", f"{sum(cell['quality'] == 'A' for cell in cells)} of grade A"),
        ("Capacities", f"{sum(cell['measured'] for cell in cells):,}", "cycles", "measured over a whole discharge"),
        ("Charge curves", f"{sum(cell['curves'] for cell in cells):,}", "charges", "at constant current"),
    ]
    if window:
        note = f"covered by {100 * window.covered:.0f} % of the charges"
        tiles.append(("Proposed window", f"{window.start_v:.2f}–{window.end_v:.2f}", "V", note))
    return tiles


def _cell(history: CellHistory, quality: str, known: Provenance, safe: Any) -> dict[str, Any]:
    label = "/".join(history.key)
    note = known.cells.get(label)
    good = ~history.flagged & np.isfinite(history.capacity_ah)
    soh = 100.0 * history.capacity_ah[good] / history.nominal_ah
    return {
        "label": label,
        "anchor": "cell-" + label.replace("/", "-"),
        "quality": quality,
        "files": note.files if note else (),
        "cycles": int(history.cycle.size),
        "measured": int(good.sum()),
        "curves": int(history.charge_cycle.size),
        "first": f"{soh[0]:.1f}" if soh.size else "–",
        "last": f"{soh[-1]:.1f}" if soh.size else "–",
        "capacity": safe(_capacity_chart(history)),
        "charges": safe(_charge_chart(history)) if history.charge_cycle.size else "",
        "facts": [(key.replace("_", " "), value) for key, value in (note.facts.items() if note else ())],
        "findings": _by_kind(note.findings if note else ()),
        "reasons": sorted(note.reasons.items()) if note else [],
    }


def _by_kind(findings: Iterable[Finding]) -> list[tuple[str, list[tuple[str, str]]]]:
    listed = list(findings)
    kinds = [kind for kind in KINDS[::-1] if any(found.kind == kind for found in listed)]
    return [(kind, _grouped((found.text, found.file) for found in listed if found.kind == kind)) for kind in kinds]


def _grouped(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Each text once, with the files it is about."""
    files: dict[str, list[str]] = {}
    for text, file in pairs:
        files.setdefault(text, []).extend([file] * bool(file))
    return [(text, some_of(names)) for text, names in files.items()]


def some_of(names: Sequence[str], most: int = 5) -> str:
    """The first names, and how many there are besides."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _capacity_chart(history: CellHistory) -> str:
    good, cycle = ~history.flagged, history.cycle.astype(np.float64)
    capacity = np.where(history.capacity_ah > 2.0 * history.nominal_ah, np.nan, history.capacity_ah)
    shown = padded_range(capacity, [0.8 * history.nominal_ah])
    chart = Chart(padded_range(cycle), shown, "cycle", "Ah", "capacity by cycle")
    chart.dots(cycle[~good], capacity[~good], "c2").dots(cycle[good], capacity[good], "c0")
    return chart.level(0.8 * history.nominal_ah, "80 % of nominal").svg()


def _charge_chart(history: CellHistory) -> str:
    dq = np.asarray(history.charge_dq_ah, dtype=np.float64)
    chart = Chart(padded_range(history.charge_voltage_v), padded_range(dq), "V", "Ah", "charge over voltage")
    rows = np.unique(np.linspace(0, len(dq) - 1, CURVES_SHOWN).astype(int))
    for number, row in enumerate(rows.tolist()):
        chart.line(history.charge_voltage_v, dq[row], f"c{number % 8}")
    return chart.svg()
