"""What a domain score and the two outputs of an interval cost on a board: the estimator with and without them.

::

    python -m bench.trust_cost [health-mlp-small health-lstm-small ...] [--compiler gcc]

Each student, which states a domain and no interval, is built without its domain, as it is, and with bounds learnt from drawn
windows: what they cost does not depend on their weights. Flash and RAM in bytes, of the linked image; instructions of the
worst ``step``, in which the model runs, in a simulator.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from edgebat.bms.measure import BmsCost, measure_bms
from edgebat.distill.bounds import IntervalSettings, Shown, calibrated, with_bounds
from edgebat.graph import IntGraph
from edgebat.graph.origin import graph_ground
from edgebat.models import load_model, run_int8
from edgebat.runtime.border import unclipped_ppm
from edgebat.tasks.base import task_of

STUDENTS = ("health-mlp-small", "health-cnn-small", "health-lstm-small")
CORES = ("cortex-m4f", "cortex-m0plus")


def without_domain(graph: IntGraph) -> IntGraph:
    """``graph`` with its ground but for the domain."""
    ground = replace(graph_ground(graph), domain=None)
    return replace(graph, meta={**graph.meta, "ground": ground.to_json()})


def with_interval(graph: IntGraph) -> IntGraph:
    """``graph`` with two bounds, learnt from errors that are drawn."""
    low, high = unclipped_ppm(graph)
    rng = np.random.default_rng(1)
    x = (rng.uniform(low, high, (400, *graph.input_tensor.shape)) / 1e6).astype(np.float32)
    measured = run_int8(graph, x).physical()["soh"] + rng.normal(0.0, 0.01, len(x))
    task, spec = task_of(graph.meta["task"], graph.name)
    settings, head = IntervalSettings(coverage=0.9), task.heads(spec)[0]
    shown = Shown(x, measured, np.arange(len(x)) % 20)
    taught = replace(graph, meta={**graph.meta, "ground": None})
    grown = calibrated(with_bounds(taught, head, shown, settings), head, shown, settings)
    return replace(grown, meta={**grown.meta, "ground": graph.meta["ground"]})


def figures(cost: BmsCost) -> tuple[int, int, int]:
    """Flash, RAM of a battery, and instructions of the worst step."""
    step = next(call for call in cost.calls if call.function == "edgebat_step")
    return cost.flash, cost.ram_battery + cost.ram_work, step.most


def main() -> None:
    """One line for each student and core."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("students", nargs="*", default=STUDENTS)
    parser.add_argument("--compiler", choices=("zig", "gcc"), default="gcc")
    given = parser.parse_args()
    print("| student | core | flash, RAM, worst step | domain costs | interval costs |\n" + 5 * "|---" + "|")
    for name in given.students:
        whole = load_model(name)
        for core in CORES:
            built = (without_domain(whole), whole, with_interval(whole))
            bare, scored, bounded = (np.array(figures(measure_bms(graph, core, given.compiler))) for graph in built)
            texts = [", ".join(f"{value:+,}" for value in more) for more in (scored - bare, bounded - scored)]
            print(f"| {name} | {core} | {', '.join(f'{v:,}' for v in bare)} | {' | '.join(texts)} |", flush=True)


if __name__ == "__main__":
    main()
