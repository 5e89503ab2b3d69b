"""The ready students for health that read 3.6 to 3.7 V, on their 13 held-out cells: as measured, through a device's noise,
and at lower voltages.

::

    python -m bench.ready_students --corpus PATH

Noise is 0.5 mV at each crossing. A voltage that lies lower is what less resistance, or a warmer cell, makes of the same
charge.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from bench.charge_rate import DATASETS, HEALTH, reading, rmse
from edgebat.data.corpus import read_corpus
from edgebat.data.splits import split_windows
from edgebat.graph.origin import reads_rate
from edgebat.models import load_model, run_int8
from edgebat.predict import spec_of
from edgebat.tasks.health.more_windows import shifted
from edgebat.tasks.health.spec import HealthSpec
from edgebat.tasks.health.windows import health_windows
from edgebat.zoo import students

DROPS_MV = (0, -5, -10, -20)
NOISE_MV = 0.5


def main() -> None:
    """A table, student by student."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    fleet, spec = read_corpus(parser.parse_args().corpus, DATASETS), HealthSpec(charge_rate=True)
    split = split_windows(health_windows(fleet, spec), by="condition", test=0.25, val=0.15, seed=1)
    cells = [history for history in fleet.histories() if history.key in set(split.test)]
    print("| student | lower by, mV | RMSE of SOH | with noise | of what is taken | taken |\n|" + "---|" * 6)
    for drop_mv in DROPS_MV:
        windows = health_windows([shifted(history, drop_mv / 1000) for history in cells], spec)
        for entry in (one for one in students() if one.name.startswith("health-")):
            graph = load_model(entry.model)
            if not spec_of(graph).one_window:
                continue  # bench.any_intervals asks that one
            seen = reading(windows, reads_rate(graph))
            noisy = HEALTH.noisy_inputs(seen, NOISE_MV, np.random.default_rng(4))
            plain, found = run_int8(graph, seen.inputs()), run_int8(graph, noisy)
            clean, wrong = (each.values["soh"][:, 0] / 100 - windows.soh * 100 for each in (plain, found))
            taken = ~found.outside
            row = f"| {entry.name} | {-drop_mv} | {rmse(clean):.2f} | {rmse(wrong):.2f} | {rmse(wrong[taken]):.2f} |"
            print(row + f" {taken.mean():.0%} |", flush=True)


if __name__ == "__main__":
    main()
