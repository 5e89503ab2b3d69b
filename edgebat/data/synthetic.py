"""A synthetic fleet: small, seeded, and shaped by the mechanisms that shape real ageing.

Each cell has a cathode and a graphite anode with published open-circuit potentials. Ageing takes cyclable lithium
(growth of the SEI, later plating: the knee) and active material from both electrodes, and raises the resistance. What a
cycler would see - capacity and charge curves - follows from the shifted and shrunk potentials, so that a piece of the
charge curve tells of the SOH for the reason it does in a real cell, and not because a label was painted into it.

It serves the tests and the first minutes with edgebat. It proves nothing of a real cell: ``Fleet.synthetic`` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from edgebat.arrays import Float64
from edgebat.data.fleet import ChargeCurves, Fleet
from edgebat.data.readers.raw import RawCell
from edgebat.errors import DataError

GRID_V = np.round(np.arange(3.30, 4.1501, 0.01), 2)
"""Voltage grid of the charge curves, V."""
_X = np.linspace(0.002, 0.998, 400)
"""Lithium in the anode on which cell voltages are tabulated."""
_Y = np.linspace(0.0, 1.0, 2001)
"""Lithium in the cathode on which its potential is tabulated."""
_SMEAR = 0.07
"""Width added to the steps of graphite, in lithium: a cell under current has no equal lithium everywhere."""
LOWEST_SOH = 0.70
"""A cell's test stops here."""


def _graphite_v(x: Float64) -> Float64:
    """Graphite over lithium (Mohtat et al., J. Electrochem. Soc. 167, 110561, 2020), smeared by the current."""
    value = 0.063 + 0.8 * np.exp(-75.0 * (x + 0.001))
    for height, centre, width in (
        (0.0120, 0.127, 0.016), (0.0118, 0.155, 0.016), (0.0035, 0.220, 0.020),
        (0.0095, 0.190, 0.013), (0.0145, 0.490, 0.020), (0.0800, 1.030, 0.055),
    ):  # fmt: skip
        value = value - height * np.tanh((x - centre) / (width + _SMEAR))
    return value


def _nmc_v(y: Float64) -> Float64:
    """NMC over lithium, same source."""
    polynomial = np.polyval([-2.2166, 3.5146, -2.0843, 1.6225, -1.6518, 4.3452], y)
    value: Float64 = polynomial - 0.5623e-4 * np.exp(109.451 * y - 100.006)
    return value


def _nca_v(y: Float64) -> Float64:
    """NCA over lithium (Kim et al., J. Electrochem. Soc. 158, A955, 2011); steep and unused below y = 0.3."""
    y = np.maximum(y, 0.3)
    polynomial = np.polyval(
        [1.638, -2.222, 15.056, -23.488, 81.246, -344.566, 621.3475, -554.774, 264.427, -66.3691, 11.8058], y
    )
    value: Float64 = polynomial - 0.61386 * np.exp(5.8201 * y**136.4)
    return value


def _lfp_v(y: Float64) -> Float64:
    """LFP over lithium (Afshar et al., arXiv:1709.03970, 2017)."""
    value: Float64 = 3.4077 - 0.020269 * y + 0.5 * np.exp(-150.0 * y) - 0.9 * np.exp(-30.0 * (1.0 - y))
    return value


@dataclass(frozen=True)
class _Chemistry:
    text: str
    nominal_ah: float
    lowest_v: float
    highest_v: float
    cathode_v: Callable[[Float64], Float64]
    anode_full: float
    """Lithium in the anode of a new cell at the highest voltage; it is _ANODE_EMPTY at the lowest."""
    pace: float
    """Ageing relative to NMC."""

    def sizes(self) -> tuple[float, float, float]:
        """Ah of anode, cathode and cyclable lithium per nominal Ah: such that a new cell delivers 1."""
        potential = self.cathode_v(_Y)
        graphite = _graphite_v(np.array([_ANODE_EMPTY, self.anode_full]))
        # The potential falls with lithium; np.interp wants it ascending.
        at_empty, at_full = np.interp(
            np.array([self.lowest_v, self.highest_v]) + graphite, potential[::-1], _Y[::-1]
        ).tolist()
        anode, cathode = 1.0 / (self.anode_full - _ANODE_EMPTY), 1.0 / (at_empty - at_full)
        return anode, cathode, anode * self.anode_full + cathode * at_full


_ANODE_EMPTY = 0.01
_CHEMISTRIES = {
    "NMC": _Chemistry("NMC/graphite", 3.0, 2.8, 4.2, _nmc_v, 0.93, 1.0),
    "NCA": _Chemistry("NCA/graphite", 3.5, 2.7, 4.2, _nca_v, 0.90, 1.15),
    "LFP": _Chemistry("LFP/graphite", 2.5, 2.5, 3.6, _lfp_v, 0.80, 0.7),
}
_CONDITIONS = (
    ("NMC", 25.0, 0.5), ("NCA", 25.0, 0.5), ("NMC", 45.0, 0.5), ("NCA", 45.0, 0.5),
    ("LFP", 25.0, 0.5), ("NMC", 25.0, 1.0), ("NCA", 15.0, 0.5), ("NCA", 25.0, 1.0),
)  # fmt: skip
"""Chemistry, temperature (degC) and charge rate (C), given to the cells in turn."""


@dataclass(frozen=True)
class _Life:
    """One cell's state per cycle [n]: what cannot be seen from outside."""

    chemistry: _Chemistry
    name: str
    temperature_c: float
    rate_c: float
    anode_ah: Float64
    cathode_ah: Float64
    lithium_ah: Float64
    resistance_ohm: Float64
    noise: np.random.Generator

    @property
    def charge_a(self) -> float:
        return self.rate_c * self.chemistry.nominal_ah

    @property
    def discharge_a(self) -> float:
        return self.chemistry.nominal_ah

    def open_circuit_v(self) -> Float64:
        """[n, 400] cell voltage at rest over ``_X``, made strictly ascending so that it can be inverted."""
        y = (self.lithium_ah[:, None] - _X[None, :] * self.anode_ah[:, None]) / self.cathode_ah[:, None]
        cathode = np.interp(np.clip(y, 0.0, 1.0), _Y, self.chemistry.cathode_v(_Y))
        rest = np.maximum.accumulate(cathode - _graphite_v(_X)[None, :], axis=1)
        ascending: Float64 = rest + 1e-7 * np.arange(_X.size)[None, :]
        return ascending

    def ends(self, rest_v: Float64) -> tuple[Float64, Float64]:
        """[n] lithium in the anode after discharge to the lowest and charge to the highest voltage."""
        low = self.chemistry.lowest_v + self.discharge_a * self.resistance_ohm
        empty = np.array([np.interp(v, row, _X) for v, row in zip(low, rest_v, strict=True)])
        full = np.array([np.interp(self.chemistry.highest_v, row, _X) for row in rest_v])
        return empty, full


def make_fleet(seed: int = 0, cells: int = 24, max_cycles: int = 600) -> Fleet:
    """A fleet of ``cells`` cells in up to 8 conditions (NMC, NCA, LFP; 15-45 degC; 0.5C and 1C).

    Datasets are SYN_NMC, SYN_NCA and SYN_LFP; LFP charges below 3.6 V and so gives windows only where a task's window
    lies there. A cell's test ends at 70 % of nominal or after ``max_cycles``. Noise: 0.15 mV per voltage crossing,
    0.1 % of capacity, a wandering room temperature, capacity regained after rests, a few flagged glitches.
    The same arguments give the same bytes. Raises DataError for fewer than 1 cell or 20 cycles.
    """
    if cells < 1 or max_cycles < 20:
        raise DataError(f"cells={cells} and max_cycles={max_cycles}; at least 1 cell and 20 cycles are needed")
    cell_rows, cycle_rows, curves, curve_keys = [], [], [], []
    for index in range(cells):
        life = _life(seed, index, max_cycles)
        chemistry = life.chemistry
        dataset, cell_id = f"SYN_{life.name}", f"{life.name}-{index + 1:03d}"
        capacity, dq = _measure(life)
        glitch = life.noise.random(capacity.size) < 0.003
        capacity = np.where(glitch, capacity * life.noise.uniform(0.5, 0.97, capacity.size), capacity)
        number = np.arange(1, capacity.size + 1)
        cell_rows.append(
            {
                "dataset": dataset,
                "cell_id": cell_id,
                "chemistry": chemistry.text,
                "nominal_capacity_ah": chemistry.nominal_ah,
                "temperature_c": life.temperature_c,
                "charge_protocol": f"CC {life.rate_c:g}C to {chemistry.highest_v:g} V, CV to 0.05C",
                "quality": "synthetic",
            }
        )
        cycle_rows.append(
            pd.DataFrame(
                {
                    "dataset": dataset,
                    "cell_id": cell_id,
                    "cycle": number,
                    "discharge_capacity_ah": np.round(capacity, 5),
                    "outlier": glitch,
                    "label_kind": "synthetic",
                }
            )
        )
        curves.append(dq)
        curve_keys += [(dataset, cell_id, int(n)) for n in number]
    keys = np.array(curve_keys, dtype=object)
    charge = ChargeCurves(
        keys[:, 0], keys[:, 1], keys[:, 2].astype(np.int64), GRID_V, np.concatenate(curves).astype(np.float32)
    )
    return Fleet(
        pd.DataFrame(cell_rows),
        pd.concat(cycle_rows),
        charge,
        source=f"synthetic fleet, seed {seed}, {cells} cells",
        synthetic=True,
    )


def make_raw_cell(
    seed: int = 0,
    index: int = 0,
    cycles: Iterable[int] = (1,),
    period_s: float = 10.0,
    noise_v: float = 0.0003,
    max_cycles: int = 600,
) -> RawCell:
    """Samples of some cycles of cell ``index`` of ``make_fleet(seed, max_cycles=max_cycles)``, as a cycler logs them.

    Each cycle: rest, constant-current and constant-voltage charge, rest, discharge, rest; one sample per ``period_s``;
    time starts anew with each cycle. Raises DataError for a cycle the cell does not have.
    """
    wanted = list(cycles)
    if not wanted or min(wanted) < 1 or max(wanted) > max_cycles or not period_s > 0.0:
        raise DataError(f"cycles={wanted} and period_s={period_s}; allowed: cycles 1-{max_cycles}, a period above 0")
    life = _life(seed, index, max_cycles)
    rest_v = life.open_circuit_v()
    empty, full = life.ends(rest_v)
    logged = []
    for number in wanted:
        n = number - 1
        amps, volts = _log_cycle(life, n, rest_v[n], empty[n], full[n], period_s)
        volts = np.round(volts + life.noise.normal(0.0, noise_v, volts.size), 4)
        logged.append((period_s * np.arange(amps.size), volts, np.round(amps, 4), np.full(amps.size, number)))
    time, voltage, current, numbers = (np.concatenate(parts) for parts in zip(*logged, strict=True))
    name, source = f"{life.name}-{index + 1:03d}", f"synthetic fleet, seed {seed}"
    return RawCell(name, time, voltage, current, numbers, life.chemistry.nominal_ah, source)


def _life(seed: int, index: int, max_cycles: int) -> _Life:
    """The hidden ageing of cell ``index``: the same whatever else is in the fleet."""
    name, temperature_c, rate_c = _CONDITIONS[index % len(_CONDITIONS)]
    chemistry = _CHEMISTRIES[name]
    chance = np.random.default_rng([seed, index])
    n = np.arange(max_cycles, dtype=np.float64)
    kelvin = temperature_c + 273.15
    # Side reactions speed up with heat (Arrhenius, 29 kJ/mol), plating with cold and with fast charging.
    heat = float(np.exp(-3500.0 * (1.0 / kelvin - 1.0 / 298.15)))
    plating = float(np.exp(0.06 * (25.0 - temperature_c))) * rate_c / 0.5
    individual = chance.lognormal(0.0, 0.2) * chance.lognormal(0.0, 0.08, 4) * chemistry.pace

    sei = 0.0028 * individual[0] * heat * np.sqrt(n)
    knee_at = max_cycles * chance.uniform(0.35, 0.75) / (individual[1] * (0.6 + 0.4 * plating))
    width = 0.06 * max_cycles
    knee = 0.0012 * individual[1] * plating * width * np.logaddexp(0.0, (n - knee_at) / width)
    # Past the knee plating takes lithium and buries anode; a rest gives back a little for some cycles.
    regained = np.zeros(max_cycles)
    for start in np.flatnonzero(chance.random(max_cycles) < 1.0 / 45.0):
        regained[start:] += chance.uniform(0.002, 0.008) * np.exp(-n[: max_cycles - start] / 7.0)
    lithium_lost = sei + 0.5 * knee + 0.00012 * individual[1] * n - regained
    cathode_lost = 0.00016 * individual[2] * n * (0.7 + 0.3 * rate_c / 0.5)
    anode_lost = 0.00020 * individual[3] * n * (0.6 + 0.4 * heat) + 0.7 * knee
    wander = _wandering(chance, max_cycles) * 1.5
    cold = np.exp(1500.0 * (1.0 / (kelvin + wander) - 1.0 / 298.15))
    growth = 1.0 + 8.0 * sei + knee + 1.2 * cathode_lost
    size = chance.normal(1.0, 0.006)
    scale = chemistry.nominal_ah * size
    anode, cathode, lithium = chemistry.sizes()
    return _Life(
        chemistry=chemistry,
        name=name,
        temperature_c=temperature_c,
        rate_c=rate_c,
        anode_ah=scale * anode * (1.0 - anode_lost),
        cathode_ah=scale * cathode * (1.0 - cathode_lost),
        lithium_ah=scale * (lithium - lithium_lost),
        resistance_ohm=0.035 / chemistry.nominal_ah * chance.normal(1.0, 0.05) * cold * growth,
        noise=chance,
    )


def _wandering(chance: np.random.Generator, count: int) -> Float64:
    """A slow random walk of unit spread around zero (AR(1), 0.97)."""
    steps = chance.normal(0.0, np.sqrt(1.0 - 0.97**2), count)
    values = np.empty(count)
    level = 0.0
    for i, step in enumerate(steps):
        level = 0.97 * level + step
        values[i] = level
    return values


def _measure(life: _Life) -> tuple[Float64, Float64]:
    """Capacity [n] and charge curves [n, V] until the test ends, with sensor noise."""
    rest_v = life.open_circuit_v()
    empty, full = life.ends(rest_v)
    capacity = (full - empty) * life.anode_ah
    worn = np.flatnonzero(capacity < LOWEST_SOH * life.chemistry.nominal_ah)
    count = int(worn[0]) if worn.size else capacity.size
    capacity = capacity[:count] * life.noise.normal(1.0, 0.001, count)
    rise = life.charge_a * life.resistance_ohm
    dq = np.full((count, GRID_V.size), np.nan)
    for n in range(count):
        first = np.interp(empty[n], _X, rest_v[n]) + rise[n]
        at = (first <= GRID_V) & (life.chemistry.highest_v >= GRID_V)
        reached = GRID_V[at] + life.noise.normal(0.0, 0.00015, int(at.sum()))
        charge = np.interp(reached - rise[n], rest_v[n], _X) * life.anode_ah[n]
        dq[n, at] = np.round(np.maximum.accumulate(charge - charge[:1]), 5)
    return capacity, dq


def _log_cycle(
    life: _Life, n: int, rest_v: Float64, empty: float, full: float, period_s: float
) -> tuple[Float64, Float64]:
    """Current and voltage [S] of one cycle: rest, charge, rest, discharge, rest."""
    anode_ah, resistance, highest = life.anode_ah[n], life.resistance_ohm[n], life.chemistry.highest_v
    step_ah = period_s / 3600.0
    top = float(np.interp(highest - life.charge_a * resistance, rest_v, _X))
    charge = np.arange(empty, top, life.charge_a * step_ah / anode_ah)
    filling = [float(charge[-1])]
    amps = [life.charge_a]
    # An anode that is full before the cell has reached its highest voltage ends the charge as well.
    while amps[-1] > 0.05 * life.chemistry.nominal_ah and filling[-1] < full:
        filling.append(min(filling[-1] + amps[-1] * step_ah / anode_ah, full))
        amps.append((highest - float(np.interp(filling[-1], _X, rest_v))) / resistance)
        amps[-1] = min(amps[-1], life.charge_a)
    discharge = np.arange(filling[-1], empty, -life.discharge_a * step_ah / anode_ah)
    pause = int(600.0 / period_s) + 1
    lithium = [
        np.full(pause, empty), charge, np.array(filling[1:]), np.full(pause, filling[-1]), discharge,
        np.full(pause, discharge[-1]),
    ]  # fmt: skip
    current = [
        np.zeros(pause), np.full(charge.size, life.charge_a), np.array(amps[1:]), np.zeros(pause),
        np.full(discharge.size, -life.discharge_a), np.zeros(pause),
    ]  # fmt: skip
    flow = np.concatenate(current)
    return flow, np.interp(np.concatenate(lithium), _X, rest_v) + flow * resistance
