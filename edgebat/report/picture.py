"""The picture of the README, drawn from a finished run: ``python -m edgebat.report.picture runs/demo docs/pipeline.svg``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path

from edgebat.files import atomic_write
from edgebat.report.figures import Shown, cell_chart
from edgebat.report.results import Card
from edgebat.tasks.base import task
from edgebat.tasks.predictions import load_predictions

WIDTH, HEIGHT = 960, 372
STYLE = """
svg{--paper:#fdfdfb;--ink:#1c2126;--soft:#5c6670;--line:#dfe3e6;--box:#f3f5f5;--a:#0b7a75;--b:#5b5fc7;--f:#d1603d}
@media (prefers-color-scheme:dark){svg{--paper:#14181b;--ink:#e4e8ea;--soft:#9aa5ad;--line:#2e363c;--box:#1d2327;
--a:#4fc4ba;--b:#9a9df2;--f:#f0835f}}
text{font-family:-apple-system,"Segoe UI",Inter,Roboto,Helvetica,Arial,sans-serif;fill:var(--ink)}
.paper{fill:var(--paper)}.box{fill:var(--box);stroke:var(--line)}.head{font-size:15px;font-weight:600}
.big{font-size:25px;font-weight:650;letter-spacing:-.5px}.note{font-size:12.5px;font-weight:400;letter-spacing:0;fill:var(--soft)}
.arrow{stroke:var(--soft);stroke-width:1.4;fill:none}.tip{fill:var(--soft)}
.chart text{font-size:10.5px;fill:var(--soft)}.grid{stroke:var(--line);stroke-width:.8;fill:none}
.level{stroke:var(--soft);stroke-dasharray:3 3;stroke-width:.8;fill:none}.line{fill:none;stroke-width:1.8}
.c0{stroke:var(--ink)}.c1{stroke:var(--a)}.c3{stroke:var(--b)}.c2{stroke:var(--f)}
"""


def draw(run: Path) -> str:
    """SVG text for the run folder ``run``: teacher, best taught student, the engines that agree, and one held-out cell."""
    card: Card = json.loads((run / "card.json").read_text(encoding="utf-8"))
    rows = {row["key"]: row for row in card["accuracy"]}
    best, teacher = rows[card["best_taught"]], rows[card["teacher"]]
    of = task(card["task"]["name"])
    rank = of.columns[0]
    target = next(r for r in card["targets"] if (r["model"], r["target"]) == (best["kind"], card["headline_target"]))
    sizes = f"{target['flash_bytes'] / 1024:.1f} KiB flash, {target['ram_bytes']} B RAM"
    promised = [r for r in card["equality"] if r["expected"] == "0" and r["model"] == best["kind"] and not r["skipped"]]
    parts = [
        f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}" rx="10"/>',
        *_box(24, 24, teacher["label"], f"{teacher[rank.key]:.2f} {rank.unit}", rank.title,
              f"{teacher['parameters']:,} weights", "PyTorch Lightning, CPU or GPU"),
        *_arrow(244, 84, 274, "distil"),
        *_box(304, 24, f"Student {best['label']}", f"{best[rank.key]:.2f} {rank.unit}", f"{rank.title} int8",
              f"{best['parameters']:,} weights", sizes),
        *_arrow(524, 84, 554, "export"),
        *_engines(584, 24, [row["engine"] for row in promised], sum(row["mismatches"] for row in promised),
                  sum(row["outputs"] for row in promised)),
    ]  # fmt: skip
    windows = of.Windows.load(run / "data" / "test.safetensors")
    predictions = {
        key: load_predictions(run / "predictions" / f"{key}.safetensors") for key in ("teacher", best["key"])
    }
    cell = max(range(len(windows.cells)), key=lambda i: int((windows.cell == i).sum()))
    shown = [Shown("teacher", "teacher", "c3"), Shown(best["key"], "student", "c1")]
    chart = cell_chart(of, windows, cell, predictions, shown, (WIDTH - 300, 172))
    parts += [
        f'<svg x="272" y="190" width="{WIDTH - 300}" height="172">{chart}</svg>',
        *_text(24, 218, "head", "A cell nobody has seen"),
        *_text(
            24, 240, "note", f"{windows.cells[cell][1]}, {'synthetic' if card['data']['synthetic'] else 'measured'}"
        ),
        *_key(24, 262, "c0", "measured SOH"),
        *_key(24, 282, "c3", "teacher"),
        *_key(24, 302, "c1", f"int8 {best['label']} on {target['target']}"),
        *_key(24, 322, "c2", "some of its forecasts"),
        *_text(24, 346, "note", f"{target['instructions']:,} instructions (simulator)"),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="edgebat: from teacher to student to equal integers everywhere"><style>{STYLE}</style>'
        + "".join(parts)
        + "</svg>\n"
    )


def _text(x: int, y: int, style: str, text: str) -> list[str]:
    return [f'<text x="{x}" y="{y}" class="{style}">{escape(text)}</text>']


def _box(x: int, y: int, head: str, big: str, unit: str, *notes: str) -> list[str]:
    out = [f'<rect class="box" x="{x}" y="{y}" width="216" height="134" rx="8"/>', *_text(x + 16, y + 28, "head", head)]
    out.append(
        f'<text x="{x + 16}" y="{y + 62}" class="big">{escape(big)}<tspan class="note" dx="8">{escape(unit)}</tspan></text>'
    )
    for index, note in enumerate(notes):
        out += _text(x + 16, y + 90 + 20 * index, "note", note)
    return out


def _arrow(x: int, y: int, middle: int, word: str) -> list[str]:
    return [
        f'<path class="arrow" d="M{x} {y}H{x + 50}"/><path class="tip" d="M{x + 56} {y}l-9 -4.5v9z"/>',
        f'<text x="{middle}" y="{y - 10}" class="note" text-anchor="middle">{word}</text>',
    ]


def _engines(x: int, y: int, engines: Sequence[str], mismatches: int, outputs: int) -> list[str]:
    out = [f'<rect class="box" x="{x}" y="{y}" width="352" height="134" rx="8"/>']
    out += _text(x + 16, y + 28, "head", "The same integers everywhere")
    out.append(f'<text x="{x + 16}" y="{y + 62}" class="big">{mismatches:,}<tspan class="note" dx="8">')
    out.append(f"of {outputs:,} outputs differ</tspan></text>")
    words = ", ".join(engines)
    lines, line = [], ""
    for word in words.split(" "):
        if len(line) + len(word) > 50:
            lines.append(line)
            line = ""
        line += f"{word} "
    for index, text in enumerate([*lines, line]):
        out += _text(x + 16, y + 86 + 17 * index, "note", text.strip())
    return out


def _key(x: int, y: int, style: str, text: str) -> list[str]:
    return [f'<path class="line {style}" d="M{x} {y - 4}h18"/>', *_text(x + 26, y, "note", text)]


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m edgebat.report.picture RUN_FOLDER PICTURE.svg")
    atomic_write(sys.argv[2], draw(Path(sys.argv[1])))
