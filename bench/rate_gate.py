"""What the estimator says of charges at rates that a model does not know: ``python -m bench.rate_gate [--model demo-mlp]``.

Two simulated cells of the kinds that the demo students know, which they have not seen, at three ages each, are charged
twelve times from empty through the window at each of nine rates: the same voltages at rest, another current and ohmic drop.
The estimator (its Python twin) takes the charges or refuses them. One row a rate: how many of the six are refused by the
rate, how many by the domain, and the errors of those that are answered, in points of SOH.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.file_cases import Log, at_rate
from edgebat.bms.estimator import Estimator
from edgebat.bms.results import Status
from edgebat.data.synthetic import make_raw_cell
from edgebat.graph import IntGraph
from edgebat.models import load_model
from edgebat.tasks.health.charge_types import UNKNOWN, ChargeEnd, Config, Sample

SEED = 99
"""Of a fleet that no student has seen."""
CELLS = {"NCA": (1, 3.5), "NMC": (0, 3.0)}
"""Number in the fleet, and Ah: both at 25 degC, charged at 0.5C."""
AGES = (1, 200, 400)
RATES_C = (0.05, 0.1, 0.2, 0.33, 0.5, 0.75, 1.0, 1.5, 2.0)
LOGGED_C = 0.5
CHARGES = 12
HIGHEST_V = 3.75
"""A charge ends there, above the window."""


@dataclass(frozen=True)
class Cell:
    """A cell in one state of health."""

    log: Log
    """One cycle, free of noise."""
    nominal_ah: float
    soh: float
    """What a discharge at 1C gives of nominal, %."""


@dataclass(frozen=True)
class Verdict:
    """Of the estimator, on one cell charged at one rate."""

    refused: str
    """``rate``, ``domain`` or another reason; empty when it answered."""
    off: float = 0.0
    """Error of the answer, points."""


def cell_of(name: str, cycle: int) -> Cell:
    """The cell in this cycle of its life."""
    number, nominal = CELLS[name]
    raw = make_raw_cell(SEED, number, [cycle], period_s=1.0, noise_v=0.0)
    down = np.minimum(raw.current_a, 0.0)
    taken_ah = -float(np.sum(np.diff(raw.time_s) * (down[1:] + down[:-1]) / 2)) / 3600
    return Cell(Log(raw.time_s, raw.voltage_v, raw.current_a, raw.cycle), nominal, 100 * taken_ah / nominal)


def charge(cell: Cell, rate_c: float) -> list[Sample]:
    """From empty at this rate, as a board samples it: every second, every five for slow ones."""
    log = at_rate(rate_c / LOGGED_C)(cell.log)
    first = int(np.argmax(log.charging))
    last = first + int(np.argmax(log.voltage_v[first:] > HIGHEST_V))
    step = 1.0 if rate_c >= 0.3 else 5.0
    at = np.arange(log.time_s[first], log.time_s[last], step)
    volts, amps = (np.interp(at, log.time_s, values) for values in (log.voltage_v, log.current_a))
    mv, ma = (np.rint(1000 * values).astype(int).tolist() for values in (volts, amps))
    return [Sample(v, i, int(1000 * step)) for v, i in zip(mv, ma, strict=True)]


def discharge(nominal_ah: float) -> list[Sample]:
    """Nine tenths of nominal in 54 minutes, and three seconds of rest before the next charge."""
    return [Sample(3500, -round(1000 * nominal_ah), 60_000)] * 54 + [Sample(3400, 0, 1000)] * 3


def verdict(graph: IntGraph, cell: Cell, rate_c: float) -> Verdict:
    """After twelve charges."""
    estimator = Estimator(graph, Config(nominal_mah=round(1000 * cell.nominal_ah)))
    for sample in [*discharge(cell.nominal_ah), *charge(cell, rate_c)] * CHARGES:
        estimator.push(sample)
        estimator.settle()
    result = estimator.result()
    if result.charge == ChargeEnd.RATE:
        return Verdict("rate")
    if result.status == Status.OUT_OF_DOMAIN:
        return Verdict("domain")
    if result.charge != ChargeEnd.OK or result.model_cpct == UNKNOWN:
        return Verdict(result.charge.name.lower())
    return Verdict("", result.model_cpct / 100 - cell.soh)


def row(rate_c: float, verdicts: Sequence[Verdict]) -> str:
    """Of the table."""
    off = [one.off for one in verdicts if not one.refused]
    errors = ", ".join(f"{value:+.1f}" for value in off)
    counts = [sum(one.refused == reason for one in verdicts) for reason in ("rate", "domain")]
    other = len(verdicts) - len(off) - sum(counts)
    return f"| {rate_c:g}C | {counts[0]} | {counts[1]} | {other} | {errors} |"


def main() -> None:
    """The table, and one line that counts it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="demo-mlp")
    graph = load_model(parser.parse_args().model)
    cells = [cell_of(name, cycle) for name in CELLS for cycle in AGES]
    print(f"SOH: {', '.join(f'{cell.soh:.1f}' for cell in cells)} %\n")
    print(
        "| rate | refused by the rate | by the domain | otherwise | answered, error in points |\n"
        "| --- | --- | --- | --- | --- |"
    )
    every = []
    for rate in RATES_C:
        found = [verdict(graph, cell, rate) for cell in cells]
        every += found
        print(row(rate, found), flush=True)
    off = [abs(one.off) for one in every if not one.refused]
    by = [sum(one.refused == reason for one in every) for reason in ("rate", "domain")]
    print(
        f"\n{len(every)}: {by[0]} refused by the rate, {by[1]} by the domain, {len(every) - sum(by) - len(off)} otherwise, "
        f"{len(off)} answered and wrong by {min(off, default=0.0):.1f} to {max(off, default=0.0):.1f} points"
    )


if __name__ == "__main__":
    main()
