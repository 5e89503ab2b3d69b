"""LSTM and GRU that TensorFlow has written as loops or step by step, as layers again: tests/files/recurrent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import edgebat as eb
from edgebat.errors import ModelFileError
from edgebat.networks.layers import FloatNetwork, GruLayer, LstmLayer
from edgebat.networks.tflite import float_tflite
from edgebat.verify.equality import verify_model
from edgebat.verify.inputs import random_inputs

FOLDER = Path(__file__).parents[1] / "files" / "recurrent"
LAYERS = {
    "loop_lstm": "ll", "loop_gru": "g", "loop_gru_before": "g", "loop_both": "llgg", "steps_lstm": "ll", "steps_gru": "g",
    "steps_gru_before": "g", "steps_both": "llg", "steps_open": "gl", "backwards": "l", "cell": "lg",
}  # fmt: skip
"""Recurrent layers of each file: l for an LSTM, g for a GRU."""


def read(name: str) -> tuple[FloatNetwork, dict[str, np.ndarray]]:
    path = FOLDER / f"{name}.tflite"
    return float_tflite(path.read_bytes(), path.name, name), dict(np.load(path.with_suffix(".npz")))


@pytest.mark.parametrize("name", LAYERS)
def test_a_file_is_its_layers_again_with_the_answers_of_keras(name: str) -> None:
    network, expected = read(name)
    found = network.forward(network.windows(expected["x"]))
    np.testing.assert_allclose(found.reshape(expected["y"].shape), expected["y"], atol=1e-6)
    kinds = {LstmLayer: "l", GruLayer: "g"}
    layers = "".join(kinds[type(s.layer)] for s in network.steps if isinstance(s.layer, LstmLayer | GruLayer))
    assert sorted(layers) == sorted(LAYERS[name])


@pytest.mark.parametrize("name", ["loop_both", "steps_open"])
def test_its_integers_are_equal_on_all_engines(name: str) -> None:
    x = np.random.default_rng(1).normal(size=(200, 5, 2))
    graph = eb.quantize(FOLDER / f"{name}.tflite", x).graph
    rows = verify_model(graph, random_inputs(graph, 20))
    assert [row for row in rows if not row.passed] == []


@pytest.mark.parametrize("name", ["loop_simple", "loop_hard"])
def test_a_loop_that_is_no_such_layer_is_refused_with_what_to_do(name: str) -> None:
    with pytest.raises(
        ModelFileError, match=r"WHILE .*no LSTM or GRU of Keras with tanh and sigmoid.*give the \.keras"
    ):
        read(name)


@pytest.mark.parametrize("factor", [1.01, -1.0])
def test_a_changed_gate_is_no_longer_that_layer(factor: float) -> None:
    """A weight that only one of the steps sees: the steps are no layer then."""
    path = FOLDER / "steps_gru.tflite"
    data = bytearray(path.read_bytes())
    one = np.float32(1.0).tobytes()
    offsets = [i for i in range(0, len(data) - 4, 4) if data[i : i + 4] == one]
    assert offsets  # 1 - z, the same constant at every step
    for offset in offsets:
        data[offset : offset + 4] = np.float32(factor).tobytes()
    with pytest.raises(ModelFileError, match="no LSTM or GRU"):
        float_tflite(bytes(data), path.name, "changed")
