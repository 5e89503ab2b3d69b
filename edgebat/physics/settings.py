"""What is simulated: the fleet as a user states it, each cell as it is drawn, and the key under which a cell is kept."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import numpy as np

from edgebat import __version__
from edgebat.cells import CellKey
from edgebat.errors import DataError
from edgebat.files import sha256_bytes
from edgebat.physics.chemistries import CHEMISTRIES, Ageing

MODELS = ("SPM", "SPMe")
METHOD = 1
"""Raised whenever cells come out otherwise for the same settings."""
SPREAD, SIZE_SPREAD, RESISTANCE_SPREAD = 0.35, 0.006, 0.08
"""Standard deviations among cells: of the logarithm of each mechanism's pace, of capacity, of resistance (its logarithm)."""
COMMON_SPREAD = 0.25
"""The same of the logarithm of a pace that all mechanisms of a cell share."""


@dataclass(frozen=True)
class FleetSettings:
    """The fleet to simulate. Raises DataError for a value that is not allowed."""

    cells: int = 60
    """Number of cells; conditions are given to them in turn."""
    cycles: int = 400
    """A cell's test ends after so many, or below 70 % of its nominal capacity."""
    seed: int = 0
    """Of all draws; cell by cell, so that more cells leave the first ones as they are."""
    chemistries: tuple[str, ...] = tuple(CHEMISTRIES)
    """Keys of ``CHEMISTRIES``."""
    rates_c: tuple[float, ...] = (0.25, 0.5, 1.0)
    """Charging currents, C."""
    temperatures_degc: tuple[float, ...] = (15.0, 25.0, 35.0, 45.0)
    """Ambient temperatures, degC; the cells are isothermal."""
    discharge_rate_c: float = 1.0
    """Discharging current, C."""
    stride: int = 10
    """Every so many-th cycle is simulated, with the ageing of so many; cycles between two are interpolated."""
    model: str = "SPM"
    """PyBaMM's model: ``SPM`` or ``SPMe``."""

    def __post_init__(self) -> None:
        rates = (*self.rates_c, self.discharge_rate_c)
        for good, text in (
            (1 <= self.cells <= 100_000, f"cells={self.cells}; 1 to 100000 are possible"),
            (1 <= self.stride <= 50, f"stride={self.stride}; 1 to 50 are possible"),
            (
                self.cycles >= 2 * self.stride,
                f"cycles={self.cycles}; at least 2 are simulated: {2 * self.stride} with stride={self.stride}",
            ),
            (self.seed >= 0, f"seed={self.seed}; it must not be negative"),
            (self.model in MODELS, f"model={self.model!r}; allowed: {', '.join(MODELS)}"),
            (
                bool(self.chemistries) and set(self.chemistries) <= set(CHEMISTRIES),
                f"chemistries={', '.join(self.chemistries)}; allowed: {', '.join(CHEMISTRIES)}",
            ),
            (bool(self.rates_c) and all(0.05 <= r <= 3.0 for r in rates), f"rates={rates}; 0.05 to 3 C are possible"),
            (
                bool(self.temperatures_degc) and all(-10.0 <= t <= 60.0 for t in self.temperatures_degc),
                f"temperatures={self.temperatures_degc}; -10 to 60 degC are possible",
            ),
        ):
            if not good:
                raise DataError(f"a simulated fleet with {text}")


@dataclass(frozen=True)
class CellPlan:
    """One cell: all that its simulation depends on."""

    dataset: str
    cell_id: str
    chemistry: str
    charge_rate_c: float
    discharge_rate_c: float
    temperature_degc: float
    size: float
    """Its capacity, as a part of the nominal one."""
    resistance: float
    """Its series resistance, as a part of the chemistry's."""
    ageing: Ageing
    cycles: int
    stride: int
    model: str

    @property
    def key(self) -> CellKey:
        """(dataset, cell_id)."""
        return self.dataset, self.cell_id

    @property
    def protocol(self) -> str:
        """As ``data.charge_protocol`` reads it."""
        return f"CC {self.charge_rate_c:g}C to {CHEMISTRIES[self.chemistry].highest_v:g} V, CV to 0.05C"

    def digest(self, pybamm_version: str) -> str:
        """Under which the finished cell is kept: it changes with all that the cell depends on."""
        content = asdict(self) | {
            "parameters": asdict(CHEMISTRIES[self.chemistry]),
            "edgebat": __version__,
            "method": METHOD,
            "pybamm": pybamm_version,
        }
        return sha256_bytes(json.dumps(content, sort_keys=True).encode())[:24]


def plan_cells(settings: FleetSettings) -> list[CellPlan]:
    """All cells of the fleet. Chemistries, rates and temperatures are given in turn, the fastest turning first."""
    conditions = [
        (name, rate, temperature)
        for temperature in settings.temperatures_degc
        for rate in settings.rates_c
        for name in settings.chemistries
    ]
    return [_plan(settings, index, *conditions[index % len(conditions)]) for index in range(settings.cells)]


def _plan(settings: FleetSettings, index: int, name: str, rate_c: float, temperature_degc: float) -> CellPlan:
    chance = np.random.default_rng([settings.seed, index])
    common = float(np.exp(chance.normal(0.0, COMMON_SPREAD)))
    median = asdict(CHEMISTRIES[name].ageing)
    paces = np.exp(chance.normal(0.0, SPREAD, len(median))).tolist()
    drawn = {
        mechanism: round(value * common * pace, 6)
        for (mechanism, value), pace in zip(median.items(), paces, strict=True)
    }
    return CellPlan(
        dataset=f"SIM_{name}",
        cell_id=f"{name}-{index + 1:04d}",
        chemistry=name,
        charge_rate_c=rate_c,
        discharge_rate_c=settings.discharge_rate_c,
        temperature_degc=temperature_degc,
        size=round(float(chance.normal(1.0, SIZE_SPREAD)), 6),
        resistance=round(float(np.exp(chance.normal(0.0, RESISTANCE_SPREAD))), 6),
        ageing=Ageing(**drawn),
        cycles=settings.cycles,
        stride=settings.stride,
        model=settings.model,
    )
