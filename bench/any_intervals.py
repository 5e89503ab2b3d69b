"""What a finished model that reads any window says of held-out cells, and how far it says that it may be off.

::

    python -m bench.any_intervals MODEL --corpus PATH

One line for each voltage that the newest charge is read from, of one charge and of several: error of SOH, median width of
the interval and how often it held, on the test cells of the recipe ``zoo-health-any`` through 0.5 mV of noise; histories
are drawn as for training.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from bench.any_window import Seen
from bench.charge_rate import DATASETS, HEALTH, NOISE_MV, rmse
from edgebat.arrays import Bool
from edgebat.data.corpus import read_corpus
from edgebat.data.splits import split_windows
from edgebat.models import load_model, run_int8
from edgebat.predict import spec_of
from edgebat.tasks.health.windows import HealthWindows, health_windows

HEAD = "| charges | read from, V | histories | RMSE | median width | held | refused |\n" + 7 * "|---" + "|"


def table(model: str, test: HealthWindows) -> str:
    """Lines of Markdown."""
    x = HEALTH.noisy_inputs(test, NOISE_MV, np.random.default_rng(4))
    found = run_int8(load_model(model), x)
    soh, low, high = (found.values[name][:, 0] / 100 for name in ("soh", "soh_low", "soh_high"))
    measured, taken, seen = test.soh * 100.0, ~found.outside, Seen.of(test)

    def line(name: str, start: str, of: Bool) -> str:
        own = of & taken
        inside = (measured >= low) & (measured <= high)
        cells = [inside[own & (test.cell == cell)].mean() for cell in np.unique(test.cell[own])]
        width = np.median((high - low)[own])
        return (
            f"| {name} | {start} | {of.sum()} | {rmse((soh - measured)[own]):.2f} | {width:.1f} | {np.mean(cells):.0%} "
            f"| {(of & ~taken).sum() / of.sum():.1%} |"
        )

    kinds = {"one": seen.charges == 1, "several": seen.charges > 1}
    lines = [line(name, "any", of) for name, of in {"all": np.ones(len(test), bool), **kinds}.items()]
    starts = np.unique(seen.arrival_v)
    lines += [line(name, f"{v:.2f}", of & (seen.arrival_v == v)) for name, of in kinds.items() for v in starts]
    return "\n".join([HEAD, *lines])


def main() -> None:
    """Of one model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--corpus", type=Path, required=True)
    given = parser.parse_args()
    windows = health_windows(read_corpus(given.corpus, DATASETS), spec_of(load_model(given.model)))
    split = split_windows(windows, by="condition", test=0.25, val=0.15, seed=1)
    print(table(given.model, windows.select(cells=split.test)))


if __name__ == "__main__":
    main()
