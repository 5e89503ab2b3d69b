"""The rows of inputs that a battery keeps: ``edgebat_rows.c``."""

from __future__ import annotations

from itertools import pairwise
from struct import pack, unpack_from

import numpy as np

from edgebat.arrays import Int8
from edgebat.errors import DataError
from edgebat.formats.c.bms_models import BmsModel
from edgebat.graph import IntGraph
from edgebat.runtime import quantize_input
from edgebat.tasks.health.any_counter import AnyWindowCounter
from edgebat.tasks.health.charge_counter import ChargeCounter
from edgebat.tasks.health.charge_types import UINT16_MAX

GAPS = 10
"""From one charge to the next, times what the training data had, in equivalent full cycles: a cell ages by what flows."""
MOST_AGE = 30_000


class Rows:
    """Charges in a row through one window."""

    def __init__(self, graph: IntGraph, model: BmsModel) -> None:
        self._graph, self._model = graph, model
        self.kept: list[list[int]] = []
        """Quantized rows, the oldest first, at most ``model.context``."""
        self.span = 0
        """How far they reach back, about, in quarters of an equivalent full cycle."""

    @property
    def missing(self) -> int:
        """Before the model can speak."""
        return self._model.context - len(self.kept)

    @property
    def comparable(self) -> bool:
        """Whether what one charge takes beside another says how much a cell has lost."""
        return True

    def measured(self, counter: ChargeCounter) -> list[int]:
        """The finished row, [columns]."""
        return [*counter.row, counter.row_rate_mc][: self._model.columns]

    def append(self, counter: ChargeCounter, row_efc: int, row_cycle: int) -> None:
        """The finished row joins them, whose newest is of these."""
        del row_cycle
        model, gap = self._model, counter.efc - row_efc
        if gap > 4 * GAPS * model.max_gap:
            self.kept = []
        left = self.span // model.context if not self.missing else 0
        self.span = min(self.span - left + gap, UINT16_MAX) if self.kept else 0
        self.kept = [*self.kept, self._quantized(self.measured(counter))][-model.context :]

    def forget(self) -> None:
        """None is left."""
        self.kept, self.span = [], 0

    def begin_use(self) -> None:
        """Cycles are counted from another number on."""

    def input(self) -> Int8:
        """What the model reads, [context, columns]."""
        return np.array(self.kept, dtype=np.int8)

    def saved(self) -> bytes:
        """Their part of a state."""
        return bytes(v & 0xFF for row in self.kept for v in row).ljust(self._model.context * self._model.columns, b"\0")

    def restore(self, saved: bytes, begin: int, count: int, row_cycle: int) -> None:
        """The same back, from ``begin`` on. Raises DataError for what no writer writes."""
        del row_cycle
        self.kept = self._rows(saved, begin)[:count]

    def _rows(self, saved: bytes, begin: int) -> list[list[int]]:
        width, context = self._model.columns, self._model.context
        values = unpack_from(f"<{width * context}b", saved, begin)
        return [list(values[i * width : (i + 1) * width]) for i in range(context)]

    def _quantized(self, row: list[int]) -> list[int]:
        return self._quantize([row])[0]

    def _quantize(self, rows: list[list[int]]) -> list[list[int]]:
        filled = np.zeros((1, self._model.context, self._model.columns), dtype=np.int64)
        filled[0, : len(rows)] = rows
        found: list[list[int]] = quantize_input(self._graph, filled)[0, : len(rows)].tolist()
        return found


class AnyRows(Rows):
    """The newest charges through any window, each with the cycle it is of; older than ``max_age`` is none. The model reads
    ages, so nothing is worth less for having waited, and charges through different windows have no proportion."""

    def __init__(self, graph: IntGraph, model: BmsModel, max_age: int) -> None:
        super().__init__(graph, model)
        self._max_age = max_age
        self.cycles: list[int] = []
        """Of the rows, 16 bits."""

    @property
    def missing(self) -> int:
        return 0 if self.kept else 1

    @property
    def comparable(self) -> bool:
        return False

    def measured(self, counter: ChargeCounter) -> list[int]:
        assert isinstance(counter, AnyWindowCounter)
        return [*counter.row, counter.row_mv, 0, counter.row_rate_mc][: self._model.columns]

    def append(self, counter: ChargeCounter, row_efc: int, row_cycle: int) -> None:
        del row_efc
        if counter.cycle - row_cycle > MOST_AGE:
            self.forget()
        context = self._model.context
        self.kept = [*self.kept, self._quantized(self.measured(counter))][-context:]
        self.cycles = [*self.cycles, counter.cycle & UINT16_MAX][-context:]
        self._renew()

    def _age(self, cycle: int) -> int:
        return self.cycles[-1] - cycle & UINT16_MAX

    def _renew(self) -> None:
        """Rows that are too old leave, and the ages of the others are those of now."""
        there = [place for place, cycle in enumerate(self.cycles) if self._age(cycle) <= self._max_age]
        self.kept, self.cycles = [self.kept[i] for i in there], [self.cycles[i] for i in there]
        column = self._model.increments + 1
        ages = np.zeros((len(there), self._model.columns), dtype=np.int64)
        ages[:, column] = [self._age(cycle) for cycle in self.cycles]
        for row, quantized in zip(self.kept, self._quantize(ages.tolist()), strict=True):
            row[column] = quantized[column]

    def forget(self) -> None:
        super().forget()
        self.cycles = []

    def begin_use(self) -> None:
        self.forget()

    def input(self) -> Int8:
        empty = self._quantized([0] * self._model.columns)
        return np.array([empty] * (self._model.context - len(self.kept)) + self.kept, dtype=np.int8)

    def saved(self) -> bytes:
        model, absent = self._model, self._model.context - len(self.kept)
        rows = self.input().tobytes() if self.kept else bytes(model.context * model.columns)
        return rows + bytes(2 * absent) + pack(f"<{len(self.cycles)}H", *self.cycles)

    def restore(self, saved: bytes, begin: int, count: int, row_cycle: int) -> None:
        model, absent = self._model, self._model.context - count
        self.kept = self._rows(saved, begin)[absent:]
        self.cycles = list(unpack_from(f"<{model.context}H", saved, begin + model.columns * model.context)[absent:])
        if not count:
            return
        ages = [self._age(cycle) for cycle in self.cycles]
        other = self.cycles[-1] != row_cycle & UINT16_MAX
        if other or max(ages) > self._max_age or any(older < newer for older, newer in pairwise(ages)):
            raise DataError(f"the saved state says that its charges are {ages} cycles old, of cycle {row_cycle}")
