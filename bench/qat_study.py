"""Float, post-training and quantization-aware students on the cells of a finished run, over several seeds.

    edgebat run health-tongji --corpus PATH
    python bench/qat_study.py runs/health-tongji --seeds 5 --epochs 15

Prints the figure that the task's models are ranked by (health: SOH RMSE, percentage points) on the held-out cells, mean and
deviation over the seeds, and how many outputs of the trained network differ from its exported integer graph. Takes the run's
recipe, windows and teachers; students are trained anew for each seed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgebat.distill.qat_train import train_quantized
from edgebat.distill.train import train_student
from edgebat.graph import IntGraph
from edgebat.models import predict_int8, to_ppm
from edgebat.quantization import quantize_model
from edgebat.quantization.qat import QatStudent
from edgebat.runs.recipe import load_recipe
from edgebat.runtime import Engine, quantize_input
from edgebat.tasks.windows import Windows
from edgebat.teachers.ensemble import Ensemble
from edgebat.teachers.store import load_teacher
from edgebat.training.run import Run


def differing(student: Any, start: IntGraph, test: Windows) -> tuple[int, int]:
    """Outputs in which the fake-quantized network differs from its own exported graph, and how many there are."""
    network = QatStudent(student, start).eval()
    graph = network.graph()
    expected = Engine(graph).run(quantize_input(graph, to_ppm(test.inputs())))
    with torch.no_grad():
        got = network(torch.from_numpy(test.inputs())).double().numpy() / graph.output_tensor.scale
    return int(np.count_nonzero(got != expected)), int(expected.size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    recipe = load_recipe(arguments.run / "config.yaml")
    task = recipe.of_task
    rank = task.columns[0].key
    parts = (task.Windows.load(arguments.run / f"data/{part}.safetensors") for part in ("train", "val", "test"))
    train, val, test = parts
    found = [load_teacher(path) for path in sorted((arguments.run / "models").glob("teacher*.safetensors"))]
    teacher = found[0] if len(found) == 1 else Ensemble.of(found)
    rows: dict[str, dict[str, list[float]]] = {}
    print("| student | seed | float | PTQ int8 | QAT int8 | QAT outputs differing from the graph |")
    print("| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as scratch:
        for entry in recipe.students:
            for seed in range(1, arguments.seeds + 1):
                settings = replace(recipe.distill, fit=replace(recipe.distill.fit, seed=seed))
                run = Run(Path(scratch) / f"{entry.kind}{seed}", cache=Path(scratch) / "labels")
                student, _ = train_student(entry.kind, task, train, val, teacher, settings, run, entry.settings)
                meta = {"task": recipe.task}
                ptq = quantize_model(student.float_spec(), train.inputs(), recipe.quantize, name=entry.kind, meta=meta)
                differ, outputs = differing(student, ptq, test)
                qat = train_quantized(student, ptq, train, val, teacher, settings, arguments.epochs, run.inside("qat"))
                predictions = {
                    "float": student.predict(test.inputs()),
                    "ptq": predict_int8(ptq, test),
                    "qat": predict_int8(qat, test),
                }
                values = {name: float(task.score(test, found)[rank] or np.nan) for name, found in predictions.items()}
                for name, value in values.items():
                    rows.setdefault(entry.kind, {}).setdefault(name, []).append(value)
                figures = " | ".join(f"{value:.3f}" for value in values.values())
                print(f"| {entry.kind} | {seed} | {figures} | {differ} of {outputs} |", flush=True)
    print("\n| student | float | PTQ int8 | QAT int8 | QAT - float |\n| --- | --- | --- | --- | --- |")
    for kind, columns in rows.items():
        cells = " | ".join(f"{np.mean(v):.3f} +- {np.std(v):.3f}" for v in columns.values())
        change = np.mean(np.array(columns["qat"]) - np.array(columns["float"]))
        print(f"| {kind} | {cells} | {change:+.3f} |")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
