"""Cells and what was measured of them, as plain arrays: what readers give and tasks cut windows from. NumPy only."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edgebat.arrays import Bool, Float32, Float64, Int64
from edgebat.errors import ModelFileError

CellKey = tuple[str, str]
"""(dataset, cell_id): a cell_id alone is not unique."""
SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True)
class Condition:
    """How a cell is aged, as values; ``None`` where its source does not state it. ``str()`` is the text for tables."""

    dataset: str
    temperature_degc: float | None = None
    charge_protocol: str = "not stated"
    charge_rate_c: float | None = None
    """Charging current in C where the protocol charges at one current, read from it once (``data.charge_protocol``)."""
    chemistry: str = field(default="", compare=False)
    """As its source states it; empty when it does not. Cells of one condition are grouped without it."""

    def __str__(self) -> str:
        known = self.temperature_degc is not None
        temperature = f"{self.temperature_degc:g} degC" if known else "temperature not stated"
        return f"{self.dataset}, {temperature}, {self.charge_protocol}"


@dataclass(frozen=True)
class CellHistory:
    """One cell's measured life."""

    key: CellKey
    condition: Condition
    nominal_ah: float
    cycle: Int64
    """[C] ascending cycle numbers of the capacity rows."""
    capacity_ah: Float64
    """[C] discharge capacity, Ah; NaN where not measured."""
    flagged: Bool
    """[C] rows marked as outliers."""
    charge_cycle: Int64
    """[M] ascending cycle numbers of the charge curves."""
    charge_voltage_v: Float64
    """[V] ascending voltage grid, V."""
    charge_dq_ah: npt.NDArray[np.floating]
    """[M, V] charge taken since the first voltage, Ah; NaN where a curve does not reach."""


@dataclass(frozen=True)
class CapacityHistory:
    """One cell's usable capacities: measured, not flagged, ascending in cycle."""

    key: CellKey
    chemistry: str
    condition: Condition
    nominal_ah: float
    cycle: Int64
    """[C] cycle numbers."""
    capacity: Float64
    """[C] discharge capacity / nominal capacity."""


@dataclass(frozen=True)
class LifeCell:
    """The discharge curves of a cell's first cycles, and its capacities."""

    key: CellKey
    chemistry: str
    split: str
    """The published split ("train", "test1", ...), or empty."""
    nominal_ah: float
    cycle: Int64
    """[C] ascending cycle numbers of the capacity rows."""
    capacity_ah: Float64
    """[C] discharge capacity, Ah; NaN where not measured."""
    flagged: Bool
    """[C] rows marked as outliers."""
    curve_cycle: Int64
    """[K] ascending cycle numbers of the discharge curves."""
    curves_ah: Float32
    """[K, V] discharged Ah over falling voltage, or its difference to the base cycle. NaN rows are holes."""
    differences: bool
    """True when ``curves_ah`` are differences, already smoothed by their source."""
    published_life: float = float("nan")
    charge_rate_c: Float64 = field(default_factory=lambda: np.full(2, np.nan))
    """[R] charging current in C at equally spaced states of charge from 0 to 1; NaN where it is not known."""


def cell_key(name: str) -> CellKey:
    """``dataset/cell`` as a key; a cell's name may hold slashes."""
    dataset, _, cell = name.partition("/")
    return dataset, cell


KEY_BYTES = 4


def pack_cells(cells: Iterable[CellKey]) -> str:
    """Cells as base64 of four bytes of sha256 each, sorted: a model file can say what it has seen without a long list."""
    return base64.b64encode(b"".join(sorted({_cell_mark(cell) for cell in cells}))).decode()


def seen_cells(packed: str, cells: Sequence[CellKey]) -> list[bool]:
    """For each cell whether it is among the packed ones (a stranger matches once in four billion)."""
    marks = _marks(packed)
    return [_cell_mark(cell) in marks for cell in cells]


def packed_count(packed: str) -> int:
    """How many cells are packed. Raises ModelFileError."""
    return len(_marks(packed))


def join_seen(*packed: str) -> str:
    """The cells of several ``pack_cells`` as one. Raises ModelFileError."""
    return base64.b64encode(b"".join(sorted(set().union(*(_marks(each) for each in packed))))).decode()


def _marks(packed: str) -> set[bytes]:
    try:
        content = base64.b64decode(packed, validate=True)
    except ValueError:
        raise ModelFileError("the list of cells the model has seen is damaged; export the model again") from None
    return {content[i : i + KEY_BYTES] for i in range(0, len(content), KEY_BYTES)}


def _cell_mark(cell: CellKey) -> bytes:
    return hashlib.sha256("/".join(cell).encode()).digest()[:KEY_BYTES]
