"""Windows, softmax, joins and functions in quantized ONNX files, with drawn parameters, in ONNX Runtime and in edgebat.

As `test_roundings_onnx.py`: 50 files an operator in the everyday run, 1,000 with EDGEBAT_TEST_SCALE=full.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edgebat.errors import ModelFileError
from edgebat.formats.onnx.read import onnx_graph
from edgebat.graph import FloatPool1D, Lut
from tests.foreign_files import draw_scale, draw_zero, near
from tests.formats.test_roundings_onnx import Maker, OnnxFile, compare


def _turned(file: OnnxFile, value: str, scale: float, zero: int) -> None:
    """``value``, float [N, C, T], quantized, turned and given back as float."""
    kinds = file.scaled("y", scale, zero)
    file.node("Transpose", [file.node("QuantizeLinear", [value, *kinds], "q")], "f", perm=[0, 2, 1])
    file.node("DequantizeLinear", ["f", *kinds], "y")


def _windows(rng: np.random.Generator, time: int) -> dict[str, object]:
    size = int(rng.integers(1, 6))
    pads = [int(pad) for pad in rng.integers(0, size, 2)]
    return {
        "kernel_shape": [min(size, time)], "strides": [int(rng.integers(1, 4))],
        "pads": pads if size <= time else [0, 0], "ceil_mode": int(rng.integers(2)),
    }  # fmt: skip


def max_pool(rng: np.random.Generator) -> bytes:
    file, sx, time = OnnxFile(rng), draw_scale(rng), int(rng.integers(5, 20))
    x = file.begin(sx)
    file.node("Transpose", [file.node("MaxPool", [x], "q", **_windows(rng, time))], "f", perm=[0, 2, 1])
    file.node("DequantizeLinear", ["f", *file.x], "y")
    return file.content((3, time))


def average_pool(rng: np.random.Generator) -> bytes:
    file, sx, time = OnnxFile(rng), draw_scale(rng), int(rng.integers(5, 20))
    file.begin(sx)
    window = _windows(rng, time) | {"count_include_pad": int(rng.integers(2)), "ceil_mode": 0}
    _turned(file, file.node("AveragePool", ["xd"], "t", **window), near(rng, sx, 0.3, 1.2), draw_zero(rng))
    return file.content((3, time))


def integer_average_pool(rng: np.random.Generator) -> bytes:
    file, sx, time = OnnxFile(rng), draw_scale(rng), int(rng.integers(5, 20))
    x, kinds = file.begin(sx), file.scaled("p", near(rng, sx, 0.3, 1.2), draw_zero(rng))
    window = _windows(rng, time) | {"count_include_pad": int(rng.integers(2)), "ceil_mode": 0}
    file.node("Transpose", [file.node("QLinearAveragePool", [x, *file.x, *kinds], "q", **window)], "f", perm=[0, 2, 1])
    file.node("DequantizeLinear", ["f", *kinds], "y")
    return file.content((3, time))


def softmax(rng: np.random.Generator) -> bytes:
    file = OnnxFile(rng)
    file.begin(draw_scale(rng))
    scale, zero = [(1 / 255, -128), (1 / 127, 0), (1 / 200, -100)][int(rng.integers(3))]
    file.end(file.node("Softmax", ["xd"], "t", axis=-1), float(np.float32(scale)), zero)
    return file.content((int(rng.integers(2, 20)),))


def integer_softmax(rng: np.random.Generator) -> bytes:
    file = OnnxFile(rng)
    x, kinds = file.begin(draw_scale(rng)), file.scaled("p", float(np.float32(1 / 255)), -128)
    file.node("QLinearSoftmax", [x, *file.x, *kinds], "q", axis=-1, opset=17)
    file.node("DequantizeLinear", ["q", *kinds], "y")
    return file.content((int(rng.integers(2, 20)),))


def _with_constant(op: str) -> Maker:
    """A float constant for every value, each of which is drawn."""

    def make(rng: np.random.Generator) -> bytes:
        file, sx = OnnxFile(rng), draw_scale(rng)
        file.begin(sx)
        values = rng.uniform(0.2, 2, 256) if op == "Div" else rng.normal(0, 60 * sx if op in ("Add", "Sub") else 1, 256)
        file.end(file.node(op, ["xd", file.constant("c", values, np.float32)], "t"), near(rng, 2 * sx), draw_zero(rng))
        return file.content((256,))

    return make


def _with_integers(op: str) -> Maker:
    """A quantized constant, as QLinearAdd and QLinearMul have it."""

    def make(rng: np.random.Generator) -> bytes:
        file, sx = OnnxFile(rng), draw_scale(rng)
        x, sc = file.begin(sx), draw_scale(rng)
        constant = [file.constant("c", rng.integers(-128, 128, 256), np.int8), *file.scaled("c", sc, draw_zero(rng))]
        scale = (
            near(rng, max(sx, sc), 0.5, 3.0)
            if op == "QLinearAdd"
            else float(np.float32(sx * sc * rng.uniform(20, 200)))
        )
        kinds = file.scaled("p", scale, draw_zero(rng))
        first, second = ([x, *file.x], constant) if rng.integers(2) else (constant, [x, *file.x])
        file.node(op, [*first, *second, *kinds], "q")
        file.node("DequantizeLinear", ["q", *kinds], "y")
        return file.content((256,))

    return make


def swish(rng: np.random.Generator) -> bytes:
    """As ORT writes it: x times the quantized sigmoid of x."""
    file, sx = OnnxFile(rng), float(np.float32(rng.uniform(0.01, 0.1)))
    x = file.begin(sx)
    gate = file.scaled("g", 2.0**-8, -128)
    kinds = file.scaled("p", near(rng, sx, 0.5, 1.5), draw_zero(rng))
    file.node("QLinearSigmoid", [x, *file.x, *gate], "gq")
    file.node("QLinearMul", [x, *file.x, "gq", *gate, *kinds], "q")
    file.node("DequantizeLinear", ["q", *kinds], "y")
    return file.content((256,))


def slopes(rng: np.random.Generator) -> bytes:
    file, sx = OnnxFile(rng), draw_scale(rng)
    file.begin(sx)
    slope = file.constant("slope", rng.uniform(-0.5, 1, 256), np.float32)
    file.end(file.node("PRelu", ["xd", slope], "t"), near(rng, sx), draw_zero(rng))
    return file.content((256,))


def _function(op: str, **attributes: float) -> Maker:
    def make(rng: np.random.Generator) -> bytes:
        file, sx = OnnxFile(rng), draw_scale(rng)
        file.begin(sx)
        file.end(
            file.node(op, ["xd"], "t", **attributes), near(rng, 0.02 if op == "HardSigmoid" else sx), draw_zero(rng)
        )
        return file.content((256,))

    return make


def _joined(rng: np.random.Generator, *, integers: bool) -> bytes:
    """A value and a coarser copy of it, beside each other in the scale of the first."""
    file, sx = OnnxFile(rng), draw_scale(rng)
    x = file.begin(sx)
    coarse = file.scaled("m", near(rng, sx), draw_zero(rng))
    y = file.scaled("p", sx, draw_zero(rng))
    file.node("QuantizeLinear", [file.node("Relu", ["xd"], "r"), *coarse], "mq")
    if integers:
        file.node("QLinearConcat", [*y, x, *file.x, "mq", *coarse], "q", axis=1)
    else:
        file.node("DequantizeLinear", ["mq", *coarse], "md")
        file.node("QuantizeLinear", [file.node("Concat", ["xd", "md"], "t", axis=1), *y], "q")
    file.node("DequantizeLinear", ["q", *y], "y")
    return file.content((256,))


def sliced(rng: np.random.Generator) -> bytes:
    """A padded sequence of which the end is cut off, and of that the last step."""
    file, time = OnnxFile(rng), int(rng.integers(5, 20))
    x = file.node("Transpose", [file.begin(draw_scale(rng))], "t", perm=[0, 2, 1])
    ends = {
        name: [int(v)] for name, v in (("starts", rng.integers(0, 3)), ("ends", -int(rng.integers(1, 3))), ("axes", 2))
    }
    cut = file.node("Slice", [x, *(file.constant(name, value, np.int64) for name, value in ends.items())], "s")
    if rng.integers(2):
        cut = file.node("Gather", [cut, file.constant("i", -1, np.int64)], "g", axis=2)
    else:
        cut = file.node("Transpose", [cut], "g", perm=[0, 2, 1])
    file.node("DequantizeLinear", [cut, *file.x], "y")
    return file.content((time, 3))


def mean(rng: np.random.Generator) -> bytes:
    file, sx = OnnxFile(rng), draw_scale(rng)
    file.begin(sx)
    file.end(file.node("ReduceMean", ["xd"], "t", axes=[1], keepdims=0), near(rng, sx, 0.3, 1.2), draw_zero(rng))
    return file.content((int(rng.integers(1, 40)), 3))


ALIKE: dict[str, Maker] = {
    "max_pool": max_pool, "integer_average_pool": integer_average_pool, "integer_softmax": integer_softmax,
    "subtract": _with_constant("Sub"), "divide": _with_constant("Div"), "integer_add": _with_integers("QLinearAdd"),
    "integer_multiply": _with_integers("QLinearMul"), "swish": swish, "slopes": slopes,
    "hard_sigmoid": _function("HardSigmoid", alpha=0.2, beta=0.5), "hard_swish": _function("HardSwish"),
    "concat": lambda rng: _joined(rng, integers=False), "integer_concat": lambda rng: _joined(rng, integers=True),
    "sliced": sliced,
}  # fmt: skip
OTHERWISE: dict[str, Maker] = {
    "average_pool": average_pool, "softmax": softmax, "add": _with_constant("Add"), "multiply": _with_constant("Mul"),
    "mean": mean,
}  # fmt: skip
EXCEPT = {"ORT_ENABLE_ALL": ("add", "multiply", "mean"), "ORT_DISABLE_ALL": ("average_pool", "softmax", "mean")}
"""On, it may fuse what the file leaves in float32; off, it leaves in float32 what it else fuses. Means over time it adds
in an order of its own."""


@pytest.mark.parametrize("operator", [*ALIKE, *OTHERWISE])
def test_an_operator_gives_the_integers_of_onnx_runtime(operator: str) -> None:
    compare(operator, (ALIKE | OTHERWISE)[operator], EXCEPT)


def test_a_swish_becomes_one_table() -> None:
    graph = onnx_graph(swish(np.random.default_rng(3)))
    assert [type(node) for node in graph.nodes] == [Lut]


def test_a_float_average_is_an_operator_of_its_own() -> None:
    assert any(isinstance(node, FloatPool1D) for node in onnx_graph(average_pool(np.random.default_rng(3))).nodes)


def _refused(make: Callable[[OnnxFile], None], message: str, shape: tuple[int, ...] = (8,)) -> None:
    file = OnnxFile(np.random.default_rng(0))
    file.begin(0.1)
    make(file)
    with pytest.raises(ModelFileError, match=message):
        onnx_graph(file.content(shape))


def test_what_has_no_integers_is_refused_with_what_to_do() -> None:
    def quotients(file: OnnxFile) -> None:
        parts = [file.constant("w", np.ones((8, 8)), np.int8), *file.scaled("w", 0.1, 0)]
        dense = [file.node("DequantizeLinear", parts, "wd"), *file.scaled("m", 0.1, 0)]
        file.node("QuantizeLinear", [file.node("MatMul", ["xd", dense[0]], "t"), *dense[1:]], "mq")
        file.end(file.node("Div", ["xd", file.node("DequantizeLinear", ["mq", *dense[1:]], "md")], "p"), 0.1, 0)

    def overflowing(file: OnnxFile) -> None:
        file.end(file.node("Softmax", ["xd"], "t", axis=-1), 2.0**-8, -128)

    def other_channels(file: OnnxFile) -> None:
        parts = [file.constant("w", np.ones((8, 8)), np.int8), file.constant("w_s", np.ones(3), np.float32)]
        parts.append(file.constant("w_z", [0, 1, 2], np.int8))
        file.end(file.node("MatMul", ["xd", file.node("DequantizeLinear", parts, "wd", axis=1)], "t"), 0.1, 0)

    _refused(other_channels, "weights have 3 zero points, 3 scales and 8 channels")
    _refused(quotients, r"divides two layers by each other, .* Divide by a constant")
    _refused(overflowing, "overflows from 127 to -128 there. Quantize with QuantFormat.QDQ")
    _refused(lambda file: file.end(file.node("LayerNormalization", ["xd"], "t"), 0.1, 0), "use batch normalization")
    _refused(lambda file: file.end(file.node("GRU", ["xd"], "t"), 0.1, 0), r"in float32.*edgebat quantize FILE")
    _refused(lambda file: file.end(file.node("ReduceMean", ["xd"], "t", axes=[1]), 0.1, 0), "a dense layer")


@pytest.mark.parametrize("op", ["HarDSwish", "EXP"])
def test_an_operator_in_another_case_is_none(op: str) -> None:
    _refused(lambda file: file.end(file.node(op, ["xd"], "t"), 0.1, 0), f"{op} 't': ONNX has no operator of this name")
