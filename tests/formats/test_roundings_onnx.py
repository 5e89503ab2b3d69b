"""Every operator of a quantized ONNX file, with drawn parameters, in ONNX Runtime and in edgebat.

With its optimizations on, ONNX Runtime fuses int8 operators, and no integer differs. With them off it computes in float32
between the file's integers: sums and averages may then differ by one step. The everyday run takes 50 files an
operator; EDGEBAT_TEST_SCALE=full takes 1,000.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgebat.foreign import border_of
from edgebat.formats.onnx.model import MICROSOFT
from edgebat.formats.onnx.read import onnx_graph
from edgebat.formats.roundings import ROUNDINGS
from edgebat.graph import Add, Mul, Tensor
from edgebat.runtime import Engine
from edgebat.runtime.kernels import build_kernel
from tests.foreign_files import draw_scale, draw_zero, near

FILES = 1000 if os.environ.get("EDGEBAT_TEST_SCALE") == "full" else 50
PAIRS = np.arange(-128, 128).astype(np.int8)


class OnnxFile:
    """Nodes and constants of a small model, and the scale and zero point of each quantized value."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.nodes, self.constants = rng, [], []

    def constant(self, name: str, value: Any, dtype: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def scaled(self, name: str, scale: float, zero: int) -> list[str]:
        return [self.constant(f"{name}_s", scale, np.float32), self.constant(f"{name}_z", zero, np.int8)]

    def node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        domain = "" if op in ("QLinearConv", "QLinearMatMul") or not op.startswith(("QLinear", "QGemm")) else MICROSOFT
        self.nodes.append(helper.make_node(op, inputs, [output], domain=domain, **attributes))
        return output

    def begin(self, scale: float) -> str:
        """The float input, quantized: name of the integers; ``x`` has the scale, ``xd`` the float values."""
        self.x = self.scaled("x", scale, draw_zero(self.rng))
        self.node("QuantizeLinear", ["x", *self.x], "xq")
        self.node("DequantizeLinear", ["xq", *self.x], "xd")
        return "xq"

    def end(self, value: str, scale: float, zero: int) -> None:
        """``value``, float, quantized and given back as float."""
        y = self.scaled("y", scale, zero)
        self.node("QuantizeLinear", [value, *y], "yq")
        self.node("DequantizeLinear", ["yq", *y], "y")

    def content(self, shape: tuple[int, ...]) -> bytes:
        ends = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *shape])]
        out = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
        graph = helper.make_graph(self.nodes, "g", ends, out, self.constants)
        sets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=sets, ir_version=8).SerializeToString()


def _value_by_value(op: str, output: tuple[float, int] | None = None, **attributes: Any) -> Maker:
    def make(rng: np.random.Generator) -> bytes:
        file, sx = OnnxFile(rng), draw_scale(rng)
        file.begin(sx)
        value = file.node(op, ["xd"], "t", **attributes) if op else "xd"
        file.end(value, *(output or (near(rng, sx), draw_zero(rng))))
        return file.content((256,))

    return make


def twice(rng: np.random.Generator) -> bytes:
    file, sx = OnnxFile(rng), float(np.float32(rng.choice([0.05, 0.1, 0.03125, 0.7])))
    file.begin(sx)
    file.end(file.node("Add", ["xd", "xd"], "t"), near(rng, 2 * sx), draw_zero(rng))
    return file.content((256,))


def summed(rng: np.random.Generator) -> bytes:
    """A value and a coarser copy of it, with scales of which many sums lie in the middle of two steps."""
    file, sx = OnnxFile(rng), float(np.float32(rng.choice([0.05, 0.1, 0.03125, 0.7])))
    file.begin(sx)
    kinds = file.scaled("m", near(rng, sx), draw_zero(rng))
    file.node("QuantizeLinear", ["xd", *kinds], "mq")
    file.node("DequantizeLinear", ["mq", *kinds], "md")
    file.end(file.node("Add", ["xd", "md"], "t"), near(rng, 2 * sx), draw_zero(rng))
    return file.content((256,))


def batch_normalization(rng: np.random.Generator) -> bytes:
    file = OnnxFile(rng)
    file.begin(draw_scale(rng))
    values = rng.uniform(0.2, 2, 256), rng.normal(0, 1, 256), rng.normal(0, 1, 256), rng.uniform(0.1, 3, 256)
    parts = [file.constant(name, value, np.float32) for name, value in zip("gbmv", values, strict=True)]
    file.end(file.node("BatchNormalization", ["xd", *parts], "t"), draw_scale(rng), draw_zero(rng))
    return file.content((256,))


def average(rng: np.random.Generator) -> bytes:
    file, sx = OnnxFile(rng), draw_scale(rng)
    file.begin(sx)
    kinds = file.scaled("y", near(rng, sx, 0.1, 1.2), draw_zero(rng))
    pooled = file.node("QuantizeLinear", [file.node("GlobalAveragePool", ["xd"], "t"), *kinds], "q")
    file.node("DequantizeLinear", [file.node("Flatten", [pooled], "f"), *kinds], "y")
    return file.content((4, int(rng.integers(1, 50))))


def integer_average(rng: np.random.Generator) -> bytes:
    file, sx = OnnxFile(rng), draw_scale(rng)
    x, kinds = file.begin(sx), file.scaled("p", near(rng, sx, 0.1, 1.2), draw_zero(rng))
    pooled = file.node("QLinearGlobalAveragePool", [x, *file.x, *kinds], "q")
    flat = file.node("Flatten", [pooled], "f")
    file.node("DequantizeLinear", [flat, *kinds], "y")
    return file.content((4, int(rng.integers(1, 50))))


def _scaled_weights(
    file: OnnxFile, shape: tuple[int, ...], sx: float, zero: int = 0
) -> tuple[list[str], str, tuple[float, int]]:
    rng, sw = file.rng, draw_scale(file.rng)
    w = file.constant("w", rng.integers(-127, 128, shape), np.int8)
    typical = 74.0 * 73.0 * np.sqrt(np.prod(shape[1:]))
    b = file.constant("b", rng.integers(-int(typical), int(typical) + 1, shape[0]), np.int32)
    sy = float(np.float32(sx * sw * typical / rng.uniform(30, 200)))
    return [w, *file.scaled("w", sw, zero)], b, (sy, draw_zero(rng))


def integer_gemm(rng: np.random.Generator, zero: int = 0) -> bytes:
    file, sx, shape = OnnxFile(rng), draw_scale(rng), (int(rng.integers(1, 9)), int(rng.integers(1, 40)))
    x = file.begin(sx)
    weights, bias, output = _scaled_weights(file, shape, sx, zero)
    kinds = file.scaled("p", *output)
    file.node("QGemm", [x, *file.x, *weights, bias, *kinds], "q", transB=1)
    file.node("DequantizeLinear", ["q", *kinds], "y")
    return file.content(shape[1:])


def asymmetric_gemm(rng: np.random.Generator) -> bytes:
    return integer_gemm(rng, int(rng.integers(-128, 128)))


def integer_convolution(rng: np.random.Generator) -> bytes:
    channels, kernel, outs = (int(rng.integers(1, high)) for high in (5, 4, 7))
    file, sx = OnnxFile(rng), draw_scale(rng)
    x = file.begin(sx)
    weights, bias, output = _scaled_weights(file, (outs, channels, kernel), sx)
    kinds = file.scaled("p", *output)
    pads = [int(p) for p in rng.integers(0, 3, 2)]
    inputs = [x, *file.x, *weights, *kinds, bias]
    file.node("QLinearConv", inputs, "q", kernel_shape=[kernel], pads=pads, strides=[int(rng.integers(1, 3))])
    file.node("Transpose", ["q"], "f", perm=[0, 2, 1])
    file.node("DequantizeLinear", ["f", *kinds], "y")
    return file.content((channels, int(rng.integers(6, 20))))


Maker = Callable[[np.random.Generator], bytes]
ALIKE: dict[str, Maker] = {
    "leaky_relu": _value_by_value("LeakyRelu", alpha=0.1),
    "tanh": _value_by_value("Tanh", (2.0**-7, 0)), "sigmoid": _value_by_value("Sigmoid", (2.0**-8, -128)),
    "relu": _value_by_value("Relu"), "twice": twice, "sum": summed, "batch_normalization": batch_normalization,
    "integer_average": integer_average, "integer_gemm": integer_gemm,
    "asymmetric_gemm": asymmetric_gemm, "integer_convolution": integer_convolution,
}  # fmt: skip
"""Operators that ONNX Runtime computes alike with and without optimizations."""
OTHERWISE: dict[str, Maker] = {"requantize": _value_by_value(""), "average": average}
EXCEPT = {"ORT_ENABLE_ALL": ("requantize", "twice", "sum"), "ORT_DISABLE_ALL": ("average",)}
"""On, it leaves out the first of two quantizations in a row, and adds with fused multiply-add where the file adds in
float32; off, it averages in float32."""


def runtime(content: bytes, feeds: dict[str, np.ndarray], level: str) -> np.ndarray:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"]).run(None, feeds)[0]


@pytest.mark.parametrize("operator", [*ALIKE, *OTHERWISE])
def test_an_operator_gives_the_integers_of_onnx_runtime(operator: str) -> None:
    compare(operator, (ALIKE | OTHERWISE)[operator], EXCEPT)


def compare(operator: str, make: Maker, otherwise: dict[str, tuple[str, ...]]) -> None:
    """Drawn files of one operator in ONNX Runtime and here: equal, or a step apart where it computes ``otherwise``."""
    for seed in range(FILES):
        rng = np.random.default_rng([seed, len(operator)])
        content = make(rng)
        graph = onnx_graph(content)
        border = border_of(graph)
        assert border is not None
        q = rng.integers(-128, 128, (20, *graph.input_tensor.shape)).astype(np.int8)
        if graph.input_tensor.shape == (256,):
            q[0] = PAIRS
        y = Engine(graph).run(q).reshape(20, -1).astype(int)
        feeds = {"x": border.to_file(q)}
        for level in ("ORT_ENABLE_ALL", "ORT_DISABLE_ALL"):
            given = border.from_file(runtime(content, feeds, level)).reshape(20, -1)
            exact = operator not in otherwise.get(level, ())
            assert np.abs(given - y).max() <= (0 if exact else 1), f"{operator}, seed {seed}, {level}"


def every_pair(
    op: str, kinds: list[tuple[float, int]], rng: np.random.Generator
) -> tuple[bytes, np.ndarray, np.ndarray]:
    """A file of ``op`` alone, with scale and zero point of both inputs and the output, and all pairs of int8 values."""
    file = OnnxFile(rng)
    a, b, y = (file.scaled(name, *kind) for name, kind in zip("aby", kinds, strict=True))
    file.node(op, ["p", *a, "q", *b, *y], "s")
    ends = [helper.make_tensor_value_info(name, TensorProto.INT8, ["n", 256]) for name in "pqs"]
    graph = helper.make_graph(file.nodes, "g", ends[:2], ends[2:], file.constants)
    sets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    content = helper.make_model(graph, opset_imports=sets, ir_version=8).SerializeToString()
    return content, np.repeat(PAIRS[:, None], 256, axis=1), np.repeat(PAIRS[None], 256, axis=0)


def test_a_sum_gives_the_integers_of_onnx_runtime_for_every_pair() -> None:
    for seed in range(max(FILES // 5, 10)):
        rng = np.random.default_rng([seed, 7])
        sa, sb = draw_scale(rng), draw_scale(rng)
        sb = sa if rng.random() < 0.4 else sb
        sy = near(rng, max(sa, sb), 0.3, 3.0)
        kinds = [(sa, draw_zero(rng)), (sb, draw_zero(rng)), (sy, draw_zero(rng))]
        content, p, q = every_pair("QLinearAdd", kinds, rng)
        tensors = {name: Tensor(name, (256,), "int8", *kind) for name, kind in zip("aby", kinds, strict=True)}
        multipliers, requant = ROUNDINGS["onnxruntime"].add((tensors["a"], tensors["b"]), tensors["y"], (-128, 127))
        kernel = build_kernel(Add("sum", ("a", "b"), "y", multipliers, requant), tensors)
        expected = runtime(content, {"p": p, "q": q}, "ORT_ENABLE_ALL")
        np.testing.assert_array_equal(kernel(p.astype(np.float64), q.astype(np.float64)), expected, f"{seed}")


def test_a_product_gives_the_integers_of_onnx_runtime_for_every_pair() -> None:
    for seed in range(max(FILES // 5, 10)):
        rng = np.random.default_rng([seed, 8])
        sa, sb = draw_scale(rng), draw_scale(rng)
        sy = near(rng, float(np.float32(sa * sb * 65025.0 / rng.uniform(100, 1000))), 0.5, 2.0)
        kinds = [(sa, draw_zero(rng)), (sb, draw_zero(rng)), (sy, draw_zero(rng))]
        content, p, q = every_pair("QLinearMul", kinds, rng)
        tensors = {name: Tensor(name, (256,), "int8", *kind) for name, kind in zip("aby", kinds, strict=True)}
        requant = ROUNDINGS["onnxruntime"].gate((tensors["a"], tensors["b"]), tensors["y"], (-128, 127))
        kernel = build_kernel(Mul("product", ("a", "b"), "y", requant), tensors)
        expected = runtime(content, {"p": p, "q": q}, "ORT_ENABLE_ALL")
        np.testing.assert_array_equal(kernel(p.astype(np.float64), q.astype(np.float64)), expected, f"{seed}")
