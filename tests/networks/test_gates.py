"""Users' networks that multiply layers: squeeze and excitation, gated convolutions, gates of time steps, GLU."""

from __future__ import annotations

import numpy as np
import pytest

from edgebat.errors import ModelFileError
from edgebat.library import quantize
from edgebat.networks.ptq import quantize_network
from edgebat.networks.read import read_network
from edgebat.verify.engines import ENGINES
from edgebat.verify.equality import require_equal, verify_model
from edgebat.verify.inputs import random_inputs

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

ON_HOST = [engine for engine in ENGINES if not engine.name.startswith("C on")]


class Gated(nn.Module):
    """A convolution, and what it is multiplied with."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.kind = kind
        self.body = nn.Conv1d(3, 8, 3, padding=1)
        self.gate = {
            "channels": nn.Linear(8, 8),
            "steps": nn.Conv1d(8, 1, 1),
            "equal": nn.Conv1d(3, 8, 3, padding=1),
        }.get(kind)
        self.head = nn.Linear(4 if kind == "glu" else 8, 1)
        self.eval()

    def forward(self, x: object) -> object:
        y = self.body(x)
        match self.kind:
            case "channels":
                y = torch.relu(y)
                y = y * torch.sigmoid(self.gate(y.mean(-1))).unsqueeze(-1)
            case "steps":
                y = torch.relu(y)
                y = torch.sigmoid(self.gate(y)) * y
            case "equal":
                y = torch.tanh(y) * torch.sigmoid(self.gate(x))
            case "glu":
                y = nn.functional.glu(y, 1)
        return self.head(y.mean(-1))


def windows(count: int = 150) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, 3, 20)).astype(np.float32)


@pytest.mark.parametrize("kind", ["channels", "steps", "equal", "glu"])
def test_a_gated_network_becomes_one_product_equal_in_every_engine(kind: str) -> None:
    net, x = Gated(kind), windows()
    result = quantize(net, x)
    assert [node.op for node in result.graph.nodes].count("mul") == 1
    assert all(layer["fallbacks"] == 0 for layer in result.graph.meta["quantization"]["layers"])
    with torch.no_grad():
        expected = net(torch.from_numpy(x)).numpy().astype(float)
    network = read_network(net, x)
    np.testing.assert_allclose(network.forward(network.windows(x)), expected, atol=1e-5)
    assert result.errors[0].rms < 0.05 * expected.std()
    require_equal(verify_model(result.graph, random_inputs(result.graph, 40, 1), table=ON_HOST))


@pytest.mark.parametrize("kind", ["channels", "steps"])
def test_what_a_gate_multiplies_learns_with_the_integers(kind: str) -> None:
    from edgebat.networks.qat import train

    net, x = Gated(kind), windows(60)
    with torch.no_grad():
        labels = net(torch.from_numpy(x)).numpy()
    network = read_network(net, x)
    found = quantize_network(network, network.windows(x))
    graph, report = train(found, network.windows(x), labels, epochs=2)
    assert "quantization-aware training" in report
    assert [node.op for node in graph.nodes] == [node.op for node in found.graph.nodes]


class Crossed(nn.Module):
    """A vector times a sequence whose axes do not meet."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.gate, self.head = nn.Conv1d(3, 8, 1), nn.Linear(8, 8), nn.Linear(8, 1)

    def forward(self, x: object) -> object:
        y = torch.relu(self.body(x))
        return self.head((y * self.gate(y.mean(-1)).unsqueeze(1)[:, :, :1]).mean(-1))


def test_a_product_that_is_no_gate_is_refused_with_what_is_allowed() -> None:
    with pytest.raises(ModelFileError, match=r"it (multiplies|takes position)"):
        quantize(Crossed().eval(), windows(20))
