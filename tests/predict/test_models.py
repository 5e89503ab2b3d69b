"""``open_model`` opens whatever edgebat writes, of every task, and predicts with it; the file says itself what it is."""

from __future__ import annotations

import json
import shutil
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from edgebat.cells import pack_cells, seen_cells  # noqa: E402
from edgebat.distill.train import DistillSettings, train_student  # noqa: E402
from edgebat.errors import DataError, MissingExtra, ModelFileError  # noqa: E402
from edgebat.formats.export import export_model  # noqa: E402
from edgebat.models import Model, open_model, to_ppm  # noqa: E402
from edgebat.predict import as_dict, as_table, predict_windows  # noqa: E402
from edgebat.quantization import quantize_model  # noqa: E402
from edgebat.students.store import save_student, student_kinds  # noqa: E402
from edgebat.tasks.base import task, task_names  # noqa: E402
from edgebat.teachers.store import build_teacher, save_teacher  # noqa: E402
from edgebat.training.run import Run  # noqa: E402
from edgebat.training.settings import FitSettings  # noqa: E402
from tests.tasks.test_windows import made_up  # noqa: E402

FIT = FitSettings(epochs=1, samples_per_epoch=64, batch_size=32, accelerator="cpu")
TEACHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "health": ("ic2ml", {"width": 16}),
    "forecast": ("battery_timer", {"context": 192, "sizes": {"hidden_size": 16, "intermediate_size": 16,
                                                             "num_hidden_layers": 1, "num_attention_heads": 2}}),
    "life": ("diffbatt", {"first": 8}),
}  # fmt: skip
"""A small teacher of each task."""


def written(name: str, folder: Path) -> Path:
    """A tiny student of the task, trained for one epoch and written in every form, and an untrained teacher."""
    of, windows = task(name), made_up(name)
    provenance = {"task": of.described(windows.spec), "recipe": "tiny", "seen": pack_cells(windows.cells[:2])}
    for kind in student_kinds():
        settings = DistillSettings(blends=0, fit=FIT)
        student, _ = train_student(kind, of, windows, windows, None, settings, Run(folder / "scratch" / kind))
        save_student(student, folder / f"{kind}.safetensors", provenance)
        meta = {"task": provenance["task"], "training": {k: v for k, v in provenance.items() if k != "task"}}
        graph = quantize_model(student.float_spec(), windows.inputs(), name=kind, meta=meta)
        export_model(graph, folder, ("ebat", "tflite", "onnx"))
    teacher_name, settings_ = TEACHERS[name]
    spec = {"spec": windows.spec.to_dict()} if name == "life" else {}
    torch.manual_seed(1)
    teacher = build_teacher(teacher_name, settings_ | spec)
    if name == "life":
        teacher.configure({"sampling": {"draws": 2, "steps": 2}})
    save_teacher(teacher, folder / "teacher.safetensors", provenance)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: written(name, tmp_path_factory.mktemp(name)) for name in task_names()}


def check(model: Model, name: str, some_heads: bool = False) -> Any:
    """What is true of any model file of the task; returns its predictions."""
    windows = made_up(name)
    assert model.task.name == name
    assert model.spec == windows.spec
    assert model.provenance["recipe"] == "tiny"
    assert seen_cells(model.seen, windows.cells) == [n < 2 for n in range(len(windows.cells))]
    predictions = model.predict(windows)
    heads = {head.name: head for head in model.task.heads(model.spec)}
    asked = {head for head in predictions if not head.endswith("_spread")} & heads.keys()
    assert asked
    assert some_heads or asked == heads.keys()
    for head in asked:
        assert len(predictions[head]) == len(windows)
        assert np.isfinite(predictions[head]).all()
        assert predictions[head].reshape(len(windows), -1).shape[1] == heads[head].values
    return predictions


@pytest.mark.parametrize("name", task_names())
def test_a_teacher(name: str, folders: dict[str, Path]) -> None:
    model = open_model(folders[name] / "teacher.safetensors")
    assert model.kind == f"teacher {TEACHERS[name][0]}"
    check(model, name, some_heads=True)


@pytest.mark.parametrize("kind", student_kinds())
@pytest.mark.parametrize("name", task_names())
def test_a_student_float_and_int8(name: str, kind: str, folders: dict[str, Path]) -> None:
    folder = folders[name]
    floating = open_model(folder / f"{kind}.safetensors")
    assert floating.kind == f"float {kind}"
    predicted = check(floating, name)
    found = {}
    for suffix in ("ebat", "tflite", "onnx"):
        model = open_model(folder / f"{kind}.{suffix}")
        assert model.kind == f"int8 {kind}"
        found[suffix] = check(model, name)
    # One integer graph, whatever it is written in.
    for suffix in ("tflite", "onnx"):
        for head, values in found["ebat"].items():
            assert np.array_equal(found[suffix][head], values), (suffix, head)
    # An int8 model is near its float one: within a tenth of what the head varies by, and half a cycle of rounding.
    student = floating.network
    for head, where in zip(student.heads, student.slices, strict=True):
        near = 0.1 * float(student.output_std[where.start]) + (0.5 if head.unit == "cycles" else 0.0)
        assert np.abs(found["ebat"][head.name] - predicted[head.name]).mean() < near, head.name


@pytest.mark.parametrize("name", task_names())
def test_predictions_as_text_and_as_data(name: str, folders: dict[str, Path]) -> None:
    graph = open_model(folders[name] / "lstm.ebat").network
    windows = made_up(name).evenly(3)
    prediction = predict_windows(graph, windows.inputs())
    rows = as_dict(graph, prediction)["windows"]
    assert [row["cycle"] for row in rows] == [0, 1, 2]
    heads = task(name).heads(windows.spec)
    for head in heads:
        key = f"{head.name}_{'percent' if head.unit == 'fraction' else 'cycles'}"
        values = rows[0][key]
        assert len(values) == len(head.ahead) if head.ahead else isinstance(values, int | float)
    json.dumps(rows, allow_nan=False)
    table = as_table(graph, prediction).splitlines()
    assert len(table) >= 1 + 3 + 1
    assert task(name).legend(windows.spec) in table


@pytest.mark.parametrize("name", task_names())
def test_windows_of_another_shape_are_refused(name: str, folders: dict[str, Path]) -> None:
    graph = open_model(folders[name] / "mlp.ebat").network
    x = made_up(name).inputs()
    steps, values = x.shape[1:]
    with pytest.raises(DataError, match=rf"this model reads \[N, {steps} time steps, {values} values\]"):
        predict_windows(graph, x[:, 1:])


def test_a_folder_is_opened_by_the_one_model_in_it(folders: dict[str, Path], tmp_path: Path) -> None:
    assert open_model(folders["health"]).kind == "teacher ic2ml"
    shutil.copy(folders["health"] / "mlp.safetensors", tmp_path)
    assert open_model(tmp_path).kind == "float mlp"
    shutil.copy(folders["health"] / "cnn.safetensors", tmp_path)
    with pytest.raises(
        ModelFileError, match=r"must hold teacher\.safetensors or one .*cnn\.safetensors, mlp\.safetensors"
    ):
        open_model(tmp_path)


@pytest.mark.parametrize("suffix", ["safetensors", "ebat", "tflite", "onnx"])
def test_damaged_and_absent_files_are_refused(suffix: str, folders: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / f"mlp.{suffix}"
    with pytest.raises(ModelFileError, match="there is no model file"):
        open_model(path)
    whole = (folders["forecast"] / path.name).read_bytes()
    for content in (b"", b"junk" * 30, whole[:60], whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(ModelFileError):
            open_model(path)


def rewritten(path: Path, **changes: Any) -> None:
    """Change the provenance in the header of a ``.safetensors``."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    key = next(iter(header["__metadata__"]))
    told = json.loads(header["__metadata__"][key])
    told["provenance"] |= changes
    header["__metadata__"][key] = json.dumps(told)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


@pytest.mark.parametrize("file", ["teacher", "lstm"])
def test_a_file_that_names_no_task_of_ours_is_refused(file: str, folders: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    for described, message in ((None, "does not say which task"), ({"name": "soc"}, "there is no task 'soc'"),
                               ({"name": "health", "eol": 7}, "0 < eol < 1")):  # fmt: skip
        shutil.copy(folders["health"] / f"{file}.safetensors", path)
        rewritten(path, task=described)
        with pytest.raises(ModelFileError, match=message):
            open_model(path)


def test_a_graph_of_another_task_is_refused(folders: dict[str, Path]) -> None:
    graph = open_model(folders["health"] / "mlp.ebat").network
    strange = replace(graph, meta=graph.meta | {"task": task("life").described(task("life").spec())})
    with pytest.raises(ModelFileError, match=r"has the outputs .*soh.*; a model of the task life has .*life"):
        predict_windows(strange, made_up("health").inputs())


def test_trained_files_ask_for_torch_where_it_is_missing(folders: dict[str, Path], without_module: Any) -> None:
    without_module("torch")
    with pytest.raises(MissingExtra, match=r"edgebat\[train\]"):
        open_model(folders["health"] / "mlp.safetensors")
    # Int8 models need NumPy alone.
    assert open_model(folders["health"] / "mlp.ebat").kind == "int8 mlp"


def test_fractions_become_ppm_half_to_even() -> None:
    assert to_ppm(np.array([0.8, -0.25, 2.5e-6, 3.5e-6, 0.0])).tolist() == [800_000, -250_000, 2, 4, 0]
    for wrong in (np.nan, np.inf, 2148.0):
        with pytest.raises(DataError, match="finite and below 2147 times nominal"):
            to_ppm(np.array([wrong]))
