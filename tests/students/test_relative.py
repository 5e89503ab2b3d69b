"""A relative student reads changes since the last value and answers with changes: its level is the cell's own.

On an absolute int8 scale a capacity would lose its slope; relative, all of the scale is left for it.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgebat.arrays import Float32
from edgebat.errors import ModelFileError
from edgebat.graph import IntGraph
from edgebat.models import run_int8, to_ppm
from edgebat.quantization import quantize_model
from edgebat.runtime import Engine, outputs_in_units, quantize_input
from edgebat.students.spec import float_forward
from edgebat.tasks.base import physical, task
from edgebat.tasks.forecast.fade import fade_curves
from edgebat.tasks.forecast.windows import ForecastSpec, ForecastWindows, forecast_windows

torch = pytest.importorskip("torch")
from edgebat.quantization.qat import QatStudent  # noqa: E402
from edgebat.students.base import Student  # noqa: E402
from edgebat.students.store import build_student, load_student, save_student, student_kinds  # noqa: E402
from tests.float_outputs import physical_outputs  # noqa: E402

FORECAST = task("forecast")
SPEC = ForecastSpec(stride=24)
KINDS = student_kinds()


@pytest.fixture(scope="module")
def windows() -> ForecastWindows:
    return forecast_windows(fade_curves(12, seed=5), SPEC)


def drawn(kind: str, windows: ForecastWindows) -> Student:
    """A student with seeded weights, normalized by ``windows``."""
    torch.manual_seed(3)
    x = windows.inputs()
    student = build_student(kind, shape=x.shape[1:], heads=FORECAST.heads(SPEC), relative=True)
    student.set_normalization(x, windows.targets())
    return student.eval()


def graph_of(student: Student, x: Float32) -> IntGraph:
    return quantize_model(student.float_spec(), x, name=student.kind, meta={"task": FORECAST.described(SPEC)})


@pytest.mark.parametrize("kind", KINDS)
def test_numpy_model_equals_torch(kind: str, windows: ForecastWindows) -> None:
    student, x = drawn(kind, windows), windows.inputs()
    model = student.float_spec()
    assert model.relative
    assert [head.name for head in model.heads if head.relative] == ["level", "trajectory"]
    y = float_forward(model, x)
    np.testing.assert_allclose(y, student(torch.from_numpy(x)).detach().numpy(), atol=1e-5)
    predictions = student.predict(x)
    expected = physical(physical_outputs(model, y), student.heads, x[:, -1, -1])
    for head, values in predictions.items():
        np.testing.assert_allclose(values, expected[head], rtol=1e-4, atol=1e-5)
    # The changes stand on the last value.
    level = x[:, -1, -1] + physical_outputs(model, y)[:, 0]
    np.testing.assert_allclose(predictions["level"], level, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_gives_the_relative_student_back(kind: str, windows: ForecastWindows, tmp_path) -> None:  # type: ignore[no-untyped-def]
    student = drawn(kind, windows)
    save_student(student, tmp_path / "s.safetensors")
    again = load_student(tmp_path / "s.safetensors")
    assert (again.relative, again.heads, again.shape) == (True, student.heads, student.shape)
    x = windows.inputs()
    assert np.array_equal(again.predict(x)["trajectory"], student.predict(x)["trajectory"])


def test_a_normalization_is_of_changes(windows: ForecastWindows) -> None:
    student, x = drawn("mlp", windows), windows.inputs()
    changes = x - x[:, -1:, -1:]
    np.testing.assert_allclose(student.input_mean.numpy(), changes.mean(axis=(0, 1)), atol=1e-6)
    np.testing.assert_allclose(student.input_std.numpy(), changes.std(axis=(0, 1)), rtol=1e-4)
    ahead = windows.y - x[:, -1:, -1]
    slices = dict(zip((head.name for head in student.heads), student.slices, strict=True))
    # The level is normalized like the trajectory that starts at it, or they could not be interpolated together.
    for head in ("level", "trajectory"):
        np.testing.assert_allclose(student.output_mean[slices[head]].numpy(), np.nanmean(ahead), rtol=1e-4)
        np.testing.assert_allclose(student.output_std[slices[head]].numpy(), np.nanstd(ahead), rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps_cpct", [-700, 1, 250])
def test_a_shift_of_all_inputs_shifts_the_forecast_as_much(
    kind: str, steps_cpct: int, windows: ForecastWindows
) -> None:
    x = windows.inputs()
    graph = graph_of(drawn(kind, windows), x)
    ppm = to_ppm(x)
    shifted = ppm + np.int32(100 * steps_cpct)
    q = quantize_input(graph, ppm)
    assert np.array_equal(quantize_input(graph, shifted), q)
    y = Engine(graph).run(q)
    before, after = (outputs_in_units(graph, y, values[:, -1, -1]) for values in (ppm, shifted))
    for head in ("level", "trajectory"):
        assert np.array_equal(after[head], before[head] + steps_cpct)


@pytest.mark.parametrize(("last_ppm", "cpct"), [(0, 0), (49, 0), (50, 1), (149, 1), (150, 2), (-50, 0), (-51, -1)])
def test_the_last_value_is_rounded_half_up(last_ppm: int, cpct: int, windows: ForecastWindows) -> None:
    x = windows.inputs()
    graph = graph_of(drawn("mlp", windows), x)
    y = Engine(graph).run(quantize_input(graph, to_ppm(x)))[:1]
    zero, found = (outputs_in_units(graph, y, np.array([ppm])) for ppm in (0, last_ppm))
    assert np.array_equal(found["level"] - zero["level"], [[cpct]])


@pytest.mark.parametrize("kind", KINDS)
def test_the_int8_graph_says_what_the_student_says(kind: str, windows: ForecastWindows) -> None:
    student, x = drawn(kind, windows), windows.inputs()
    found = run_int8(graph_of(student, x), x)
    values = student.predict(x)
    spread = float(student.output_std[0])
    # Within a few steps of an int8 scale over the spread of the changes.
    assert np.abs(found.values["level"][:, 0] / 1e4 - values["level"]).max() < 0.1 * spread
    assert not found.outside.all()


@pytest.mark.parametrize("kind", KINDS)
def test_numpy_equals_the_forward_of_training_under_quantization(kind: str, windows: ForecastWindows) -> None:
    student, x = drawn(kind, windows), windows.inputs()
    qat = QatStudent(student, graph_of(student, x))
    assert qat.relative
    graph = qat.graph()
    expected = Engine(graph).run(quantize_input(graph, to_ppm(x)))
    trained = qat(torch.from_numpy(x)).detach().double() / graph.output_tensor.scale
    assert np.array_equal(trained.numpy(), expected)


def test_a_relative_head_needs_the_last_value(windows: ForecastWindows) -> None:
    x = windows.inputs()
    graph = graph_of(drawn("mlp", windows), x)
    y = Engine(graph).run(quantize_input(graph, to_ppm(x)))
    with pytest.raises(ModelFileError, match="head 'level' of model 'mlp' needs the last value of each window"):
        outputs_in_units(graph, y)


def test_students_that_are_not_relative_say_nothing_of_it(windows: ForecastWindows) -> None:
    """The border of a student that reads values is as it was before changes were known."""
    heads = tuple(dataclasses.replace(head, relative=False) for head in FORECAST.heads(SPEC))
    x = windows.inputs()
    student = build_student("mlp", shape=x.shape[1:], heads=heads)
    student.set_normalization(x, windows.targets())
    graph = graph_of(student.eval(), x)
    assert "relative_to" not in graph.meta["input"]
    assert not any("relative" in entry for entry in graph.meta["outputs"])
