"""The integer GRU beside a float64 one, and weights of other tools as its layer."""

from __future__ import annotations

import numpy as np
import pytest

from edgebat.errors import DataError
from edgebat.graph import Gru, Tensor
from edgebat.quantization.gru import gru_node
from edgebat.runtime.gru import GruCell
from edgebat.students.gru_weights import gru_from_keras, gru_from_onnx, gru_from_torch
from edgebat.students.spec import GruLayer, gru_states

SOURCE = Tensor("input", (40, 5), "int8", 2.0**-5, 3)


def drawn(rng: np.random.Generator, units: int, inputs: int, reset_after: bool) -> GruLayer:
    def normal(*shape: int, deviation: float = 1.0) -> np.ndarray:
        return rng.normal(0, deviation / np.sqrt(shape[-1]), shape).astype(np.float32)

    own = normal(units) if reset_after else np.zeros(units, np.float32)
    return GruLayer(normal(3 * units, inputs), normal(3 * units, units), normal(3 * units), own, reset_after)


def dequantized(node: Gru) -> GruLayer:
    """The float layer that has exactly the integer layer's weights."""
    units = node.bias.shape[1]
    return GruLayer(
        (node.input_weight * node.input_scale[:, None, None].astype(np.float64)).reshape(3 * units, -1),
        (node.recurrent_weight * node.recurrent_scale[:, None, None].astype(np.float64)).reshape(3 * units, -1),
        (node.bias * node.input_scale[:, None].astype(np.float64) * SOURCE.scale).reshape(-1),
        node.recurrent_bias * float(node.recurrent_scale[2]) * 2.0**-7,
        node.reset_after,
    )


@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("seed", range(20))
def test_integers_follow_a_float64_gru_of_the_same_weights(seed: int, reset_after: bool) -> None:
    rng = np.random.default_rng(seed)
    node = gru_node(drawn(rng, int(rng.integers(1, 33)), 5, reset_after), SOURCE, "gru")
    target = Tensor("gru", (40, node.bias.shape[1]), "int8", 2.0**-7, 0)
    q = rng.integers(-100, 100, (30, 40, 5))
    cell = GruCell(node, SOURCE, target)
    integers, state = cell.run(q.astype(np.float64), cell.initial_state(30))
    real = gru_states(dequantized(node), (q - SOURCE.zero_point) * SOURCE.scale)
    # A step of the output is 2**-7; what the recurrent products read is rounded to it, hence a little more.
    assert np.abs(integers * 2.0**-7 - real).max() < 3 * 2.0**-7
    assert np.abs(state.hidden * 2.0**-15 - real[:, -1]).max() < 3 * 2.0**-7
    assert np.sqrt(np.mean((integers * 2.0**-7 - real) ** 2)) < 0.6 * 2.0**-7


def test_a_gate_near_one_still_moves_the_state() -> None:
    # An update gate of 0.999 moves the state by a thousandth of what is missing: less than a step of the int8 output.
    zeros = np.zeros((3, 1), np.float32)
    layer = GruLayer(zeros, zeros, np.array([0, 7, 0.5], np.float32), np.zeros(1, np.float32))
    source = Tensor("input", (4000, 1), "int8", 2.0**-5, 0)
    cell = GruCell(gru_node(layer, source, "gru"), source, Tensor("gru", (4000, 1), "int8", 2.0**-7, 0))
    integers, _ = cell.run(np.zeros((1, 4000, 1)), cell.initial_state(1))
    wanted = gru_states(layer, np.zeros((1, 4000, 1)))
    assert np.abs(integers * 2.0**-7 - wanted).max() < 0.02
    assert integers[0, -1, 0] > 50


def test_weights_too_large_for_few_bits_take_more() -> None:
    rng = np.random.default_rng(1)
    small = drawn(rng, 4, 5, True)
    layer = GruLayer(small.weight_input * 40, small.weight_hidden, small.bias, small.bias_hidden)
    node = gru_node(layer, SOURCE, "gru")
    assert (node.input_shift >= 1).all()
    np.testing.assert_allclose(node.input_weight * node.input_scale[:, None, None],
                               layer.weight_input.reshape(3, 4, 5), atol=0.6 * float(node.input_scale.max()))  # fmt: skip


def test_torch_weights_are_taken_as_they_are() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(2)
    network = torch.nn.GRU(5, 7, batch_first=True)
    parts = (network.weight_ih_l0, network.weight_hh_l0, network.bias_ih_l0, network.bias_hh_l0)
    layer = gru_from_torch(*(part.detach().numpy() for part in parts))
    x = torch.randn(3, 11, 5)
    np.testing.assert_allclose(gru_states(layer, x.numpy()), network(x)[0].detach().numpy(), atol=1e-6)
    assert gru_from_torch(parts[0].detach().numpy(), parts[1].detach().numpy(), None, None).bias.tolist() == [0.0] * 21


@pytest.mark.parametrize("linear_before_reset", [False, True])
def test_onnx_weights_give_what_onnx_runtime_gives(linear_before_reset: bool) -> None:
    onnx, ort = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    rng = np.random.default_rng(3)
    w, r, b = (rng.normal(0, 0.5, shape).astype(np.float32) for shape in ((1, 18, 4), (1, 18, 6), (1, 36)))
    h = onnx.helper
    node = h.make_node("GRU", ["x", "w", "r", "b"], ["y"], hidden_size=6, linear_before_reset=int(linear_before_reset))
    graph = h.make_graph(
        [node], "gru", [h.make_tensor_value_info("x", 1, [9, 2, 4])], [h.make_tensor_value_info("y", 1, None)],
        [onnx.numpy_helper.from_array(array, name) for name, array in (("w", w), ("r", r), ("b", b))],
    )  # fmt: skip
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8)
    x = rng.standard_normal((9, 2, 4)).astype(np.float32)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"x": x})[0][:, 0].swapaxes(0, 1)
    layer = gru_from_onnx(w[0], r[0], b[0], linear_before_reset=linear_before_reset)
    np.testing.assert_allclose(gru_states(layer, x.swapaxes(0, 1)), expected, atol=1e-6)


@pytest.mark.parametrize("reset_after", [True, False])
def test_keras_weights_are_those_of_onnx_transposed(reset_after: bool) -> None:
    # tf2onnx writes a Keras GRU as W = kernel.T, R = recurrent_kernel.T and both biases side by side.
    rng = np.random.default_rng(4)
    kernel, recurrent = rng.normal(size=(4, 18)).astype(np.float32), rng.normal(size=(6, 18)).astype(np.float32)
    bias = rng.normal(size=(2, 18)).astype(np.float32) if reset_after else rng.normal(size=18).astype(np.float32)
    both = bias.reshape(-1) if reset_after else np.concatenate([bias, np.zeros(18, np.float32)])
    ours = gru_from_keras(kernel, recurrent, bias, reset_after=reset_after)
    same = gru_from_onnx(kernel.T, recurrent.T, both, linear_before_reset=reset_after)
    for name, value in vars(ours).items():
        np.testing.assert_array_equal(value, getattr(same, name))


def test_weights_of_another_shape_are_refused_with_what_was_expected() -> None:
    zeros = np.zeros((11, 4), np.float32)
    with pytest.raises(DataError, match="3 gates of H rows"):
        gru_from_torch(zeros, zeros, None, None)
