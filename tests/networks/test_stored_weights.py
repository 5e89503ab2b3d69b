"""Weights stored as something else, and other constants that a file computes, as torch and ONNX Runtime run them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from edgebat.errors import ModelFileError
from edgebat.networks.read import read_network

STEPS, COLUMNS = 12, 3


def windows(count: int = 50) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, STEPS, COLUMNS)).astype(np.float32)


def conv_of(make: Callable[[nn.Module], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(make(nn.Conv1d(COLUMNS, 6, 3)), nn.ReLU(), nn.Flatten(), make(nn.Linear(6 * (STEPS - 2), 2)))


STORED: dict[str, Callable[[nn.Module], nn.Module]] = {
    "weight_norm": parametrizations.weight_norm,
    "weight_norm of columns": lambda layer: parametrizations.weight_norm(layer, dim=1),
    "weight_norm of a whole": lambda layer: parametrizations.weight_norm(layer, dim=None),
    "spectral_norm": parametrizations.spectral_norm,
}


@pytest.mark.parametrize("stored", STORED)
def test_weights_in_two_parts_are_what_torch_makes_of_them(stored: str) -> None:
    net, x = conv_of(STORED[stored]).eval(), windows().swapaxes(1, 2).copy()
    with torch.no_grad():
        wanted = net(torch.from_numpy(x)).numpy()
    network = read_network(net, x)
    np.testing.assert_allclose(network.forward(network.windows(x)), wanted, atol=1e-6)


def test_a_recurrent_layer_of_normed_weights() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.lstm = parametrizations.weight_norm(nn.LSTM(COLUMNS, 5, batch_first=True), "weight_hh_l0")
            self.head = nn.Linear(5, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.lstm(x)[0][:, -1])

    net, x = Net().eval(), windows()
    with torch.no_grad():
        wanted = net(torch.from_numpy(x)).numpy()
    network = read_network(net, x)
    np.testing.assert_allclose(network.forward(network.windows(x)), wanted, atol=1e-6)


def test_a_direction_of_length_zero_is_refused() -> None:
    net = conv_of(parametrizations.weight_norm)
    with torch.no_grad():
        net[0].parametrizations.weight.original1.zero_()  # type: ignore[union-attr,index]
    with pytest.raises(ModelFileError, match="a direction of length 0"):
        read_network(net, windows().swapaxes(1, 2).copy())


def onnx_of(
    path: Path, nodes: list[tuple[str, list[str], str, dict[str, object]]], arrays: dict[str, np.ndarray]
) -> Path:
    """A file [N, 6] -> [N, 2] of ``nodes`` (operator, inputs, output, attributes)."""
    from onnx import TensorProto, helper, numpy_helper, save

    graph = helper.make_graph(
        [helper.make_node(op, inputs, [made], **attributes) for op, inputs, made, attributes in nodes],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_weights_in_two_parts_in_onnx(tmp_path: Path) -> None:
    """As torch writes ``weight_norm``, with constant folding too."""
    import onnxruntime

    rng, x = np.random.default_rng(0), windows().reshape(-1, 6)
    nodes: list[tuple[str, list[str], str, dict[str, object]]] = [
        ("ReduceL2", ["v"], "length", {"axes": [1], "keepdims": 1}),
        ("Div", ["v", "length"], "unit", {}),
        ("Mul", ["unit", "g"], "w", {}),
        ("Gemm", ["x", "w", "b"], "y", {"transB": 1}),
    ]
    arrays = {"v": rng.normal(size=(2, 6)), "g": rng.normal(size=(2, 1)), "b": rng.normal(size=2)}
    path = onnx_of(tmp_path / "net.onnx", nodes, {name: array.astype(np.float32) for name, array in arrays.items()})
    wanted = onnxruntime.InferenceSession(path).run(None, {"x": x})[0]
    network = read_network(path, x)
    np.testing.assert_allclose(network.forward(network.windows(x)), wanted, atol=1e-6)


@pytest.mark.parametrize("operator", ["ConstantOfShape", "Expand"])
def test_a_constant_that_claims_too_much_is_refused_before_it_is_made(operator: str, tmp_path: Path) -> None:
    inputs = ["size"] if operator == "ConstantOfShape" else ["one", "size"]
    arrays = {"size": np.array([1 << 20, 1 << 20]), "one": np.ones((1, 1), np.float32)}
    path = onnx_of(tmp_path / "net.onnx", [(operator, inputs, "w", {}), ("MatMul", ["x", "w"], "y", {})], arrays)
    with pytest.raises(ModelFileError, match=rf"{operator} .*it makes \[1048576, 1048576\]"):
        read_network(path, windows().reshape(-1, 6))
