"""GRU and LSTM students side by side on the cells of a recipe: error, flash, RAM, instructions, over several seeds.

    python -m bench.recurrent_students zoo-health-small --corpus PATH --units 12 --seeds 5

Makes the recipe's windows; its students are trained on them for each seed, without a teacher, and quantized after training.
The error is the figure that the task's models are ranked by, on the held-out cells; flash, RAM and instructions are
those of a simulated Cortex-M0+.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from edgebat.bench.budget import measured_need
from edgebat.distill.train import train_student
from edgebat.models import predict_int8
from edgebat.quantization import quantize_model
from edgebat.runs.recipe import load_recipe
from edgebat.runs.run import run_recipe
from edgebat.simulate.targets import load_target
from edgebat.training.run import Run

KINDS = ("lstm", "gru")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--units", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    recipe = load_recipe(arguments.recipe)
    run_folder = run_recipe(recipe, arguments.runs, arguments.corpus, until="data", tables=False)
    task, board = recipe.of_task, load_target("cortex-m0plus")
    train, val, test = (task.Windows.load(run_folder / f"data/{part}.safetensors") for part in ("train", "val", "test"))
    rank = task.columns[0]
    errors: dict[str, dict[str, list[float]]] = {kind: {"float": [], "int8": []} for kind in KINDS}
    costs = {}
    with tempfile.TemporaryDirectory() as scratch:
        for seed in range(1, arguments.seeds + 1):
            for kind in KINDS:
                fit = replace(recipe.distill.fit, seed=seed, epochs=arguments.epochs or recipe.distill.fit.epochs)
                settings, run = replace(recipe.distill, fit=fit), Run(Path(scratch) / f"{kind}{seed}")
                student, _ = train_student(kind, task, train, val, None, settings, run, {"units": arguments.units})
                meta = {"task": recipe.task}
                graph = quantize_model(student.float_spec(), train.inputs(), recipe.quantize, name=kind, meta=meta)
                predictions = {"float": student.predict(test.inputs()), "int8": predict_int8(graph, test)}
                for name, found in predictions.items():
                    errors[kind][name].append(float(task.score(test, found)[rank.key] or np.nan))
                costs[kind] = student.float_spec().parameters, measured_need(graph, board)
                print(f"seed {seed}, {kind}: {errors[kind]['int8'][-1]:.3f}", file=sys.stderr, flush=True)
    print(
        f"{rank.key} on {len(test.cells)} held-out cells, {arguments.seeds} seeds, {arguments.units} units, no teacher\n"
    )
    print("| student | weights | float | int8 | int8 by seed | flash, B | RAM, B | instructions |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for kind, (weights, need) in costs.items():
        means = " | ".join(f"{np.mean(values):.3f} ± {np.std(values):.3f}" for values in errors[kind].values())
        seeds = " ".join(f"{value:.3f}" for value in errors[kind]["int8"])
        print(f"| {kind} | {weights:,} | {means} | {seeds} | {need.flash:,} | {need.ram:,} | {need.instructions:,} |")


if __name__ == "__main__":
    main()
