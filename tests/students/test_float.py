"""Students: the plain NumPy model says what torch says, and a file gives the student back."""

from __future__ import annotations

import numpy as np
import pytest

from edgebat.errors import DataError, ModelFileError, RecipeError
from edgebat.students.spec import INPUT_MAX, INPUT_MIN, float_forward, normalize
from edgebat.tasks.base import Head, even_knots
from tests.tiny_windows import health_student, tiny_windows

torch = pytest.importorskip("torch")
from edgebat.students.store import load_student, save_student, student_kinds  # noqa: E402
from tests.float_outputs import physical_outputs  # noqa: E402

VARIANTS = [
    ("mlp", {"hidden": [16, 8]}),
    ("mlp", {"hidden": []}),
    ("cnn", {"channels": [6, 5], "kernel": 3, "pool": 1, "hidden": 7}),
    ("cnn", {"channels": [6], "kernel": 2, "pool": 2, "hidden": 7}),  # 9 steps: the pool drops the last one
    ("lstm", {"units": 9}),
    ("lstm", {"units": 6, "stacked": 2}),
    ("gru", {"units": 6, "stacked": 2}),
    *((kind, {}) for kind in student_kinds()),
]
"""Every family with its defaults, and settings worth a look of their own."""


def trained_like(kind, settings):
    """A student with seeded weights and the normalization of the tiny windows."""
    windows = tiny_windows()
    torch.manual_seed(3)
    student = health_student(kind, **settings)
    student.set_normalization(windows.inputs(), windows.targets())
    return student.eval(), windows


@pytest.mark.parametrize(("kind", "settings"), VARIANTS)
def test_numpy_model_equals_torch(kind, settings):
    student, windows = trained_like(kind, settings)
    model = student.float_spec()
    expected = student(torch.from_numpy(windows.x)).detach().numpy()
    np.testing.assert_allclose(float_forward(model, windows.x), expected, atol=2e-6)
    # In float64 the same weights give the same answer without float32's rounding.
    np.testing.assert_allclose(float_forward(model, windows.x.astype(np.float64)), expected, atol=2e-6)


@pytest.mark.parametrize(("kind", "settings"), VARIANTS)
def test_parameters_are_counted_as_the_device_stores_them(kind, settings):
    student, _ = trained_like(kind, settings)
    in_torch = sum(p.numel() for p in student.parameters())
    # torch's LSTM has two biases per gate; only their sum matters and is kept.
    doubled = sum(p.numel() for name, p in student.named_parameters() if "bias_hh" in name)
    # That of a GRU's new gate stays: the reset gate acts on what it is added to.
    doubled -= doubled // 3 if kind == "gru" else 0
    assert student.float_spec().parameters == in_torch - doubled


def test_normalized_inputs_stay_on_the_int8_grid():
    student, windows = trained_like("mlp", {})
    model = student.float_spec()
    far = windows.x.copy()
    far[0], far[1] = 1.0, -1.0
    z = normalize(model, far)
    assert z.max() == INPUT_MAX == 127 / 32
    assert z.min() == INPUT_MIN == -4
    np.testing.assert_allclose(float_forward(model, far), student(torch.from_numpy(far)).detach().numpy(), atol=2e-6)


@pytest.mark.parametrize("kind", student_kinds())
def test_prediction_is_the_physical_output_with_straight_lines_between_knots(kind):
    student, windows = trained_like(kind, {})
    model = student.float_spec()
    values = physical_outputs(model, float_forward(model, windows.x))
    said = student.predict(windows.x)
    np.testing.assert_allclose(said["soh"], values[:, 0], atol=1e-6)
    np.testing.assert_allclose(said["rul"], np.maximum(values[:, -1], 0), rtol=1e-4, atol=1e-4)
    ahead = np.arange(1, 51)
    for row in (0, 7):
        expected = np.interp(ahead, [0, 10, 20, 30, 40, 50], values[row, :6])
        np.testing.assert_allclose(said["trajectory"][row], expected, atol=1e-6)


def test_heads_name_the_outputs():
    model = trained_like("lstm", {})[0].float_spec()
    assert [(h.name, h.index, h.size, h.unit) for h in model.heads] == [
        ("soh", 0, 1, "fraction"),
        ("trajectory", 1, 5, "fraction"),
        ("rul", 6, 1, "cycles"),
    ]


def test_knots_are_equally_spaced_and_reach_the_horizon():
    assert even_knots(50, 5) == (10, 20, 30, 40, 50)
    matrix = Head("trajectory", "fraction", ahead=even_knots(50, 5), grid=tuple(range(1, 51)), start="soh").expansion()
    assert matrix.shape == (50, 6)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-6)
    assert matrix[9].tolist() == [0, 1, 0, 0, 0, 0]  # ten cycles ahead: the first knot itself


@pytest.mark.parametrize(("kind", "settings"), VARIANTS)
def test_a_file_gives_the_student_back(kind, settings, tmp_path):
    student, windows = trained_like(kind, settings)
    save_student(student, tmp_path / "a.safetensors", {"dataset": "tiny"})
    save_student(student, tmp_path / "b.safetensors", {"dataset": "tiny"})
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    again = load_student(tmp_path / "a.safetensors")
    assert again.settings == student.settings
    assert np.array_equal(again.predict(windows.x)["soh"], student.predict(windows.x)["soh"])


def test_damaged_or_foreign_files_are_refused(tmp_path):
    path = tmp_path / "student.safetensors"
    save_student(trained_like("mlp", {})[0], path)
    whole = path.read_bytes()
    for damaged in (b"", b"\x00" * 16, whole[:40], whole[:-8], b"\xff" * 8 + whole[8:]):
        path.write_bytes(damaged)
        with pytest.raises(ModelFileError):
            load_student(path)
    path.write_bytes(whole.replace(b"edgebat-student", b"edgebat-nothing"))
    with pytest.raises(ModelFileError, match="edgebat-nothing"):
        load_student(path)
    with pytest.raises(ModelFileError, match="cannot be read"):
        load_student(tmp_path / "absent.safetensors")


def test_what_cannot_be_built_says_why():
    with pytest.raises(RecipeError, match="cnn, gru, lstm, mlp"):
        health_student("transformer")
    with pytest.raises(RecipeError, match="units"):
        health_student("mlp", units=3)
    with pytest.raises(RecipeError, match="no time step left"):
        health_student("cnn", channels=[4, 4, 4], kernel=5)
    student, windows = trained_like("mlp", {})
    with pytest.raises(DataError, match=r"\[N, 10, 10\]"):
        float_forward(student.float_spec(), windows.x[:, :5])
    with pytest.raises(DataError, match="constant"):
        student.set_normalization(windows.x * 0, windows.targets())


def test_a_fleet_that_never_ends_leaves_the_rul_scale_alone():
    student, windows = trained_like("mlp", {})
    student.set_normalization(windows.x, windows.targets() | {"rul": np.full((len(windows), 1), np.nan, np.float32)})
    assert (float(student.output_mean[-1]), float(student.output_std[-1])) == (0, 1)
