"""A float network out of an ONNX file, with NumPy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgebat.arrays import Array
from edgebat.errors import ModelFileError
from edgebat.formats.onnx.model import OnnxGraph, OnnxNode
from edgebat.formats.onnx.parse import parse_onnx
from edgebat.formats.tflite.model import read_bytes
from edgebat.networks import functions
from edgebat.networks import layers as kinds
from edgebat.networks.axes import BATCH, ONE, Value
from edgebat.networks.build import Builder
from edgebat.networks.directions import Stacked
from edgebat.networks.layers import FloatNetwork
from edgebat.networks.onnx_constants import constant
from edgebat.networks.onnx_recurrent import RecurrentOperators
from edgebat.networks.outputs import finished
from edgebat.networks.pooling import onnx_window
from edgebat.networks.refusals import ONE_INPUT, remedy

_OF_STACKED = ("Transpose", "Reshape", "Squeeze", "Gather", "Slice", "Split", "Concat", "Identity", "Cast", "Dropout")
FREE = -(1 << 40)
"""The number of windows among constants that shapes are computed with: below 0 in every product, and no weight."""


def read_float_onnx(path: Path, x: Array) -> FloatNetwork:
    """The layers of a float ONNX file; x: calibration windows [N, ...], for sizes that the file leaves open.

    Raises ModelFileError.
    """
    return float_onnx(read_bytes(path), x, str(path), path.stem)


def float_onnx(data: bytes, x: Array, what: str, name: str) -> FloatNetwork:
    """As `read_float_onnx`, from the file's content."""
    file = parse_onnx(data, what)
    ops = {node.op for node in file.graph.nodes}
    if quantized := sorted(op for op in ops if "Quantize" in op or op.startswith("QLinear") or op.endswith("Integer")):
        form = (
            "quantized dynamically" if any("Dynamic" in op or "Integer" in op for op in quantized) else "int8 already"
        )
        raise ModelFileError(
            f"{what} is {form} ({', '.join(quantized)}); edgebat quantize takes the float model it was made from"
            + (
                ". As it is: edgebat info, verify and export; native scales: --requantize"
                if form == "int8 already"
                else ""
            )
        )
    return _Reader(file.graph, x, what, file.opsets.get("", 0)).network(name)


class _Reader(RecurrentOperators):
    """One method ``on_<operator>`` for each operator."""

    def __init__(self, graph: OnnxGraph, x: Array, what: str, opset: int) -> None:
        self.graph, self.what, self.opset = graph, what, opset
        if len(graph.inputs) != 1 or not graph.outputs:
            raise ModelFileError(f"{what} has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; {ONE_INPUT}")
        source = graph.inputs[0]
        sizes: list[Any] = list((source.shape or [])[1:])
        if source.shape is None or (len(sizes) == x.ndim - 1 and not all(isinstance(size, int) for size in sizes)):
            sizes = [size if isinstance(size, int) and size > 0 else x.shape[1 + i]
                     for i, size in enumerate(sizes or x.shape[1:])]  # fmt: skip
        if not all(isinstance(size, int) and size > 0 for size in sizes) or source.dtype not in ("float32", "float64"):
            raise ModelFileError(
                f"{what}: input {source.name!r} is {source.dtype} {source.shape}; allowed: float32 [N, ...]. Sizes that it "
                f"leaves open are taken from calibration windows of {len(sizes) + 1} axes, not {x.ndim}"
            )
        self.build = Builder(what, "onnx", sizes, channels_first=True)
        self.values: dict[str, Any] = {**graph.initializers, source.name: self.build.input, "": None}

    def network(self, name: str) -> FloatNetwork:
        with self.build.reading():
            return self.whole(name)

    def whole(self, name: str) -> FloatNetwork:
        build = self.build
        for node in self.graph.nodes:
            called = node.name or (node.outputs or [""])[0]
            build.where, build.source = f"{self.what}: {node.op} {called!r}", f"{node.op} {called}"
            inputs = [self.value(name) for name in node.inputs]
            if node.domain not in ("", "ai.onnx"):
                build.fail(f"it is an operator of {node.domain}; export the model with operators of ONNX itself")
            if any(isinstance(value, Stacked) for value in inputs) and node.op not in _OF_STACKED:
                build.fail(
                    "it works on both directions of a layer at once; take one, or join them along features first"
                )
            if not any(isinstance(value, Value | Stacked) for value in inputs):
                self.values[node.outputs[0]] = self.constant(node, inputs)
                continue
            if node.op in _FUNCTIONS:
                called, compute = _FUNCTIONS[node.op]
                self.values[node.outputs[0]] = build.function(inputs[0], called, compute)
                continue
            method = getattr(self, f"on_{node.op.lower()}", None)
            if method is None:
                known = sorted({n[3:] for n in dir(self) if n.startswith("on_")} | {op.lower() for op in _FUNCTIONS})
                build.fail(remedy(node.op) or f"edgebat does not quantize this operator; it knows {', '.join(known)}")
            results = method(node.attributes, *inputs)
            results = results if isinstance(results, list) else [results]
            self.values |= {name: result for name, result in zip(node.outputs, results, strict=False) if name}
        build.where = f"{self.what}: its output"
        results = [self.value(output.name) for output in self.graph.outputs]
        for output, result in zip(self.graph.outputs, results, strict=True):
            if isinstance(result, Value) and output.shape is not None:
                build.require_shape(result, output.shape)
        return finished(build, results, name, [output.name for output in self.graph.outputs])

    def value(self, name: str) -> Any:
        if name not in self.values:
            self.build.fail(f"it reads {name!r}, which nothing writes")
        if name and self.values[name] is None:
            self.build.fail(f"it reads {name!r}, which is not kept: the cell state of an LSTM, or places of a maximum")
        return self.values[name]

    def constant(self, node: OnnxNode, inputs: Sequence[Any]) -> Any:
        """What an operator makes of constants alone."""
        try:
            return constant(node.op, node.attributes, inputs)
        except KeyError:
            return self.build.fail("it works on constants alone; fold constants when the model is exported")
        except (ValueError, TypeError, IndexError) as error:
            return self.build.fail(f"it works on constants that do not fit: {error}; export the model again")

    def on_shape(self, a: Any, x: Value) -> Array:
        sizes = [FREE if axis == BATCH else size for axis, size in zip(x.axes, self.build.shape(x), strict=True)]
        return np.array(sizes[int(a.get("start", 0)) : a.get("end")], np.int64)

    # -- linear layers

    def on_gemm(self, a: Any, x: Any, weight: Any, bias: Any = None) -> Value:
        if not isinstance(x, Value) or not isinstance(weight, np.ndarray) or a.get("transA", 0):
            self.build.fail("it multiplies matrices of two layers, or transposes its input; allowed: constant weights")
        w = (weight if a.get("transB", 0) else weight.T).astype(np.float64) * a.get("alpha", 1.0)
        return self.build.dense(x, w, None if bias is None else bias.astype(np.float64) * a.get("beta", 1.0))

    def on_matmul(self, a: Any, x: Any, weight: Any) -> Value:
        if not isinstance(x, Value) or not isinstance(weight, np.ndarray) or weight.ndim != 2:
            self.build.fail(remedy("matmul"))
        return self.build.dense(x, weight.T, None)

    def on_conv(self, a: Any, x: Value, weight: Any, bias: Any = None) -> Value:
        if not isinstance(weight, np.ndarray) or weight.ndim not in (3, 4):
            self.build.fail("its weights are no constant of one or two dimensions")
        axes = weight.ndim - 2
        stride, dilation = (list(a.get(key, [1] * axes)) for key in ("strides", "dilations"))
        first, last = self.ends(a, [(k - 1) * d for k, d in zip(weight.shape[2:], dilation, strict=True)], stride)
        time, shape = 0, self.build.shape(x)
        if axes == 2:
            one = next((place for place in (0, 1) if shape[2 + place] == 1), None)
            if one is None:
                self.build.fail(
                    f"it works over two dimensions of {list(shape)}; write it as a convolution over time with the other "
                    "dimension as channels"
                )
            rows = (1 + first[one] + last[one] - (weight.shape[2 + one] - 1) * dilation[one] - 1) // stride[one] + 1
            if rows != 1 or first[one] % dilation[one]:
                self.build.fail(f"it makes {rows} rows of the axis {2 + one} of {list(shape)}; allowed: one")
            # Of the kernel along an axis of size 1 only the tap on the data counts; the others meet padding.
            weight, time = weight.take(first[one] // dilation[one], axis=2 + one), 1 - one
        offset = np.zeros(len(weight)) if bias is None else bias.astype(np.float64)
        layer = kinds.Conv(weight.transpose(0, 2, 1), offset, stride[time], dilation[time], (first[time], last[time]))
        return self.build.conv(x, layer, 2 + time, 1, int(a.get("group", 1)))

    def ends(self, a: Any, reach: Sequence[int], stride: Sequence[int]) -> tuple[list[int], list[int]]:
        """Zeros before and behind each axis."""
        automatic = a.get("auto_pad", "NOTSET")
        if automatic in ("NOTSET", "VALID"):
            pads = list(a.get("pads", [0] * 2 * len(reach)))
            return pads[: len(reach)], pads[len(reach) :]
        if any(one != 1 for one in stride):
            self.build.fail(f"auto_pad {automatic} with strides {list(stride)}; export it with explicit pads")
        small, large = [r // 2 for r in reach], [r - r // 2 for r in reach]
        return (small, large) if automatic == "SAME_UPPER" else (large, small)

    def on_batchnormalization(self, a: Any, x: Value, scale: Array, bias: Array, mean: Array, var: Array) -> Value:
        if a.get("training_mode"):
            self.build.fail("it normalizes by the batch; export the model in evaluation mode, with running statistics")
        factor = scale.astype(np.float64) / np.sqrt(var.astype(np.float64) + a.get("epsilon", 1e-5))
        offset = bias - mean * factor
        wide = (1, -1, *[1] * (len(x.axes) - 2))
        return self.build.affine(x, factor.reshape(wide), offset.reshape(wide))

    # -- pooling

    def on_maxpool(self, a: Any, x: Value) -> list[Any]:
        size, stride, padding, time = self.window(a, x)
        return [self.build.pool(x, kinds.MaxPool(size, stride, padding), time, 1), None]

    def on_averagepool(self, a: Any, x: Value) -> Value:
        size, stride, padding, time = self.window(a, x)
        return self.build.average(x, (size, stride, padding), (time, 1), zeros=bool(a.get("count_include_pad", 0)))

    def window(self, a: Any, x: Value) -> tuple[int, int, tuple[int, int], int]:
        """Size, stride, padding and the axis of time of a pooling."""
        return onnx_window(self.build, a, self.build.shape(x), self.ends)

    def on_softmax(self, a: Any, x: Value) -> Value:
        axis = int(a.get("axis", -1 if self.opset >= 13 else 1)) % len(x.axes)
        if self.opset < 13 and any(size != 1 for size in self.build.shape(x)[axis + 1 :]):
            self.build.fail("before version 13 it is over all that follows its axis; convert the model to version 13")
        return self.build.softmax(x, axis)

    def on_globalaveragepool(self, a: Any, x: Value) -> Value:
        return self.build.over_time(x, "mean", range(2, len(x.axes)), True)

    def on_globalmaxpool(self, a: Any, x: Value) -> Value:
        return self.build.over_time(x, "max", range(2, len(x.axes)), True)

    def on_reducemean(self, a: Any, x: Value, axes: Any = None) -> Value:
        return self.build.over_time(x, "mean", self.axes(a, x, axes), bool(a.get("keepdims", 1)))

    def on_reducemax(self, a: Any, x: Value, axes: Any = None) -> Value:
        return self.build.over_time(x, "max", self.axes(a, x, axes), bool(a.get("keepdims", 1)))

    @staticmethod
    def axes(a: Any, x: Value, given: Any) -> list[int]:
        found = given if given is not None else a.get("axes")
        if not np.size(found if found is not None else []) and not a.get("noop_with_empty_axes"):
            return list(range(1, len(x.axes)))
        return [int(axis) for axis in np.ravel(found)]

    # -- elementwise

    def on_add(self, a: Any, x: Any, y: Any) -> Value:
        return self.arithmetic("add", x, y)

    def on_sub(self, a: Any, x: Any, y: Any) -> Value:
        return self.arithmetic("sub", x, y)

    def on_mul(self, a: Any, x: Any, y: Any) -> Value:
        return self.arithmetic("mul", x, y)

    def on_div(self, a: Any, x: Any, y: Any) -> Value:
        return self.arithmetic("div", x, y)

    def arithmetic(self, what: str, x: Any, y: Any) -> Value:
        build, zero = self.build, np.zeros(1)
        if isinstance(x, Value) and isinstance(y, Value):
            return build.combine(x, y, what)
        value, first = (x, False) if isinstance(x, Value) else (y, True)
        other = np.asarray(y if not first else x, np.float64)
        if (np.abs(other) >= -FREE).any():
            build.fail("it computes with the number of windows, or with values too large for weights")
        match what:
            case "add":
                return build.affine(value, np.ones(1), other)
            case "sub":
                return (
                    build.affine(value, np.full(1, -1.0), other) if first else build.affine(value, np.ones(1), -other)
                )
            case "mul":
                return build.affine(value, other, zero)
        if first and other.size == 1:
            return build.function(value, "reciprocal", lambda v: float(other.ravel()[0]) / v)
        return build.fail("it divides a constant by a layer") if first else build.affine(value, 1.0 / other, zero)

    def on_neg(self, a: Any, x: Value) -> Value:
        return self.build.scalar(x, -1.0, 0.0)

    def on_pow(self, a: Any, x: Any, exponent: Any) -> Value:
        if isinstance(exponent, Value) or np.size(exponent) != 1:
            self.build.fail("it has a layer, or several values, as exponent; allowed: one number")
        power = float(np.ravel(exponent)[0])
        return self.build.function(x, f"power{power:g}", lambda v: v**power)

    def on_clip(self, a: Any, x: Value, low: Any = None, high: Any = None) -> Value:
        if isinstance(low, Value) or isinstance(high, Value):
            self.build.fail("it limits by a layer's output; allowed: constants")
        least = a.get("min", -np.inf) if low is None else np.ravel(low)[0]
        most = a.get("max", np.inf) if high is None else np.ravel(high)[0]
        # Exporters write the largest float32 for no limit.
        ends = (float(least) if least > -3e38 else -np.inf, float(most) if most < 3e38 else np.inf)
        name = {(0.0, np.inf): "relu", (0.0, 6.0): "relu6"}.get(ends, "clip")
        return self.build.function(x, name, functions.clip(*ends))

    def on_leakyrelu(self, a: Any, x: Value) -> Value:
        return self.build.function(x, "leaky_relu", functions.leaky_relu(a.get("alpha", 0.01)))

    def on_prelu(self, a: Any, x: Value, slope: Any) -> Value:
        if not isinstance(slope, np.ndarray) or len(np.unique(slope)) != 1:
            self.build.fail("it has several slopes; use one (nn.PReLU()), or LeakyRelu")
        return self.build.function(x, "leaky_relu", functions.leaky_relu(float(slope.ravel()[0])))

    def on_elu(self, a: Any, x: Value) -> Value:
        return self.build.function(x, "elu", functions.elu(a.get("alpha", 1.0)))

    def on_hardsigmoid(self, a: Any, x: Value) -> Value:
        compute = functions.hard_sigmoid(a.get("alpha", 0.2), a.get("beta", 0.5))
        return self.build.function(x, "hard_sigmoid", compute)

    def on_gelu(self, a: Any, x: Value) -> Value:
        name = "gelu_tanh" if a.get("approximate") == "tanh" else "gelu"
        return self.build.function(x, name, functions.PLAIN[name])

    # -- shapes

    def on_reshape(self, a: Any, x: Any, shape: Any) -> Value:
        if not isinstance(shape, np.ndarray):
            self.build.fail("its shape is no constant")
        if isinstance(x, Stacked):
            return x.joined(self.build, shape.tolist())
        sizes = self.build.shape(x)
        target = [
            sizes[i] if size == 0 and not a.get("allowzero") else int(size) for i, size in enumerate(shape.tolist())
        ]
        if x.axes[0] != BATCH and x.axes[1:2] == (BATCH,) and len(target) == 3:
            return self.leading(x, target)
        return self.build.reshape(x, target)

    def leading(self, x: Value, target: list[int]) -> Value:
        """[T, 1, N, H] to [T, N, H]: time before the batch, as the LSTM of ONNX writes."""
        return self.build.squeeze(x, [i for i, axis in enumerate(x.axes) if axis == ONE])

    def on_flatten(self, a: Any, x: Value) -> Value:
        if a.get("axis", 1) != 1:
            self.build.fail(f"it flattens from axis {a['axis']} on; allowed: 1")
        return self.build.flatten(x)

    def on_transpose(self, a: Any, x: Any) -> Any:
        if isinstance(x, Stacked):
            return x.transpose(self.build, a.get("perm") or list(range(x.rank))[::-1])
        return self.build.transpose(x, a.get("perm") or list(range(len(x.axes)))[::-1])

    def on_squeeze(self, a: Any, x: Any, axes: Any = None) -> Value:
        found = axes if axes is not None else a.get("axes")
        if isinstance(x, Stacked):
            self.build.fail("it squeezes two directions, which is no axis of size 1")
        going = range(len(x.axes)) if found is None else [int(axis) for axis in np.ravel(found)]
        if any(x.axes[axis] == BATCH for axis in going) and (
            found is not None or (self.graph.inputs[0].shape or [])[:1] == [1]
        ):
            self.build.fail("it squeezes the batch away; keep it as the first axis")
        return self.build.squeeze(x, None if found is None else going)

    def on_unsqueeze(self, a: Any, x: Value, axes: Any = None) -> Value:
        return self.build.unsqueeze(x, [int(axis) for axis in np.ravel(axes if axes is not None else a["axes"])])

    def on_concat(self, a: Any, *values: Any) -> Any:
        found = [v for value in values for v in (value.values if isinstance(value, Stacked) else [value])]
        if stacked := [value for value in values if isinstance(value, Stacked)]:
            # Final states of layers of two directions, as exporters join them.
            if len(stacked) != len(values) or {(s.axis, s.time) for s in stacked} != {(a["axis"], stacked[0].time)}:
                self.build.fail(
                    "it joins both directions of a layer with something else; join them along features first"
                )
            return replace(stacked[0], values=tuple(found))
        if not all(isinstance(value, Value) for value in values):
            self.build.fail("it joins layers with constants; leave those out")
        return self.build.concat(values, a["axis"])

    def on_gather(self, a: Any, x: Any, indices: Any) -> Value:
        index = np.asarray(indices)
        if index.size != 1:
            self.build.fail(f"it takes {index.size} positions; allowed: the last time step")
        take = partial(x.select, self.build) if isinstance(x, Stacked) else partial(self.build.select, x)
        value = take(a.get("axis", 0), int(index.ravel()[0]))
        return value if index.ndim == 0 else self.build.unsqueeze(value, [a.get("axis", 0)])

    def on_slice(
        self, a: Any, x: Any, starts: Any = None, ends: Any = None, axes: Any = None, steps: Any = None
    ) -> Any:
        given = [np.ravel(v if v is not None else a[key]).tolist() for v, key in ((starts, "starts"), (ends, "ends"))]
        along = np.ravel(axes if axes is not None else a.get("axes", range(len(given[0])))).tolist()
        if steps is not None and (np.ravel(steps) != 1).any():
            self.build.fail(
                f"it takes every {np.ravel(steps)[0]}th position; use a convolution or pooling with that stride"
            )
        for start, end, axis in zip(*given, along, strict=True):
            if isinstance(x, Stacked):
                x = x.cut(self.build, int(axis), int(start), int(end))
                if len(x.values) == 1:
                    x = self.build.unsqueeze(x.select(self.build, int(axis), 0), [int(axis)])
                continue
            x = self.build.cut(x, int(axis), int(start), int(end))
        return x

    def on_pad(self, a: Any, x: Value, pads: Any = None, value: Any = None, axes: Any = None) -> Value:
        ends = [int(v) for v in np.ravel(pads if pads is not None else a["pads"])]
        fill = 0.0 if value is None else float(np.ravel(value)[0])
        along = list(range(len(x.axes))) if axes is None else [int(v) for v in np.ravel(axes)]
        if a.get("mode", "constant") != "constant" or fill or len(ends) != 2 * len(along):
            self.build.fail(f"it pads by {ends}, {a.get('mode', 'constant')} {fill:g}; allowed: zeros along time")
        for place, axis in enumerate(along):
            if ends[place] or ends[len(along) + place]:
                if min(ends) < 0 and ends[place] <= 0 and ends[len(along) + place] <= 0:
                    stop = self.build.shape(x)[axis] + ends[len(along) + place]
                    x = self.build.cut(x, axis, -ends[place], stop)
                else:
                    x = self.build.pad(x, axis, ends[place], ends[len(along) + place])
        return x

    def on_identity(self, a: Any, x: Any) -> Any:
        return x

    def on_dropout(self, a: Any, x: Any, ratio: Any = None, training: Any = None) -> list[Any]:
        if training is not None and np.any(training):
            self.build.fail("it drops values; export the model in evaluation mode")
        return [x, None]

    def on_cast(self, a: Any, x: Any) -> Any:
        if a.get("to") not in _FLOAT:
            self.build.fail("it makes integers of a layer's output; leave that to the quantization")
        return x

    def on_selu(self, a: Any, x: Value) -> Value:
        below = functions.elu(a.get("alpha", functions.SELU_ALPHA))
        gamma = a.get("gamma", functions.SELU_GAMMA)
        return self.build.function(x, "selu", lambda v: gamma * below(v))

    def on_swish(self, a: Any, x: Value) -> Value:
        slope = a.get("alpha", 1.0)
        return self.build.function(x, "silu", lambda v: v * functions.sigmoid(slope * v))


_FLOAT = (1, 10, 11, 16)
"""float32, float16, float64 and bfloat16."""


_FUNCTIONS = {
    op: (name, functions.PLAIN[name])
    for op, name in {
        "Relu": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid", "Softplus": "softplus", "Erf": "erf",
        "Exp": "exp", "Abs": "abs", "Softsign": "softsign", "HardSwish": "hard_swish", "Mish": "mish",
    }.items()
}  # fmt: skip
