"""What a table of open-circuit voltages of new cells tells of the capacity of aged ones, and what corrects it.

::

    python -m bench.aged_tables --corpus PATH

Cells are those that a ready student has learnt from, none of those of its lives. Between any two rests of an aged cell
that the table puts 35 % apart lies a charge, and so a capacity; the table is that of the new cells of its data set that are
charged most slowly, as in a simulated life. First the errors, then how often the bound would hold for
means of six such capacities.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise, product
from pathlib import Path

import numpy as np

from edgebat.arrays import Float64
from edgebat.bms.replay import unseen_cells
from edgebat.bms.rest import LEAST_APART_CPCT, OcvTable
from edgebat.cells import CellHistory
from edgebat.data.corpus import read_corpus
from edgebat.errors import DataError
from edgebat.lives.cell import CellNow, CurvesCell
from edgebat.lives.front import BOUND_SIGMAS, config_for
from edgebat.lives.many import open_voltages, table_of
from edgebat.lives.settings import load_life
from edgebat.models import load_model

DATASETS = ("TJU_NCA", "TJU_NCM")
AGES, RESTS, AVERAGED, DRAWS = 8, 20, 6, 20
FADED = (70, 80, 85, 90, 100)
OWN_CPCT = 100
"""Deviation of such a mean by itself."""
LEAST_SOH, KNOWN_CPCT = 72.0, 500


@dataclass(frozen=True)
class Aged:
    """A cell at one age: what it is, its capacity and that of the table's cells, those by the table; points."""

    condition: str
    true: float
    held: float
    seen: Float64


def aged_cells(histories: list[CellHistory], model: str) -> Iterator[Aged]:
    """Every cell at some of its ages."""
    graph, life = load_model(model), load_life("commuter")[1]
    for history in histories:
        slow = open_voltages(histories, history, life.drop_v)
        try:
            cell = CurvesCell(history, life.drop_v, np.mean([volts for volts, _ in slow], axis=0))
        except DataError:
            continue
        reference_ah = config_for(graph, life, cell).reference_mah / 1000
        table = table_of(slow, reference_ah)
        for age in np.linspace(cell.first_age, cell.last_age, AGES):
            seen = [] if table is None else list(capacities(cell.at(age), table, reference_ah))
            if table is not None and seen:
                condition = f"{history.key[0]}, {history.condition.charge_rate_c:g}C, {cell.temperature_degc:g} degC"
                true = 100 * cell.capacity_at(age) / reference_ah
                yield Aged(condition, true, table.soh_cpct / 100, np.array(seen))


def capacities(now: CellNow, table: OcvTable, reference_ah: float) -> Iterator[float]:
    """Between any two rests, points."""
    filled = np.linspace(0.05, 0.98, RESTS)
    volts = now.rest_v(filled * now.capacity_ah)
    found = [(level, table.look_up(round(1000 * float(volt)))) for level, volt in zip(filled, volts, strict=True)]
    known = [(level, soc[0]) for level, soc in found if soc is not None]
    for (low, low_cpct), (high, high_cpct) in combinations(known, 2):
        if high_cpct - low_cpct >= LEAST_APART_CPCT:
            yield (high - low) * now.capacity_ah / ((high_cpct - low_cpct) / 1e4) / reference_ah * 100


def by_condition(aged: list[Aged]) -> None:
    """Mean error of all capacities of a condition, by what the cell holds."""
    spans = list(pairwise(FADED))
    print("| cells | " + " | ".join(f"{low} to {high} %" for low, high in spans) + " |\n|" + "---|" * (len(spans) + 1))
    for condition in sorted({each.condition for each in aged}):
        parts = [
            [each.seen.mean() - each.true for each in aged if each.condition == condition and low <= each.true < high]
            for low, high in spans
        ]
        print(f"| {condition} | " + " | ".join(f"{np.mean(part):+.1f}" if part else "-" for part in parts) + " |")


def by_numbers(aged: list[Aged]) -> None:
    """What the bound of a corrected mean is worth, every condition counting the same."""
    draw = np.random.default_rng(0)
    rows = [
        (each, draw.choice(each.seen, AVERAGED).mean()) for each in aged if each.true >= LEAST_SOH for _ in range(DRAWS)
    ]
    names = [each.condition for each, _ in rows]
    weight = np.array([1 / names.count(name) for name in names])
    weight /= weight.sum()
    true, held = (np.array([getattr(each, name) for each, _ in rows]) for name in ("true", "held"))
    seen = np.array([mean for _, mean in rows])
    print(
        "\n| sigma | unseen_percent | aged_percent | covered | healthier | mean error | known to 5 points |\n|"
        + "---|" * 7
    )
    for common, unseen, share in product((350, 400), (0, 15, 25, 35), (20, 30, 50)):
        capacity = seen - np.maximum(held - seen, 0) * unseen / 100
        sigma = np.sqrt(common**2 + OWN_CPCT**2 + (share * np.maximum(held - capacity, 0)) ** 2) / 100
        error, bound = capacity - true, BOUND_SIGMAS * sigma
        shares = [weight[mask].sum() for mask in (np.abs(error) <= bound, error > bound)]
        known = weight[sigma <= KNOWN_CPCT / 100].sum()
        text = f"| {common / 100:g} | {unseen} | {share} | {shares[0]:.1%} | {shares[1]:.1%} |"
        print(text + f" {weight @ error:+.1f} | {known:.0%} |")


def main() -> None:
    """Both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--model", default="health-mlp-small", help="whose training cells are asked")
    given = parser.parse_args()
    fleet = read_corpus(given.corpus, DATASETS)
    unseen = {history.key for history in unseen_cells(load_model(given.model), fleet, (), 10_000)}
    aged = list(aged_cells([history for history in fleet.histories() if history.key not in unseen], given.model))
    by_condition(aged)
    by_numbers(aged)


if __name__ == "__main__":
    main()
