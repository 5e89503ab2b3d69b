"""Resistance that the firmware says beside the cell's, over lives of everyday use.

::

    python -m bench.resistance_lives [--corpus PATH --dataset NAME ...] [--life NAME ...] [--lives 2] [--days 365] [--seed 1]

The firmware is that of ``edgebat replay --life``, compiled with EDGEBAT_RESISTANCE for this computer; the cell is new when
its life begins, and the configuration says so. The truth is the cell's resistance within a second at 25 degC, a mean over
its charge, and that over the one at the beginning. Sensors err as the life says. Events (updates, swaps) are left out.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgebat.bms.can import FIRST_ID, RESISTANCE
from edgebat.bms.replay import Wanted, unseen_cells, wanted_fleet
from edgebat.bms.resistance import ResistanceConfig
from edgebat.bms.virtual import Frame, HostFirmware
from edgebat.cells import CellHistory
from edgebat.errors import EdgebatError
from edgebat.formats.c.bms_models import UNKNOWN
from edgebat.graph import IntGraph
from edgebat.lives.battery import AT_ONCE, LAG_S
from edgebat.lives.cell import CurvesCell, warmed
from edgebat.lives.days import DayOver, Idle, Living, PowerOn, Samplings, shortened
from edgebat.lives.front import BOUND_SIGMAS, MOST_SLEEP_MS, config_for
from edgebat.lives.many import open_voltages
from edgebat.lives.settings import Life, load_life
from edgebat.models import load_model

SECOND = AT_ONCE + (1 - AT_ONCE) * -math.expm1(-1 / LAG_S)
"""Of the resistance that acts within a second."""
FRAME_MS = 600_000
HEAD = """\
| life | lives | days | resistance, growth known after | covered | true at the end | said | error | smaller |
|---|---|---|---|---|---|---|---|---|"""


@dataclass
class Days:
    """One value per day: uOhm of the cell and as published, its deviation in parts of it, and parts of that when new; NaN
    where nothing was said."""

    true_uohm: list[float] = field(default_factory=list)
    uohm: list[float] = field(default_factory=list)
    sigma: list[float] = field(default_factory=list)
    growth: list[float] = field(default_factory=list)


def true_uohm(cell: CurvesCell, age_cycles: float) -> float:
    """Within a second, at 25 degC."""
    now = cell.at(age_cycles)
    mean_ohm = now.resistance_ohm * float(now.profile.mean())
    return 1e6 * SECOND * float(warmed(mean_ohm, cell.temperature_degc, np.array([25.0]))[0])


def lead(graph: IntGraph, life: Life, cell: CurvesCell, seed: int) -> Days:
    """A life in front of the firmware."""
    living, days, last = Living(life, cell, seed), Days(), (math.nan,) * 3
    with tempfile.TemporaryDirectory(prefix="edgebat-ohm-") as folder:
        board = HostFirmware(
            graph,
            config_for(graph, life, cell),
            Path(folder),
            resistance=ResistanceConfig(is_new=True),
            frame_ms=FRAME_MS,
            steps_per_tick=1,
        )
        board.power_on()
        for step in living.steps():
            match step:
                case Samplings(_, _, samples):
                    last = said_in(board.run(samples)) or last
                case Idle(_, seconds):
                    board.sleep(min(round(1000 * seconds), MOST_SLEEP_MS))
                case PowerOn(_, seconds, known):
                    board.power_on()
                    if known and seconds:
                        board.sleep(min(round(1000 * seconds), MOST_SLEEP_MS))
                case DayOver():
                    days.true_uohm.append(true_uohm(cell, living.battery.age_cycles))
                    for values, value in zip((days.uohm, days.sigma, days.growth), last, strict=True):
                        values.append(value)
    return days


def said_in(frames: Sequence[Frame]) -> tuple[float, float, float] | None:
    """uOhm, deviation and part of that when new in the last frame, NaN where not known."""
    sent = [frame.data for frame in frames if frame.id == FIRST_ID + RESISTANCE]
    if not sent:
        return None
    uohm, *parts = np.frombuffer(sent[-1], dtype="<u4")[0], *np.frombuffer(sent[-1], dtype="<u2")[2:]
    sigma, growth = (float(v) / 10_000 if v != UNKNOWN else math.nan for v in parts)
    return (float(uohm) if uohm != 2**32 - 1 else math.nan), sigma, growth


def row(kind: str, lives: Sequence[Days]) -> str:
    """A line of the table."""
    first, first_growth, covered, errors, healthier = [], [], [], [], []
    true_end, said_end = [], []
    for days in lives:
        true, uohm, sigma, growth = (np.array(v) for v in (days.true_uohm, days.uohm, days.sigma, days.growth))
        known, grown = np.isfinite(uohm), np.isfinite(growth)
        first.append(_first(known))
        first_growth.append(_first(grown))
        covered += (np.abs(uohm[known] / true[known] - 1) <= BOUND_SIGMAS * sigma[known]).tolist()
        truth = true / true[0]
        errors += (100 * np.abs(growth[grown] - truth[grown])).tolist()
        healthier += (100 * (truth[grown] - growth[grown]) > 100 * BOUND_SIGMAS * sigma[grown] * truth[grown]).tolist()
        true_end.append(100 * truth[-1])
        said_end.append(100 * growth[-1])
    cells = (
        kind,
        f"{len(lives)}",
        f"{sum(len(days.uohm) for days in lives):,}",
        f"{np.median(first):g} / {np.median(first_growth):g}",
        f"{100 * np.mean(covered):.1f} %" if covered else "-",
        " ".join(f"{v:.1f}" for v in true_end),
        " ".join("-" if math.isnan(v) else f"{v:.1f}" for v in said_end),
        f"{np.mean(errors):.1f}" if errors else "-",
        f"{100 * np.mean(healthier):.1f} %" if healthier else "-",
    )
    return "| " + " | ".join(cells) + " |"


def _first(known: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> float:
    return float(np.argmax(known)) if known.any() else math.inf


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.resistance_lives", description=__doc__)
    parser.add_argument("--model", default="health-mlp-small")
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--dataset", action="append", default=[])
    parser.add_argument("--life", action="append", default=[])
    parser.add_argument("--lives", type=int, default=2)
    parser.add_argument("--days", type=int)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    try:
        graph = load_model(given.model)
        fleet = wanted_fleet(Wanted(given.corpus, datasets=tuple(given.dataset)))
        histories = unseen_cells(graph, fleet, (), given.lives)
        everybody = list(fleet.histories())
        print(
            "| life | lives | days | resistance, growth known after | covered | true at the end | said | error | smaller |"
        )
        print("|---|---|---|---|---|---|---|---|---|")
        for name in given.life or ["commuter", "ebike", "taxi", "storage", "solar"]:
            kind, life = load_life(name)
            life = shortened(life, given.days).model_copy(update={"events": (), "soh": (1.0, 1.0)})
            cells = [living_cell(everybody, history, life) for history in histories]
            seeds = [zlib.crc32(f"{kind}/{i}/{given.seed}".encode()) for i in range(len(cells))]
            print(
                row(kind, [lead(graph, life, cell, seed) for cell, seed in zip(cells, seeds, strict=True)]), flush=True
            )
    except EdgebatError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def living_cell(everybody: Sequence[CellHistory], history: CellHistory, life: Life) -> CurvesCell:
    """As ``edgebat replay --life`` has it."""
    slow = open_voltages(everybody, history, life.drop_v)
    return CurvesCell(history, life.drop_v, np.mean([volts for volts, _ in slow], axis=0) if slow else None)


if __name__ == "__main__":
    sys.exit(main())
