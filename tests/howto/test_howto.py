"""CONTRIBUTING's "How to add", done: what lies in ``toy`` goes from windows to equal C without a change to edgebat."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("toy")

Command = Callable[..., tuple[int, str, str]]
RECIPE = """
name: toy
task: {name: toy}
data: {synthetic: {cells: 16, seed: 3}, split: {test: 0.25, val: 0.2}}
teacher: {name: line_toy}
students:
  - {kind: pooled, settings: {units: 6}}
  - {kind: mlp, settings: {hidden: [6]}}
distill: {blends: 1, fit: {epochs: 12, samples_per_epoch: 1024, batch_size: 64}}
quantize: {qat_epochs: 1}
targets: [host]
verify: {windows: 200}
"""


def equal_in_c(graph, x, folder: Path) -> int:
    """How many integers host C gives that are not NumPy's, for inputs x [N, T, C]."""
    from edgebat.formats.export import export_model
    from edgebat.models import to_ppm
    from edgebat.runtime import quantize_input
    from edgebat.verify.engines import c_engine, files_in
    from edgebat.verify.equality import verify_model

    host = c_engine("host")
    if host.missing():
        pytest.skip(host.missing())
    export_model(graph, folder, ("c",))
    (row,) = verify_model(graph, quantize_input(graph, to_ppm(x)), files_in(folder, graph.name), (host,))
    assert (row.windows, row.skipped) == (len(x), "")
    return row.mismatches


def taught(kind, task, train, val, teacher, folder):
    """A student's float network and its integer graph."""
    from edgebat.distill.train import DistillSettings, train_student
    from edgebat.quantization import quantize_model
    from edgebat.training.run import Run

    settings = DistillSettings(blends=0)
    settings = replace(settings, fit=replace(settings.fit, epochs=3, samples_per_epoch=512, accelerator="cpu"))
    student, _ = train_student(kind, task, train, val, teacher, settings, Run(folder / f"run-{kind}-{teacher is None}"))
    meta = {"task": task.described(train.spec)}
    return student, quantize_model(student.float_spec(), train.inputs(), name=kind, meta=meta)


def test_a_teacher_is_a_folder(tmp_path: Path) -> None:
    from edgebat.data.synthetic import make_fleet
    from edgebat.tasks.base import task
    from edgebat.tasks.health import HealthSpec, health_windows
    from edgebat.teachers.store import load_teacher, save_teacher, teacher_class, teacher_classes
    from edgebat.training.run import Run

    assert {"line", "line_toy", "ic2ml"} <= teacher_classes().keys()
    windows = health_windows(make_fleet(3, 8, 300), HealthSpec(increments=4, context=3, horizon=10))
    first = windows.cell == 0
    train, val = windows.select(~first), windows.select(first)
    kind = teacher_class("line")
    teacher, _ = kind.fit(train, val, kind.Settings(), Run(tmp_path))
    save_teacher(teacher, tmp_path / "line.safetensors")
    stored = load_teacher(tmp_path / "line.safetensors")
    error = np.abs(stored.predict(val)["soh"][:, 0] - val.soh).mean()
    assert error < np.abs(train.soh.mean() - val.soh).mean() / 3

    student, graph = taught("mlp", task("health"), train, val, stored, tmp_path)
    alone, _ = taught("mlp", task("health"), train, val, None, tmp_path)
    assert not np.array_equal(student.predict(val.inputs())["soh"], alone.predict(val.inputs())["soh"])
    assert equal_in_c(graph, windows.evenly(200).inputs(), tmp_path) == 0


def test_a_student_family_is_a_file(tmp_path: Path) -> None:
    import torch

    from edgebat.students.spec import float_forward
    from edgebat.students.store import load_student, save_student, student_kinds
    from edgebat.tasks.base import task

    assert student_kinds() == ("cnn", "gru", "lstm", "mlp", "pooled")
    windows = task("life").synthetic(task("life").spec(), 12, 600, 3).windows
    student, graph = taught("pooled", task("life"), windows, windows, None, tmp_path)
    save_student(student, tmp_path / "pooled.safetensors")
    stored = load_student(tmp_path / "pooled.safetensors")
    x = np.random.default_rng(1).normal(windows.inputs().mean(), windows.inputs().std(), (200, *student.shape))
    x = x.astype(np.float32)
    outputs = stored(torch.from_numpy(x)).detach().numpy()
    assert float_forward(stored.float_spec(), x) == pytest.approx(outputs, abs=1e-4)
    assert equal_in_c(graph, x, tmp_path) == 0


def test_a_search_asks_the_new_family_and_the_new_task(tmp_path: Path) -> None:
    from optuna.trial import FixedTrial

    from edgebat.runs.recipe import load_recipe
    from edgebat.search.cost import random_graph
    from edgebat.search.space import Candidate, suggest

    (tmp_path / "toy.yaml").write_text(RECIPE)
    recipe = load_recipe(tmp_path / "toy.yaml")
    chosen = suggest(FixedTrial({"kind": "pooled", "pooled.units": 12, "method": "mse"}), recipe.of_task, recipe)
    assert chosen == Candidate("pooled", {"units": 12})
    assert random_graph(chosen, recipe.of_task, recipe.spec, (6, 1)).input_tensor.shape == (6, 1)


def test_a_task_is_a_folder_and_a_recipe_is_a_file(tmp_path: Path, command: Command) -> None:
    """The whole pipeline: teacher, baseline, two students with and without it, int8, C, equality, sizes, card, report."""
    (tmp_path / "toy.yaml").write_text(RECIPE)
    code, out, err = command("run", tmp_path / "toy.yaml", "--runs", tmp_path)
    assert code == 0, err
    card = json.loads((tmp_path / "toy/card.json").read_text())
    assert card["task"] == {"name": "toy", "charges": 6, "eol": 0.8}
    errors = {row["key"]: row["soh_rmse_pct"] for row in card["accuracy"]}
    assert errors["teacher"] < errors["pooled_int8"] < errors["mean"]
    equal = {(row["model"], row["engine"]): row for row in card["equality"] if not row["skipped"]}
    host = equal["pooled", "host C"]
    assert (host["windows"], host["mismatches"]) == (200, 0)
    assert all(row["mismatches"] == 0 for row in equal.values() if row["expected"] == "0")

    # A model file stands on its own: what it says, and what it predicts from windows.
    code, out, _ = command("info", tmp_path / "toy/models/pooled.ebat")
    assert code == 0
    assert "toy" in out

    code, out, _ = command("run", tmp_path / "toy.yaml", "--runs", tmp_path)
    assert code == 0
    assert out.count("(kept)") == len(list((tmp_path / "toy/steps").iterdir()))


def test_a_reader_is_a_file(tmp_path: Path, command: Command) -> None:
    from edgebat.data.readers import read_cell
    from edgebat.data.synthetic import make_raw_cell
    from edgebat.errors import DataError

    cell = make_raw_cell(cycles=range(1, 13), period_s=30.0)
    rows = np.stack([cell.cycle, cell.time_s, cell.voltage_v, cell.current_a], axis=1).tolist()
    path = tmp_path / "cell07.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    assert np.array_equal(read_cell(path, (), "positive_is_charge").current_a, cell.current_a)
    with pytest.raises(DataError, match="The current is flipped"):
        read_cell(path, (), "positive_is_discharge")
    code, out, err = command("predict", "demo-mlp", path, "--nominal-ah", "3.0", "--json")
    assert code == 0, err
    assert [window["cycle"] for window in json.loads(out)["windows"]] == [10, 11, 12]


def test_an_engine_is_an_entry_of_a_table(tmp_path: Path) -> None:
    """An engine that is one off in every tenth window is found out."""
    from edgebat.runtime import Engine as NumpyEngine
    from edgebat.tasks.base import task
    from edgebat.verify.engines import Engine, Session
    from edgebat.verify.equality import verify_model

    def open_wrong(graph, files) -> Session:
        def run(x):
            y = NumpyEngine(graph).run(x).copy()
            y[::10, 0] += 1
            return y

        return Session(run, "wrong 1.0")

    windows = task("life").synthetic(task("life").spec(), 12, 600, 3).windows
    _, graph = taught("mlp", task("life"), windows, windows, None, tmp_path)
    x = np.random.default_rng(1).integers(-128, 128, (200, *graph.input_tensor.shape), dtype=np.int8)
    (row,) = verify_model(graph, x, table=(Engine("wrong", open_wrong),))
    assert (row.mismatches, row.largest, row.passed, row.version) == (20, 1, False, "wrong 1.0")
