"""The report of many lives: ``lives.json``, ``lives.csv`` (one row per day), ``lives.svg``, and a table."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path

import numpy as np

from edgebat.bms.results import Status
from edgebat.files import atomic_write
from edgebat.lives.front import LifeRecord
from edgebat.lives.many import Led, Lives
from edgebat.lives.scores import LifeScores
from edgebat.report.picture import STYLE
from edgebat.report.svg import Chart, padded_range

PANEL_WIDTH, PANEL_HEIGHT, COLUMNS = 330, 220, 3
HEAD, TITLE = 58, 22
MOST_PANELS = 9
POINTS = 200
MOST_SHOWN = 108.0
"""A bound above it, % SOH, leaves the picture, so that it does not flatten what matters."""


def write_report(lives: Lives, folder: Path) -> None:
    """All files of the report."""
    atomic_write(folder / "lives.json", json.dumps(document(lives), indent=1) + "\n")
    atomic_write(folder / "lives.csv", day_table(lives.led))
    atomic_write(folder / "lives.svg", draw(lives))


def document(lives: Lives) -> dict[str, object]:
    """Content of ``lives.json``: scores by kind and by life. What is not finite is null."""
    return {
        "model": lives.graph.name,
        "fingerprint": lives.graph.fingerprint,
        "target": "Cortex-M4 (simulator)" if lives.options.target == "board" else "host",
        "synthetic": lives.synthetic,
        "seed": lives.options.seed,
        "kinds": {kind: _finite(scores) for kind, scores in lives.by_kind().items()},
        "lives": [
            {
                "kind": one.kind,
                "life": one.index + 1,
                "cell": one.cell,
                **_finite(one.scores),
                "efc": round(one.record.efc, 2),
                "samples": one.record.samples,
                "power_ups": one.record.power_ups,
                "charge_ends": one.record.charges,
                "days_by_status": dict(Counter(one.record.status)),
                "jumps_on_days": [round(day, 3) for day in one.record.jumps],
            }
            for one in lives.led
        ],
    }


def table(lives: Lives) -> str:
    """Scores by kind, and why charges gave no input, as plain text."""
    head = ["life", "lives", "days", "first OK", "slowest", "OK after", "covered", "healthier", "error", "jumps"]
    rows = [[*head, "charges", "used", "frames compared", "differences"]]
    for kind, s in lives.by_kind().items():
        first = [kind, str(s.lives), f"{s.days:,}", f"{s.first_ok_day:.0f}", f"{s.latest_ok_day:.0f}"]
        bound = [_percent(s.ok_after), _percent(s.coverage), _percent(s.healthier), f"{s.error:.2f}", str(s.jumps)]
        rows.append([*first, *bound, f"{s.charges:,}", _percent(s.used), f"{s.compared:,}", str(s.mismatches)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(t.rjust(w) for t, w in zip(row, widths, strict=True)) for row in rows]
    for kind in lives.by_kind():
        ends: Counter[str] = Counter()
        for one in lives.led:
            ends.update(one.record.charges if one.kind == kind else {})
        lines.append(f"{kind}: " + ", ".join(f"{name} {count:,}" for name, count in ends.most_common()))
    return "\n".join(lines)


def day_table(led: Sequence[Led]) -> str:
    """CSV, one row per day."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["kind", "life", "cell", "day", "true", "published", "bound", "status"])
    for one in led:
        record = one.record
        columns = zip(record.day, record.true, record.published, record.bound, record.status, strict=True)
        for day, true, published, bound, status in columns:
            numbers = ["" if math.isnan(v) else f"{v:.3f}" for v in (true, published, bound)]
            writer.writerow([one.kind, one.index + 1, one.cell, day, *numbers, status])
    return text.getvalue()


def draw(lives: Lives) -> str:
    """SVG text: truth, what was published, and its bound over a life; the first lives of each kind, nine panels at most."""
    shown = _shown(lives.led)
    rows = -(-len(shown) // COLUMNS)
    width, height = 20 + COLUMNS * PANEL_WIDTH, HEAD + rows * (PANEL_HEIGHT + TITLE) + 10
    of = "synthetic" if lives.synthetic else "held-out"
    parts = [
        f'<rect class="paper" width="{width}" height="{height}" rx="10"/>',
        f'<text x="20" y="26" class="head">Lives of {of} cells in front of the firmware: {escape(lives.graph.name)}</text>',
    ]
    for x, style, name in (
        (20, "c0", "true SOH"),
        (150, "c3", "published"),
        (280, "c1", "its 90 % bound; dashed: not OK"),
    ):
        parts.append(f'<path class="line {style}" d="M{x} 42h18"/><text x="{x + 26}" y="46" class="note">{name}</text>')
    for index, one in enumerate(shown):
        x, y = 10 + index % COLUMNS * PANEL_WIDTH, HEAD + index // COLUMNS * (PANEL_HEIGHT + TITLE)
        title = f"{one.kind} {one.index + 1}: {one.cell.rpartition('/')[2]}, {_percent(one.scores.coverage)} covered"
        parts.append(f'<text x="{x + 12}" y="{y + 14}" class="note">{escape(title)}</text>')
        parts.append(f'<svg x="{x}" y="{y + TITLE}" width="{PANEL_WIDTH - 10}" height="{PANEL_HEIGHT}">')
        parts.append(f"{_chart(one.record, title).svg()}</svg>")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="SOH over lives of a battery, true and published"><style>{STYLE}</style>'
        + "".join(parts)
        + "</svg>\n"
    )


def _shown(led: Sequence[Led]) -> list[Led]:
    """The first life of each kind, then the second of each, ..."""
    return sorted(led, key=lambda one: one.index)[:MOST_PANELS]


def _chart(record: LifeRecord, title: str) -> Chart:
    every = slice(None, None, max(1, -(-len(record.day) // POINTS)))
    day, true, published, bound = (
        np.array(v[every], dtype=float) for v in (record.day, record.true, record.published, record.bound)
    )
    ok = np.array([status == Status.OK.name for status in record.status[every]], dtype=np.bool_)
    edges = (np.clip(published + side * bound, 60.0, MOST_SHOWN) for side in (-1, 1))
    span = padded_range(true, published, *edges, margin=0.08)
    chart = Chart(
        (0.0, max(float(day.max()), 1.0)), span, "day", "SOH, %", title, width=PANEL_WIDTH - 10, height=PANEL_HEIGHT
    )
    for edge in (published - bound, published + bound):
        chart.line(day, np.where((edge > span[0]) & (edge < span[1]), edge, np.nan), "c1")
    chart.line(day, true, "c0").line(day, np.where(ok, published, np.nan), "c3")
    return chart.line(day, np.where(ok, np.nan, published), "c3", dashed=True)


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.1f} %"


def _finite(scores: LifeScores) -> dict[str, float | None]:
    rounded = {name: round(value, 4) for name, value in asdict(scores).items()}
    return {name: value if math.isfinite(value) else None for name, value in rounded.items()}
