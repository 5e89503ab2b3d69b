"""Writes the float networks of this folder, of random weights: ``python tests/files/make_float_models.py``.

Needs onnx; the Keras files need tensorflow and keras besides. float_expected.npz holds windows and what Keras answers.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent


def onnx_mlp() -> None:
    """12 inputs, as many as the windows of the tests' tiny model have."""
    from onnx import TensorProto, helper, numpy_helper, save

    rng = np.random.default_rng(0)
    arrays = {
        "w": rng.normal(size=(8, 12)) / 3,
        "b": rng.normal(size=8),
        "v": rng.normal(size=(1, 8)) / 3,
        "c": np.ones(1),
    }
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"], transB=1),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "v", "c"], ["y"], transB=1),
    ]
    value = helper.make_tensor_value_info
    ends = [value("x", TensorProto.FLOAT, ["N", 12])], [value("y", TensorProto.FLOAT, ["N", 1])]
    constants = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "float_mlp", *ends, constants)
    save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
        FOLDER / "float_mlp.onnx",
    )


def keras_models() -> None:
    """A sequential model and a functional one, as .keras and .h5."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    parts = [
        keras.Input((12, 3)),
        layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 4.0, 9.0]),
        layers.Conv1D(6, 3, padding="causal", activation="relu"),
        layers.BatchNormalization(),
        layers.MaxPooling1D(2),
        layers.LSTM(6, return_sequences=True),
        layers.LSTM(4),
        layers.Dropout(0.2),
        layers.Dense(4, activation="swish"),
        layers.Dense(1),
    ]
    source = keras.Input((12, 3))
    x = layers.Add()([layers.Conv1D(4, 1)(source), layers.SeparableConv1D(4, 3, padding="same")(source)])
    x = layers.GlobalAveragePooling1D()(layers.LeakyReLU(negative_slope=0.1)(x))
    models = {"sequential": keras.Sequential(parts), "functional": keras.Model(source, layers.Dense(2, name="out")(x))}
    windows = np.random.default_rng(0).normal(size=(16, 12, 3)).astype(np.float32)
    expected = {"x": windows}
    for name, model in models.items():
        expected[name] = model.predict(windows, verbose=0)
        for ending in (".keras", ".h5"):
            model.save(FOLDER / f"float_{name}{ending}")
    np.savez(FOLDER / "float_expected.npz", **expected)


if __name__ == "__main__":
    if importlib.util.find_spec("onnx"):
        onnx_mlp()
    if importlib.util.find_spec("keras"):
        keras_models()
