"""A float network out of a ``torch.nn.Module`` or a ``.pt2`` file of ``torch.export.save``.

A module is exported and saved in memory, and read as its file is. The file is a zip of JSON and raw arrays; nothing of it is
unpickled or executed, and reading one needs NumPy alone.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgebat.arrays import Array
from edgebat.errors import ModelFileError, require
from edgebat.networks import functions
from edgebat.networks import layers as kinds
from edgebat.networks.axes import Value
from edgebat.networks.build import Builder
from edgebat.networks.directions import Stacked, reversed_time
from edgebat.networks.layers import FloatNetwork
from edgebat.networks.outputs import finished
from edgebat.networks.pooling import ceiled
from edgebat.networks.pt2 import Name, Node, Program, read_program
from edgebat.networks.refusals import remedy
from edgebat.networks.torch_constants import constant
from edgebat.networks.torch_recurrent import RecurrentOperators


def read_module(module: Any, window: Array, name: str = "") -> FloatNetwork:
    """The layers of ``module``, in evaluation mode; window: a calibration window as the module takes it, without batch.

    Raises ModelFileError for a module that torch cannot export or a layer that the integer graph does not have.
    """
    torch = require("torch", extra="train")
    called = name or type(module).__name__
    was_training = module.training
    parameter = next(iter(module.parameters()), None)
    example = torch.zeros(2, *window.shape, dtype=torch.float32 if parameter is None else parameter.dtype)
    content = io.BytesIO()
    try:
        module.eval()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch's own doings, which say nothing of the module
            torch.export.save(torch.export.export(module, (example,)), content)
    except Exception as error:  # torch.export raises whatever the module does
        first = str(error).strip().partition("\n")[0]
        raise ModelFileError(
            f"{called}: torch.export cannot take it for inputs {[2, *window.shape]}: {type(error).__name__}: {first}. Write "
            "its forward without branches on data"
        ) from None
    finally:
        module.train(was_training)
    return read_pt2(content.getvalue(), called, called)


def read_pt2(data: bytes, what: str, name: str) -> FloatNetwork:
    """The layers of an exported program; ``what`` names it in errors. Raises ModelFileError."""
    return _Reader(read_program(data, what), what).network(name)


class _Reader(RecurrentOperators):
    """One method ``on_<operator>`` for each operator of ATen."""

    def __init__(self, program: Program, what: str) -> None:
        self.program, self.what = program, what
        if len(program.shape) < 2 or min(program.shape[1:]) < 1:
            raise ModelFileError(
                f"{what}: its input has the shape {list(program.shape)}; allowed: [N, ...], fixed behind N"
            )
        self.build = Builder(what, "torch", program.shape[1:], channels_first=True)
        self.batch = program.shape[0]
        self.values: dict[str, Any] = {**program.constants, program.input: self.build.input}

    def network(self, name: str) -> FloatNetwork:
        for node in self.program.nodes:
            operator = node.target.removeprefix("torch.ops.aten.").partition(".")[0].removesuffix("_")
            self.build.where = f"{self.what}: {operator} {node.outputs[0] if node.outputs else ''!r}"
            self.build.source = f"{operator} {node.outputs[0] if node.outputs else ''}".strip()
            self.node(operator, node)
        results = [self.values.get(output) for output in self.program.outputs]
        return finished(self.build, results, name, self.program.output_names)

    def node(self, operator: str, node: Node) -> None:
        arguments = {key: self.found(value) for key, value in node.arguments.items()}
        values = list(arguments.values())
        if not any(
            isinstance(v, Value | Stacked) for value in values for v in (value if isinstance(value, list) else [value])
        ):
            self.values |= {name: self.constant(operator, arguments) for name in node.outputs}
            return
        if any(isinstance(value, Stacked) for value in values) and operator not in _OF_STACKED:
            self.build.fail(
                "it works on the states of several layers or directions at once; take one, or torch.cat two"
            )
        method: Callable[..., Any] | None = getattr(self, f"on_{operator}", None)
        if method is None:
            plain = _FUNCTIONS.get(operator)
            if plain is None:
                known = sorted({n[3:] for n in dir(self) if n.startswith("on_")} | set(_FUNCTIONS))
                self.build.fail(
                    remedy(operator) or f"edgebat does not quantize this operator; it knows {', '.join(known)}"
                )
            results: Any = self.build.function(values[0], plain[0], plain[1])
        else:
            results = method(*values)
        results = results if isinstance(results, list) else [results]
        self.values |= dict(zip(node.outputs, results, strict=False))

    def found(self, argument: Any) -> Any:
        if isinstance(argument, Name):
            if argument.text not in self.values:
                self.build.fail(f"it reads {argument.text!r}, which nothing writes")
            return self.values[argument.text]
        if isinstance(argument, list):
            return [self.found(one) for one in argument]
        return argument

    def constant(self, operator: str, arguments: dict[str, Any]) -> Array | None:
        """What an operator makes of constants alone."""
        try:
            return constant(operator, arguments)
        except KeyError:
            return self.build.fail("it works on constants alone; compute them before the export")
        except (ValueError, TypeError, IndexError) as error:
            return self.build.fail(f"it works on constants that do not fit: {error}; export the model again")

    # -- layers

    def on_linear(self, x: Value, weight: Array, bias: Array | None = None) -> Value:
        return self.build.dense(x, weight, bias)

    def on_addmm(self, bias: Array, x: Value, weight: Array) -> Value:
        return self.build.dense(x, weight.T, bias)

    def on_matmul(self, x: Any, weight: Any) -> Value:
        if not isinstance(weight, np.ndarray) or not isinstance(x, Value):
            self.build.fail(remedy("matmul"))
        return self.build.dense(x, weight.T, None)

    on_mm = on_matmul

    def on_t(self, x: Value) -> Value:
        return self.build.transpose(x, (1, 0))

    def on_conv1d(self, x: Value, weight: Array, bias: Array | None = None, stride: Any = (1,), padding: Any = (0,),
                  dilation: Any = (1,), groups: int = 1) -> Value:  # fmt: skip
        kernel = weight.shape[2]
        if isinstance(padding, str):
            total = (kernel - 1) * dilation[0] if padding == "same" else 0
            ends = (total // 2, total - total // 2)
        else:
            ends = (padding[0], padding[0])
        offset = np.zeros(len(weight)) if bias is None else bias.astype(np.float64)
        layer = kinds.Conv(weight.transpose(0, 2, 1), offset, stride[0], dilation[0], ends)
        rank = len(x.axes)
        return self.build.conv(x, layer, rank - 1, rank - 2, groups)

    def on_conv2d(self, x: Value, weight: Array, bias: Array | None = None, stride: Any = (1, 1), padding: Any = (0, 0),
                  dilation: Any = (1, 1), groups: int = 1) -> Value:  # fmt: skip
        if isinstance(padding, str):
            padding = [(k - 1) * d // 2 if padding == "same" else 0
                       for k, d in zip(weight.shape[2:], dilation, strict=True)]  # fmt: skip
        stride, padding, dilation = ([v[0], v[-1]] for v in (stride, padding, dilation))
        shape = self.build.shape(x)
        one = next((place for place in (0, 1) if shape[2 + place] == 1), None)
        if one is None:
            self.build.fail(remedy("conv2d"))
        if (1 + 2 * padding[one] - (weight.shape[2 + one] - 1) * dilation[one] - 1) // stride[one] + 1 != 1:
            self.build.fail(f"it makes more than one row of the axis {2 + one} of {list(shape)}")
        # Of the kernel along an axis of size 1 only the tap on the data counts; the others meet padding.
        tap = weight.take(padding[one] // dilation[one], axis=2 + one)
        offset = np.zeros(len(weight)) if bias is None else bias.astype(np.float64)
        time = 1 - one
        layer = kinds.Conv(tap.transpose(0, 2, 1), offset, stride[time], dilation[time], (padding[time], padding[time]))
        return self.build.conv(x, layer, 2 + time, 1, groups)

    def on_batch_norm(self, x: Value, weight: Array | None, bias: Array | None, mean: Array | None, var: Array | None,
                      training: bool, momentum: float, eps: float, cudnn: bool = False) -> Value:  # fmt: skip
        if mean is None or var is None or training:
            self.build.fail("it normalizes by the batch; export the model in evaluation mode, with running statistics")
        factor = (np.ones(len(mean)) if weight is None else weight.astype(np.float64)) / np.sqrt(
            var.astype(np.float64) + eps
        )
        offset = (np.zeros(len(mean)) if bias is None else bias) - mean.astype(np.float64) * factor
        wide = (1, -1, *[1] * (len(x.axes) - 2))
        return self.build.affine(x, factor.reshape(wide), offset.reshape(wide))

    def on_select(self, x: Any, dim: int, index: int) -> Value:
        value: Value = x.select(self.build, dim, index) if isinstance(x, Stacked) else self.build.select(x, dim, index)
        return value

    def on_slice(self, x: Any, dim: int = 0, start: Any = 0, end: Any = 1 << 62, step: int = 1) -> Any:
        if step != 1:
            self.build.fail(f"it takes every {step}th position; use a convolution or pooling with that stride")
        if isinstance(x, Stacked):
            return x.cut(self.build, dim, start or 0, 1 << 30 if end is None else end)
        return self.build.cut(x, dim, start or 0, 1 << 62 if end is None else end)

    def on_max_pool1d(self, x: Value, size: Any, stride: Any = (), padding: Any = (0,), dilation: Any = (1,),
                      ceil: bool = False) -> Value:  # fmt: skip
        if any(d != 1 for d in dilation):
            self.build.fail(f"it pools with dilation {list(dilation)}; use dilation=1")
        step, (first,) = (stride or size)[0], padding
        last = ceiled(self.build.shape(x)[-1], size[0], step, first) if ceil else first
        return self.build.pool(x, kinds.MaxPool(size[0], step, (first, last)), len(x.axes) - 1, len(x.axes) - 2)

    def on_avg_pool1d(self, x: Value, size: Any, stride: Any = (), padding: Any = (0,), ceil: bool = False,
                      count: bool = True) -> Value:  # fmt: skip
        step, (first,) = (stride or size)[0], padding
        last = ceiled(self.build.shape(x)[-1], size[0], step, first) if ceil else first
        if last != first and first and count:
            self.build.fail("it counts zeros in an incomplete last group (ceil_mode); use ceil_mode=False")
        places = (len(x.axes) - 1, len(x.axes) - 2)
        return self.build.average(x, (size[0], step, (first, last)), places, zeros=count and bool(first))

    def on_adaptive_avg_pool1d(self, x: Value, size: Any) -> Value:
        return self.adaptive(x, size, "mean")

    def on_adaptive_max_pool1d(self, x: Value, size: Any) -> list[Any]:
        return [self.adaptive(x, size, "max"), None]

    def adaptive(self, x: Value, size: Sequence[int], kind: str) -> Value:
        length = self.build.shape(x)[-1]
        if list(size) == [1]:
            return self.build.over_time(x, kind, [-1], True)
        if length % size[0]:
            self.build.fail(
                f"it pools {length} steps to {size[0]} groups of unequal size; choose a divisor of {length}"
            )
        step = length // size[0]
        layer = kinds.MaxPool(step, step) if kind == "max" else kinds.AveragePool(step, step)
        return self.build.pool(x, layer, len(x.axes) - 1, len(x.axes) - 2)

    def on_softmax(self, x: Value, dim: int, dtype: Any = None) -> Value:
        return self.build.softmax(x, dim)

    def on_mean(self, x: Value, dims: Any = None, keep: bool = False, dtype: Any = None) -> Value:
        return self.build.over_time(x, "mean", range(1, len(x.axes)) if dims is None else dims, keep)

    def on_amax(self, x: Value, dims: Any, keep: bool = False) -> Value:
        return self.build.over_time(x, "max", dims, keep)

    def on_max(self, x: Value, dim: Any = None, keep: bool = False) -> list[Any]:
        if not isinstance(dim, int):
            self.build.fail("it takes the maximum over everything, or of two layers; allowed: over time")
        return [self.build.over_time(x, "max", [dim], keep), None]

    # -- elementwise

    def on_add(self, a: Any, b: Any, alpha: float = 1.0) -> Value:
        return self.sum(a, b, alpha)

    def on_sub(self, a: Any, b: Any, alpha: float = 1.0) -> Value:
        return self.sum(a, b, -alpha)

    def on_rsub(self, a: Any, b: Any, alpha: float = 1.0) -> Value:
        return self.sum(self.build.scalar(a, -float(alpha), 0.0), b, 1.0)

    def sum(self, a: Any, b: Any, factor: float) -> Value:
        if isinstance(a, Value) and isinstance(b, Value):
            return self.build.combine(a, b if factor == 1 else self.build.scalar(b, float(factor), 0.0), "add")
        if isinstance(a, Value):
            return self.build.affine(a, np.ones(1), np.asarray(b, np.float64) * factor)
        return self.build.affine(b, np.full(1, float(factor)), np.asarray(a, np.float64))

    def on_mul(self, a: Any, b: Any) -> Value:
        if isinstance(a, Value) and isinstance(b, Value):
            return self.build.combine(a, b, "mul")
        value, other = (a, b) if isinstance(a, Value) else (b, a)
        return self.build.affine(value, np.asarray(other, np.float64), np.zeros(1))

    def on_glu(self, x: Value, dim: int = -1) -> Value:
        """The first half of the channels, times the logistic function of the second."""
        size = self.build.shape(x)[dim]
        first, second = (self.build.cut(x, dim, start, start + size // 2) for start in (0, size // 2))
        return self.build.combine(first, self.build.function(second, "sigmoid", functions.sigmoid), "mul")

    def on_div(self, a: Any, b: Any) -> Value:
        if isinstance(a, Value) and isinstance(b, Value):
            return self.build.combine(a, b, "div")
        if not isinstance(a, Value):
            return self.build.function(b, "reciprocal", lambda x: float(a) / x)
        return self.build.affine(a, 1.0 / np.asarray(b, np.float64), np.zeros(1))

    def on_neg(self, x: Value) -> Value:
        return self.build.scalar(x, -1.0, 0.0)

    def on_pow(self, x: Value, exponent: float) -> Value:
        return self.build.function(x, f"power{exponent:g}", lambda v: v**exponent)

    def on_leaky_relu(self, x: Value, slope: float = 0.01) -> Value:
        return self.build.function(x, "leaky_relu", functions.leaky_relu(slope))

    def on_prelu(self, x: Value, slope: Array) -> Value:
        if len(np.unique(slope)) != 1:
            self.build.fail("it has several slopes; use nn.PReLU() with one, or nn.LeakyReLU")
        return self.on_leaky_relu(x, float(slope.ravel()[0]))

    def on_elu(self, x: Value, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Value:
        base = functions.elu(alpha)
        return self.build.function(x, "elu", lambda v: scale * base(v * input_scale))

    def on_gelu(self, x: Value, approximate: str = "none") -> Value:
        name = "gelu_tanh" if approximate == "tanh" else "gelu"
        return self.build.function(x, name, functions.PLAIN[name])

    def on_softplus(self, x: Value, beta: float = 1.0, threshold: float = 20.0) -> Value:
        return self.build.function(x, "softplus", lambda v: functions.softplus(v * beta) / beta)

    def on_hardtanh(self, x: Value, low: float = -1.0, high: float = 1.0) -> Value:
        return self.on_clamp(x, low, high)

    def on_clamp(self, x: Value, low: float | None = None, high: float | None = None) -> Value:
        ends = (-np.inf if low is None else float(low), np.inf if high is None else float(high))
        name = {(0.0, np.inf): "relu", (0.0, 6.0): "relu6"}.get(ends, "clip")
        return self.build.function(x, name, functions.clip(*ends))

    # -- shapes

    def on_view(self, x: Any, size: Sequence[int]) -> Value:
        value: Value = x.joined(self.build, size) if isinstance(x, Stacked) else self.build.reshape(x, size)
        return value

    on_reshape = on__unsafe_view = on_view

    def on_flip(self, x: Value, dims: Sequence[int]) -> Value:
        if len(dims) != 1:
            self.build.fail(f"it turns the axes {list(dims)} round; allowed: time")
        return reversed_time(self.build, x, dims[0] % len(x.axes))

    def on_flatten(self, x: Any, start: int = 0, end: int = -1) -> Value:
        if isinstance(x, Stacked):
            return x.joined(self.build, [-1] * (x.rank - 1 if start % x.rank == x.rank - 2 else 1))
        sizes = list(self.build.shape(x))
        start, end = start % len(sizes), end % len(sizes)
        return self.build.reshape(x, [*sizes[:start], -1, *sizes[end + 1 :]]) if start < end else x

    def on_permute(self, x: Any, order: Sequence[int]) -> Any:
        if isinstance(x, Stacked):
            return x.transpose(self.build, [place % x.rank for place in order])
        return self.build.transpose(x, [place % len(x.axes) for place in order])

    def on_transpose(self, x: Any, first: int, second: int) -> Any:
        order = list(range(x.rank if isinstance(x, Stacked) else len(x.axes)))
        order[first], order[second] = order[second], order[first]
        return self.on_permute(x, order)

    on_swapaxes = on_swapdims = on_transpose

    def on_mT(self, x: Value) -> Any:
        return self.on_transpose(x, -1, -2)

    def on_movedim(self, x: Value, source: Any, target: Any) -> Value:
        if not isinstance(source, int) and len(source) != 1:
            self.build.fail("it moves several axes; use permute")
        first, last = (one if isinstance(one, int) else one[0] for one in (source, target))
        order = [place for place in range(len(x.axes)) if place != first % len(x.axes)]
        order.insert(last % len(x.axes), first % len(x.axes))
        return self.build.transpose(x, order)

    def on_squeeze(self, x: Any, dim: Any = None) -> Any:
        if isinstance(x, Stacked):
            return x.select(self.build, 0 if dim is None else dim, 0) if len(x.values) == 1 else x
        return self.build.squeeze(x, None if dim is None else [dim] if isinstance(dim, int) else dim)

    def on_unsqueeze(self, x: Value, dim: int) -> Value:
        return self.build.unsqueeze(x, [dim])

    def on_cat(self, values: list[Any], dim: int = 0) -> Value:
        if not all(isinstance(value, Value) for value in values):
            self.build.fail("it joins layers with constants; leave those out")
        return self.build.concat(values, dim)

    def on_pad(self, x: Value, ends: Sequence[int], mode: str = "constant", value: float | None = None) -> Value:
        if mode != "constant" or value or any(ends[2:]):
            self.build.fail(f"it pads by {list(ends)}, {mode} {value or 0}; allowed: zeros on the last axis")
        return self.build.pad(x, len(x.axes) - 1, ends[0], ends[1])

    on_constant_pad_nd = on_pad

    def on_new_zeros(self, x: Value, size: Sequence[int], *_: Any) -> Any:
        return self.constant("zeros", {"size": size})

    def same(self, x: Any, *_: Any) -> Any:
        return x

    on_dropout = on_feature_dropout = on_alpha_dropout = on_contiguous = on_clone = on_detach = on_alias = on_to = same
    on__to_copy = on_identity = same


_OF_STACKED = (
    "select", "slice", "squeeze", "view", "reshape", "_unsafe_view", "flatten", "permute", "transpose", "swapaxes",
    "swapdims", "contiguous", "clone", "alias", "detach", "dropout",
)  # fmt: skip
_FUNCTIONS = {
    name: (called, functions.PLAIN[called])
    for name, called in {
        "relu": "relu", "relu6": "relu6", "tanh": "tanh", "sigmoid": "sigmoid", "silu": "silu", "selu": "selu",
        "hardswish": "hard_swish", "mish": "mish", "abs": "abs", "exp": "exp", "erf": "erf", "square": "square",
        "log_sigmoid": "log_sigmoid",
    }.items()
} | {"hardsigmoid": ("hard_sigmoid", functions.hard_sigmoid(1.0 / 6.0, 0.5))}  # fmt: skip


def read_pt2_file(path: Path) -> FloatNetwork:
    """As ``read_pt2``, from a file."""
    return read_pt2(path.read_bytes(), str(path), path.stem)
