"""The ready forecast students in C on all windows of the data sets that they have not seen, beside straight lines.

::

    python -m bench.forecast_in_c --corpus PATH

Each is written as C, compiled for this computer, and asked about every window; then how many of its outputs differ from the
integer graph in NumPy (it must be none), and the error of what they say, data sets alike, and over that of the best line.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from edgebat.baselines.forecast import QUICK, forecast_baselines
from edgebat.graph import IntGraph
from edgebat.models import load_model, predict_int8, to_ppm
from edgebat.runtime import quantize_input
from edgebat.tasks.base import task_of
from edgebat.tasks.forecast.windows import ForecastWindows
from edgebat.verify.engines import c_engine
from edgebat.verify.equality import verify_model
from edgebat.zoo import students

LEFT_OUT = ("INL", "MATR", "XJTU")


def differing(graph: IntGraph, windows: ForecastWindows) -> str:
    """How many outputs of the compiled C differ from NumPy's on ``windows``, of how many."""
    (row,) = verify_model(graph, quantize_input(graph, to_ppm(windows.inputs())), table=(c_engine("host"),))
    return row.skipped or f"{row.mismatches:,} of {row.values:,}"


def main() -> None:
    """Two lines for each student."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    corpus = parser.parse_args().corpus
    for entry in (one for one in students() if one.name.startswith("forecast-")):
        graph = load_model(entry.model)
        forecast, spec = task_of(graph.meta["task"], entry.name)
        windows = forecast.load(corpus, spec, LEFT_OUT).windows
        lines = {name: line.predict(windows) for name, line in forecast_baselines(spec.horizon, only=QUICK)[0].items()}
        predictions = predict_int8(graph, windows)
        mae = forecast.score(windows, predictions)["mae_pct"]
        print(f"{entry.name}: {differing(graph, windows)} outputs differ in C; MAE {mae:.3f} % of nominal")
        print(*forecast.beside(windows, predictions, lines), sep="\n", flush=True)


if __name__ == "__main__":
    main()
