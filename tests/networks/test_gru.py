"""A user's GRU, from torch and from ONNX, as integers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebat.errors import ModelFileError
from edgebat.graph import Gru
from edgebat.networks.onnx import float_onnx
from edgebat.networks.quantize import Sets, quantize
from edgebat.runtime import Engine
from edgebat.verify.equality import verify_model
from edgebat.verify.inputs import random_inputs

torch = pytest.importorskip("torch")


class Regressor(torch.nn.Module):  # type: ignore[misc, name-defined]
    """A convolution, two GRU layers, a head: as tutorials write it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv1d(4, 6, 3, padding=1)
        self.gru = torch.nn.GRU(6, 8, num_layers=2, batch_first=True)
        self.head = torch.nn.Linear(8, 2)

    def forward(self, x: Any) -> Any:
        features = torch.relu(self.conv(x.transpose(1, 2))).transpose(1, 2)
        _, final = self.gru(features)
        return self.head(final[-1])


def windows(count: int = 200) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.cumsum(rng.normal(0, 0.3, (count, 20, 4)), axis=1).astype(np.float32)


def test_a_torch_gru_keeps_its_answers() -> None:
    torch.manual_seed(1)
    network = Regressor().eval()
    result = quantize(network, Sets(windows()))
    layers = [node for node in result.graph.nodes if isinstance(node, Gru)]
    assert [node.bias.shape[1] for node in layers] == [8, 8]
    assert all(node.reset_after for node in layers)
    for error in result.errors:
        assert error.rms < 0.05 * error.spread


@pytest.mark.parametrize("linear_before_reset", [0, 1])
def test_an_onnx_gru_is_read_in_both_forms_and_runs_everywhere(linear_before_reset: int, tmp_path: Path) -> None:
    onnx, ort = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    content = onnx_gru(onnx, linear_before_reset)
    x = windows(100)
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    network = float_onnx(content, x, "gru.onnx", "gru")
    np.testing.assert_allclose(network.forward(network.windows(x)), session.run(None, {"x": x})[0], atol=1e-5)
    path = tmp_path / "gru.onnx"
    path.write_bytes(content)
    graph = quantize(path, Sets(x)).graph
    layer = next(node for node in graph.nodes if isinstance(node, Gru))
    assert layer.reset_after == bool(linear_before_reset)
    rows = verify_model(graph, random_inputs(graph, 20))
    assert [row for row in rows if not row.passed] == []
    assert Engine(graph).stateful


def onnx_gru(onnx: Any, linear_before_reset: int, **more: Any) -> bytes:
    """[1, 20, 4] -> transposed -> GRU of 6 units -> last state -> Gemm of 2 outputs."""
    rng, h, form = np.random.default_rng(2), onnx.helper, {"linear_before_reset": linear_before_reset, **more}
    arrays = {
        "w": rng.normal(0, 0.5, (1, 18, 4)), "r": rng.normal(0, 0.4, (1, 18, 6)), "b": rng.normal(0, 0.3, (1, 36)),
        "hw": rng.normal(0, 0.4, (2, 6)), "hb": rng.normal(0, 0.3, 2), "zero": np.zeros(1),
    }  # fmt: skip
    nodes = [
        h.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        h.make_node("GRU", ["t", "w", "r", "b"], ["", "last"], hidden_size=6, **form),
        h.make_node("Squeeze", ["last", "axes"], ["flat"]),
        h.make_node("Gemm", ["flat", "hw", "hb"], ["y"], transB=1),
    ]  # fmt: skip
    constants = [
        onnx.numpy_helper.from_array(a.astype(np.float32), name) for name, a in arrays.items() if name != "zero"
    ]
    constants.append(onnx.numpy_helper.from_array(np.array([0], np.int64), "axes"))
    ends = [h.make_tensor_value_info(name, 1, shape) for name, shape in (("x", ["N", 20, 4]), ("y", ["N", 2]))]
    graph = h.make_graph(nodes, "gru", ends[:1], ends[1:], constants)
    return h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8).SerializeToString()  # type: ignore[no-any-return]


def test_a_gru_with_a_clip_is_refused() -> None:
    onnx = pytest.importorskip("onnx")
    with pytest.raises(ModelFileError, match="it has a clip"):
        float_onnx(onnx_gru(onnx, 0, clip=3.0), windows(4), "gru.onnx", "gru")
