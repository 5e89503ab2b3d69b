"""A float network out of a ``torch.nn.Module`` or a ``.pt2`` file of ``torch.export.save``.

A module is exported and saved in memory, and read as its file is. The file is a zip of JSON and raw arrays; nothing of it is
unpickled or executed, and reading one needs NumPy alone.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np

from edgebat.arrays import Array, Float64
from edgebat.errors import ModelFileError, require
from edgebat.networks import functions
from edgebat.networks import layers as kinds
from edgebat.networks.axes import Value
from edgebat.networks.build import Builder
from edgebat.networks.directions import Stacked
from edgebat.networks.layers import FloatNetwork
from edgebat.networks.outputs import finished
from edgebat.networks.pooling import ceiled
from edgebat.networks.pt2 import Name, Node, Open, Program, read_program
from edgebat.networks.refusals import remedy
from edgebat.networks.torch_changes import operator_of, require_unseen
from edgebat.networks.torch_constants import constant
from edgebat.networks.torch_recurrent import RecurrentOperators
from edgebat.networks.torch_shapes import ShapeOperators


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
            f"{called}: torch.export cannot take it for inputs {[2, *window.shape]}: {type(error).__name__}: {first}. Give "
            "windows of the shape that it takes, and write its forward without branches on data"
        ) from None
    finally:
        module.train(was_training)
    return read_pt2(content.getvalue(), called, called)


def read_pt2(data: bytes, what: str, name: str) -> FloatNetwork:
    """The layers of an exported program; ``what`` names it in errors. Raises ModelFileError."""
    return _Reader(read_program(data, what), what).network(name)


class _Reader(RecurrentOperators, ShapeOperators):
    """One method ``on_<operator>`` for each operator of ATen."""

    def __init__(self, program: Program, what: str) -> None:
        require_unseen(program, what)
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
            operator = operator_of(node).removesuffix("_")
            self.build.where = f"{self.what}: {operator} {node.outputs[0] if node.outputs else ''!r}"
            self.build.source = f"{operator} {node.outputs[0] if node.outputs else ''}".strip()
            if not operator.startswith(_CHECKS):
                with self.build.reading():
                    self.node(operator, node)
        self.build.where = f"{self.what}: its output"
        results = [self.found(Name(output)) for output in self.program.outputs]
        return finished(self.build, results, name, self.program.output_names)

    def node(self, operator: str, node: Node) -> None:
        arguments, named = (
            {key: self.found(value) for key, value in given.items()} for given in (node.arguments, node.named)
        )
        values = list(arguments.values())
        if not any(
            isinstance(v, Value | Stacked) for value in values for v in (value if isinstance(value, list) else [value])
        ):
            self.values |= {name: self.constant(operator, arguments | named) for name in node.outputs}
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
            method = partial(self.build.function, called=plain[0], compute=plain[1])
        self.require_known(operator, arguments, named, method)
        results: Any = method(*values, **{key: value for key, value in named.items() if key not in _OF_MEMORY})
        results = results if isinstance(results, list) else [results]
        self.values |= dict(zip(node.outputs, results, strict=False))
        for name, result in zip(node.outputs, results, strict=False):
            if isinstance(result, Value) and name in self.program.sizes:
                self.build.require_shape(result, self.program.sizes[name], self.batch)

    def require_known(
        self, operator: str, arguments: dict[str, Any], named: dict[str, Any], method: Callable[..., Any]
    ) -> None:
        """Refuse arguments that would be left out, and layers in the place of constants."""
        values = list(arguments.values())
        if (arguments | named).get("dtype") not in (None, *_FLOAT):
            self.build.fail("it makes integers of a layer's output; leave that to the quantization")
        if operator not in _OF_LAYERS and any(isinstance(value, Value) for value in values[1:]):
            self.build.fail("it takes a layer's output in the place of weights or limits; allowed: constants")
        if operator != "slice" and any(isinstance(value, Open) for value in values):
            self.build.fail("it computes with the number of windows; a device has one")
        taken = signature(method).parameters
        if unknown := [f"{key}={value}" for key, value in named.items() if key not in (*taken, *_OF_MEMORY)]:
            self.build.fail(f"edgebat does not know its argument {unknown[0]}; leave it out")

    def found(self, argument: Any) -> Any:
        if isinstance(argument, Name):
            if argument.text not in self.values:
                self.build.fail(f"it reads {argument.text!r}, which nothing writes")
            if self.values[argument.text] is None:
                self.build.fail(
                    f"it reads {argument.text!r}, which is not kept: the cell state of an LSTM, or places of a maximum; "
                    "use the output or the hidden state, or the maximum"
                )
            return self.values[argument.text]
        if isinstance(argument, list):
            return [self.found(one) for one in argument]
        return argument

    def constant(self, operator: str, arguments: dict[str, Any]) -> Array:
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

    def on_addmm(self, bias: Any, x: Any, weight: Any) -> Value:
        if not isinstance(weight, np.ndarray) or not isinstance(bias, np.ndarray):
            self.build.fail(remedy("matmul"))
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
        stride, dilation = ([v[0], v[-1]] for v in (stride, dilation))
        if isinstance(padding, str):
            total = [(k - 1) * d if padding == "same" else 0 for k, d in zip(weight.shape[2:], dilation, strict=True)]
            first, last = [one // 2 for one in total], [one - one // 2 for one in total]
        else:
            first = last = [padding[0], padding[-1]]
        shape = self.build.shape(x)
        one = next((place for place in (0, 1) if shape[2 + place] == 1), None)
        if one is None:
            self.build.fail(remedy("conv2d"))
        reach = (weight.shape[2 + one] - 1) * dilation[one]
        if (first[one] + last[one] - reach) // stride[one] or first[one] % dilation[one]:
            self.build.fail(f"it makes more than one row of the axis {2 + one} of {list(shape)}")
        # Of the kernel along an axis of size 1 only the tap on the data counts; the others meet padding.
        tap = weight.take(first[one] // dilation[one], axis=2 + one)
        offset = np.zeros(len(weight)) if bias is None else bias.astype(np.float64)
        time = 1 - one
        layer = kinds.Conv(tap.transpose(0, 2, 1), offset, stride[time], dilation[time], (first[time], last[time]))
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

    def on_amax(self, x: Value, dims: Any = (), keep: bool = False) -> Value:
        if not dims:
            self.build.fail("it takes the maximum over everything; allowed: over time")
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
        return self.sum(b, a, -alpha)

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

    def on_pow(self, x: Any, exponent: Any) -> Value:
        if not isinstance(x, Value) or np.size(exponent) != 1:
            self.build.fail("it has a layer, or several values, as exponent; allowed: one number")
        power = float(np.ravel(exponent)[0])
        return self.build.function(x, f"power{power:g}", lambda v: v**power)

    def on_leaky_relu(self, x: Value, slope: float = 0.01) -> Value:
        return self.build.function(x, "leaky_relu", functions.leaky_relu(slope))

    def on_prelu(self, x: Value, slope: Array) -> Value:
        if len(np.unique(slope)) != 1:
            self.build.fail("it has several slopes; use nn.PReLU() with one, or nn.LeakyReLU")
        return self.on_leaky_relu(x, float(slope.ravel()[0]))

    def on_elu(self, x: Value, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Value:
        below = functions.elu(alpha)
        return self.build.function(x, "elu", lambda v: scale * np.where(v > 0, v, below(v * input_scale)))

    def on_celu(self, x: Value, alpha: float = 1.0) -> Value:
        return self.on_elu(x, alpha, 1.0, 1.0 / alpha)

    def on_gelu(self, x: Value, approximate: str = "none") -> Value:
        name = "gelu_tanh" if approximate == "tanh" else "gelu"
        return self.build.function(x, name, functions.PLAIN[name])

    def on_softplus(self, x: Value, beta: float = 1.0, threshold: float = 20.0) -> Value:
        def compute(v: Float64) -> Float64:
            return np.where(v * beta > threshold, v, functions.softplus(v * beta) / beta)

        return self.build.function(x, "softplus", compute)

    def on_hardtanh(self, x: Value, low: float = -1.0, high: float = 1.0) -> Value:
        return self.on_clamp(x, low, high)

    def on_clamp(self, x: Value, low: Any = None, high: Any = None) -> Value:
        if max(np.size(low), np.size(high)) > 1:
            self.build.fail("it limits by several values; allowed: one")
        ends = (-np.inf if low is None else float(low), np.inf if high is None else float(high))
        name = {(0.0, np.inf): "relu", (0.0, 6.0): "relu6"}.get(ends, "clip")
        return self.build.function(x, name, functions.clip(*ends))

    def on_new_zeros(self, x: Value, size: Sequence[int], *_: Any) -> Any:
        return self.constant("zeros", {"size": size})

    def same(self, x: Any, *_: Any) -> Any:
        return x

    on_contiguous = on_clone = on_detach = on_alias = on_to = on__to_copy = on_identity = same

    def on_dropout(self, x: Any, share: float, train: bool) -> Any:
        if train:
            self.build.fail(
                "it drops values in evaluation mode as well; use nn.Dropout and model.eval(), or training=self.training"
            )
        return x

    on_feature_dropout = on_alpha_dropout = on_dropout


_OF_STACKED = (
    "select", "slice", "squeeze", "view", "reshape", "_unsafe_view", "flatten", "permute", "transpose", "swapaxes",
    "swapdims", "contiguous", "clone", "alias", "detach", "dropout",
)  # fmt: skip
_CHECKS = ("_assert", "sym_constrain", "sym_size")
"""What asks for sizes only; an open size is known as such wherever it is used."""
_OF_LAYERS = ("add", "sub", "rsub", "mul", "div", "pow", "matmul", "mm", "addmm", "gru", "lstm", "rnn_tanh")
"""They read several layers, or say themselves why not."""
_OF_MEMORY = ("dtype", "layout", "device", "pin_memory", "memory_format", "non_blocking", "copy")
_FLOAT = (6, 7, 8, 13)
"""float16, float32, float64 and bfloat16, as torch's schema numbers them."""
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
