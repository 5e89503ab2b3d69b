"""A float network out of Keras: ``.keras`` of Keras 3, ``.h5`` of Keras 2 and 3, and SavedModels.

The first two are a JSON description and arrays, read with h5py alone; no code of theirs is run, a Lambda layer is refused.
A SavedModel is converted to TFLite by TensorFlow, which runs none of it either, and read as such.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgebat.arrays import Array
from edgebat.errors import ModelFileError, require
from edgebat.formats.tflite.rules import same_padding
from edgebat.networks import functions
from edgebat.networks import layers as kinds
from edgebat.networks.axes import Value
from edgebat.networks.build import Builder
from edgebat.networks.keras_file import MAX_BYTES, arrays, ends, inbound, of_archive, of_h5, part, weight_names
from edgebat.networks.keras_recurrent import RecurrentLayers
from edgebat.networks.layers import FloatNetwork
from edgebat.networks.outputs import finished
from edgebat.networks.refusals import ONE_INPUT, remedy

_DAMAGE = (OSError, EOFError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, RecursionError,
           zipfile.BadZipFile, zlib.error)  # fmt: skip
_INERT = ("Dropout", "SpatialDropout1D", "GaussianNoise", "GaussianDropout", "AlphaDropout", "ActivityRegularization",
          "Identity", "InputLayer")  # fmt: skip
_NAMES = {
    "swish": "silu", "hard_silu": "hard_swish", "exponential": "exp", "leaky_relu": "", "elu": "elu", "relu": "relu",
    "relu6": "relu6", "tanh": "tanh", "sigmoid": "sigmoid", "softplus": "softplus", "softsign": "softsign", "silu": "silu",
    "gelu": "gelu", "selu": "selu", "mish": "mish", "hard_swish": "hard_swish", "hard_tanh": "hard_tanh",
    "log_sigmoid": "log_sigmoid",
}  # fmt: skip


def read_keras(path: Path, x: Array) -> FloatNetwork:
    """The layers of a ``.keras`` or ``.h5`` file; x: calibration windows [N, ...], for sizes that the file leaves open.

    Raises ModelFileError, MissingExtra.
    """
    if path.stat().st_size > MAX_BYTES:
        raise ModelFileError(f"{path} has {path.stat().st_size} bytes; a model file may have at most {MAX_BYTES}")
    h5py = require("h5py", extra="keras")
    try:
        model = of_h5(path, h5py) if path.suffix == ".h5" else of_archive(path, h5py)
        return _Reader(str(path), x).network(*model, path.stem)
    except ModelFileError:
        raise
    except _DAMAGE as error:
        raise ModelFileError(
            f"{path} cannot be read as a model of Keras: {type(error).__name__}: {error}. Write it with model.save()"
        ) from None


def read_saved_model(path: Path) -> FloatNetwork:
    """The layers of a SavedModel. Raises ModelFileError, MissingExtra."""
    tensorflow = require("tensorflow", extra="keras")
    from edgebat.networks.tflite import float_tflite

    try:
        content = tensorflow.lite.TFLiteConverter.from_saved_model(str(path)).convert()
    except Exception as error:  # the converter raises whatever a model makes it raise
        first = str(error).strip().partition("\n")[0]
        raise ModelFileError(
            f"{path}: TensorFlow cannot convert this SavedModel to TFLite: {type(error).__name__}: {first}. Give the .keras "
            "file instead"
        ) from None
    return float_tflite(content, str(path), path.name)


class _Reader(RecurrentLayers):
    """One method ``on_<layer>`` for each class of layer: its configuration, its arrays and its inputs."""

    def __init__(self, what: str, x: Array) -> None:
        self.what, self.x = what, x
        self.builder: Builder | None = None

    @property
    def build(self) -> Builder:
        assert self.builder is not None
        return self.builder

    def network(self, config: Any, weights: Any, name: str) -> FloatNetwork:
        names, results = zip(*self.model(config, weights, None), strict=True)
        return finished(self.build, results, name, names)

    # -- models

    def model(self, described: Any, weights: Any, source: Value | None) -> list[tuple[str, Value]]:
        """The outputs of a Sequential or Functional model with their names, for ``source`` or for the input of the whole."""
        kind, config = described["class_name"], described["config"]
        if kind not in ("Sequential", "Functional", "Model"):
            raise ModelFileError(
                f"{self.what}: it is a model of the class {kind}, whose code is not in the file; allowed: Sequential and "
                "functional models. Build it of those, or give torch.export, TFLite or ONNX"
            )
        layers = config if isinstance(config, list) else config["layers"]
        places = weight_names(layers)
        if kind == "Sequential":
            return [("y", self.sequential(config, layers, places, weights, source))]
        return self.functional(config, layers, places, weights, source)

    def sequential(self, config: Any, layers: Any, names: list[str], weights: Any, source: Value | None) -> Value:
        value = source
        for layer, place in zip(layers, names, strict=True):
            if value is None:
                inside = layer["config"] if isinstance(layer["config"], dict) else {}
                shape = inside.get("batch_shape") or inside.get("batch_input_shape")
                shape = shape or (config.get("build_input_shape") if isinstance(config, dict) else None)
                value = self.begin(shape)
            value = self.layer(layer, part(weights, place, layer), [value])
        if value is None:
            raise ModelFileError(f"{self.what} has no layers")
        return value

    def functional(
        self, config: Any, layers: Any, names: list[str], weights: Any, source: Value | None
    ) -> list[tuple[str, Value]]:
        inputs, outputs = (ends(config[key]) for key in ("input_layers", "output_layers"))
        if len(inputs) != 1 or not outputs:
            raise ModelFileError(f"{self.what} has {len(inputs)} inputs and {len(outputs)} outputs; {ONE_INPUT}")
        values: dict[str, Any] = {}
        waiting = list(zip(layers, names, strict=True))
        while waiting:
            left = []
            for layer, place in waiting:
                name = layer.get("name") or layer["config"]["name"]
                if layer["class_name"] == "InputLayer":
                    inside = layer["config"]
                    shape = inside.get("batch_shape") or inside.get("batch_input_shape")
                    values[name] = source if source is not None else self.begin(shape)
                    continue
                nodes = layer["inbound_nodes"]
                if len(nodes) > 1:
                    raise ModelFileError(
                        f"{self.what}: layer {name!r} is used {len(nodes)} times; allowed: once. Copy it"
                    )
                read, self.arguments, named = inbound(nodes[0])
                if any(one not in values for one in read):
                    left.append((layer, place))
                    continue
                self.require_plain(layer, named)
                values[name] = self.layer(layer, part(weights, place, layer), [values[one] for one in read])
            if len(left) == len(waiting):
                raise ModelFileError(f"{self.what}: layer {left[0][0].get('name')!r} reads what no layer writes")
            waiting = left
        return [(name, values[name]) for name in outputs]

    def require_plain(self, layer: Any, named: dict[str, Any]) -> None:
        """Refuse what a layer is given beside its inputs: states, masks, constants, and the mode of training."""
        kind = layer["class_name"]
        where = f"{self.what}: {kind} {layer.get('name', '')!r}"
        if given := sorted(key for key, value in named.items() if value not in (None, False)):
            raise ModelFileError(f"{where} is called with {', '.join(given)}; allowed: its inputs alone")
        if kind != "GetItem" and any(one is not None for one in self.arguments):
            raise ModelFileError(f"{where} works with constants that are no weights; use Rescaling, or a layer")

    def begin(self, shape: Any) -> Value:
        """The input of the whole model."""
        sizes = None if shape is None else list(shape)[1:]
        if sizes is None or (len(sizes) == self.x.ndim - 1 and None in sizes):
            sizes = [size or self.x.shape[1 + i] for i, size in enumerate(sizes or self.x.shape[1:])]
        if not all(isinstance(size, int) and size > 0 for size in sizes):
            raise ModelFileError(
                f"{self.what}: its input has the shape {shape}; sizes that it leaves open are taken from windows "
                f"of {len(sizes) + 1} axes, not {self.x.ndim}"
            )
        self.builder = Builder(self.what, "keras", sizes, channels_first=False)
        return self.builder.input

    def layer(self, described: Any, weights: Any, inputs: list[Value]) -> Any:
        kind, config = described["class_name"], described["config"]
        if kind in ("Sequential", "Functional", "Model"):
            results = self.model(described, weights, inputs[0])
            if len(results) != 1:
                self.build.fail(f"it is a model of {len(results)} outputs within another; allowed: one")
            return results[0][1]
        if kind in _INERT:
            return inputs[0]
        name = config.get("name", described.get("name", ""))
        build = self.build
        build.where, build.source = f"{self.what}: {kind} {name!r}", f"{kind} {name}"
        if config.get("data_format") == "channels_first":
            build.fail("it has its channels first; use data_format='channels_last'")
        method = getattr(self, f"on_{kind.lower()}", None)
        if method is None:
            known = sorted(n[3:] for n in dir(self) if n.startswith("on_"))
            build.fail(remedy(kind) or f"edgebat does not quantize this layer; it knows {', '.join(known)}")
        return method(config, arrays(weights), *inputs)

    def activated(self, config: Any, value: Value, key: str = "activation") -> Value:
        name: Any = config.get(key)
        if isinstance(name, dict):
            name, own = name.get("class_name"), name.get("config")
            if not isinstance(name, str) or not isinstance(own, dict):
                self.build.fail("its activation is code, which is never run; use one of Keras by name")
            method = getattr(self, f"on_{name.lower()}", None)
            if method is not None:
                result: Value = method(own, [], value)
                return result
        if name in (None, "linear"):
            return value
        if name == "softmax":
            return self.build.softmax(value, -1)
        if name == "log_softmax":
            self.build.fail(remedy("log_softmax"))
        if name == "hard_sigmoid":
            return self.build.function(value, name, self.hard_sigmoid())
        if name == "leaky_relu":
            return self.build.function(value, name, functions.leaky_relu(0.2))
        if name not in _NAMES:
            self.build.fail(f"its activation {name!r} is unknown; allowed: {', '.join(sorted(_NAMES))}")
        called = _NAMES[name]
        if called == "gelu":
            called = "gelu_tanh" if config.get("approximate") else "gelu"
        return self.build.function(value, called, functions.PLAIN[called])

    @staticmethod
    def hard_sigmoid() -> kinds.Function:
        return functions.hard_sigmoid(1.0 / 6.0, 0.5)

    # -- linear layers

    def on_dense(self, config: Any, weights: list[Array], x: Value) -> Value:
        return self.activated(
            config, self.build.dense(x, weights[0].T, weights[1] if config.get("use_bias", True) else None)
        )

    def on_timedistributed(self, config: Any, weights: Any, x: Value) -> Value:
        inner = config["layer"]
        if inner["class_name"] != "Dense":
            self.build.fail(f"it holds a {inner['class_name']}; allowed: a dense layer")
        return self.on_dense(inner["config"], weights, x)

    def on_conv1d(self, config: Any, weights: list[Array], x: Value) -> Value:
        kernel = weights[0].transpose(2, 0, 1)  # [K, C, O] to [O, K, C]
        value = self.conv(config, kernel, self.bias(config, weights, len(kernel)), x, config.get("groups", 1))
        return self.activated(config, value)

    def on_depthwiseconv1d(self, config: Any, weights: list[Array], x: Value) -> Value:
        kernel = weights[0].reshape(len(weights[0]), -1)  # [K, C, m] to [K, C * m]
        value = self.conv(
            config, kernel.T[:, :, None], self.bias(config, weights, kernel.shape[1]), x, weights[0].shape[1]
        )
        return self.activated(config, value)

    def on_separableconv1d(self, config: Any, weights: list[Array], x: Value) -> Value:
        depth = weights[0].reshape(len(weights[0]), -1)
        value = self.conv(config, depth.T[:, :, None], np.zeros(depth.shape[1]), x, weights[0].shape[1])
        point = weights[1].transpose(2, 0, 1)
        layer = kinds.Conv(point, self.bias(config, weights[1:], len(point)))
        return self.activated(config, self.build.conv(value, layer, *self.places(value)))

    @staticmethod
    def bias(config: Any, weights: list[Array], outs: int) -> Array:
        return weights[1].astype(np.float64) if config.get("use_bias", True) else np.zeros(outs)

    @staticmethod
    def places(value: Value) -> tuple[int, int]:
        rank = len(value.axes)
        return rank - 2, rank - 1

    def conv(self, config: Any, kernel: Array, bias: Array, x: Value, groups: int) -> Value:
        stride, dilation = (_one(config.get(key, 1)) for key in ("strides", "dilation_rate"))
        same = same_padding(self.build.shape(x)[-2], kernel.shape[1], stride, dilation)
        padding = config.get("padding", "valid")
        ends = {"valid": (0, 0), "causal": ((kernel.shape[1] - 1) * dilation, 0), "same": same}.get(padding)
        if ends is None:
            self.build.fail(f"its padding is {padding!r}; allowed: valid, same, causal")
        return self.build.conv(x, kinds.Conv(kernel, bias, stride, dilation, ends), *self.places(x), groups)

    # -- scales

    def on_batchnormalization(self, config: Any, weights: list[Array], x: Value) -> Value:
        axis = _one(config.get("axis", -1))
        if axis % len(x.axes) != len(x.axes) - 1:
            self.build.fail(f"it normalizes axis {axis}; allowed: the last one")
        left = [array.astype(np.float64) for array in weights]
        gamma = left.pop(0) if config.get("scale", True) else np.ones(len(left[0]))
        beta = left.pop(0) if config.get("center", True) else np.zeros(len(left[0]))
        mean, variance = left
        factor = gamma / np.sqrt(variance + config.get("epsilon", 1e-3))
        return self.build.affine(x, factor, beta - mean * factor)

    def on_normalization(self, config: Any, weights: list[Array], x: Value) -> Value:
        mean, variance = config.get("mean"), config.get("variance")
        if mean is None or variance is None:
            if len(weights) < 2:
                self.build.fail("it has never been adapted; call adapt() on training data, and save again")
            mean, variance = weights[:2]
        mean, deviation = np.asarray(mean, np.float64), np.sqrt(np.asarray(variance, np.float64))
        deviation = np.maximum(deviation, 1e-7)
        if config.get("invert"):
            return self.build.affine(x, deviation, mean)
        return self.build.affine(x, 1.0 / deviation, -mean / deviation)

    def on_rescaling(self, config: Any, weights: list[Array], x: Value) -> Value:
        scale, offset = (
            np.asarray(config.get(key, value), np.float64) for key, value in (("scale", 1.0), ("offset", 0.0))
        )
        return self.build.affine(x, np.atleast_1d(scale), np.atleast_1d(offset))

    # -- activations

    def on_activation(self, config: Any, weights: list[Array], x: Value) -> Value:
        return self.activated(config, x)

    def on_relu(self, config: Any, weights: list[Array], x: Value) -> Value:
        top, slope, start = config.get("max_value"), config.get("negative_slope") or 0.0, config.get("threshold") or 0.0
        if start:
            self.build.fail(f"its threshold is {start}; allowed: 0")
        if slope:
            base = functions.leaky_relu(float(slope))
            return self.build.function(x, "leaky_relu", base if top is None else lambda v: np.minimum(base(v), top))
        name = "relu" if top is None else "relu6" if top == 6.0 else "clip"
        return self.build.function(x, name, functions.clip(0.0, np.inf if top is None else float(top)))

    def on_leakyrelu(self, config: Any, weights: list[Array], x: Value) -> Value:
        slope = config.get("negative_slope", config.get("alpha", 0.3))
        return self.build.function(x, "leaky_relu", functions.leaky_relu(float(_one(slope))))

    def on_elu(self, config: Any, weights: list[Array], x: Value) -> Value:
        return self.build.function(x, "elu", functions.elu(float(config.get("alpha", 1.0))))

    def on_prelu(self, config: Any, weights: list[Array], x: Value) -> Value:
        if len(np.unique(weights[0])) != 1:
            self.build.fail("it has several slopes; use LeakyReLU, which has one")
        return self.build.function(x, "leaky_relu", functions.leaky_relu(float(weights[0].ravel()[0])))

    def on_softmax(self, config: Any, weights: list[Array], x: Value) -> Value:
        axis = config.get("axis", -1)
        if not isinstance(axis, int) and len(axis) != 1:
            self.build.fail(f"it is over the axes {axis} together; allowed: one")
        return self.build.softmax(x, int(_one(axis)))

    # -- pooling and shapes

    def on_maxpooling1d(self, config: Any, weights: list[Array], x: Value) -> Value:
        return self.pool(config, x, kinds.MaxPool)

    def on_averagepooling1d(self, config: Any, weights: list[Array], x: Value) -> Value:
        return self.pool(config, x, kinds.AveragePool)

    def pool(self, config: Any, x: Value, kind: Any) -> Value:
        size = _one(config.get("pool_size", 2))
        stride, length = _one(config.get("strides") or size), self.build.shape(x)[-2]
        padding = same_padding(length, size, stride, 1) if config.get("padding") == "same" else (0, 0)
        if kind is kinds.MaxPool:
            return self.build.pool(x, kind(size, stride, padding), *self.places(x))
        return self.build.average(x, (size, stride, padding), self.places(x), zeros=False)

    def on_globalaveragepooling1d(self, config: Any, weights: list[Array], x: Value) -> Value:
        return self.build.over_time(x, "mean", [len(x.axes) - 2], bool(config.get("keepdims")))

    def on_globalmaxpooling1d(self, config: Any, weights: list[Array], x: Value) -> Value:
        return self.build.over_time(x, "max", [len(x.axes) - 2], bool(config.get("keepdims")))

    def on_flatten(self, config: Any, weights: list[Array], x: Value) -> Value:
        return self.build.flatten(x)

    def on_reshape(self, config: Any, weights: list[Array], x: Value) -> Value:
        if "target_shape" not in config:
            self.build.fail("it is no layer of Keras, but keras.ops.reshape; use the layer Reshape")
        return self.build.reshape(x, [-1, *self.sized(config["target_shape"], x)])

    def sized(self, target: Sequence[int], x: Value) -> list[int]:
        total = int(np.prod(self.build.shape(x)[1:]))
        known = int(np.prod([size for size in target if size != -1]))
        return [total // max(known, 1) if size == -1 else int(size) for size in target]

    def on_permute(self, config: Any, weights: list[Array], x: Value) -> Value:
        return self.build.transpose(x, [0, *(int(axis) for axis in config["dims"])])

    def on_zeropadding1d(self, config: Any, weights: list[Array], x: Value) -> Value:
        left, right = _two(config.get("padding", 1))
        return self.build.pad(x, len(x.axes) - 2, left, right)

    def on_cropping1d(self, config: Any, weights: list[Array], x: Value) -> Value:
        left, right = _two(config.get("cropping", 1))
        return self.build.cut(x, len(x.axes) - 2, left, self.build.shape(x)[-2] - right)

    def on_getitem(self, config: Any, weights: list[Array], x: Value) -> Value:
        """x[:, -1, :] of a functional model."""
        parts = self.arguments[0] if self.arguments else []
        parts = parts if isinstance(parts, list) else [parts]
        if any(
            not isinstance(one, int) and (not isinstance(one, dict) or one["class_name"] != "__slice__")
            for one in parts
        ):
            self.build.fail("it takes a part by an ellipsis or with a new axis; write a slice for every axis")
        for axis, one in reversed(list(enumerate(parts))):
            if isinstance(one, int):
                x = self.build.select(x, axis, one)
            elif axis:
                inside = one.get("config") or {}
                start, stop = inside.get("start") or 0, inside.get("stop")
                if inside.get("step") not in (None, 1):
                    self.build.fail("it takes every so many positions; use a pooling")
                x = self.build.cut(x, axis, start, 1 << 30 if stop is None else stop)
        return x

    # -- several inputs

    def on_add(self, config: Any, weights: list[Array], *xs: Value) -> Value:
        total = xs[0]
        for x in xs[1:]:
            total = self.build.combine(total, x, "add")
        return total

    def on_subtract(self, config: Any, weights: list[Array], a: Value, b: Value) -> Value:
        return self.build.combine(a, b, "sub")

    def on_multiply(self, config: Any, weights: list[Array], *xs: Value) -> Value:
        total = xs[0]
        for x in xs[1:]:
            total = self.build.combine(total, x, "mul")
        return total

    def on_concatenate(self, config: Any, weights: list[Array], *xs: Value) -> Value:
        return self.build.concat(xs, config.get("axis", -1))


def _one(value: Any) -> Any:
    return value[0] if isinstance(value, list | tuple) else value


def _two(value: Any) -> tuple[int, int]:
    return (int(value[0]), int(value[-1])) if isinstance(value, list | tuple) else (int(value), int(value))
