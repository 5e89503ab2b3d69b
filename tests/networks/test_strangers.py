"""Networks that would be computed wrongly are refused in one sentence; what only looks like them is read exactly."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from edgebat.errors import ModelFileError
from edgebat.networks.layers import FloatNetwork
from edgebat.networks.onnx import float_onnx
from edgebat.networks.read import read_network
from edgebat.networks.tflite import read_float_tflite
from edgebat.networks.torch import read_pt2
from tests.networks_by_hand import FloatFile

T, C = 6, 4
Forward = Callable[[Any, torch.Tensor], Any]


class Net(nn.Module):
    """``forward`` with a dense layer C -> 5, one C -> 5, a convolution and an LSTM at hand."""

    def __init__(self, forward: Forward) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(C, 5), nn.Linear(C, 5)
        self.conv, self.lstm = nn.Conv1d(C, 5, 3), nn.LSTM(C, 5, batch_first=True)
        self.run = forward

    def forward(self, x: torch.Tensor) -> Any:
        return self.run(self, x)


def of_file(net: Net, windows: int | None, shape: tuple[int, ...] = (T, C)) -> FloatNetwork:
    """Read from a file of torch.export with so many windows, None for any number."""
    sizes = ({0: torch.export.Dim("n")},) if windows is None else None
    program = torch.export.export(net.eval(), (torch.zeros(windows or 2, *shape),), dynamic_shapes=sizes)
    content = io.BytesIO()
    torch.export.save(program, content)
    return read_pt2(content.getvalue(), "net.pt2", "net")


REFUSED: dict[str, tuple[Forward, str]] = {
    "an outer sum": (lambda net, x: (net.a(x[:, -1])[:, None] + net.b(x[:, -1])[..., None]).mean(1), "equal shape"),
    "an outer product": (lambda net, x: (net.a(x[:, -1])[:, None] * net.b(x[:, -1])[..., None]).mean(1), "equal shape"),
    "padding, then an offset": (lambda net, x: net.conv(F.pad(x.mT, (2, 0)) - 1.0).mean(2), "adds to a padded sequence"),
    "a part of a padded sequence": (lambda net, x: net.conv(F.pad(x.mT, (2, 0))[..., :T]).mean(2), "padded sequence"),
    "integers": (lambda net, x: net.a(x[:, -1]).int().float(), "makes integers"),
    "dropout that stays": (lambda net, x: F.dropout(net.a(x[:, -1])), "evaluation mode"),
    "rounded division": (lambda net, x: torch.div(net.a(x[:, -1]), 2.0, rounding_mode="floor"), "rounding_mode"),
    "exponents": (lambda net, x: net.a(x[:, -1]) ** torch.full((5,), 2.0), "exponent"),
    "limits": (lambda net, x: torch.clamp(net.a(x[:, -1]), torch.zeros(5), torch.ones(5)), "several values"),
    "weights of a layer": (lambda net, x: F.conv1d(net.a(x).mT, net.conv(x.mT)), "constants"),
    "the cell state": (lambda net, x: net.lstm(x)[1][1][-1], "cell state"),
    "places of a maximum": (lambda net, x: net.a(x).max(1)[1].float(), "places of a maximum"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_module_that_is_something_else_than_it_looks_like_is_refused(name: str) -> None:
    forward, reason = REFUSED[name]
    with pytest.raises(ModelFileError, match=reason):
        read_network(Net(forward).eval(), np.zeros((3, T, C)))


EXACT: dict[str, Forward] = {
    "a mean with a type": lambda net, x: net.a(torch.mean(x, dim=1, dtype=torch.float32)),
    "a constant less a layer": lambda net, x: torch.rsub(torch.ones(5), net.a(x[:, -1]), alpha=2),
    "a softplus that ends early": lambda net, x: F.softplus(net.a(x[:, -1]), 2.0, 0.3),
    "celu": lambda net, x: F.celu(net.a(x[:, -1]), 2.0),
    "padding times a factor": lambda net, x: net.conv(F.pad(x.mT, (2, 0)) * 2.0).mean(2),
    "float32 of float32": lambda net, x: net.a(x.float()[:, -1]).to(torch.float32),
    "nothing beside the output": lambda net, x: (net.a(x[:, -1]), None),
}


@pytest.mark.parametrize("name", EXACT)
def test_what_a_module_says_in_an_unusual_way_is_read_exactly(name: str) -> None:
    net = Net(EXACT[name]).eval()
    x = np.random.default_rng(0).normal(size=(3, T, C)).astype(np.float32)
    network = read_network(net, x)
    given = net(torch.from_numpy(x))
    expected = given[0] if isinstance(given, tuple) else given
    np.testing.assert_allclose(network.forward(network.windows(x)), expected.detach().numpy(), atol=1e-5)


def test_a_file_for_any_number_of_windows_may_ask_for_it_but_not_compute_with_it() -> None:
    read = of_file(Net(lambda net, x: net.a(x.mean(1)).reshape(x.shape[0], -1)), None)
    assert read.steps[-1].shape == (5,)
    with pytest.raises(ModelFileError, match="number of windows"):
        of_file(Net(lambda net, x: net.a(x.mean(1)) / x.shape[0]), None)


def test_a_file_of_one_window_keeps_its_batch() -> None:
    with pytest.raises(ModelFileError, match="keep the batch as the first axis"):
        of_file(Net(lambda net, x: net.a(x.squeeze(0)).mean(1)[None]), 1, (5, C))


def test_changes_in_place_that_something_else_sees_are_refused() -> None:
    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("seen", torch.zeros(1, C))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.seen.add_(1.0)
            return x[:, -1] + self.seen

    def seen(net: Any, x: torch.Tensor) -> torch.Tensor:
        whole = net.a(x)
        last = whole[:, -1]
        whole.mul_(2)
        return torch.relu(last)

    def unseen(net: Any, x: torch.Tensor) -> torch.Tensor:
        return net.a(x[:, -1]).mul_(2).relu_()

    for module, reason in ((Counts(), "state between windows"), (Net(seen), "'select' is a part of")):
        with pytest.raises(ModelFileError, match=reason):
            read_network(module.eval(), np.zeros((3, T, C)))
    assert read_network(Net(unseen).eval(), np.zeros((3, T, C))).steps


def test_an_input_that_is_read_as_a_vector_and_as_a_sequence_is_refused() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.conv = nn.Linear(T, 5), nn.Conv1d(1, 5, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.a(x) + self.conv(x[:, None]).mean(2)

    with pytest.raises(ModelFileError, match=r"\[6\] and \[6, 1\]"):
        read_network(Both().eval(), np.zeros((3, T)))


def onnx_of(
    nodes: list[tuple[Any, ...]], constants: dict[str, Any], shape: list[Any] | None = None, opset: int = 17
) -> bytes:
    """A file with the input x and the output y; nodes: operator, inputs, outputs, attributes."""
    from onnx import helper, numpy_helper

    made = [helper.make_node(op, inputs, outputs, **(more[0] if more else {})) for op, inputs, outputs, *more in nodes]
    source, target = (
        helper.make_tensor_value_info("x", 1, shape or ["n", T, C]),
        helper.make_tensor_value_info("y", 1, None),
    )
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(made, "g", [source], [target], stored)
    return bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8).SerializeToString()
    )


W = np.random.default_rng(0).normal(size=(C, 5)).astype(np.float32)
LINEAR, MEAN = ("MatMul", ["x", "W"], ["a"]), ("ReduceMean", ["b"], ["y"], {"axes": [1], "keepdims": 0})
LSTM = {"w": np.ones((1, 20, C), np.float32), "r": np.ones((1, 20, 5), np.float32), "len": np.array([3], np.int32)}
READ_TO = ("LSTM", ["t", "w", "r", "", "len"], ["", "y"], {"hidden_size": 5})
SIZE = ("Gather", ["s", "zero"], ["d"], {"axis": 0})
IN_ONNX: dict[str, tuple[list[tuple[Any, ...]], dict[str, Any], dict[str, Any], str]] = {
    "the batch squeezed away": ([("Squeeze", ["x", "zero"], ["b"]), MEAN], {"zero": [0]}, {"shape": [1, T, C]}, "batch"),
    "integers": ([LINEAR, ("Cast", ["a"], ["b"], {"to": 6}), MEAN], {}, {}, "makes integers"),
    "exponents": ([LINEAR, ("Pow", ["a", "e"], ["b"]), MEAN], {"e": np.arange(5.0, dtype=np.float32)}, {}, "exponent"),
    "dropout that stays": ([LINEAR, ("Dropout", ["a", "", "on"], ["b"]), MEAN], {"on": True}, {}, "evaluation mode"),
    "a softmax over all that follows": (
        [LINEAR, ("Softmax", ["a"], ["b"], {"axis": 1}), MEAN], {}, {"opset": 11}, "version 13",
    ),
    "statistics of the batch": (
        [("BatchNormalization", ["x", "v", "v", "v", "v"], ["b"], {"training_mode": 1}), MEAN],
        {"v": np.ones(T, np.float32)}, {}, "evaluation mode",
    ),
    "shorter sequences": (
        [("Transpose", ["x"], ["t"], {"perm": [1, 0, 2]}), READ_TO],
        LSTM, {"shape": [1, T, C]}, "shorter than the window",
    ),
    "the number of windows": (
        [LINEAR, ("Shape", ["x"], ["s"]), SIZE, ("Cast", ["d"], ["f"], {"to": 1}), ("Div", ["a", "f"], ["b"]), MEAN],
        {"zero": 0}, {}, "number of windows",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", IN_ONNX)
def test_an_onnx_file_that_is_something_else_than_it_looks_like_is_refused(name: str) -> None:
    nodes, constants, more, reason = IN_ONNX[name]
    with pytest.raises(ModelFileError, match=reason):
        float_onnx(onnx_of(nodes, {"W": W, **constants}, **more), np.zeros((3, T, C)), "net.onnx", "net")


def test_constants_of_an_onnx_file_have_the_types_that_it_says() -> None:
    casts = [("Cast", ["three"], ["p"], {"to": 1}), ("Cast", ["two"], ["q"], {"to": 1}), ("Div", ["p", "q"], ["f"])]
    selu = [("Mul", ["a", "f"], ["m"]), ("Selu", ["m"], ["b"], {"alpha": 2.0, "gamma": 1.5}), MEAN]
    x = np.random.default_rng(0).normal(size=(3, T, C)).astype(np.float32)
    network = float_onnx(onnx_of([LINEAR, *casts, *selu], {"W": W, "three": 3, "two": 2}), x, "net.onnx", "net")
    a = x.astype(np.float64) @ W * 1.5
    expected = (1.5 * np.where(a > 0, a, 2.0 * np.expm1(np.minimum(a, 0.0)))).mean(axis=1)
    np.testing.assert_allclose(network.forward(network.windows(x)), expected, atol=1e-6)


def test_axes_of_a_tflite_tensor_that_has_lost_its_batch_are_not_counted(tmp_path: Path) -> None:
    file = FloatFile((4, 4))
    file.add("SQUEEZE", (4,), (), "SqueezeOptions", squeezeDims=[0])
    file.tensors[file.current].shape = np.array([4, 4], np.int32)
    file.add("MEAN", (4,), (file.constant(np.array([1], np.int32)),), "ReducerOptions", keepDims=True).dense(3)
    with pytest.raises(ModelFileError, match="lost its batch"):
        read_float_tflite(file.save(tmp_path / "net.tflite"))
