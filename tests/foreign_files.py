"""Small files as other tools write them: one quantized operator each, with drawn sizes, scales, zero points and ties."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgebat.formats.tflite import schema
from edgebat.formats.tflite.build import FileBuilder
from edgebat.formats.tflite.flatbuffer import write_flatbuffer


def draw_scale(rng: np.random.Generator) -> float:
    """A power of two every fourth time, else anything from 0.001 to 1."""
    exact = 2.0 ** -int(rng.integers(1, 9))
    return exact if rng.integers(4) == 0 else float(np.float32(10.0 ** rng.uniform(-3, 0)))


def draw_zero(rng: np.random.Generator) -> int:
    """The ends and the middle as often as anything between."""
    return int(rng.choice([0, -128, 127, int(rng.integers(-128, 128))]))


def near(rng: np.random.Generator, scale: float, low: float = 0.1, high: float = 4.0) -> float:
    """Another scale: the same, some power of two times it, or anything near."""
    match int(rng.integers(4)):
        case 0:
            return scale
        case 1:
            return float(np.float32(scale * 2.0 ** int(rng.integers(-2, 3))))
        case _:
            return float(np.float32(scale * rng.uniform(low, high)))


class FileOfOthers(FileBuilder):
    """A TFLite file without edgebat's metadata."""

    def bytes(self, inputs: list[int], output: int) -> bytes:
        graph = {
            "tensors": self.tensors,
            "inputs": inputs,
            "outputs": [output],
            "operators": self.operators,
            "name": "main",
        }
        codes = [{"deprecated_code": min(c, 127), "version": v, "code": c} for c, v in self.codes]
        model = {
            "version": schema.SCHEMA_VERSION, "operator_codes": codes, "subgraphs": [graph], "description": "",
            "metadata": [], "buffers": self.buffers,
        }  # fmt: skip
        return write_flatbuffer(model, schema.SCHEMA, "Model", schema.IDENTIFIER)


def weights(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.integers(-127, 128, shape).astype(np.int8)


def dense(rng: np.random.Generator) -> bytes:
    ins, outs, file = int(rng.integers(1, 40)), int(rng.integers(1, 20)), FileOfOthers()
    x = file.tensor("x", (1, ins), "int8", scale=(sx := draw_scale(rng)), zero_point=draw_zero(rng))
    return _linear(rng, file, x, sx, ("FULLY_CONNECTED", 12, "FullyConnectedOptions"), (outs, ins), (1, outs), {})


def convolution(rng: np.random.Generator, *, depthwise: bool = False) -> bytes:
    """Over [1, 1, T, C] or [1, T, 1, C], with a kernel that also reaches across the axis of size 1."""
    time, channels, kernel, across = (int(rng.integers(*ends)) for ends in ((6, 20), (1, 6), (1, 5), (1, 4)))
    same = bool(rng.integers(2))
    across = across if same else 1
    stride, dilation = (int(rng.integers(1, 3)), 1) if rng.integers(2) else (1, int(rng.integers(1, 3)))
    along, other = ("w", "h") if rng.integers(2) else ("h", "w")
    reach = (kernel - 1) * dilation + 1
    time = max(time, reach)
    after = -(-time // stride) if same else (time - reach) // stride + 1
    multiple = int(rng.integers(1, 3))
    outs = channels * multiple if depthwise else int(rng.integers(1, 9))

    def turned(first: int, long: int, short: int, last: int) -> tuple[int, int, int, int]:
        return (first, short, long, last) if along == "w" else (first, long, short, last)

    file = FileOfOthers()
    x = file.tensor("x", turned(1, time, 1, channels), "int8", scale=(sx := draw_scale(rng)), zero_point=draw_zero(rng))
    options = {
        "padding": schema.PADDING["same" if same else "valid"], f"stride_{along}": stride, f"stride_{other}": 1,
        f"dilation_{along}": dilation, f"dilation_{other}": 1,
    }  # fmt: skip
    if depthwise:
        kind = ("DEPTHWISE_CONV_2D", 3, "DepthwiseConv2DOptions")
        options["depth_multiplier"] = multiple
        shape = turned(1, kernel, across, outs)
    else:
        kind, shape = ("CONV_2D", 3, "Conv2DOptions"), turned(outs, kernel, across, channels)
    return _linear(rng, file, x, sx, kind, shape, turned(1, after, 1, outs), options)


def _linear(
    rng: np.random.Generator,
    file: FileOfOthers,
    x: int,
    sx: float,
    kind: tuple[str, int, str],
    shape: tuple[int, ...],
    out: tuple[int, ...],
    options: dict[str, Any],
) -> bytes:
    outs, axis = out[-1], 3 if kind[0].startswith("DEPTHWISE") else 0
    sw = np.array([draw_scale(rng) for _ in range(outs)], np.float32)
    typical = 74.0 * 73.0 * np.sqrt(max(np.prod(shape) / outs, 1))
    sy = float(np.float32(sx * float(np.median(sw)) * typical / rng.uniform(30, 200)))
    w = file.tensor("w", shape, "int8", data=weights(rng, shape), scale=sw, dimension=axis)
    bias = rng.integers(-int(typical), int(typical) + 1, outs).astype(np.int32)
    b = file.tensor("b", (outs,), "int32", data=bias, scale=np.float32(sx) * sw)
    y = file.tensor("y", out, "int8", scale=sy, zero_point=draw_zero(rng))
    activation = schema.ACTIVATION[str(rng.choice(["none", "relu", "relu6"]))]
    file.operator(*kind[:2], [x, w, b], y, kind[2], options | {"activation": activation})
    return file.bytes([x], y)


def depthwise(rng: np.random.Generator) -> bytes:
    return convolution(rng, depthwise=True)


def mean(rng: np.random.Generator) -> bytes:
    time, channels, file = int(rng.integers(1, 65)), int(rng.integers(1, 9)), FileOfOthers()
    shape, axes = [
        ((1, time, channels), [1]), ((1, 1, time, channels), [1, 2]), ((1, time, 1, channels), [1, 2]),
    ][int(rng.integers(3))]  # fmt: skip
    x = file.tensor("x", shape, "int8", scale=(sx := draw_scale(rng)), zero_point=draw_zero(rng))
    axis = file.tensor("axis", (len(axes),), "int32", data=np.array(axes, np.int32))
    # Ratios at which many sums lie at halves: there the order of the float32 factors tells.
    sy = near(rng, sx, 0.1, 1.2) if rng.integers(2) else float(np.float32(sx / rng.choice([0.625, 0.8, 1.25])))
    y = file.tensor("y", (1, channels), "int8", scale=sy, zero_point=draw_zero(rng))
    file.operator("MEAN", 2, [x, axis], y, "ReducerOptions", {"keep_dims": False})
    return file.bytes([x], y)


def average_pool(rng: np.random.Generator) -> bytes:
    time, channels, size, stride = (int(rng.integers(*ends)) for ends in ((6, 24), (1, 9), (1, 6), (1, 4)))
    file, scale, zero = FileOfOthers(), draw_scale(rng), draw_zero(rng)
    x = file.tensor("x", (1, 1, time, channels), "int8", scale=scale, zero_point=zero)
    y = file.tensor("y", (1, 1, (time - size) // stride + 1, channels), "int8", scale=scale, zero_point=zero)
    options = {"padding": 1, "stride_w": stride, "stride_h": 1, "filter_w": size, "filter_h": 1, "activation": 0}
    file.operator("AVERAGE_POOL_2D", 2, [x], y, "Pool2DOptions", options)
    return file.bytes([x], y)


def _of_one_value(kind: str, output: tuple[float, int] | None = None, options: str | None = None) -> Maker:
    def make(rng: np.random.Generator) -> bytes:
        file = FileOfOthers()
        x = file.tensor("x", (1, 256), "int8", scale=(sx := draw_scale(rng)), zero_point=draw_zero(rng))
        scale, zero = output or (near(rng, sx), draw_zero(rng))
        y = file.tensor("y", (1, 256), "int8", scale=scale, zero_point=zero)
        values = {"alpha": float(np.float32(rng.choice([0.01, 0.1, 0.2, 0.3, 0.5])))} if kind == "LEAKY_RELU" else {}
        file.operator(kind, 1 if kind == "HARD_SWISH" else 2, [x], y, options, values)
        return file.bytes([x], y)

    return make


def _with_constants(kind: str, options: str | None) -> Maker:
    """An operator on every int8 value in each of four channels, and one constant a channel."""

    def make(rng: np.random.Generator) -> bytes:
        file, sa, sb = FileOfOthers(), draw_scale(rng), draw_scale(rng)
        zero = 0 if kind == "PRELU" else draw_zero(rng)
        match kind:
            case "MUL":
                sy = float(np.float32(sa * sb * rng.uniform(20, 200)))
            case "PRELU":
                sb, sy = float(np.float32(rng.uniform(0.001, 0.01))), near(rng, sa, 0.3, 2.0)
            case _:
                sb = near(rng, sa)
                sy = near(rng, max(sa, sb), 0.5, 3.0)
        x = file.tensor("x", (1, 256, 4), "int8", scale=sa, zero_point=draw_zero(rng))
        values = rng.integers(-128, 128, 4).astype(np.int8)
        c = file.tensor("c", (4,), "int8", data=values, scale=sb, zero_point=zero)
        y = file.tensor("y", (1, 256, 4), "int8", scale=sy, zero_point=draw_zero(rng))
        file.operator(kind, 2 if options else 1, [x, c], y, options, {"activation": 0} if options else {})
        return file.bytes([x], y)

    return make


def padded_pool(kind: str) -> Maker:
    """A pooling padded as SAME, time along either axis."""

    def make(rng: np.random.Generator) -> bytes:
        time, channels, size, stride = (int(rng.integers(*ends)) for ends in ((3, 24), (1, 9), (1, 8), (1, 5)))
        file, scale, zero = FileOfOthers(), draw_scale(rng), draw_zero(rng)
        along, other = ("w", "h") if rng.integers(2) else ("h", "w")

        def turned(steps: int) -> tuple[int, int, int, int]:
            return (1, 1, steps, channels) if along == "w" else (1, steps, 1, channels)

        x = file.tensor("x", turned(time), "int8", scale=scale, zero_point=zero)
        y = file.tensor("y", turned(-(-time // stride)), "int8", scale=scale, zero_point=zero)
        options = {
            "padding": 0, f"stride_{along}": stride, f"stride_{other}": 1, f"filter_{along}": size, f"filter_{other}": 1,
            "activation": 0,
        }  # fmt: skip
        file.operator(kind, 2, [x], y, "Pool2DOptions", options)
        return file.bytes([x], y)

    return make


def softmax(rng: np.random.Generator, beta: float | None = None) -> bytes:
    """Over a vector or over each time step; values near each other every second time."""
    channels, file = int(rng.choice([2, 3, 4, 5, 10, 17, 64])), FileOfOthers()
    shape = (1, channels) if rng.integers(2) else (1, int(rng.integers(1, 9)), channels)
    x = file.tensor("x", shape, "int8", scale=draw_scale(rng), zero_point=draw_zero(rng))
    y = file.tensor("y", shape, "int8", scale=2.0**-8, zero_point=-128)
    drawn = float(rng.choice([1.0, 0.5, 2.0]))
    file.operator("SOFTMAX", 2, [x], y, "SoftmaxOptions", {"beta": drawn if beta is None else beta})
    return file.bytes([x], y)


def swish(rng: np.random.Generator) -> bytes:
    """As Keras' converter writes it: x times its logistic function."""
    file, sx = FileOfOthers(), draw_scale(rng)
    x = file.tensor("x", (1, 256), "int8", scale=sx, zero_point=draw_zero(rng))
    gate = file.tensor("gate", (1, 256), "int8", scale=2.0**-8, zero_point=-128)
    y = file.tensor("y", (1, 256), "int8", scale=near(rng, sx), zero_point=draw_zero(rng))
    file.operator("LOGISTIC", 2, [x], gate)
    file.operator("MUL", 2, [x, gate], y, "MulOptions", {"activation": 0})
    return file.bytes([x], y)


def sliced(rng: np.random.Generator) -> bytes:
    """A padded sequence without some of its steps."""
    time, channels, file = int(rng.integers(3, 20)), int(rng.integers(1, 6)), FileOfOthers()
    scale, zero = draw_scale(rng), draw_zero(rng)
    x = file.tensor("x", (1, time, channels), "int8", scale=scale, zero_point=zero)
    wide = file.tensor("wide", (1, time + 3, channels), "int8", scale=scale, zero_point=zero)
    sides = file.tensor("sides", (3, 2), "int32", data=np.array([[0, 0], [1, 2], [0, 0]], np.int32))
    first, last = int(rng.integers(0, 3)), int(rng.integers(time, time + 4))
    ends = [[0, first, 0], [0, last, 0], [1, 1, 1]]
    bounds = [file.tensor(f"b{i}", (3,), "int32", data=np.array(end, np.int32)) for i, end in enumerate(ends)]
    y = file.tensor("y", (1, last - first, channels), "int8", scale=scale, zero_point=zero)
    file.operator("PAD", 2, [x, sides], wide, "PadOptions")
    file.operator("STRIDED_SLICE", 2, [wide, *bounds], y, "StridedSliceOptions", {"begin_mask": 5, "end_mask": 5})
    return file.bytes([x], y)


Maker = Callable[[np.random.Generator], bytes]


def _halves(rng: np.random.Generator, file: FileOfOthers, shape: tuple[int, ...]) -> tuple[int, list[int], list[float]]:
    """An input, its two halves along the last axis, and their scales, the second of which is another one."""
    scale, zero = draw_scale(rng), draw_zero(rng)
    scales = [scale, near(rng, scale)]
    whole = (*shape[:-1], 2 * shape[-1])
    x = file.tensor("x", whole, "int8", scale=scale, zero_point=zero)
    axis = file.tensor("axis", (), "int32", data=np.array(len(shape) - 1, np.int32))
    a, b = (file.tensor(name, shape, "int8", scale=scale, zero_point=zero) for name in "ab")
    file.operator("SPLIT", 2, [axis, x], [a, b], "SplitOptions", {"num_splits": 2})
    other = file.tensor("other", shape, "int8", scale=scales[1], zero_point=draw_zero(rng))
    file.operator("QUANTIZE", 2, [b], other, "QuantizeOptions")
    return x, [a, other], scales


def difference(rng: np.random.Generator) -> bytes:
    """One half of the input less the other."""
    file, shape = FileOfOthers(), (1, int(rng.integers(1, 20)))
    x, (a, b), scales = _halves(rng, file, shape)
    y = file.tensor("y", shape, "int8", scale=near(rng, max(scales), 0.3, 3.0), zero_point=draw_zero(rng))
    file.operator("SUB", 2, [a, b], y, "SubOptions", {"activation": 0})
    return file.bytes([x], y)


def taken_off(rng: np.random.Generator) -> bytes:
    """A constant less the input."""
    file, sx, size = FileOfOthers(), draw_scale(rng), int(rng.integers(1, 12))
    x = file.tensor("x", (1, size), "int8", scale=sx, zero_point=draw_zero(rng))
    sc = near(rng, sx)
    c = file.tensor("c", (1, size), "int8", data=weights(rng, (1, size)), scale=sc, zero_point=draw_zero(rng))
    y = file.tensor("y", (1, size), "int8", scale=near(rng, max(sx, sc), 0.3, 3.0), zero_point=draw_zero(rng))
    file.operator("SUB", 2, [c, x], y, "SubOptions", {"activation": 0})
    return file.bytes([x], y)


def gate(rng: np.random.Generator) -> bytes:
    """One half of the channels times the other, times one value a channel, or times one value a time step."""
    file, time, channels = FileOfOthers(), int(rng.integers(2, 9)), int(rng.integers(1, 6))
    shape = (1, time, channels)
    x, (a, b), scales = _halves(rng, file, shape)
    kind = int(rng.integers(3))
    if kind == 1:
        axis = file.tensor("time", (1,), "int32", data=np.array([1], np.int32))
        mean = file.tensor("m", (1, 1, channels), "int8", scale=scales[1], zero_point=draw_zero(rng))
        file.operator("MEAN", 2, [b, axis], mean, "ReducerOptions", {"keep_dims": True})
        b = mean
    elif kind == 2:
        begin = file.tensor("begin", (3,), "int32", data=np.array([0, 0, channels - 1], np.int32))
        size = file.tensor("size", (3,), "int32", data=np.array([1, time, 1], np.int32))
        entry = file.tensors[b]["quantization"]
        one = file.tensor("one", (1, time, 1), "int8", scale=entry["scale"], zero_point=int(entry["zero_point"][0]))
        file.operator("SLICE", 2, [b, begin, size], one)
        b = one
    scale = float(np.float32(scales[0] * scales[1] * 65025.0 / rng.uniform(100, 1000)))
    y = file.tensor("y", shape, "int8", scale=scale, zero_point=draw_zero(rng))
    activation = schema.ACTIVATION[str(rng.choice(["none", "relu", "relu6", "relu_n1_to_1"]))]
    file.operator("MUL", 2, [a, b] if rng.integers(2) else [b, a], y, "MulOptions", {"activation": activation})
    return file.bytes([x], y)


def moves(rng: np.random.Generator) -> bytes:
    """One to four operators that only move values, and all of what is left as a vector."""
    file, scale, zero = FileOfOthers(), draw_scale(rng), draw_zero(rng)
    shape: tuple[int, ...] = (1, int(rng.integers(2, 9)), int(rng.integers(2, 7)))
    x = current = file.tensor("x", shape, "int8", scale=scale, zero_point=zero)

    def constant(name: str, values: Any) -> int:
        data = np.array(values, np.int32)
        return file.tensor(f"{name}{len(file.tensors)}", data.shape, "int32", data=data)

    def result(after: tuple[int, ...]) -> int:
        return file.tensor(f"t{len(file.tensors)}", after, "int8", scale=scale, zero_point=zero)

    for _ in range(int(rng.integers(1, 5))):
        _, time, channels = shape
        match int(rng.integers(6)):
            case 0:
                shape, inputs, kind = (1, channels, time), [constant("perm", [0, 2, 1])], ("TRANSPOSE", 2)
            case 1:
                divisor = int(rng.choice([d for d in range(1, time * channels + 1) if time * channels % d == 0]))
                shape, kind = (1, divisor, time * channels // divisor), ("RESHAPE", 1)
                inputs = [constant("shape", shape)]
            case 2:
                step, first = int(rng.integers(1, 3)), int(rng.integers(0, time))
                shape, kind = (1, len(range(first, time, step)), channels), ("STRIDED_SLICE", 2)
                inputs = [
                    constant(*one) for one in (("b", [0, first, 0]), ("e", [1, time, channels]), ("s", [1, step, 1]))
                ]
            case 3:
                chosen = rng.integers(0, channels, int(rng.integers(1, 6)))
                shape, inputs, kind = (1, time, len(chosen)), [constant("index", chosen)], ("GATHER", 2)
            case 4:
                inputs, kind = [constant("axes", [2])], ("REVERSE_V2", 3)
            case _:
                shape, kind = (1, 2 * time, channels), ("CONCATENATION", 2)
                inputs = [current]
        options = {
            "CONCATENATION": ("ConcatenationOptions", {"axis": 1, "activation": 0}),
            "GATHER": ("GatherOptions", {"axis": 2}), "STRIDED_SLICE": ("StridedSliceOptions", {}),
            "RESHAPE": ("ReshapeOptions", {"new_shape": np.array(shape, np.int32)}),
        }.get(kind[0], (None, {}))  # fmt: skip
        made = result(shape)
        file.operator(*kind, [current, *inputs], made, *options)
        current = made
    whole = (1, int(np.prod(shape)))
    y = result(whole)
    options_of = {"new_shape": np.array(whole, np.int32)}
    file.operator("RESHAPE", 1, [current, constant("shape", whole)], y, "ReshapeOptions", options_of)
    return file.bytes([x], y)


def x_squared(rng: np.random.Generator) -> bytes:
    """One value times itself, which XNNPACK takes as a function of it."""
    file, shape = FileOfOthers(), (1, int(rng.integers(2, 40)), int(rng.integers(1, 5)))
    x = file.tensor("x", shape, "int8", scale=(sx := draw_scale(rng)), zero_point=draw_zero(rng))
    sy = float(np.float32(sx * sx * rng.choice([40.0, 20.0, 33.3, 64.0])))
    y = file.tensor("y", shape, "int8", scale=sy, zero_point=draw_zero(rng))
    file.operator("MUL", 2, [x, x], y, "MulOptions", {"activation": 0})
    return file.bytes([x], y)


OPERATORS: dict[str, Maker] = {
    "dense": dense, "convolution": convolution, "depthwise": depthwise, "mean": mean, "average_pool": average_pool,
    "quantize": _of_one_value("QUANTIZE", None, "QuantizeOptions"), "tanh": _of_one_value("TANH", (2.0**-7, 0)),
    "logistic": _of_one_value("LOGISTIC", (2.0**-8, -128)),
    "leaky_relu": _of_one_value("LEAKY_RELU", None, "LeakyReluOptions"),
    "multiply_constant": _with_constants("MUL", "MulOptions"), "add_constant": _with_constants("ADD", "AddOptions"),
    "subtract_constant": _with_constants("SUB", "SubOptions"), "prelu": _with_constants("PRELU", None),
    "padded_max_pool": padded_pool("MAX_POOL_2D"), "padded_average_pool": padded_pool("AVERAGE_POOL_2D"),
    "softmax": softmax, "swish": swish, "sliced": sliced, "relu": _of_one_value("RELU"), "relu6": _of_one_value("RELU6"),
    "hard_swish": _of_one_value("HARD_SWISH"), "difference": difference, "taken_off": taken_off, "gate": gate,
    "moves": moves, "abs": _of_one_value("ABS"), "x_squared": x_squared,
}  # fmt: skip
"""A file of one operator, by a word for it."""


def _in_float(kind: str) -> Maker:
    """A function that converters leave between DEQUANTIZE and QUANTIZE."""

    def make(rng: np.random.Generator) -> bytes:
        file, scale = FileOfOthers(), draw_scale(rng)
        zero = draw_zero(rng)
        x, same = (file.tensor(name, (1, 256), "int8", scale=scale, zero_point=zero) for name in ("x", "same"))
        shape = file.tensor("shape", (2,), "int32", data=np.array([1, 256], np.int32))
        file.operator("RESHAPE", 1, [x, shape], same, "ReshapeOptions")
        real, made = (file.tensor(name, (1, 256), "float32") for name in ("real", "made"))
        y = file.tensor("y", (1, 256), "int8", scale=near(rng, scale), zero_point=draw_zero(rng))
        file.operator("DEQUANTIZE", 2, [same], real, "DequantizeOptions")
        file.operator(kind, 1, [real], made)
        file.operator("QUANTIZE", 1, [made], y, "QuantizeOptions")
        return file.bytes([x], y)

    return make


def parts_in_float(rng: np.random.Generator) -> bytes:
    """A part of a layer in float32: converters leave it where parts got other scales than the whole, as an LSTM's gates."""
    file, scale = FileOfOthers(), draw_scale(rng)
    zero = draw_zero(rng)
    x, turned = (file.tensor(name, (1, *shape), "int8", scale=scale, zero_point=zero)
                 for name, shape in (("x", (256,)), ("turned", (8, 32))))  # fmt: skip
    shape = file.tensor("shape", (3,), "int32", data=np.array([1, 8, 32], np.int32))
    axis = file.tensor("axis", (), "int32", data=np.array(2, np.int32))
    real, a, b = (file.tensor(name, (1, 8, width), "float32") for name, width in (("real", 32), ("a", 16), ("b", 16)))
    y = file.tensor("y", (1, 8, 16), "int8", scale=near(rng, scale), zero_point=draw_zero(rng))
    file.operator("RESHAPE", 1, [x, shape], turned, "ReshapeOptions")
    file.operator("DEQUANTIZE", 2, [turned], real, "DequantizeOptions")
    file.operator("SPLIT", 1, [axis, real], [a, b], "SplitOptions", {"num_splits": 2})
    file.operator("QUANTIZE", 1, [(a, b)[int(rng.integers(2))]], y, "QuantizeOptions")
    return file.bytes([x], y)


LITERT_ONLY: dict[str, Maker] = {
    "parts": parts_in_float, "exp": _of_one_value("EXP"), "log": _of_one_value("LOG"), "negative": _in_float("NEG"),
    "square": _in_float("SQUARE"),
}  # fmt: skip
"""Likewise, of operators that TFLite Micro has in float32 only."""


def addition(rng: np.random.Generator) -> tuple[bytes, list[tuple[float, int]]]:
    """ADD of two inputs of 256 values each; scales and zero points of both and of the output."""
    file, sa = FileOfOthers(), draw_scale(rng)
    sb = near(rng, sa)
    kinds = [(sa, draw_zero(rng)), (sb, draw_zero(rng)), (near(rng, max(sa, sb), 0.3, 3.0), draw_zero(rng))]
    a, b, y = (
        file.tensor(name, (1, 256), "int8", scale=scale, zero_point=zero)
        for name, (scale, zero) in zip("aby", kinds, strict=True)
    )
    file.operator("ADD", 2, [a, b], y, "AddOptions", {"activation": 0})
    return file.bytes([a, b], y), kinds


def product(rng: np.random.Generator) -> tuple[bytes, list[tuple[float, int]]]:
    """MUL of two inputs of 256 values each; as `addition`."""
    file, sa, sb = FileOfOthers(), draw_scale(rng), draw_scale(rng)
    scale = float(np.float32(sa * sb * 65025.0 / rng.uniform(100, 1000)))
    kinds = [(sa, draw_zero(rng)), (sb, draw_zero(rng)), (near(rng, scale, 0.5, 2.0), draw_zero(rng))]
    a, b, y = (
        file.tensor(name, (1, 256), "int8", scale=own, zero_point=zero)
        for name, (own, zero) in zip("aby", kinds, strict=True)
    )
    file.operator("MUL", 2, [a, b], y, "MulOptions", {"activation": 0})
    return file.bytes([a, b], y), kinds
