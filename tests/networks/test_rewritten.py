"""Plain recurrent layers and LSTM with a projection: read as torch and ONNX Runtime run them, on layers of the graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import edgebat as eb
from edgebat.errors import ModelFileError
from edgebat.networks.read import read_network
from edgebat.verify.equality import require_equal, verify_model
from edgebat.verify.inputs import random_inputs

STEPS, COLUMNS = 12, 3


class Last(nn.Module):
    """A recurrent layer, and a dense one behind its last step, its sequence's mean, or its final states."""

    def __init__(self, layer: nn.Module, width: int, take: str = "last") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.head, self.take = layer, nn.Linear(width, 2), take

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, state = self.layer(x)
        hidden = state[0] if isinstance(state, tuple) else state
        taken = {"last": y[:, -1], "mean": y.mean(1), "states": torch.cat([hidden[-2], hidden[-1]], -1) if len(hidden) > 1
                 else hidden[-1]}  # fmt: skip
        return self.head(taken[self.take])


def windows(count: int = 200) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, STEPS, COLUMNS)).astype(np.float32)


def nets() -> dict[str, nn.Module]:
    torch.manual_seed(1)
    both = {"batch_first": True, "bidirectional": True}
    return {
        "plain": Last(nn.RNN(COLUMNS, 6, batch_first=True), 6),
        "plain, two layers": Last(nn.RNN(COLUMNS, 6, 2, batch_first=True), 6, "mean"),
        "plain, without bias": Last(nn.RNN(COLUMNS, 6, batch_first=True, bias=False), 6, "states"),
        "plain, both directions": Last(nn.RNN(COLUMNS, 5, **both), 10, "states"),
        "projected": Last(nn.LSTM(COLUMNS, 8, proj_size=3, batch_first=True), 3),
        "projected, two layers": Last(nn.LSTM(COLUMNS, 8, 2, proj_size=3, batch_first=True), 3, "mean"),
        "projected, without bias": Last(nn.LSTM(COLUMNS, 8, proj_size=3, batch_first=True, bias=False), 3, "states"),
        "projected, both directions": Last(nn.LSTM(COLUMNS, 8, proj_size=3, **both), 6, "states"),
    }


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("name", nets())
def test_a_layer_of_torch_gives_its_numbers(name: str) -> None:
    net, x = nets()[name].eval(), windows(50)
    with torch.no_grad():
        wanted = net(torch.from_numpy(x)).numpy()
    network = read_network(net, x)
    np.testing.assert_allclose(network.forward(network.windows(x)), wanted, atol=1e-5)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("name", ["plain", "projected"])
def test_its_int8_form_is_close_and_equal_in_every_engine(name: str) -> None:
    found = eb.quantize(nets()[name].eval(), windows())
    assert all(error.rms < 0.1 * error.spread for error in found.errors)
    require_equal(verify_model(found.graph, random_inputs(found.graph, 20)))


def onnx_rnn(path: Path, **attributes: object) -> Path:
    from onnx import TensorProto, helper, numpy_helper, save

    rng, directions, units = np.random.default_rng(0), 1, 5
    arrays = {"w": rng.normal(size=(directions, units, COLUMNS)), "r": rng.normal(size=(directions, units, units)) / 3,
              "b": rng.normal(size=(directions, 2 * units)), "g": rng.normal(size=(units, 2))}  # fmt: skip
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        helper.make_node("RNN", ["t", "w", "r", "b"], ["", "h"], hidden_size=units, **attributes),
        helper.make_node("Squeeze", ["h", "zero"], ["v"]),
        helper.make_node("MatMul", ["v", "g"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "rnn", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", STEPS, COLUMNS])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(np.array([0]), "zero"),
         *(numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items())],
    )  # fmt: skip
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_an_rnn_of_onnx_gives_its_numbers(direction: str, tmp_path: Path) -> None:
    import onnxruntime

    path, x = onnx_rnn(tmp_path / "rnn.onnx", direction=direction), windows(50)
    wanted = onnxruntime.InferenceSession(path).run(None, {"x": x})[0]
    network = read_network(path, x)
    np.testing.assert_allclose(network.forward(network.windows(x)), wanted, atol=1e-5)


def test_plain_layers_with_relu_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="those with tanh are read"):
        read_network(Last(nn.RNN(COLUMNS, 4, batch_first=True, nonlinearity="relu"), 4), windows(2))
    with pytest.raises(ModelFileError, match=r"allowed: no clip, \['Tanh'\]"):
        read_network(onnx_rnn(tmp_path / "relu.onnx", activations=["Relu"]), windows(2))
