"""Users' networks with padded pooling, softmax at the end, float16 weights: read, quantized, equal in every engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgebat.errors import ModelFileError
from edgebat.formats.tflite.schema import PADDING
from edgebat.library import quantize
from edgebat.networks.ptq import quantize_network
from edgebat.networks.read import read_network
from edgebat.networks.tflite import float_tflite
from edgebat.verify.engines import ENGINES
from edgebat.verify.equality import require_equal, verify_model
from edgebat.verify.inputs import random_inputs
from tests.foreign_files import FileOfOthers

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

ON_HOST = [engine for engine in ENGINES if not engine.name.startswith("C on")]


def network(*layers: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(*layers).eval()


NETWORKS = {
    "softmax": (lambda: network(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3), nn.Softmax(-1)), (12,), "softmax"),
    "padded maximum": (
        lambda: network(nn.Conv1d(3, 6, 3), nn.ReLU(), nn.MaxPool1d(3, 2, padding=1), nn.Flatten(), nn.Linear(54, 1)),
        (3, 20),
        "pad1d",
    ),
    "incomplete last window": (
        lambda: network(nn.Conv1d(3, 6, 3), nn.MaxPool1d(4, ceil_mode=True), nn.Flatten(), nn.Linear(30, 1)),
        (3, 20),
        "pad1d",
    ),
    "average that counts zeros": (
        lambda: network(nn.Conv1d(3, 6, 3), nn.AvgPool1d(4, 2, padding=2), nn.Flatten(), nn.Linear(60, 1)),
        (3, 20),
        "depthwise_conv1d",
    ),
    "average padded as same": (
        lambda: network(
            nn.Conv1d(3, 6, 3), nn.AvgPool1d(3, 1, padding=1, count_include_pad=False), nn.Flatten(), nn.Linear(108, 1)
        ),
        (3, 20),
        "mean_pool1d",
    ),
}


def windows(shape: tuple[int, ...], count: int = 150) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, *shape)).astype(np.float32)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_near_its_float_form_and_equal_in_every_engine(name: str) -> None:
    make, shape, op = NETWORKS[name]
    module, x = make(), windows(shape)
    result = quantize(module, x)
    assert op in {node.op for node in result.graph.nodes}
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy().astype(float)
    network = read_network(module, x)
    np.testing.assert_allclose(network.forward(network.windows(x)), expected, atol=1e-5)
    assert result.errors[0].rms < 0.03 * expected.std()
    require_equal(verify_model(result.graph, random_inputs(result.graph, 40, 1), table=ON_HOST))


@pytest.mark.parametrize("name", ["padded maximum", "average padded as same"])
def test_the_layers_before_a_padded_pooling_learn_with_the_integers(name: str) -> None:
    from edgebat.networks.qat import train

    make, shape, _ = NETWORKS[name]
    module, x = make(), windows(shape, 60)
    with torch.no_grad():
        labels = module(torch.from_numpy(x)).numpy()
    network = read_network(module, x)
    found = quantize_network(network, network.windows(x))
    graph, report = train(found, network.windows(x), labels, epochs=2)
    assert "quantization-aware training" in report
    assert [node.op for node in graph.nodes] == [node.op for node in found.graph.nodes]


def test_an_average_that_no_tflite_pools_alike_is_refused_with_what_to_do() -> None:
    module = network(nn.AvgPool1d(3, 2, padding=1, count_include_pad=False), nn.Flatten(), nn.Linear(30, 1))
    with pytest.raises(ModelFileError, match=r"TFLite does for \(0, 1\) only .*count_include_pad=True"):
        quantize(module, windows((3, 20)))


def test_pooling_padded_as_same_and_a_softmax_are_read_from_a_float_tflite() -> None:
    file = FileOfOthers()
    x = file.tensor("x", (1, 1, 9, 2), "float32")
    pooled, mean, y = (file.tensor(name, (1, 1, 5, 2), "float32") for name in ("pooled", "mean", "y"))
    window = {"padding": PADDING["same"], "stride_w": 2, "stride_h": 1, "filter_w": 4, "filter_h": 1, "activation": 0}
    file.operator("MAX_POOL_2D", 1, [x], pooled, "Pool2DOptions", window)
    file.operator("AVERAGE_POOL_2D", 1, [pooled], mean, "Pool2DOptions", window | {"stride_w": 1})
    file.operator("SOFTMAX", 1, [mean], y, "SoftmaxOptions", {"beta": 1.0})
    network = float_tflite(file.bytes([x], y), "drawn", "drawn")
    windows = np.random.default_rng(3).normal(size=(4, 9, 2))
    maxima = np.stack([windows[:, max(t - 1, 0) : t + 3].max(axis=1) for t in range(0, 9, 2)], axis=1)
    means = np.stack([maxima[:, max(t - 1, 0) : t + 3].mean(axis=1) for t in range(5)], axis=1)
    raised = np.exp(means)
    np.testing.assert_allclose(network.forward(windows), raised / raised.sum(axis=-1, keepdims=True), atol=1e-12)


def test_float16_weights_are_read_as_they_are(tmp_path: Path) -> None:
    file, weight = FileOfOthers(), np.random.default_rng(1).normal(size=(3, 4)).astype(np.float16)
    x = file.tensor("x", (1, 4), "float32")
    half = file.tensor("half", (3, 4), "float16", data=weight)
    wide, y = file.tensor("wide", (3, 4), "float32"), file.tensor("y", (1, 3), "float32")
    file.operator("DEQUANTIZE", 2, [half], wide, "DequantizeOptions")
    file.operator("FULLY_CONNECTED", 1, [x, wide, -1], y, "FullyConnectedOptions", {"activation": 0})
    network = float_tflite(file.bytes([x], y), "half", "half")
    windows = np.random.default_rng(2).normal(size=(5, 4))
    np.testing.assert_allclose(network.forward(windows), windows @ weight.astype(np.float64).T, atol=1e-12)
