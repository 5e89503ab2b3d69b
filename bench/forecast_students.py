"""Students of a forecast run beside the ready ones, int8, cell by cell, on the run's validation and held-out cells.

::

    edgebat run forecast-students --corpus PATH --set name=forecast-finished --set distill.finish.epochs=5
    python -m bench.forecast_students runs/forecast-finished

The ready students have the same split (seed 1), so that neither kind has learnt from these cells; on validation cells both
chose their epoch.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from edgebat.models import load_model, predict_int8
from edgebat.report.paired import paired
from edgebat.tasks.base import task
from edgebat.tasks.errors import errors_by_cell
from edgebat.zoo import students

PARTS = {"val": "validation", "test": "held out"}


def main() -> None:
    """A table: mean errors of each student and of the ready one of its family, and by how much they differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    run, forecast = parser.parse_args().run, task("forecast")
    ready = {entry.family.lower(): entry for entry in students() if entry.name.startswith("forecast-")}
    print("| student | beside | cells | cells alike | data sets alike | over it, by cell |\n|" + "---|" * 6)
    for part, title in PARTS.items():
        windows = forecast.Windows.load(run / "data" / f"{part}.safetensors")
        datasets = np.array([dataset for dataset, _ in windows.cells])
        for model in sorted((run / "models").glob("*.ebat")):
            entry = ready[model.stem.removesuffix("_alone")]
            own, other = (
                errors_by_cell(forecast, windows, predict_int8(load_model(path), windows))
                for path in (model, entry.model)
            )
            alike = [np.mean([e[datasets == d].mean() for d in np.unique(datasets)]) for e in (own, other)]
            means = f"{own.mean():.3f}, {other.mean():.3f} | {alike[0]:.3f}, {alike[1]:.3f}"
            print(f"| {model.stem} | {entry.name} | {title}, {len(own)} | {means} | {paired(own, other)} |", flush=True)


if __name__ == "__main__":
    main()
