"""``edgebat data check``: every fault of a corpus, each with file, cell, what is seen, what is allowed, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from edgebat.arrays import Float64
from edgebat.data.corpus import FIRST_STEP, Arrays, read_arrays, read_corpus
from edgebat.data.fleet import KEY
from edgebat.data.plausible import Implausible, curve_fault, soh_fault, voltage_fault
from edgebat.data.splits import MIN_GROUP
from edgebat.errors import DataError

CAPACITY_COLUMNS = [*KEY, "cycle", "discharge_capacity_ah"]
CURVE_ARRAYS = ("voltage", "dq_ah", "cell_id", "cycle")
SHOWN = 3
"""Of cells with the same mistake so many are listed."""
YOUNG = 0.7
"""A cell that begins below this part of nominal capacity is worth a look."""
NEARBY = 0.6
"""How alike a name must be to be proposed."""


@dataclass(frozen=True)
class Fault:
    """One fault. ``error``: cells cannot be used as they are; otherwise it is worth a look."""

    error: bool
    file: str
    cell: str
    """"dataset/cell_id", or empty for the whole file."""
    seen: str
    allowed: str
    remedy: str

    def __str__(self) -> str:
        where = f"{self.file}{f', {self.cell}' if self.cell else ''}"
        return f"{'error' if self.error else 'note'}: {where}: {self.seen}; allowed: {self.allowed}. {self.remedy}"


def check_corpus(corpus: Path) -> list[Fault]:
    """All faults of a corpus folder, errors first. Raises DataError when ``corpus`` is no folder."""
    if not corpus.is_dir():
        raise DataError(f"{corpus} is no folder; a corpus folder has cells.csv and capacity.parquet")
    faults = list(_faults(corpus))
    if not any(fault.error for fault in faults):
        try:
            notes = read_corpus(corpus).notes
        except DataError as error:
            faults.append(Fault(True, corpus.name, "", str(error), "a corpus that can be read", ""))
        else:
            faults += [_of_note(note) for note in notes]
    return sorted(faults, key=lambda fault: not fault.error)


def _of_note(note: str) -> Fault:
    file, _, text = note.partition(": ")
    remedy = (
        f'State it in an array {FIRST_STEP}: "sampled" or "exact".' if "mended" in text else "Look at these curves."
    )
    return Fault(False, file, "", text, "every curve usable as it is stored", remedy)


def _faults(corpus: Path) -> Iterator[Fault]:
    cells = _table(corpus / "cells.csv")
    capacity = _table(corpus / "capacity.parquet")
    for name, table, needed in (("cells.csv", cells, KEY), ("capacity.parquet", capacity, CAPACITY_COLUMNS)):
        if isinstance(table, str):
            yield Fault(True, name, "", table, "a readable table", "Write it as docs/data.md describes.")
        else:
            yield from _missing(name, list(table.columns), needed, "column")
    if isinstance(cells, str) or isinstance(capacity, str) or not set(KEY) <= set(cells.columns):
        return
    yield from _cell_faults(cells)
    nominal = _nominal(cells)
    if set(CAPACITY_COLUMNS) <= set(capacity.columns):
        yield from _capacity_faults(capacity, nominal)
    files = sorted((corpus / "segments").glob("*.npz"))
    if not files:
        yield Fault(False, "segments/", "", "no charge curves", "at least one .npz", "The task health needs charge curves; "
                    "forecast does without.")  # fmt: skip
    numbers = _numbers(capacity)
    seen: dict[tuple[str, str, int], str] = {}
    for file in files:
        yield from _curve_faults(file, nominal, numbers, seen)


def _table(path: Path) -> pd.DataFrame | str:
    if not path.is_file():
        return "the file is missing"
    try:
        if path.suffix == ".csv":
            return pd.read_csv(path, dtype=dict.fromkeys((*KEY, "split"), str))
        table = pd.read_parquet(path)
    except (ValueError, OSError) as error:
        return f"cannot be read: {error}"
    return table.astype({name: str for name in KEY if name in table.columns})


def _missing(file: str, there: Sequence[str], needed: Sequence[str], what: str) -> Iterator[Fault]:
    free = [name for name in there if name not in needed]
    for name in needed:
        if name not in there:
            near = [other for other in free if other.lower() in name or name in other.lower()]
            near = near or difflib.get_close_matches(name, free, n=1, cutoff=NEARBY)
            short = {"voltage": ("v", "u"), "cell_id": ("cell",), "dq_ah": ("q", "dq")}
            near = near or [other for other in free if other.lower() in short.get(name, ())]
            if any(";" in other or "\t" in other for other in there):
                yield Fault(True, file, "", f"its first line is {there[0]!r}", "columns separated by commas",
                            "Write it with commas between columns and a point in numbers.")  # fmt: skip
                return
            remedy = f"Rename {near[0]!r} to {name!r}." if near else f"Add the {what}; docs/data.md describes it."
            yield Fault(
                True, file, "", f"{what} {name!r} is missing; there is {list(there)}", f"{what} {name!r}", remedy
            )


def _label(key: tuple[str, str]) -> str:
    return "/".join(key)


def _keys(table: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(table["dataset"].astype(str), table["cell_id"].astype(str), strict=True))


def _no_numbers(file: str, label: str, name: str, values: pd.Series) -> Iterator[Fault]:
    """Values that are there and are no numbers."""
    wrong = values[pd.to_numeric(values, errors="coerce").isna() & values.notna()]
    if len(wrong):
        yield Fault(True, file, label, f"{name} is {wrong.iloc[0]!r} in {len(wrong)} rows", "numbers, or empty",
                    "Write numbers with a decimal point and without a unit.")  # fmt: skip


def _nominal(cells: pd.DataFrame) -> dict[tuple[str, str], float]:
    values = pd.to_numeric(cells.get("nominal_capacity_ah", pd.Series(np.nan, cells.index)), errors="coerce")
    return dict(zip(_keys(cells), values.astype(float), strict=True))


def _cell_faults(cells: pd.DataFrame) -> Iterator[Fault]:
    file = "cells.csv"
    for row in cells[cells[KEY].isna().any(axis=1)].index[:3]:
        yield Fault(True, file, "", f"row {row + 2} has no dataset or cell_id", "both", "Fill them in.")
    for key in dict.fromkeys(_keys(cells[cells.duplicated(KEY)])):
        yield Fault(True, file, _label(key), "listed twice", "one row per cell", "Delete one of the rows.")
    if "nominal_capacity_ah" in cells.columns:
        yield from _no_numbers(file, "", "nominal_capacity_ah", cells["nominal_capacity_ah"])
    nominal = _nominal(cells)
    without = [key for key, value in nominal.items() if not value > 0.0]
    for key in without[:SHOWN]:
        more = f" (and {len(without) - SHOWN} cells more)" if len(without) > SHOWN else ""
        yield Fault(True, file, _label(key), f"no nominal capacity{more}", "nominal_capacity_ah above 0, in Ah",
                    "Add what the data sheet says as column nominal_capacity_ah.")  # fmt: skip
    if 0 < len(cells) < MIN_GROUP:
        yield Fault(False, file, "", f"{len(cells)} cells", f"at least {MIN_GROUP}",
                    "With fewer none can be held out: no model can be tested on this corpus.")  # fmt: skip


def _stranger(key: tuple[str, str], listed: Sequence[tuple[str, str]]) -> str:
    """What to do about a key that cells.csv does not list."""
    alike = [k for k in listed if tuple(map(str.lower, k)) == tuple(map(str.lower, key))]
    number = [k for k in listed if k[1] in (key[1].removesuffix(".0"), f"{key[1]}.0")]
    for found, why in ((alike, "differs in case"), (number, "was written as a number")):
        if found:
            return f"{_label(found[0])} {why}: write both alike, as text."
    names = ", ".join(_label(k) for k in listed[:3])
    return f"List it in cells.csv, or correct its name; listed are {names}{', ...' if len(listed) > 3 else ''}."


def _capacity_faults(capacity: pd.DataFrame, nominal: dict[tuple[str, str], float]) -> Iterator[Fault]:
    file = "capacity.parquet"
    found = dict(iter(capacity.groupby(KEY, sort=True)))
    for key, table in found.items():
        label = _label(key)
        if key not in nominal:
            yield Fault(True, file, label, f"{len(table)} cycles of a cell that cells.csv does not list", "listed cells",
                        _stranger(key, list(nominal)))  # fmt: skip
            continue
        for name in ("cycle", "discharge_capacity_ah"):
            yield from _no_numbers(file, label, name, table[name])
        cycle = pd.to_numeric(table["cycle"], errors="coerce").to_numpy(float)
        value = pd.to_numeric(table["discharge_capacity_ah"], errors="coerce").to_numpy(float)
        wrong = ~(cycle == np.rint(cycle)) | (cycle < 0)
        if wrong.any():
            yield Fault(
                True, file, label, f"cycle {cycle[np.argmax(wrong)]:g}", "whole numbers from 1", "Number the cycles."
            )
            continue
        twice = pd.Series(cycle).duplicated().to_numpy()
        if twice.any():
            yield Fault(True, file, label, f"cycle {cycle[np.argmax(twice)]:g} is there twice ({twice.sum()} cycles are)",
                        "each cycle once", "Delete the rows that are there again, or number on.")  # fmt: skip
        if cycle.min() < 1:
            yield Fault(True, file, label, f"cycle numbers begin with {cycle.min():g}", "numbers from 1",
                        "Add 1 to every cycle, here and in segments/.")  # fmt: skip
        bad = (value < 0.0) | np.isinf(value)
        if bad.any():
            yield Fault(True, file, label, f"capacity {value[np.argmax(bad)]:g} Ah in cycle {cycle[np.argmax(bad)]:g}",
                        "finite and not negative, or empty", "Empty the value or flag the row as outlier.")  # fmt: skip
        flagged = (
            table["outlier"].fillna(False).astype(bool).to_numpy()
            if "outlier" in table.columns
            else ~np.isfinite(value)
        )
        if fault := soh_fault(value[~flagged & ~bad], nominal[key]):
            yield _of(fault, file, label)
        elif nominal[key] > 0.0 and (first := _first(value[~flagged & ~bad])) < YOUNG * nominal[key]:
            seen = f"its first capacities are {first:.3g} Ah, {first / nominal[key]:.0%} of nominal"
            yield Fault(False, file, label, seen, f"{YOUNG:.0%} or more of a new cell", "Aged before the test, capacities "
                        "relative to the first (they are Ah here), or the nominal capacity of another cell.")  # fmt: skip
    for key in sorted(set(nominal) - set(found)):
        yield Fault(
            False, file, _label(key), "no capacities", "capacities of every cell", "Add them, or delete the cell."
        )


def _first(capacity: Float64) -> float:
    known = capacity[np.isfinite(capacity)]
    return float(np.median(known[:5])) if known.size else float("inf")


def _of(found: Implausible, file: str, label: str) -> Fault:
    return Fault(True, file, label, found.seen, found.allowed, f"Suspected: {found.suspected}.")


def _numbers(capacity: pd.DataFrame) -> dict[tuple[str, str], set[int]]:
    if not set(CAPACITY_COLUMNS) <= set(capacity.columns):
        return {}
    cycle = pd.to_numeric(capacity["cycle"], errors="coerce").fillna(-1).astype(int)
    numbers: dict[tuple[str, str], set[int]] = {}
    for key, number in zip(_keys(capacity), cycle.tolist(), strict=True):
        numbers.setdefault(key, set()).add(number)
    return numbers


def _curve_faults(
    file: Path, nominal: dict[tuple[str, str], float], numbers: dict[tuple[str, str], set[int]],
    seen: dict[tuple[str, str, int], str],
) -> Iterator[Fault]:  # fmt: skip
    name = f"segments/{file.name}"
    try:
        arrays = read_arrays(file, "NumPy arrays")
    except DataError as error:
        yield Fault(True, name, "", str(error), "a .npz file without objects", "Write it anew with numpy.savez.")
        return
    if "dq_ah" in arrays or not any("current" in key for key in arrays):
        missing = list(_missing(name, list(arrays), CURVE_ARRAYS, "array"))
        # Files with other content are none of the reader's business; a curve file that lacks one thing is.
        if missing and len(missing) <= 2:
            yield from missing
        if missing:
            return
    elif not {"cell_id", "cycle"} <= arrays.keys():
        return
    keys = _curve_keys(file, arrays, nominal)
    if isinstance(keys, str):
        yield Fault(True, name, "", keys, "curves of listed cells", "Add an array 'dataset' [N] of text.")
        return
    cycle = arrays["cycle"].astype(np.int64)
    if len(cycle) != len(keys):
        yield Fault(
            True, name, "", f"{len(keys)} cell ids and {len(cycle)} cycles", "one of each per curve", "Write both."
        )
        return
    voltage = arrays.get("voltage", arrays.get("charge_voltage"))
    dq = arrays.get("dq_ah")
    rows_of: dict[tuple[str, str], list[int]] = {}
    for row, key in enumerate(keys):
        rows_of.setdefault(key, []).append(row)
    strangers = [key for key in rows_of if key not in nominal]
    for key in strangers[:SHOWN]:
        more = f" (and of {len(strangers) - SHOWN} cells more)" if len(strangers) > SHOWN else ""
        yield Fault(True, name, _label(key), f"{len(rows_of[key])} curves of a cell that cells.csv does not list{more}",
                    "listed cells", _stranger(key, list(nominal)))  # fmt: skip
    for key, rows in rows_of.items():
        if key not in nominal:
            continue
        label = _label(key)
        yield from _cycle_faults(name, key, cycle[rows], numbers.get(key, set()), seen)
        if dq is not None and dq.ndim == 2 and len(dq) == len(keys):
            with np.errstate(invalid="ignore"):
                falls = (np.diff(dq[rows].astype(float), axis=1) < -1e-4).any(axis=1)
            if falls.mean() > 0.5:
                yield Fault(True, name, label, f"{falls.mean():.0%} of its charge curves descend", "charge that rises with "
                            "the voltage", "Reverse the columns of dq_ah: voltages ascend.")  # fmt: skip
            elif fault := curve_fault(np.nanmax(np.abs(dq[rows].astype(float)), axis=1, initial=0.0), nominal[key]):
                yield _of(fault, name, label)
    if voltage is not None and (fault := voltage_fault(voltage.astype(float).ravel())):
        yield _of(fault, name, "")
    if voltage is not None and voltage.ndim == 1 and not (np.diff(voltage) > 0.0).all():
        yield Fault(
            True, name, "", "the voltages do not ascend", "ascending voltages", "Sort them, and the columns of dq_ah."
        )


def _curve_keys(file: Path, arrays: Arrays, nominal: dict[tuple[str, str], float]) -> list[tuple[str, str]] | str:
    ids = arrays["cell_id"].astype(str).tolist()
    if "dataset" in arrays:
        return list(zip(arrays["dataset"].astype(str).tolist(), ids, strict=False))
    datasets = sorted({dataset for dataset, _ in nominal})
    named = [name for name in datasets if file.stem.startswith(name)]
    holding = [name for name in datasets if all((name, cell) in nominal for cell in set(ids))]
    if not named and len(holding) != 1:
        return f"whose curves these are is not said; data sets that list all their cells: {holding or 'none'}"
    return [(max(named, key=len) if named else holding[0], cell) for cell in ids]


def _cycle_faults(
    name: str, key: tuple[str, str], cycle: np.ndarray, known: set[int], seen: dict[tuple[str, str, int], str]
) -> Iterator[Fault]:
    again = [number for number in cycle.tolist() if seen.setdefault((*key, number), name) != name]
    unique, counts = np.unique(cycle, return_counts=True)
    again += unique[counts > 1].tolist()
    if again:
        yield Fault(True, name, _label(key), f"the curve of cycle {again[0]} is there twice ({len(again)} curves are)",
                    "each curve once", "Delete the curves that are there again.")  # fmt: skip
    if not known:
        return
    matched = np.mean([number in known for number in unique.tolist()])
    for shift in (1, -1):
        better = np.mean([number + shift in known for number in unique.tolist()])
        if better > matched and (int(unique[0]) + shift == min(known) or matched < 0.5):
            yield Fault(True, name, _label(key), f"{matched:.0%} of its curves have a capacity of the same cycle, "
                        f"{better:.0%} would if they were numbered {shift:+d}", "one numbering for both tables",
                        "Number the cycles of both alike, from 1.")  # fmt: skip
            return
    if matched < 0.5:
        yield Fault(False, name, _label(key), f"{matched:.0%} of its curves have a capacity of their cycle", "most",
                    "Number the cycles of both tables alike.")  # fmt: skip
