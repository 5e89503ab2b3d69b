"""Networks with several outputs: read as torch and ONNX Runtime run them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

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


class Heads(nn.Module):
    """SOC beside two numbers of another branch, as ``form`` makes of both."""

    def __init__(self, form: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.gru, self.hidden = nn.GRU(COLUMNS, 8, batch_first=True), nn.Linear(8, 6)
        self.soc, self.range, self.form = nn.Linear(8, 1), nn.Linear(6, 2), form

    def forward(self, x: torch.Tensor) -> Any:
        last = self.gru(x)[0][:, -1]
        return self.form(self.soc(last), self.range(torch.relu(self.hidden(last))))


def windows(count: int = 200) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, STEPS, COLUMNS)).astype(np.float32)


FORMS: dict[str, tuple[Callable[[Any, Any], Any], tuple[str, ...]]] = {
    "tuple": (lambda a, b: (a, b), ("y0", "y1", "y2")),
    "list": (lambda a, b: [a, b], ("y0", "y1", "y2")),
    "dictionary": (lambda a, b: {"soc": a, "range": b}, ("soc", "range0", "range1")),
    "without an axis": (lambda a, b: {"soc": a.squeeze(-1), "range": b}, ("soc", "range0", "range1")),
    "names in C": (lambda a, b: {"soc/%": a, "range (min)": b}, ("soc", "range_min0", "range_min1")),
    "names of other functions in C": (lambda a, b: {"head": a, "range": b}, ("head_out", "range0", "range1")),
    "an activation": (lambda a, b: (a, nn.functional.softplus(b)), ("y0", "y1", "y2")),
}


@pytest.mark.parametrize("form", FORMS)
def test_several_outputs_of_a_module_stand_beside_each_other(form: str) -> None:
    make, names = FORMS[form]
    net, x = Heads(make).eval(), windows()
    with torch.no_grad():
        said = net(torch.from_numpy(x))
    parts = list(said.values()) if isinstance(said, dict) else list(said)
    wanted = np.concatenate([part.numpy().reshape(len(x), -1) for part in parts], axis=1)
    network = read_network(net, x)
    np.testing.assert_allclose(network.forward(network.windows(x)), wanted, atol=1e-6)
    found = eb.quantize(net, x)
    assert tuple(found.predict(x[:2])) == names


@pytest.mark.parametrize("form", ["dictionary", "an activation"])
def test_several_outputs_are_equal_in_every_engine(form: str) -> None:
    graph = eb.quantize(Heads(FORMS[form][0]), windows()).graph
    require_equal(verify_model(graph, random_inputs(graph, 20)))


def test_heads_that_are_layers_become_one_int16_head() -> None:
    """Beside each other as int8 layers they would have 256 steps each."""
    net, x = Heads(lambda a, b: (a, b)).eval(), windows()
    found = eb.quantize(net, x)
    last = found.graph.nodes[-1]
    assert found.graph.tensors[last.output].dtype == "int16"
    with torch.no_grad():
        one = Heads(lambda a, b: a).eval()
    alone = eb.quantize(one, x)
    assert found.errors[0].rms < 1.5 * alone.errors[0].rms


def test_units_go_to_each_number_by_name() -> None:
    found = eb.quantize(
        Heads(lambda a, b: (a, b)), windows(), outputs={"soc": "0.001", "low": "0.01 V", "high": "0.01 V"}
    )
    assert [one.output for one in found.errors] == ["soc", "low", "high"]


def test_onnx_outputs_keep_their_names(tmp_path: Path) -> None:
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper, save

    rng, path, x = np.random.default_rng(0), tmp_path / "heads.onnx", windows().reshape(-1, STEPS * COLUMNS)
    sizes = {"w": (STEPS * COLUMNS, 8), "soc_w": (8, 1), "range_w": (8, 2)}
    nodes = [("w", "x", "h"), ("soc_w", "a", "soc"), ("range_w", "a", "range")]
    graph = helper.make_graph(
        [helper.make_node("MatMul", [source, weight], [made]) for weight, source, made in nodes[:1]]
        + [helper.make_node("Relu", ["h"], ["a"])]
        + [helper.make_node("MatMul", [source, weight], [made]) for weight, source, made in nodes[1:]],
        "heads",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", STEPS * COLUMNS])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", sizes[f"{name}_w"][1]])
            for name in ("soc", "range")
        ],
        [numpy_helper.from_array(rng.normal(size=size).astype(np.float32), name) for name, size in sizes.items()],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    wanted = np.concatenate(onnxruntime.InferenceSession(path).run(None, {"x": x}), axis=1)
    network = read_network(path, x)
    assert network.output_names == ("soc", "range0", "range1")
    np.testing.assert_allclose(network.forward(network.windows(x)), wanted, atol=1e-4)


def test_two_sequences_are_refused() -> None:
    net = Heads(lambda a, b: (a, b))
    net.form = lambda a, b: (a.unsqueeze(1).expand(-1, 1, 1), b)  # type: ignore[assignment]
    with pytest.raises(ModelFileError, match="expand"):
        eb.quantize(net, windows())

    class Sequences(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru = nn.GRU(COLUMNS, 4, batch_first=True)

        def forward(self, x: torch.Tensor) -> Any:
            y = self.gru(x)[0]
            return y, y[:, -1]

    with pytest.raises(ModelFileError, match=r"several vectors \[N, F\]. Export one"):
        eb.quantize(Sequences(), windows())


def test_several_inputs_are_refused_with_what_to_do() -> None:
    class Two(nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return a + b

    import io

    from edgebat.networks.torch import read_pt2

    content = io.BytesIO()
    torch.export.save(torch.export.export(Two(), (torch.zeros(2, 3), torch.zeros(2, 3))), content)
    with pytest.raises(ModelFileError, match="2 inputs; a device fills one window"):
        read_pt2(content.getvalue(), "two", "two")


def test_cells_in_a_loop_are_led_to_the_layer() -> None:
    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.head = nn.GRUCell(COLUMNS, 4), nn.Linear(4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = x.new_zeros(x.shape[0], 4)
            for t in range(x.shape[1]):
                h = self.cell(x[:, t], h)
            return self.head(h)

    with pytest.raises(ModelFileError, match="for a loop over time steps: use the recurrent layer"):
        read_network(Loop(), windows())
