"""The gallery's networks as files: ONNX as exporters write it, and Keras."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.gallery_entry import COLUMNS, STEPS, Entry


def onnx_entries() -> Iterator[Entry]:
    """ONNX files as exporters write them."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    def model(
        name: str,
        task: str,
        build: Callable[[Any], tuple[list[Any], dict[str, Any]]],
        shape: tuple[int, ...] = (STEPS, COLUMNS),
        refused: str = "",
    ) -> Entry:
        def make(folder: Path) -> tuple[Any, Callable[[Any], Any]]:
            nodes, constants = build(np.random.default_rng(len(name)))
            value = helper.make_tensor_value_info
            graph = helper.make_graph(
                nodes,
                name,
                [value("x", TensorProto.FLOAT, ["N", *shape])],
                [value("y", TensorProto.FLOAT, None)],
                [numpy_helper.from_array(array, key) for key, array in constants.items()],
            )
            path = folder / f"{name}.onnx"
            onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)

            def run(x: Any) -> Any:
                return onnxruntime.InferenceSession(path).run(None, {"x": x})[0]

            return path, run

        return Entry(name, task, "onnx", make, shape, refused)

    node = helper.make_node

    def draw(rng: Any, *shape: int) -> Any:
        return (rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    def dense(rng: Any) -> Any:
        nodes = [
            node("MatMul", ["x", "w"], ["a"]),
            node("Add", ["a", "b"], ["s"]),
            node("Relu", ["s"], ["r"]),
            node("Gemm", ["r", "v", "c"], ["y"], transB=1),
        ]
        return nodes, {"w": draw(rng, 12, 16), "b": draw(rng, 16), "v": draw(rng, 2, 16), "c": draw(rng, 2)}

    def swish(rng: Any) -> Any:
        nodes = [
            node("Gemm", ["x", "w", "b"], ["a"], transB=1),
            node("Sigmoid", ["a"], ["s"]),
            node("Mul", ["a", "s"], ["r"]),
            node("Gemm", ["r", "v", "c"], ["y"], transB=1),
        ]
        return nodes, {"w": draw(rng, 16, 12), "b": draw(rng, 16), "v": draw(rng, 1, 16), "c": draw(rng, 1)}

    def gelu(rng: Any) -> Any:
        nodes = [
            node("Gemm", ["x", "w", "b"], ["a"], transB=1),
            node("Div", ["a", "r2"], ["d"]),
            node("Erf", ["d"], ["e"]),
            node("Add", ["e", "one"], ["p"]),
            node("Mul", ["a", "p"], ["m"]),
            node("Mul", ["m", "half"], ["g"]),
            node("Gemm", ["g", "v", "c"], ["y"], transB=1),
        ]
        return nodes, {
            "w": draw(rng, 16, 12),
            "b": draw(rng, 16),
            "v": draw(rng, 1, 16),
            "c": draw(rng, 1),
            "r2": np.float32(2**0.5),
            "one": np.float32(1),
            "half": np.float32(0.5),
        }

    def scaler(rng: Any) -> Any:
        nodes = [
            node("Sub", ["x", "mean"], ["a"]),
            node("Div", ["a", "std"], ["z"]),
            node("Gemm", ["z", "w", "b"], ["h"], transB=1),
            node("Relu", ["h"], ["r"]),
            node("Gemm", ["r", "v", "c"], ["y"], transB=1),
        ]
        return nodes, {
            "mean": draw(rng, 12),
            "std": np.abs(draw(rng, 12)) + np.float32(0.5),
            "w": draw(rng, 16, 12),
            "b": draw(rng, 16),
            "v": draw(rng, 1, 16),
            "c": draw(rng, 1),
        }

    def cnn(rng: Any) -> Any:
        nodes = [
            node("Transpose", ["x"], ["t"], perm=[0, 2, 1]),
            node("Conv", ["t", "w", "b"], ["a"], kernel_shape=[3], pads=[1, 1]),
            node("BatchNormalization", ["a", "g", "h", "m", "q"], ["n"]),
            node("Relu", ["n"], ["r"]),
            node("MaxPool", ["r"], ["p"], kernel_shape=[2], strides=[2]),
            node("GlobalAveragePool", ["p"], ["z"]),
            node("Flatten", ["z"], ["f"]),
            node("Gemm", ["f", "v", "c"], ["y"], transB=1),
        ]
        return nodes, {
            "w": draw(rng, 8, COLUMNS, 3),
            "b": draw(rng, 8),
            "g": draw(rng, 8),
            "h": draw(rng, 8),
            "m": draw(rng, 8),
            "q": np.abs(draw(rng, 8)) + np.float32(0.5),
            "v": draw(rng, 1, 8),
            "c": draw(rng, 1),
        }

    def bidirectional(rng: Any) -> Any:
        nodes = [
            node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
            node("LSTM", ["t", "w", "r", "b"], ["s", "h"], hidden_size=8, direction="bidirectional"),
            node("Transpose", ["s"], ["q"], perm=[0, 2, 1, 3]),
            node("Reshape", ["q", "joined"], ["u"]),
            node("ReduceMean", ["u"], ["m"], axes=[0], keepdims=0),
            node("Gemm", ["m", "v", "c"], ["y"], transB=1),
        ]
        return nodes, {
            "w": draw(rng, 2, 32, COLUMNS),
            "r": draw(rng, 2, 32, 8),
            "b": draw(rng, 2, 64),
            "joined": np.array([0, 0, -1], np.int64),
            "v": draw(rng, 1, 16),
            "c": draw(rng, 1),
        }

    def lstm(rng: Any, op: str = "LSTM") -> Any:
        gates = {"LSTM": 4, "GRU": 3}[op]
        nodes = [
            node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
            node(op, ["t", "w", "r", "b"], ["s", "h"], hidden_size=12),
            node("Squeeze", ["s", "one"], ["q"]),
            node("Transpose", ["q"], ["u"], perm=[1, 0, 2]),
            node("Gather", ["u", "last"], ["g"], axis=1),
            node("Gemm", ["g", "v", "c"], ["y"], transB=1),
        ]
        return nodes, {
            "w": draw(rng, 1, gates * 12, COLUMNS),
            "r": draw(rng, 1, gates * 12, 12),
            "b": draw(rng, 1, gates * 24),
            "one": np.array([1], np.int64),
            "last": np.array(-1, np.int64),
            "v": draw(rng, 1, 12),
            "c": draw(rng, 1),
        }

    def residual(rng: Any) -> Any:
        nodes = [
            node("Transpose", ["x"], ["t"], perm=[0, 2, 1]),
            node("Conv", ["t", "w", "b"], ["a"], kernel_shape=[1]),
            node("Pad", ["a", "pads"], ["p"]),
            node("Conv", ["p", "u", "d"], ["e"], kernel_shape=[3], dilations=[2]),
            node("Relu", ["e"], ["r"]),
            node("Add", ["r", "a"], ["s"]),
            node("ReduceMean", ["s"], ["m"], axes=[2], keepdims=0),
            node("Gemm", ["m", "v", "c"], ["y"], transB=1),
        ]
        return nodes, {
            "w": draw(rng, 6, COLUMNS, 1),
            "b": draw(rng, 6),
            "u": draw(rng, 6, 6, 3),
            "d": draw(rng, 6),
            "pads": np.array([0, 0, 4, 0, 0, 0], np.int64),
            "v": draw(rng, 1, 6),
            "c": draw(rng, 1),
        }

    yield model("mlp-matmul-add", "SOC", dense, (12,))
    yield model("mlp-swish", "SOH", swish, (12,))
    yield model("mlp-gelu-of-parts", "RUL", gelu, (12,))
    yield model("mlp-scaler-inside", "SOC", scaler, (12,))
    yield model("cnn-batchnorm", "SOH", cnn)
    yield model("lstm", "SOC", lstm)
    yield model("gru", "SOC", lambda rng: lstm(rng, "GRU"))
    yield model("lstm-bidirectional", "SOC", bidirectional)
    yield model("tcn-residual", "SOC", residual)


def keras_entries() -> Iterator[Entry]:
    """Keras 3 models, saved as ``.keras`` and ``.h5``."""
    import keras
    from keras import layers

    def model(
        name: str,
        task: str,
        build: Callable[[], Any],
        shape: tuple[int, ...] = (STEPS, COLUMNS),
        refused: str = "",
        ending: str = ".keras",
    ) -> Entry:
        def make(folder: Path) -> tuple[Any, Callable[[Any], Any]]:
            keras.utils.set_random_seed(len(name))
            net = build()
            path = folder / f"{name}{ending}"
            net.save(path)
            return path, lambda x: net.predict(x, verbose=0)

        return Entry(name, task, "keras", make, shape, refused)

    def stacked(*parts: Any, shape: tuple[int, ...] = (STEPS, COLUMNS)) -> Callable[[], Any]:
        return lambda: keras.Sequential([keras.Input(shape), *(part() for part in parts)])

    def residual() -> Any:
        source = keras.Input((STEPS, COLUMNS))
        x = layers.Conv1D(8, 3, padding="causal", dilation_rate=2, activation="relu")(source)
        x = layers.Add()([x, layers.Conv1D(8, 1)(source)])
        return keras.Model(source, layers.Dense(1)(layers.GlobalAveragePooling1D()(layers.Activation("relu")(x))))

    def dense() -> Any:
        return layers.Dense(1)

    yield model(
        "mlp", "SOC", stacked(lambda: layers.Dense(24, "relu"), lambda: layers.Dropout(0.2), dense, shape=(12,)), (12,)
    )
    yield model(
        "mlp-normalized",
        "SOC",
        stacked(
            lambda: layers.Normalization(mean=[1.0] * 12, variance=[4.0] * 12),
            lambda: layers.Dense(16, "elu"),
            dense,
            shape=(12,),
        ),
        (12,),
    )
    yield model("lstm", "SOC", stacked(lambda: layers.LSTM(16), dense))
    yield model(
        "lstm-h5",
        "SOC",
        stacked(lambda: layers.LSTM(16, return_sequences=True), lambda: layers.LSTM(8), dense),
        ending=".h5",
    )
    yield model(
        "cnn-lstm",
        "SOH",
        stacked(
            lambda: layers.Conv1D(12, 3, activation="relu"),
            lambda: layers.MaxPooling1D(2),
            lambda: layers.LSTM(12),
            dense,
        ),
    )
    yield model(
        "cnn-separable",
        "SOH",
        stacked(
            lambda: layers.SeparableConv1D(12, 3, padding="same"),
            layers.BatchNormalization,
            layers.ReLU,
            layers.Flatten,
            dense,
        ),
    )
    yield model("tcn-residual", "RUL", residual)
    yield model(
        "lstm-time-distributed",
        "SOC",
        stacked(lambda: layers.LSTM(8, return_sequences=True), lambda: layers.TimeDistributed(layers.Dense(1))),
    )
    yield model("gru", "SOC", stacked(lambda: layers.GRU(16), dense))
    yield model("gru-reset-before", "SOC", stacked(lambda: layers.GRU(16, reset_after=False), dense))
    yield model("simple-rnn", "SOC", stacked(lambda: layers.SimpleRNN(16), dense))
    yield model("bidirectional", "SOC", stacked(lambda: layers.Bidirectional(layers.LSTM(8)), dense))
    yield model(
        "lambda", "SOC", stacked(lambda: layers.Lambda(lambda x: x * 2), layers.Flatten, dense), refused="never run"
    )
