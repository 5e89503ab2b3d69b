"""What ``edgebat data add`` and ``edgebat data check`` print."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from edgebat.assemble.add import Added, Progress, add, settings_for, silent
from edgebat.assemble.cell import BuiltCell
from edgebat.assemble.check import check_corpus
from edgebat.assemble.report import some_of, write_report
from edgebat.assemble.window_choice import choose_window
from edgebat.data.corpus import read_corpus
from edgebat.errors import DataError, require
from edgebat.files import Json
from edgebat.lock import only_one

SHOWN = ("warning", "dropped", "mended", "flagged", "judged")


def run_add(
    paths: Sequence[Path], corpus: Path, given: Json, progress: Progress = silent, dry_run: bool = False,
    as_json: bool = False,
) -> tuple[str, int]:  # fmt: skip
    """Do it; returns what to print and the exit code: 2 when a cell could not be built.

    Raises EdgebatError: FolderBusy while another process adds to the corpus.
    """
    require("jinja2", extra="report")
    settings_for(corpus, given)  # what is wrong with them leaves no folder behind
    with contextlib.nullcontext() if dry_run else only_one(corpus, "--out CORPUS"):
        result = add(paths, corpus, settings_for(corpus, given), progress, dry_run)
        last = [f"dry run: nothing is written; without --dry-run {len(result.built)} cells go into {corpus}"]
        if not dry_run:
            last = _described(corpus) if (corpus / "cells.csv").is_file() else []
    code = 2 if result.failed else 0
    if as_json:
        return json.dumps(_plain(result, corpus, dry_run), indent=1, default=str), code
    return "\n".join([*_lines(result), "", *last]), code


def _lines(result: Added) -> list[str]:
    lines = [f"{len(result.sources)} files" + (f", {len(result.duplicates)} duplicates" if result.duplicates else "")]
    for guess, names in counted_together(result.guesses).items():
        lines.append(f"  guessed: {guess}  ({len(names)} of {len(result.sources)} files)")
    lines += [f"  duplicate: {name} is {same}" for name, same in list(result.duplicates.items())[:10]]
    lines += [f"  left out: {name}: {why}" for name, why in result.left_out.items()]
    for cell in result.built:
        lines += ["", *_cell_lines(cell)]
    if result.kept:
        lines += ["", f"unchanged: {some_of(result.kept)}"]
    for why in result.failed.values():
        lines += ["", f"NOT ADDED: {why}"]
    return lines


def counted_together(guesses: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Guess -> names of files, those that differ in how often alone as one: ``starts anew 3 to 9 times``."""
    alike: dict[tuple[str, ...], list[tuple[str, Sequence[str]]]] = {}
    for guess, names in guesses.items():
        before, count, after = [*re.split(r"(\d+)(?= times\b)", guess, maxsplit=1), "", ""][:3]
        alike.setdefault((before, after), []).append((count, names))
    together: dict[str, list[str]] = {}
    for (before, after), found in alike.items():
        counts = sorted((count for count, _ in found), key=lambda count: int(count or 0))
        often = counts[0] if counts[0] == counts[-1] else f"{counts[0]} to {counts[-1]}"
        together[f"{before}{often}{after}"] = [name for _, names in found for name in names]
    return together


def _described(corpus: Path) -> list[str]:
    """Writes the report of the corpus; lines on it and on what comes next."""
    fleet = read_corpus(corpus)
    try:
        window, none = choose_window(fleet).window, ""
    except DataError as error:
        window, none = None, str(error)
    lines = [f"corpus {corpus}: {len(fleet.keys)} cells; report {write_report(corpus, fleet, window)}"]
    if window is None:
        return [*lines, f"no voltage window to propose: {none}"]
    return [
        *lines,
        f"voltage window {window.start_v:.2f}-{window.end_v:.2f} V: covered by {window.covered:.0%} of the charges, by "
        f"{window.least_covered:.0%} of the cell that covers it least",
        f"next: edgebat init my.yaml --corpus {shlex.quote(str(corpus))}",
    ]


def _cell_lines(cell: BuiltCell) -> list[str]:
    soh = 100.0 * cell.table.discharge_ah[cell.measured] / cell.nominal_ah
    ages = f", SOH {soh[0]:.1f} to {soh[-1]:.1f} %" if soh.size else ""
    lines = [
        f"{'/'.join(cell.key)}: {cell.table.cycle.size} cycles, {int(cell.measured.sum())} capacities, "
        f"{cell.charge_cycle.size} charge curves{ages}"
    ]
    texts: dict[tuple[str, str], list[str]] = {}
    for kind in SHOWN:
        for found in cell.findings:
            if found.kind == kind:
                texts.setdefault((kind, found.text), []).extend([found.file] * bool(found.file))
    for (kind, text), names in texts.items():
        lines.append(f"  {kind}: {text}" + (f"  ({some_of(names, 2)})" if names else ""))
    lines += [f"  no curve: {count} charges, {why}" for why, count in sorted(cell.reasons.items())]
    return lines


def _plain(result: Added, corpus: Path, dry_run: bool) -> Json:
    return {
        "corpus": str(corpus),
        "written": not dry_run,
        "files": [source.name for source in result.sources],
        "duplicates": result.duplicates,
        "left_out": result.left_out,
        "guesses": result.guesses,
        "unchanged": result.kept,
        "failed": result.failed,
        "cells": [
            {
                "dataset": cell.key[0],
                "cell_id": cell.key[1],
                "facts": cell.facts,
                "cycles": int(cell.table.cycle.size),
                "capacities": int(cell.measured.sum()),
                "charge_curves": int(cell.charge_cycle.size),
                "first_soh": _ratio(cell, 0),
                "last_soh": _ratio(cell, -1),
                "findings": [vars(found) for found in cell.findings],
                "without_curve": cell.reasons,
            }
            for cell in result.built
        ],
    }


def _ratio(cell: BuiltCell, at: int) -> float | None:
    soh = np.round(cell.table.discharge_ah[cell.measured] / cell.nominal_ah, 4)
    return float(soh[at]) if soh.size else None


def run_check(corpus: Path, as_json: bool) -> tuple[str, int]:
    """The faults of a corpus as text; exit code 2 when there is one that makes cells unusable."""
    faults = check_corpus(corpus)
    code = 2 if any(fault.error for fault in faults) else 0
    if as_json:
        return json.dumps([vars(fault) for fault in faults], indent=1), code
    if not faults:
        return f"{corpus}: no fault found", 0
    return "\n".join(str(fault) for fault in faults), code
