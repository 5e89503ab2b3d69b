"""Which inputs a device leaves out, by what the model's file says of its ground; equal to the firmware's decisions.

A device measures the rate and the temperature of a charge. Where cells are asked about, their sources state them, and the
chemistry with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np

from edgebat.arrays import Bool, Int8, Int64, IntArray
from edgebat.cells import Condition
from edgebat.graph.model import IntGraph
from edgebat.graph.origin import graph_ground, reads_rate, rows_may_be_empty
from edgebat.ground import (
    AGE_UNLIKE,
    CHARGE_UNLIKE,
    CHEMISTRY_UNLIKE,
    RATE_UNLIKE,
    TEMPERATURE_UNLIKE,
    WINDOW_UNLIKE,
    Ground,
    RowLimits,
)
from edgebat.runtime.border import input_clipped, unclipped_ppm

__all__ = ["Refusal", "condition_refusals", "domain_scores", "outside_domain", "refusals", "row_limits", "too_aged"]


class Refusal(IntEnum):
    """Why a window gets no estimate."""

    NONE = 0
    ROW = 1
    """A value of it lies outside the limits of a row."""
    DOMAIN = 2
    """Its score is above the limit of the domain."""
    RATE = 3
    """A charge of it was at a rate that the model does not know."""
    TEMPERATURE = 4
    """Its cell is at a temperature outside those of the training cells."""
    CHEMISTRY = 5
    """Its cell is of another chemistry, as far as is stated; who builds the device knows it."""

    AGE = 6
    """Its estimate is below the SOH of every training cell."""

    @property
    def text(self) -> str:
        """In words; "" for none."""
        return ("", CHARGE_UNLIKE, WINDOW_UNLIKE, RATE_UNLIKE, TEMPERATURE_UNLIKE, CHEMISTRY_UNLIKE, AGE_UNLIKE)[self]


def row_limits(graph: IntGraph) -> RowLimits:
    """What a row must be like: the ground's limits, or, where the file states none, the range that the border does not
    clip. Raises ModelFileError without a border."""
    rows = graph_ground(graph).rows
    return rows if rows.low_ppm else RowLimits(*unclipped_ppm(graph), rows.rates_mc, rows.temperature_ddegc)


def domain_scores(graph: IntGraph, windows: Int8) -> Int64 | None:
    """Scores [N] of quantized windows [N, T, C]; None when the model states no domain."""
    domain = graph_ground(graph).domain
    return None if domain is None else domain.scores(windows)


def outside_domain(graph: IntGraph, windows: Int8) -> Bool:
    """[N] whether the score of a quantized window [N, T, C] is above the model's limit; never where it states none."""
    domain = graph_ground(graph).domain
    if domain is None:
        return np.zeros(len(windows), dtype=np.bool_)
    return np.asarray(domain.scores(windows) > domain.limit)


def refusals(graph: IntGraph, values: IntArray, windows: Int8) -> Int64:
    """A ``Refusal`` [N] for each window: its integers in the model's input unit [N, T, C], and the same quantized."""
    found = np.zeros(len(values), dtype=np.int64)
    rows = graph_ground(graph).rows
    found[outside_domain(graph, windows)] = Refusal.DOMAIN
    if rows.low_ppm:
        outside = (values < np.array(rows.low_ppm)) | (values > np.array(rows.high_ppm))
        if rows_may_be_empty(graph):
            outside &= (values != 0).any(axis=2, keepdims=True)
        found[outside.any(axis=tuple(range(1, outside.ndim)))] = Refusal.ROW
    else:
        found[input_clipped(graph, values)] = Refusal.ROW
    if reads_rate(graph) and rows.rates_mc:
        rates = values[..., -1]
        known = np.any([(rates >= low) & (rates <= high) for low, high in rows.rates_mc], axis=0)
        found[((rates != 0) & ~known).any(axis=1)] = Refusal.RATE
    return found


def too_aged(graph: IntGraph, soh_cpct: Int64) -> Bool:
    """[N] whether estimates [N], 0.01 %, are below the SOH of every cell that the model has learnt from."""
    least = graph_ground(graph).least_soh_cpct
    return np.asarray(np.zeros(len(soh_cpct), np.bool_) if least is None else soh_cpct < least)


def condition_refusals(graph: IntGraph, conditions: Sequence[Condition]) -> Int64:
    """A ``Refusal`` for each of the conditions that cells are aged under, [cells], by what their sources state."""
    ground = graph_ground(graph)
    return np.array([_of_condition(ground, condition) for condition in conditions], dtype=np.int64)


def _of_condition(ground: Ground, condition: Condition) -> Refusal:
    if not ground.knows_chemistry(condition.chemistry):
        return Refusal.CHEMISTRY
    rate, degrees, allowed = condition.charge_rate_c, condition.temperature_degc, ground.rows.temperature_ddegc
    if rate is not None and not ground.rows.knows_rate(rate):
        return Refusal.RATE
    if degrees is not None and allowed is not None and not allowed[0] <= round(10 * degrees) <= allowed[1]:
        return Refusal.TEMPERATURE
    return Refusal.NONE
