"""The HTML report: one file that needs nothing else, for phone and desktop, light and dark. Needs Jinja2."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib import resources
from itertools import groupby
from typing import Any

import numpy as np

from edgebat.data.splits import CALIBRATION
from edgebat.errors import require
from edgebat.files import Json
from edgebat.report.card import full_label
from edgebat.report.figures import PARITY_DOTS, Shown, cell_chart, colour, domain_chart, loss_chart, parity, stage_bars
from edgebat.report.results import Card, with_figures
from edgebat.report.svg import bars
from edgebat.tasks.base import AnyTask, Predictions, task
from edgebat.tasks.windows import Windows

ENGINE_ORDER = (
    "NumPy from .tflite",
    "NumPy from .onnx",
    "NumPy step by step",
    "ONNX Runtime",
    "LiteRT",
    "TFLite Micro",
)


def render(card: Card, windows: Windows, predictions: Mapping[str, Predictions]) -> str:
    """The report as HTML text.

    windows: all held-out windows. predictions: per model key of the card's
    ``accuracy`` rows, by head in physical units.
    Raises MissingExtra without Jinja2.
    """
    jinja2 = require("jinja2", extra="report")
    templates = resources.files("edgebat.report") / "templates"
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string((templates / "report.html.j2").read_text(encoding="utf-8"))
    safe = jinja2.utils.markupsafe.Markup
    of = task(card["task"]["name"])
    page: str = template.render(
        card=card,
        css=safe((templates / "report.css").read_text(encoding="utf-8")),
        figures=_figures(card, of, windows, predictions, safe),
        tiles=_tiles(card, of),
        facts=_facts(card, of),
        rank=of.columns[0],
        trust=_trust(card),
        target_groups=[
            {"label": label, "rows": list(rows)}
            for label, rows in groupby(with_figures(card["targets"]), key=lambda r: r["label"])
        ],
        compilers=sorted({f"{row['built_by']} is {row['compiler']}" for row in card["targets"] if not row["skipped"]}),
        equality=_equality(card["equality"]),
        number=_number,
        count=_count,
    )
    return page


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def _count(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _equality(rows: list[Json]) -> dict[str, object]:
    """The equality rows as a matrix: engines down, students across."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    engines = sorted(
        dict.fromkeys(row["engine"] for row in rows),
        # Python's sort is stable: engines that are not in the list stay in the order in which they were run.
        key=lambda engine: [*ENGINE_ORDER, engine].index(engine),
    )
    found = {(row["model"], row["engine"]): row for row in rows}
    return {
        "models": [model.upper() for model in models],
        "outputs": max((row["outputs"] for row in rows), default=0),
        "rows": [
            {
                "engine": engine,
                "cells": [found.get((model, engine)) for model in models],
                "version": next((r["version"] for r in rows if r["engine"] == engine and r["version"]), ""),
            }
            for engine in engines
        ],
    }


def _trust(card: Card) -> list[dict[str, object]]:
    """Per int8 student that is shown: rows of its table of coverage, and what it refuses."""
    found: list[dict[str, object]] = []
    rows = {row["key"]: row for row in card["accuracy"]}
    for key in (key for key in card["shown_models"] if key in card["trust"]):
        trust = card["trust"][key]
        refused = [(reason, count, 100 * count / trust["windows"]) for reason, count in trust["refused"].items()]
        found.append({"label": full_label(rows[key]), "held": trust["held"], "refused": refused})
    return found


def _figures(
    card: Card, of: AnyTask, windows: Windows, predictions: Mapping[str, Predictions], safe: Any
) -> dict[str, object]:
    rows = {row["key"]: row for row in card["accuracy"]}
    best, teacher, rank = card["best_student"], card["teacher"], of.columns[0]
    kinds = dict(zip(card["baselines_shown"], ("baseline", "second baseline"), strict=False))
    # A student without a teacher is shown where it is the best: beside its taught twin, in a colour of its own.
    own = {key: "other" for key in card["shown_models"] if key.endswith("_alone_int8")}
    shown = [
        Shown(key, full_label(rows[key]), colour(kinds.get(key) or own.get(key) or rows[key]["kind"]))
        for key in card["shown_models"]
    ]
    pair = [Shown(key, full_label(rows[key]), colour(rows[key]["kind"])) for key in (teacher, best)]
    by_size = np.argsort([-np.count_nonzero(windows.cell == i) for i in range(len(windows.cells))], kind="stable")
    # Every second, third ... cell of the list sorted by life length, so that short and long lives are both seen.
    wanted = min(card["cells_shown"], len(by_size))
    picked = sorted(by_size[np.linspace(0, len(by_size) - 1, wanted).round().astype(int)])
    counts = np.bincount(windows.cell, minlength=len(windows.cells))
    stages = [row for row in card["by_life"] if any(value is not None for value in row["errors"].values())]
    scored = [s for s in shown if rows[s.key].get(rank.key) is not None]
    return {
        "rank_bars": safe(bars([(s.label, [(s.style, rows[s.key][rank.key])]) for s in scored], rank.unit, rank.title)),
        "stage_bars": safe(stage_bars(stages, shown, of)) if stages else "",
        "legend_models": [{"style": s.style, "label": s.label} for s in shown],
        "legend_cells": [
            {"style": "c0", "label": "measured"},
            *({"style": s.style, "label": s.label} for s in pair),
            *([{"style": "band", "label": f"its {card['interval']:.0%} interval"}] if card["interval"] else []),
            {"style": "c2", "label": f"{full_label(rows[best])}: some forecasts"},
        ],
        "domain": [
            {"svg": safe(domain_chart(points, full_label(rows[key]))), "caption": full_label(rows[key])}
            for key in card["shown_models"]
            if key in card["trust"] and (points := card["trust"][key]["domain"]) is not None
        ],
        "parity": [
            {"svg": safe(parity(of, windows, predictions[s.key], s.style, s.label)), "caption": s.label} for s in pair
        ],
        "parity_sampled": len(windows) > PARITY_DOTS,
        "cells": [
            {
                "svg": safe(cell_chart(of, windows, int(cell), predictions, pair)),
                "caption": f"{windows.cells[cell][1]} · {windows.conditions[cell]} · {counts[cell]} windows",
            }
            for cell in picked
        ],
        "cells_left_out": len(windows.cells) - wanted,
        "losses": [{"svg": safe(loss_chart(curve)), "caption": curve["label"]} for curve in card["losses"]],
    }


def _tiles(card: Card, of: AnyTask) -> list[dict[str, str]]:
    rows = {row["key"]: row for row in card["accuracy"]}
    best, teacher, rank = rows[card["best_student"]], rows[card["teacher"]], of.columns[0]
    beside = [f"{rows[key]['label'].lower()} {_number(rows[key][rank.key], 2)}" for key in card["baselines_shown"]]
    taught = rows[card["best_taught"]]
    twin = [] if taught is best else [f"best with teacher, {taught['label']}, {_number(taught[rank.key], 2)}"]
    tiles = [
        {
            "label": f"Best int8 student, {full_label(best)}",
            "value": _number(best[rank.key], 2),
            "unit": f"{rank.unit}, {rank.title}",
            "note": ", ".join([*twin, f"teacher {_number(teacher[rank.key], 2)}", *beside]),
        },
        {
            "label": "Weights, teacher to student",
            "value": f"{teacher['parameters'] / best['parameters']:,.0f}",
            "unit": "× fewer",
            "note": f"{_count(teacher['parameters'])} to {_count(best['parameters'])}",
        },
    ]
    own = [r for r in card["equality"] if r["expected"] == "0" and not r["skipped"]]
    tiles.append(
        {
            "label": "NumPy, host C, simulated cores",
            "value": _count(sum(r["mismatches"] for r in own)),
            "unit": "outputs differ",
            "note": f"of {_count(sum(r['outputs'] for r in own))} compared",
        }
    )
    for row in card["targets"]:
        if row["model"] == best["kind"] and not row["skipped"] and row["target"] == card["headline_target"]:
            tiles.append(
                {
                    "label": f"{best['label']} on {row['target']}",
                    "value": _number(row["flash_bytes"] / 1024, 1),
                    "unit": "KiB flash",
                    "note": f"{_count(row['instructions'])} instructions (simulator), stack {_count(row['stack_bytes'])} B",
                }
            )
            break
    return tiles


def _facts(card: Card, of: AnyTask) -> dict[str, list[tuple[str, str]]]:
    data, versions = card["data"], card["versions"]
    packages = {name: version for name, version in versions["packages"].items() if version}
    return {
        "task": of.facts(of.spec(card["task"])),
        "data": [
            ("source", data["source"]),
            (
                "cells",
                f"{data['cells']['train']} train, {data['cells']['val']} validation, {data['cells']['test']} test"
                + (f", {data['cells'][CALIBRATION]} calibration" if CALIBRATION in data["cells"] else ""),
            ),
            ("windows", ", ".join(f"{data['windows'][part]:,} {part}" for part in ("train", "val", "test"))),
            ("split", f"by cell, {data['split_hash'][:16]}…"),
            ("content", f"{data['fingerprint'][:16]}…"),
            *(("of the corpus", note) for note in data["corpus_notes"]),
        ],
        "made": [
            ("edgebat", versions["edgebat"]),
            ("Python", f"{versions['python']} on {versions['machine']}"),
            *((name, version) for name, version in packages.items()),
            *((name, version) for name, version in versions["tools"].items()),
        ],
    }
