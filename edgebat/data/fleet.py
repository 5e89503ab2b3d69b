"""A fleet: the cells, their capacity over cycles, and their charge curves, as checked tables.

Everything that reads measurements returns a Fleet, and everything that learns from measurements starts from one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from edgebat.arrays import Float32, Float64, Int64
from edgebat.cells import CellHistory, CellKey, Condition
from edgebat.data.charge_protocol import constant_rate_c
from edgebat.errors import DataError

KEY = ["dataset", "cell_id"]
CELL_DEFAULTS: dict[str, object] = {
    "chemistry": "not stated",
    "nominal_capacity_ah": float("nan"),
    "temperature_c": float("nan"),
    "charge_protocol": "not stated",
    "quality": "not stated",
    "split": "",
}
CYCLE_DEFAULTS: dict[str, object] = {"outlier": False, "label_kind": "measured"}


@dataclass(frozen=True)
class ChargeCurves:
    """Charge taken over voltage in the constant-current part, N curves on one grid.

    ``voltage_v`` float64 [V] ascending; ``dq_ah`` float32 [N, V] charge since the curve's first voltage, NaN outside
    the voltages the curve covers; ``dataset``, ``cell_id`` text [N] and ``cycle`` int64 [N] say whose they are.
    """

    dataset: npt.NDArray[np.object_]
    cell_id: npt.NDArray[np.object_]
    cycle: Int64
    voltage_v: Float64
    dq_ah: Float32

    def __len__(self) -> int:
        return len(self.cycle)


@dataclass(frozen=True)
class Fleet:
    """Cells, cycles and charge curves, sorted by key and checked on construction.

    ``cells``: dataset, cell_id, chemistry, nominal_capacity_ah, temperature_c, charge_protocol, quality, split (the
    published one, or empty) and ``condition`` = dataset, temperature and charge protocol as one text. Only the key is
    required; what a source does not state is filled with NaN or "not stated".
    ``cycles``: dataset, cell_id, cycle (1-based int), discharge_capacity_ah, outlier, label_kind; the last two are
    optional. A missing capacity is NaN.
    Raises DataError for a missing column, an empty or duplicate key, a negative capacity, a cycle or curve of a cell
    that is not listed, and charge curves whose voltage does not ascend.
    """

    cells: pd.DataFrame
    cycles: pd.DataFrame
    charge: ChargeCurves | None = None
    source: str = ""
    synthetic: bool = False
    notes: tuple[str, ...] = ()
    """What a reader left out, and why."""

    def __post_init__(self) -> None:
        cells = _columns(self.cells, KEY, CELL_DEFAULTS, "cells")
        cycles = _columns(self.cycles, [*KEY, "cycle", "discharge_capacity_ah"], CYCLE_DEFAULTS, "cycles")
        _check_cells(cells)
        columns = (cells[name] for name in ("dataset", "temperature_c", "charge_protocol"))
        cells["condition"] = [str(_condition(*row)) for row in zip(*columns, strict=True)]
        cells = cells.sort_values(KEY, ignore_index=True)
        _check_cycles(cycles, cells)
        cycles = cycles.sort_values([*KEY, "cycle"], ignore_index=True)
        object.__setattr__(self, "cells", cells)
        object.__setattr__(self, "cycles", cycles)
        object.__setattr__(self, "charge", _checked_charge(self.charge, cells))

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of all keys and measurements; the same content gives the same text, whatever file it came from."""
        digest = hashlib.sha256()
        for table in (self.cells, self.cycles):
            for name in table.columns:
                column = table[name]
                digest.update(f"\n{name}\n".encode())
                digest.update(_bytes_of(column.to_numpy()))
        if self.charge is not None:
            for values in vars(self.charge).values():
                digest.update(_bytes_of(values))
        return digest.hexdigest()

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Of every cell, in the order of ``keys``."""
        columns = (self.cells[name] for name in ("dataset", "temperature_c", "charge_protocol", "chemistry"))
        return tuple(_condition(*row) for row in zip(*columns, strict=True))

    @property
    def keys(self) -> tuple[CellKey, ...]:
        """All cells, sorted."""
        return tuple(zip(self.cells["dataset"], self.cells["cell_id"], strict=True))

    def select(
        self,
        datasets: Iterable[str] | None = None,
        quality: Iterable[str] | None = None,
        chemistry: str | None = None,
        cells: Iterable[CellKey] | None = None,
    ) -> Fleet:
        """The cells that fit all that is given, with their cycles and curves.

        ``datasets`` and ``quality`` list allowed values, ``chemistry`` is a piece of the chemistry's text ("NCA").
        Raises DataError when nothing is left, naming what there is to choose from.
        """
        table = self.cells
        keep = np.ones(len(table), dtype=np.bool_)
        if datasets is not None:
            keep &= table["dataset"].isin(list(datasets)).to_numpy()
        if quality is not None:
            keep &= table["quality"].isin(list(quality)).to_numpy()
        if chemistry is not None:
            keep &= table["chemistry"].str.contains(chemistry, regex=False).to_numpy()
        if cells is not None:
            wanted = set(cells)
            keep &= np.array([key in wanted for key in self.keys], dtype=np.bool_)
        if not keep.any():
            raise DataError(
                f"no cell of {self.source or 'the fleet'} fits the selection; datasets: "
                f"{sorted(set(table['dataset']))}, qualities: {sorted(set(table['quality']))}, "
                f"chemistries: {sorted(set(table['chemistry']))}"
            )
        chosen = table[keep].drop(columns="condition")
        keys = pd.MultiIndex.from_frame(chosen[KEY])
        cycles = self.cycles[pd.MultiIndex.from_frame(self.cycles[KEY]).isin(keys)]
        charge = self.charge
        if charge is not None:
            rows = pd.MultiIndex.from_arrays([charge.dataset, charge.cell_id]).isin(keys)
            charge = ChargeCurves(
                charge.dataset[rows], charge.cell_id[rows], charge.cycle[rows], charge.voltage_v, charge.dq_ah[rows]
            )
        return replace(self, cells=chosen, cycles=cycles, charge=charge)

    def __iter__(self) -> Iterator[CellHistory]:
        return self.histories()

    def histories(self) -> Iterator[CellHistory]:
        """Cell by cell, sorted by key, as NumPy arrays."""
        cycle_rows = _row_ranges(self.cycles["dataset"].to_numpy(), self.cycles["cell_id"].to_numpy())
        charge = self.charge
        charge_rows = {} if charge is None else _row_ranges(charge.dataset, charge.cell_id)
        cycle = self.cycles["cycle"].to_numpy(dtype=np.int64)
        capacity = self.cycles["discharge_capacity_ah"].to_numpy(dtype=np.float64)
        flagged = self.cycles["outlier"].to_numpy(dtype=np.bool_)
        nominal = self.cells["nominal_capacity_ah"].to_numpy(dtype=np.float64)
        for key, condition, nominal_ah in zip(self.keys, self.conditions, nominal, strict=True):
            rows = cycle_rows.get(key, slice(0, 0))
            curves = charge_rows.get(key, slice(0, 0))
            yield CellHistory(
                key=key,
                condition=condition,
                nominal_ah=float(nominal_ah),
                cycle=cycle[rows],
                capacity_ah=capacity[rows],
                flagged=flagged[rows],
                charge_cycle=np.zeros(0, dtype=np.int64) if charge is None else charge.cycle[curves],
                charge_voltage_v=np.zeros(0) if charge is None else charge.voltage_v,
                charge_dq_ah=np.zeros((0, 0)) if charge is None else charge.dq_ah[curves],
            )


@cache
def _condition(dataset: str, temperature_degc: float, charge_protocol: str, chemistry: str = "") -> Condition:
    known = not np.isnan(temperature_degc)
    chemistry = "" if chemistry == CELL_DEFAULTS["chemistry"] else chemistry
    rate_c = constant_rate_c(charge_protocol)
    return Condition(dataset, float(temperature_degc) if known else None, charge_protocol, rate_c, chemistry)


def _columns(table: pd.DataFrame, required: list[str], defaults: dict[str, object], what: str) -> pd.DataFrame:
    """The required and defaulted columns with settled types."""
    missing = [name for name in required if name not in table.columns]
    if missing:
        raise DataError(f"the table of {what} lacks {missing}; it has {list(table.columns)}")
    chosen = pd.DataFrame(index=pd.RangeIndex(len(table)))
    for name in required + list(defaults):
        values = table[name].to_numpy() if name in table.columns else np.full(len(table), defaults[name], dtype=object)
        try:
            chosen[name] = _typed(name, values, defaults.get(name))
        except (TypeError, ValueError) as error:
            raise DataError(f"column {name!r} of the table of {what} cannot be read: {error}") from None
    return chosen


def _typed(name: str, values: npt.NDArray[np.generic], default: object) -> npt.NDArray[np.generic]:
    absent = pd.isna(values)
    if name in KEY or isinstance(default, str):
        if name in KEY and (absent.any() or (values[~absent].astype(str) == "").any()):
            raise ValueError(f"row {int(np.argmax(absent | (values.astype(str) == '')))} has no value")
        return np.array([default if a else str(v) for v, a in zip(values, absent, strict=True)], dtype=object)
    if name == "cycle":
        if absent.any():
            raise ValueError(f"row {int(np.argmax(absent))} has no value")
        numbers = values.astype(np.float64)
        wrong = (numbers != np.rint(numbers)) | (numbers < 0)
        if wrong.any():
            raise ValueError(f"cycle numbers must be whole and not negative; seen {numbers[np.argmax(wrong)]}")
        return numbers.astype(np.int64)
    if isinstance(default, bool):
        return np.where(absent, default, values).astype(np.bool_)
    return values.astype(np.float64)


def _refuse(rows: pd.DataFrame, text: str) -> None:
    """Raise DataError when there is any such row: ``text`` with their ``{count}`` and the columns of the first."""
    if len(rows):
        raise DataError(text.format(count=len(rows), **rows.iloc[0]))


def _check_cells(cells: pd.DataFrame) -> None:
    if cells.empty:
        raise DataError("the table of cells is empty")
    twice = "{count} cells are listed twice, first ({dataset!r}, {cell_id!r}); key: (dataset, cell_id)"
    _refuse(cells[cells.duplicated(KEY)], twice)
    below = cells[cells["nominal_capacity_ah"] <= 0.0]
    _refuse(below, "cell {cell_id} of {dataset}: nominal capacity {nominal_capacity_ah} Ah")


def _check_cycles(cycles: pd.DataFrame, cells: pd.DataFrame) -> None:
    one = "cycle {cycle} of cell {cell_id} of {dataset}"
    _refuse(cycles[cycles.duplicated([*KEY, "cycle"])], f"{one} is there twice")
    bad = cycles[(cycles["discharge_capacity_ah"] < 0.0) | np.isinf(cycles["discharge_capacity_ah"])]
    _refuse(bad, f"{one}: discharge capacity {{discharge_capacity_ah}} Ah; it must be finite and not negative, or NaN when "
                 "not measured")  # fmt: skip
    stray = cycles[~pd.MultiIndex.from_frame(cycles[KEY]).isin(pd.MultiIndex.from_frame(cells[KEY]))]
    _refuse(stray, "{count} cycles are of cells not listed, first {cell_id} of {dataset}")


def _checked_charge(charge: ChargeCurves | None, cells: pd.DataFrame) -> ChargeCurves | None:
    """The curves sorted by key, with settled types."""
    if charge is None or len(charge) == 0:
        return None
    voltage = np.asarray(charge.voltage_v, dtype=np.float64)
    dq = np.asarray(charge.dq_ah, dtype=np.float32)
    if voltage.ndim != 1 or voltage.size < 2 or not (np.diff(voltage) > 0.0).all():
        raise DataError("the voltage grid of the charge curves must have at least 2 values and ascend")
    if dq.shape != (len(charge), voltage.size):
        raise DataError(f"charge curves have shape {dq.shape}; {(len(charge), voltage.size)} is needed")
    descends = (np.diff(dq, axis=1) < -1e-4 * np.nanmax(np.abs(dq), initial=0.0)).any(axis=1)
    if descends.any():
        row = int(np.argmax(descends))
        raise DataError(
            f"the charge of cycle {charge.cycle[row]} of cell {charge.cell_id[row]} of {charge.dataset[row]} falls "
            "while its voltage rises; a charge curve must not descend"
        )
    dataset = np.array([str(v) for v in charge.dataset], dtype=object)
    cell_id = np.array([str(v) for v in charge.cell_id], dtype=object)
    index = pd.MultiIndex.from_arrays([dataset, cell_id, charge.cycle])
    if index.has_duplicates:
        raise DataError(f"charge curve {index[index.duplicated()][0]} is there twice")
    unlisted = ~index.droplevel(2).isin(pd.MultiIndex.from_frame(cells[KEY]))
    if unlisted.any():
        raise DataError(f"{int(unlisted.sum())} charge curves are of cells not listed, first {index[unlisted][0]}")
    order = np.lexsort((charge.cycle, cell_id.astype(str), dataset.astype(str)))
    return ChargeCurves(dataset[order], cell_id[order], np.asarray(charge.cycle, np.int64)[order], voltage, dq[order])


def _row_ranges(dataset: npt.NDArray[np.generic], cell_id: npt.NDArray[np.generic]) -> dict[CellKey, slice]:
    """Key -> the rows of it, in arrays sorted by key."""
    if len(dataset) == 0:
        return {}
    new = (dataset[1:] != dataset[:-1]) | (cell_id[1:] != cell_id[:-1])
    starts = np.concatenate(([0], np.flatnonzero(new) + 1))
    ends = np.append(starts[1:], len(dataset))
    return {(str(dataset[a]), str(cell_id[a])): slice(int(a), int(b)) for a, b in zip(starts, ends, strict=True)}


def _bytes_of(values: npt.NDArray[np.generic]) -> bytes:
    if values.dtype.kind in "OU":
        return "\0".join(str(v) for v in values).encode()
    return np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"))).tobytes()
