"""Small networks as tutorials build them for batteries, in torch, ONNX and Keras, for `bench.gallery` and the tests.

Weights are random with a seed: what counts is that each layer is read right, not what the network predicts.
"""

from __future__ import annotations

import importlib.util
import io
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

STEPS, COLUMNS = 20, 3


@dataclass(frozen=True)
class Entry:
    """A network: what it is, its file or module, calibration windows, and what it gives in its own framework."""

    name: str
    task: str
    framework: str
    make: Callable[[Path], tuple[Any, Callable[[Any], Any]]]
    """Into a folder: (source for ``edgebat.quantize``, windows -> outputs of the framework)."""
    shape: tuple[int, ...] = (STEPS, COLUMNS)
    refused: str = ""
    """Part of the message where the integer graph has no such layer; "" for networks that are quantized."""

    def windows(self, count: int = 256, seed: int = 0) -> Any:
        """Voltage, current and temperature, or features, float32 [count, *shape]."""
        rng = np.random.default_rng([seed, len(self.name)])
        x = rng.normal(size=(count, *self.shape))
        # Samples of a log follow each other.
        if len(self.shape) > 1:
            axis = 1 + int(np.argmax(self.shape))
            x = np.cumsum(x, axis=axis) / np.sqrt(max(self.shape))
        return x.astype(np.float32)


def torch_entries() -> Iterator[Entry]:
    """PyTorch modules."""
    import torch
    from torch import nn

    def module(
        name: str, task: str, build: Callable[[], Any], shape: tuple[int, ...] = (STEPS, COLUMNS), refused: str = ""
    ) -> Entry:
        def make(folder: Path) -> tuple[Any, Callable[[Any], Any]]:
            torch.manual_seed(len(name))
            net = build().eval()
            for layer in net.modules():
                if isinstance(layer, nn.BatchNorm1d):
                    layer.running_mean.normal_(0, 0.3)
                    layer.running_var.uniform_(0.5, 2.0)
            with torch.no_grad():
                return net, lambda x: net(torch.from_numpy(x)).detach().numpy()

        return Entry(name, task, "torch", make, shape, refused)

    class Recurrent(nn.Module):
        def __init__(self, kind: str = "LSTM", hidden: int = 16, last: str = "step", **settings: Any) -> None:
            super().__init__()
            self.rnn = getattr(nn, kind)(COLUMNS, hidden, batch_first=True, **settings)
            self.last, self.head = last, nn.Linear(hidden * (2 if settings.get("bidirectional") else 1), 1)

        def forward(self, x: Any) -> Any:
            sequence, state = self.rnn(x)
            if self.last == "hidden":
                return self.head(state[0][-1])
            return self.head(
                sequence if self.last == "all" else sequence.mean(1) if self.last == "mean" else sequence[:, -1]
            )

    class ConvNet(nn.Module):
        """Channels first, as torch has convolutions."""

        def __init__(self, *layers: Any, head: Any = None, transpose: bool = True) -> None:
            super().__init__()
            self.body, self.head, self.transpose = nn.Sequential(*layers), head, transpose

        def forward(self, x: Any) -> Any:
            y = self.body(x.permute(0, 2, 1) if self.transpose else x)
            return y if self.head is None else self.head(y)

    class ConvLstm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.lstm, self.head = (
                nn.Conv1d(COLUMNS, 12, 5, padding=2),
                nn.LSTM(12, 12, batch_first=True),
                nn.Linear(12, 1),
            )

        def forward(self, x: Any) -> Any:
            y = torch.max_pool1d(torch.relu(self.conv(x.transpose(1, 2))), 2)
            return self.head(self.lstm(y.transpose(1, 2))[0][:, -1])

    class Chomp(nn.Module):
        """A block of a temporal convolutional network: pad, convolve, cut, add."""

        def __init__(self, ins: int, outs: int, dilation: int) -> None:
            super().__init__()
            self.cut = 2 * dilation
            self.first = nn.Conv1d(ins, outs, 3, padding=self.cut, dilation=dilation)
            self.second = nn.Conv1d(outs, outs, 3, padding=self.cut, dilation=dilation)
            self.skip = nn.Conv1d(ins, outs, 1) if ins != outs else nn.Identity()

        def forward(self, x: Any) -> Any:
            y = torch.relu(self.first(x)[:, :, : -self.cut])
            y = torch.relu(self.second(y)[:, :, : -self.cut])
            return torch.relu(y + self.skip(x))

    class Normalized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.tensor([0.1, -0.2, 0.3]))
            self.register_buffer("std", torch.tensor([0.5, 2.0, 1.5]))
            self.net = nn.Sequential(nn.Flatten(), nn.Linear(STEPS * COLUMNS, 16), nn.ReLU(), nn.Linear(16, 1))

        def forward(self, x: Any) -> Any:
            return self.net((x - self.mean) / self.std)

    class TwoBranches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.short, self.long = nn.Conv1d(COLUMNS, 6, 3, padding=1), nn.Conv1d(COLUMNS, 6, 7, padding=3)
            self.head = nn.Linear(12, 1)

        def forward(self, x: Any) -> Any:
            x = x.mT
            return self.head(torch.cat([torch.relu(self.short(x)), torch.tanh(self.long(x))], dim=1).mean(2))

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.k, self.head = nn.Linear(COLUMNS, 8), nn.Linear(COLUMNS, 8), nn.Linear(STEPS * STEPS, 1)

        def forward(self, x: Any) -> Any:
            return self.head(torch.softmax(self.q(x) @ self.k(x).transpose(1, 2), -1).flatten(1))

    def mlp(activation: Any, ins: int = 12, *more: Any) -> Callable[[], Any]:
        return lambda: nn.Sequential(
            nn.Linear(ins, 24), activation, nn.Linear(24, 12), activation, *more, nn.Linear(12, 1)
        )

    flat = (12,)
    yield module("mlp-relu", "SOC", mlp(nn.ReLU()), flat)
    yield module("mlp-tanh", "SOC", mlp(nn.Tanh()), flat)
    yield module(
        "mlp-sigmoid-output",
        "SOC",
        lambda: nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 1), nn.Sigmoid()),
        flat,
    )
    yield module("mlp-leaky", "SOH", mlp(nn.LeakyReLU(0.1)), flat)
    yield module("mlp-elu", "SOH", mlp(nn.ELU()), flat)
    yield module("mlp-silu", "SOH", mlp(nn.SiLU()), flat)
    yield module("mlp-gelu", "RUL", mlp(nn.GELU()), flat)
    yield module("mlp-hardswish", "RUL", mlp(nn.Hardswish()), flat)
    yield module(
        "mlp-softplus-output",
        "RUL",
        lambda: nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 1), nn.Softplus()),
        flat,
    )
    yield module("mlp-prelu", "temperature", mlp(nn.PReLU()), flat)
    yield module(
        "mlp-batchnorm-dropout",
        "SOH",
        lambda: nn.Sequential(nn.Linear(12, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Dropout(0.2), nn.Linear(24, 1)),
        flat,
    )
    yield module(
        "mlp-batchnorm-after-relu",
        "SOH",
        lambda: nn.Sequential(nn.BatchNorm1d(12), nn.Linear(12, 24), nn.ReLU(), nn.BatchNorm1d(24), nn.Linear(24, 1)),
        flat,
    )
    yield module("mlp-layernorm", "SOH", mlp(nn.ReLU(), 12, nn.LayerNorm(12)), flat, "use batch normalization")
    yield module(
        "autoencoder",
        "anomaly",
        lambda: nn.Sequential(
            nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 3), nn.ReLU(), nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 12)
        ),
        flat,
    )
    yield module(
        "classifier-softmax",
        "anomaly",
        lambda: nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3), nn.Softmax(1)),
        flat,
        "end before it",
    )
    yield module("normalized-inside", "SOC", Normalized)
    yield module("lstm", "SOC", Recurrent)
    yield module("lstm-two-layers", "SOC", lambda: Recurrent(num_layers=2, dropout=0.1))
    yield module("lstm-final-state", "SOH", lambda: Recurrent(last="hidden"))
    yield module("lstm-every-step", "SOC", lambda: Recurrent(last="all"))
    yield module("lstm-mean", "temperature", lambda: Recurrent(last="mean"))
    yield module("lstm-bidirectional", "SOC", lambda: Recurrent(bidirectional=True), refused="no later steps")
    yield module("gru", "SOC", lambda: Recurrent("GRU"))
    yield module("rnn", "SOC", lambda: Recurrent("RNN"), refused="use an LSTM")
    yield module("cnn-lstm", "SOH", ConvLstm)
    yield module(
        "cnn-flatten",
        "SOH",
        lambda: ConvNet(
            nn.Conv1d(COLUMNS, 8, 3),
            nn.ReLU(),
            nn.MaxPool1d(2),
            nn.Conv1d(8, 8, 3),
            nn.ReLU(),
            nn.Flatten(),
            head=nn.Linear(56, 1),
        ),
    )
    yield module(
        "cnn-channels-first",
        "SOH",
        lambda: ConvNet(
            nn.Conv1d(COLUMNS, 8, 3, padding="same"),
            nn.BatchNorm1d(8),
            nn.ReLU(),
            nn.AdaptiveAvgPool1d(1),
            nn.Flatten(),
            head=nn.Linear(8, 1),
            transpose=False,
        ),
        (COLUMNS, STEPS),
    )
    yield module(
        "cnn-strided-depthwise",
        "RUL",
        lambda: ConvNet(
            nn.Conv1d(COLUMNS, 8, 3, stride=2),
            nn.ReLU6(),
            nn.Conv1d(8, 8, 3, groups=8),
            nn.Conv1d(8, 12, 1),
            nn.ReLU(),
            nn.AvgPool1d(2),
            nn.Flatten(),
            head=nn.Linear(36, 1),
        ),
    )
    yield module(
        "cnn-batchnorm-after-relu-padded",
        "SOH",
        lambda: ConvNet(
            nn.Conv1d(COLUMNS, 8, 3, padding=1),
            nn.ReLU(),
            nn.BatchNorm1d(8),
            nn.Conv1d(8, 8, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveMaxPool1d(1),
            nn.Flatten(),
            head=nn.Linear(8, 1),
        ),
    )
    yield module(
        "tcn",
        "SOC",
        lambda: ConvNet(Chomp(COLUMNS, 8, 1), Chomp(8, 8, 2), Chomp(8, 8, 4), nn.Flatten(), head=nn.Linear(160, 1)),
    )
    yield module("two-branches", "temperature", TwoBranches)
    yield module("attention", "RUL", Attention, refused="multiplies two layers")


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
    yield model(
        "bidirectional", "SOC", stacked(lambda: layers.Bidirectional(layers.LSTM(8)), dense), refused="no later steps"
    )
    yield model(
        "lambda", "SOC", stacked(lambda: layers.Lambda(lambda x: x * 2), layers.Flatten, dense), refused="never run"
    )


def entries() -> list[Entry]:
    """All whose framework is installed."""
    makers = (("torch", torch_entries), ("onnxruntime", onnx_entries), ("keras", keras_entries))
    return [entry for package, make in makers if importlib.util.find_spec(package) for entry in make()]


def pt2_of(module: Any, windows: Any) -> bytes:
    """A module as the content of a ``.pt2`` file."""
    import torch

    content = io.BytesIO()
    torch.export.save(torch.export.export(module, (torch.from_numpy(windows[:2]),)), content)
    return content.getvalue()


def scratch() -> Any:
    """A folder that goes."""
    return tempfile.TemporaryDirectory(prefix="edgebat-gallery-")
