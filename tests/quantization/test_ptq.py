"""Post-training quantization: close to the float student, exact at the border, honest about what it was given."""

import numpy as np
import pytest

from edgebat.errors import DataError
from edgebat.quantization import QuantizeOptions, quantize_model
from edgebat.runtime import Engine, input_clipped, outputs_in_units, quantize_input
from edgebat.students.spec import (
    Conv1DLayer,
    DenseLayer,
    FlattenLayer,
    FloatModel,
    HeadSlice,
    LastStepLayer,
    LstmLayer,
    MaxPool1DLayer,
    float_forward,
)
from tests.float_outputs import physical_outputs

HEADS = (
    HeadSlice("soh", 0, 1, "fraction"),
    HeadSlice("trajectory", 1, 5, "fraction"),
    HeadSlice("rul", 6, 1, "cycles"),
)


def student(kind: str) -> FloatModel:
    """A student with random weights of ordinary size and the normalizations of the health task."""
    rng = np.random.default_rng(len(kind))

    def draw(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    layers = {
        "mlp": (FlattenLayer(), DenseLayer(draw(24, 100), draw(24), "relu"), DenseLayer(draw(7, 24), draw(7))),
        "cnn": (
            Conv1DLayer(draw(8, 3, 10), draw(8), 1, "relu"),
            MaxPool1DLayer(2),
            FlattenLayer(),
            DenseLayer(draw(7, 40), draw(7)),
        ),
        "lstm": (LstmLayer(draw(48, 10), draw(48, 12), draw(48)), LastStepLayer(), DenseLayer(draw(7, 12), draw(7))),
    }[kind]
    mean, std = np.full(10, 0.01, np.float32), np.full(10, 0.0008, np.float32)
    out_mean, out_std = np.array([0.9] * 6 + [150], np.float32), np.array([0.07] * 6 + [120], np.float32)
    return FloatModel(kind, (10, 10), layers, mean, std, out_mean, out_std, HEADS)


def windows(count: int, seed: int) -> np.ndarray:
    return 0.01 + 0.0008 * np.random.default_rng(seed).standard_normal((count, 10, 10))


@pytest.mark.parametrize("kind", ["mlp", "cnn", "lstm"])
@pytest.mark.parametrize("method", ["minmax", "percentile", "mse"])
def test_the_integer_graph_stays_close_to_the_float_student(kind: str, method: str) -> None:
    model = student(kind)
    graph = quantize_model(model, windows(400, 1), QuantizeOptions(method))
    x = windows(500, 2)
    named = outputs_in_units(graph, Engine(graph).run(quantize_input(graph, np.rint(x * 1e6).astype(np.int64))))
    real = physical_outputs(model, float_forward(model, x))
    spread = real.std(axis=0)
    assert np.sqrt(np.mean((named["soh"][:, 0] / 1e4 - real[:, 0]) ** 2)) < 0.04 * spread[0]
    assert np.sqrt(np.mean((named["rul"][:, 0] - real[:, 6]) ** 2)) < 0.04 * spread[6] + 0.3
    assert named["trajectory"].shape == (500, 5)


def test_quantizing_twice_gives_the_same_graph() -> None:
    model, sample = student("cnn"), windows(200, 4)
    assert quantize_model(model, sample).fingerprint == quantize_model(model, sample).fingerprint


def test_every_channel_of_an_ordinary_student_is_proven_exact() -> None:
    for kind in ("mlp", "cnn"):
        report = quantize_model(student(kind), windows(200, 4)).meta["quantization"]
        assert sum(layer["fallbacks"] for layer in report["layers"]) == 0


def test_bias_correction_removes_the_mean_error() -> None:
    model, sample = student("mlp"), windows(2000, 5)
    real = physical_outputs(model, float_forward(model, sample))[:, 0].mean() * 1e4
    ppm = np.rint(sample * 1e6).astype(np.int64)
    errors = {}
    for correct in (False, True):
        graph = quantize_model(model, sample, QuantizeOptions("minmax", bias_correction=correct))
        named = outputs_in_units(graph, Engine(graph).run(quantize_input(graph, ppm)))
        errors[correct] = abs(named["soh"].mean() - real)
    assert errors[True] < max(0.5 * errors[False], 0.6)


def test_inputs_outside_the_trained_range_are_reported() -> None:
    graph = quantize_model(student("mlp"), windows(100, 6))
    ppm = np.full((2, 10, 10), 10_000)
    ppm[1, 3, 4] = 90_000
    assert input_clipped(graph, ppm).tolist() == [False, True]


@pytest.mark.parametrize(
    ("sample", "says"),
    [(np.zeros((0, 10, 10)), "N >= 1"), (np.zeros((5, 9, 10)), "shape"), (np.full((5, 10, 10), np.nan), "NaN")],
)
def test_unusable_calibration_windows_are_refused(sample: np.ndarray, says: str) -> None:
    with pytest.raises(DataError, match=says):
        quantize_model(student("mlp"), sample)
