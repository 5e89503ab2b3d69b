"""Recurrent layers that read a window from its end, or from both ends: torch, ONNX and Keras, equal on all engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgebat.errors import GraphError, ModelFileError
from edgebat.graph import Reverse
from edgebat.networks.onnx import float_onnx
from edgebat.networks.quantize import Sets, quantize
from edgebat.networks.read import read_network
from edgebat.runtime import Engine
from edgebat.verify.equality import verify_model
from edgebat.verify.inputs import random_inputs

torch = pytest.importorskip("torch")
FORMS = ("sequence", "last step", "mean", "both states", "states turned", "state of one")


class BothWays(torch.nn.Module):  # type: ignore[misc, name-defined]
    """Two layers in both directions, and one of the forms in which tutorials read them."""

    def __init__(self, kind: str, form: str) -> None:
        super().__init__()
        self.rnn = getattr(torch.nn, kind)(3, 4, num_layers=2, batch_first=True, bidirectional=True)
        self.form, self.head = form, torch.nn.Linear(4 if form == "state of one" else 8, 2)

    def forward(self, x: Any) -> Any:
        sequence, final = self.rnn(x)
        hidden = final[0] if isinstance(final, tuple) else final
        match self.form:
            case "sequence":
                return self.head(sequence)
            case "last step":
                return self.head(sequence[:, -1])
            case "mean":
                return self.head(sequence.mean(1))
            case "both states":
                return self.head(torch.cat((hidden[-2], hidden[-1]), dim=1))
            case "states turned":
                return self.head(hidden[-2:].permute(1, 0, 2).reshape(-1, 8))
        return self.head(hidden[-1])


def windows(count: int = 120) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.cumsum(rng.normal(0, 0.3, (count, 10, 3)), axis=1).astype(np.float32)


@pytest.mark.parametrize(
    ("kind", "form"), [*(("LSTM", form) for form in FORMS), ("GRU", "sequence"), ("GRU", "states turned")]
)
def test_a_torch_layer_is_read_exactly_and_quantized_closely(kind: str, form: str) -> None:
    torch.manual_seed(1)
    network, x = BothWays(kind, form).eval(), windows()
    with torch.no_grad():
        wanted = network(torch.from_numpy(x)).numpy()
    read = read_network(network, x)
    np.testing.assert_allclose(read.forward(read.windows(x)).reshape(wanted.shape), wanted, atol=1e-5)
    result = quantize(network, Sets(x))
    for error in result.errors:
        # Untrained LSTMs move by little more than a step of their hidden state, 2**-7.
        assert error.rms < max(0.08 * error.spread, 2.0**-8)
    assert any("from their end" in remark for remark in result.remarks)


def test_all_engines_give_the_same_integers_and_whole_windows_only() -> None:
    torch.manual_seed(2)
    for kind in ("LSTM", "GRU"):
        graph = quantize(BothWays(kind, "both states"), Sets(windows())).graph
        assert sum(isinstance(node, Reverse) for node in graph.nodes) == 3
        rows = verify_model(graph, random_inputs(graph, 20))
        assert [row for row in rows if not row.passed] == []
        assert {"host C", "ONNX Runtime"} <= {row.engine for row in rows if not row.skipped and not row.mismatches}
        engine = Engine(graph)
        with pytest.raises(GraphError, match="whole windows"):
            engine.step(np.zeros((1, 3), np.int8), engine.initial_state())


def test_states_that_mix_windows_are_refused() -> None:
    class Mixed(BothWays):
        def forward(self, x: Any) -> Any:
            _, (hidden, _) = self.rnn(x)
            return self.head(hidden.reshape(-1, 8))

    with pytest.raises(ModelFileError, match=r"join them along features: torch\.cat"):
        quantize(Mixed("LSTM", "sequence"), Sets(windows()))


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("direction", ["bidirectional", "reverse"])
def test_an_onnx_layer_of_any_direction_equals_onnx_runtime(kind: str, direction: str) -> None:
    onnx, ort = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    for last in (False, True):
        content, x = onnx_model(onnx, kind, direction, last), windows(40)
        session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
        network = float_onnx(content, x, "both.onnx", "both")
        np.testing.assert_allclose(network.forward(network.windows(x)), session.run(None, {"x": x})[0], atol=1e-5)


def onnx_model(onnx: Any, kind: str, direction: str, last: bool) -> bytes:
    """[N, 10, 3] -> layer -> joined directions -> last step or, as exporters do for final states, Y_h -> Gemm."""
    rng, h, ways, gates = (
        np.random.default_rng(2),
        onnx.helper,
        2 if direction == "bidirectional" else 1,
        3 + (kind == "LSTM"),
    )
    arrays = {
        "w": rng.normal(0, 0.5, (ways, gates * 6, 3)), "r": rng.normal(0, 0.4, (ways, gates * 6, 6)),
        "b": rng.normal(0, 0.3, (ways, gates * 12)), "hw": rng.normal(0, 0.4, (2, 6 * ways)), "hb": rng.normal(0, 0.3, 2),
    }  # fmt: skip
    nodes = [
        h.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        h.make_node(kind, ["t", "w", "r", "b"], ["s", "final"], hidden_size=6, direction=direction),
    ]
    if last:
        nodes += [
            h.make_node("Transpose", ["final"], ["u"], perm=[1, 0, 2]),
            h.make_node("Reshape", ["u", "flat"], ["g"]),
        ]
    else:
        nodes += [
            h.make_node("Transpose", ["s"], ["p"], perm=[0, 2, 1, 3]),
            h.make_node("Reshape", ["p", "joined"], ["q"]),
            h.make_node("Transpose", ["q"], ["u"], perm=[1, 0, 2]),
            h.make_node("Gather", ["u", "at"], ["g"], axis=1),
        ]
    nodes.append(h.make_node("Gemm", ["g", "hw", "hb"], ["y"], transB=1))
    integers = {"flat": np.array([-1, 6 * ways]), "joined": np.array([0, 0, -1]), "at": np.array(-1)}
    constants = [onnx.numpy_helper.from_array(a.astype(np.float32), name) for name, a in arrays.items()]
    constants += [onnx.numpy_helper.from_array(a.astype(np.int64), name) for name, a in integers.items()]
    ends = [h.make_tensor_value_info(name, 1, shape) for name, shape in (("x", ["N", 10, 3]), ("y", ["N", 2]))]
    graph = h.make_graph(nodes, "both", ends[:1], ends[1:], constants)
    return h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8).SerializeToString()  # type: ignore[no-any-return]


def test_an_onnx_sequence_that_is_flattened_across_directions_is_refused() -> None:
    onnx = pytest.importorskip("onnx")
    content = onnx_model(onnx, "GRU", "bidirectional", True)
    model = onnx.load_from_string(content)
    next(node for node in model.graph.node if node.op_type == "Reshape").input[0] = "final"
    with pytest.raises(ModelFileError, match="several directions"):
        float_onnx(model.SerializeToString(), windows(4), "both.onnx", "both")


@pytest.mark.parametrize("name", ["backwards", "cell", "loop_both"])
def test_a_keras_file_of_either_direction_keeps_its_answers(name: str) -> None:
    pytest.importorskip("h5py")
    path = Path(__file__).parents[1] / "files" / "recurrent" / f"{name}.keras"
    expected = np.load(path.with_suffix(".npz"))
    network = read_network(path, expected["x"])
    found = network.forward(network.windows(expected["x"]))
    np.testing.assert_allclose(found.reshape(expected["y"].shape), expected["y"], atol=1e-5)
