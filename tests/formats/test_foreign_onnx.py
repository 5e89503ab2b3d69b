"""Quantized ONNX files that edgebat did not write: what ONNX Runtime's own tools make, run with NumPy alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from edgebat.errors import ModelFileError
from edgebat.foreign import border_of
from edgebat.formats.onnx.read import read_onnx
from edgebat.runtime import Engine


class Reader(CalibrationDataReader):
    def __init__(self, shape: tuple[int, ...]) -> None:
        rng = np.random.default_rng(1)
        self.windows = iter([{"x": rng.normal(size=(1, *shape)).astype(np.float32)} for _ in range(20)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.windows, None)


def model(
    nodes: list[onnx.NodeProto], shapes: dict[str, tuple[int, ...]], x: tuple[int, ...], y: int
) -> onnx.ModelProto:
    """A float model from ``x`` [N, ...] to ``y`` [N, y] with random weights."""
    rng = np.random.default_rng(2)
    weights = [
        numpy_helper.from_array((rng.normal(size=s) / np.sqrt(np.prod(s[1:]) * 2)).astype(np.float32), name)
        for name, s in shapes.items()
    ]
    limits = [numpy_helper.from_array(np.float32(v), n) for n, v in (("zero", 0.0), ("six", 6.0)) if x == (4, 10)]
    graph = helper.make_graph(
        nodes,
        "float",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *x])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", y])],
        [*weights, *limits],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def mlp() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"], axis=1),
        helper.make_node("Gemm", ["f", "w1", "b1"], ["h1"], transB=1, name="fc1"),
        helper.make_node("Relu", ["h1"], ["r1"]),
        helper.make_node("MatMul", ["r1", "w2"], ["h2"], name="fc2"),
        helper.make_node("Tanh", ["h2"], ["t2"]),
        helper.make_node("Gemm", ["t2", "w3", "b3"], ["y"], name="fc3"),
    ]
    return model(nodes, {"w1": (16, 40), "b1": (16,), "w2": (16, 8), "w3": (8, 3), "b3": (3,)}, (10, 4), 3)


def cnn() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Transpose", ["x"], ["xt"], perm=[0, 2, 1]),
        helper.make_node("Conv", ["xt", "w1", "b1"], ["h1"], kernel_shape=[3], pads=[1, 1], name="conv1"),
        helper.make_node("Relu", ["h1"], ["r1"]),
        helper.make_node("MaxPool", ["r1"], ["p1"], kernel_shape=[2], strides=[2]),
        helper.make_node("Conv", ["p1", "w2", "b2"], ["h2"], kernel_shape=[3], pads=[2, 0], group=8, name="depthwise"),
        helper.make_node("Relu", ["h2"], ["r2"]),
        helper.make_node("Conv", ["r2", "w3", "b3"], ["h3"], kernel_shape=[1], name="pointwise"),
        helper.make_node("Add", ["h3", "p1"], ["a3"]),
        helper.make_node("Flatten", ["a3"], ["f3"]),
        helper.make_node("Gemm", ["f3", "w4", "b4"], ["y"], transB=1, name="fc"),
    ]
    shapes = {"w1": (8, 4, 3), "b1": (8,), "w2": (8, 1, 3), "b2": (8,), "w3": (8, 8, 1), "b3": (8,)}
    return model(nodes, {**shapes, "w4": (3, 40), "b4": (3,)}, (10, 4), 3)


def pooled() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["h1"], kernel_shape=[3], strides=[2], name="conv1"),
        helper.make_node("Clip", ["h1", "zero", "six"], ["r1"]),
        helper.make_node("GlobalAveragePool", ["r1"], ["p1"]),
        helper.make_node("Flatten", ["p1"], ["f1"]),
        helper.make_node("Gemm", ["f1", "w2", "b2"], ["g1"], transB=1, name="fc"),
        helper.make_node("Sigmoid", ["g1"], ["y"]),
    ]
    return model(nodes, {"w1": (8, 4, 3), "b1": (8,), "w2": (3, 8), "b2": (3,)}, (4, 10), 3)


MODELS: dict[str, tuple[Callable[[], onnx.ModelProto], tuple[int, int]]] = {
    "mlp": (mlp, (10, 4)), "cnn": (cnn, (10, 4)), "pooled": (pooled, (4, 10))
}  # fmt: skip


def quantized(name: str, folder: Path, form: str, activation: str, per_channel: bool, weights: str = "QInt8") -> Path:
    make, shape = MODELS[name]
    onnx.save(make(), folder / "float.onnx")
    quantize_static(
        folder / "float.onnx",
        folder / "int8.onnx",
        Reader(shape),
        quant_format=QuantFormat[form],
        activation_type=QuantType[activation],
        weight_type=QuantType[weights],
        per_channel=per_channel,
    )
    return folder / "int8.onnx"


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize(("activation", "weights"), [("QInt8", "QInt8"), ("QUInt8", "QInt8"), ("QUInt8", "QUInt8")])
@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
@pytest.mark.parametrize("name", MODELS)
def test_numpy_computes_what_onnx_runtime_computes(
    name: str, form: str, activation: str, weights: str, per_channel: bool, tmp_path: Path
) -> None:
    path = quantized(name, tmp_path, form, activation, per_channel, weights)
    graph = read_onnx(path)
    source, target, foreign = graph.input_tensor, graph.output_tensor, graph.meta["foreign"]
    assert foreign["input_unsigned"] == (activation == "QUInt8")
    q = np.random.default_rng(3).integers(-128, 128, (1000, *source.shape)).astype(np.int8)
    x = (q.astype(np.float32) - source.zero_point) * np.float32(source.scale)
    if foreign["input_layout"] == "NCT":
        x = np.ascontiguousarray(x.transpose(0, 2, 1))
    options = ort.SessionOptions()
    options.log_severity_level = 3
    # ONNX Runtime fuses int8 activations of a QDQ convolution on x86 only when asked to; else it computes in float.
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    # Without VNNI its fast kernels for unsigned activations and signed weights saturate sums of two products at 16 bits.
    if activation == "QUInt8":
        options.add_session_config_entry("session.x64quantprecision", "1")
    y = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    steps = np.rint(y / np.float32(target.scale)).astype(np.int64) + target.zero_point
    np.testing.assert_array_equal(Engine(graph).run(q), steps)


def test_what_is_not_understood_is_named(tmp_path: Path) -> None:
    def refused(node: onnx.NodeProto, message: str) -> None:
        onnx.save(model([node], {"w": (3, 3)}, (3,), 3), tmp_path / "model.onnx")
        with pytest.raises(ModelFileError, match=message):
            read_onnx(tmp_path / "model.onnx")

    refused(helper.make_node("Einsum", ["x"], ["y"], name="top"), "Einsum 'top': edgebat does not run this operator")
    refused(helper.make_node("MatMul", ["x", "w"], ["y"], name="fc"), "MatMul 'fc': its input 'x' is not quantized")
    refused(helper.make_node("Identity", ["x"], ["y"]), "output 'y' is not quantized")
    refused(helper.make_node("Mine", ["x"], ["y"], domain="org.example"), "edgebat does not run this operator")
    refused(helper.make_node("Selu", ["x"], ["y"], alpha=2.0), "has alpha or gamma")
    norm = ["x", "w", "w", "w", "w"]
    refused(helper.make_node("BatchNormalization", norm, ["y"], training_mode=1), "evaluation mode")


def test_an_added_constant_gives_the_integers_of_onnx_runtime(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"], name="fc"),
        helper.make_node("Add", ["m", "b"], ["y"], name="bias"),
    ]
    onnx.save(model(nodes, {"w": (4, 3), "b": (3,)}, (4,), 3), tmp_path / "float.onnx")
    for form in QuantFormat:
        quantize_static(tmp_path / "float.onnx", tmp_path / "int8.onnx", Reader((4,)), quant_format=form)
        graph = read_onnx(tmp_path / "int8.onnx")
        assert [node.op for node in graph.nodes] == ["dense", "lut"]
        border = border_of(graph)
        assert border is not None
        q = np.random.default_rng(1).integers(-128, 128, (100, 4)).astype(np.int8)
        session = ort.InferenceSession(tmp_path / "int8.onnx", providers=["CPUExecutionProvider"])
        given = border.from_file(session.run(None, {"x": border.to_file(q)})[0])
        np.testing.assert_array_equal(Engine(graph).run(q), given)
