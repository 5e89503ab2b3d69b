"""The cycles of a cell that were simulated, and those between them by straight lines. NumPy only."""

from __future__ import annotations

import io
from dataclasses import dataclass, fields

import numpy as np

from edgebat.arrays import Array, Float64, Int64

LOWEST_SOH = 0.70
"""A cell's test ends here."""


@dataclass(frozen=True)
class Ladder:
    """L cycles of one cell, ascending; V voltages of a charge curve, D of a discharge curve."""

    cycle: Int64
    """[L] from 1."""
    capacity_ah: Float64
    """[L] of the whole discharge."""
    charge_ah: Float64
    """[L] of the whole charge."""
    charge_s: Float64
    """[L] how long it took."""
    voltage_v: Float64
    """[V] ascending."""
    charge_dq_ah: Float64
    """[L, V] charge since the first voltage that the curve covers, at constant current; NaN where it does not reach."""
    discharge_v: Float64
    """[D] falling."""
    discharge_q_ah: Float64
    """[L, D]"""

    def packed(self) -> bytes:
        """As an ``.npz`` file; the same ladder gives the same bytes."""
        stream = io.BytesIO()
        arrays: dict[str, Array] = {field.name: getattr(self, field.name) for field in fields(self)}
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
        return stream.getvalue()

    def until(self, lowest_ah: float) -> Ladder:
        """Its cycles before the first one below a capacity; at least two stay."""
        worn = np.flatnonzero(self.capacity_ah < lowest_ah)
        return self.rows(slice(0, max(int(worn[0]), 2) if worn.size else self.cycle.size))

    def rows(self, chosen: slice) -> Ladder:
        """Some of its cycles."""
        grids = {"voltage_v", "discharge_v"}
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return Ladder(**{name: value if name in grids else value[chosen] for name, value in values.items()})

    def every_cycle(self) -> Ladder:
        """From its first to its last cycle, each of them: capacities, times and curves run straight between those there are.

        A curve between two covers the voltages that both cover.
        """
        cycle = np.arange(self.cycle[0], self.cycle[-1] + 1)
        before = np.clip(np.searchsorted(self.cycle, cycle, side="right") - 1, 0, self.cycle.size - 2)
        gap = self.cycle[before + 1] - self.cycle[before]
        part = (cycle - self.cycle[before]) / gap

        def straight(values: Float64) -> Float64:
            weight = part.reshape(-1, *([1] * (values.ndim - 1)))
            low, high = values[before], values[before + 1]
            # 0 * NaN is NaN: at the ends the other curve has no say.
            between = np.where(weight == 0.0, low, np.where(weight == 1.0, high, (1.0 - weight) * low + weight * high))
            return np.asarray(between, np.float64)

        return Ladder(
            cycle, straight(self.capacity_ah), straight(self.charge_ah), straight(self.charge_s), self.voltage_v,
            _from_first(straight(_from_the_top(self.charge_dq_ah))), self.discharge_v, straight(self.discharge_q_ah),
        )  # fmt: skip


def _from_the_top(dq_ah: Float64) -> Float64:
    """[L, V] curves counted from the last voltage they cover, which ageing does not move; it moves the first."""
    return np.asarray(dq_ah - np.nanmax(dq_ah, axis=1, keepdims=True), np.float64)


def _from_first(dq_ah: Float64) -> Float64:
    """[L, V] curves counted from the first voltage that each covers."""
    return np.asarray(dq_ah - np.nanmin(dq_ah, axis=1, keepdims=True), np.float64)
