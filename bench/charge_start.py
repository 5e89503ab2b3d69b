"""What a window of the charge takes that begins soon after a charge has begun, beside the same window of a whole charge.

::

    python -m bench.charge_start

A model learns from whole charges. In life a charge begins after a drive and a rest, and its voltage rises faster at first,
until the concentrations in the electrodes are those of a charge. Simulated (PyBaMM, SPMe): two cells of the literature are
discharged for twenty minutes, rest an hour and are charged from 30, 40, 50 and 60 % on; every tenth of a volt from 3.60,
3.65, ... 4.05 V on is compared with that of a charge from 2 %. The table has, by what has flowed before the window
begins, the largest deviation of the charge in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from edgebat.arrays import Float64
from edgebat.physics.cell import pybamm_module

CELLS = {"Chen2020": "LG M50, 5 Ah, NMC811", "Mohtat2020": "5 Ah, NMC532"}
RATES_C = (0.25, 0.5, 1.0)
SOC = (0.3, 0.4, 0.5, 0.6)
STARTS_V = np.arange(3.6, 4.06, 0.05)
WIDTH_V, FULL_V = 0.1, 4.19
FLOWED = (0.0, 0.01, 0.025, 0.05, 0.075, 0.1, 0.125, 0.15, 1.0)
"""Of nominal, before the window begins."""


def charged(cell: str, rate_c: float, soc: float, before: tuple[str, ...] = ()) -> tuple[Float64, Float64]:
    """Voltage and charge, of nominal, of a charge from ``soc`` on."""
    pybamm = pybamm_module()
    steps = [*before, f"Charge at {rate_c} C until {FULL_V} V"]
    simulation = pybamm.Simulation(
        pybamm.lithium_ion.SPMe(),
        parameter_values=pybamm.ParameterValues(cell),
        experiment=pybamm.Experiment(steps, period="5 seconds"),
    )
    charge = simulation.solve(initial_soc=soc).cycles[-1]
    hours = charge["Time [h]"].entries
    return np.asarray(charge["Voltage [V]"].entries), (hours - hours[0]) * rate_c


def taken(volts: Float64, flowed: Float64, start_v: float) -> tuple[float, float]:
    """What has flowed before a window, and inside."""
    begin, end = np.interp([start_v, start_v + WIDTH_V], np.maximum.accumulate(volts), flowed)
    return float(begin), float(end - begin)


def deviations(cell: str, rate_c: float) -> Iterator[tuple[float, float]]:
    """What has flowed before each window of the partial charges, and how far its charge is off."""
    whole = charged(cell, rate_c, 0.02)
    for soc in SOC:
        part = charged(cell, rate_c, soc + 1 / 6, ("Discharge at 0.5 C for 20 minutes", "Rest for 1 hour"))
        for start_v in STARTS_V[part[0][1] < STARTS_V]:
            before, inside = taken(*part, start_v)
            yield before, inside / taken(*whole, start_v)[1] - 1.0


def main() -> None:
    """Print the table."""
    heads = [f"{low:.1%} to {high:.1%}" for low, high in pairwise(FLOWED)]
    print(f"| cell | rate | {' | '.join(heads)} |\n|---|---|{'---|' * len(heads)}")
    for cell, name in CELLS.items():
        for rate_c in RATES_C:
            found = np.array(list(deviations(cell, rate_c)))
            column = np.searchsorted(FLOWED, found[:, 0], side="right") - 1
            by_column = [found[column == index, 1] for index in range(len(heads))]
            texts = [f"{values[np.abs(values).argmax()]:+.1%}" if values.size else "" for values in by_column]
            print(f"| {cell} ({name}) | {rate_c:g}C | {' | '.join(texts)} |", flush=True)


if __name__ == "__main__":
    main()
