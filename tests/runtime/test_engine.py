"""The NumPy runtime: equal to the scalar specification, streaming equal to batch, state that can be kept."""

import numpy as np
import pytest

from edgebat.errors import GraphError
from edgebat.runtime import Engine
from edgebat.verify.inputs import random_inputs
from edgebat.verify.random_graphs import FAMILIES, random_graph
from tests import scalar_reference as scalar


@pytest.mark.parametrize("family", FAMILIES)
def test_numpy_equals_the_scalar_specification(family: str) -> None:
    for seed in range(6):
        graph = random_graph(family, seed)
        x = random_inputs(graph, 4, seed)
        assert Engine(graph).run(x).tolist() == [scalar.run(graph, window) for window in x], graph.name


@pytest.mark.parametrize("family", ["lstm", "gru"])
@pytest.mark.parametrize("seed", range(4))
def test_single_steps_equal_one_long_call_also_from_saved_state(family: str, seed: int) -> None:
    graph = random_graph(family, seed)
    engine = Engine(graph)
    x = random_inputs(graph, 16, seed)
    state = engine.initial_state(len(x))
    for t in range(x.shape[1]):
        y, state = engine.step(x[:, t], state)
        # what a device does at power-off: copy the state out and back in
        state = [type(s)(*(array.copy() for array in vars(s).values())) for s in state]
    np.testing.assert_array_equal(y, engine.run(x))


def test_a_batch_equals_its_windows_one_by_one() -> None:
    for family in FAMILIES:
        graph = random_graph(family, 11)
        engine, x = Engine(graph), random_inputs(graph, 20, 3)
        np.testing.assert_array_equal(engine.run(x), np.concatenate([engine.run(x[i : i + 1]) for i in range(20)]))


@pytest.mark.parametrize("family", FAMILIES)
def test_no_window_gives_no_output(family: str) -> None:
    graph = random_graph(family, 1)
    found = Engine(graph).run(np.zeros((0, *graph.input_tensor.shape), graph.input_tensor.dtype))
    assert (found.shape, found.dtype) == ((0, *graph.output_tensor.shape), np.dtype(graph.output_tensor.dtype))


def test_wrong_inputs_are_refused_with_what_was_expected() -> None:
    graph = random_graph("mlp", 0)
    with pytest.raises(GraphError, match="takes int8"):
        Engine(graph).run(np.zeros((1, *graph.input_tensor.shape), np.float32))
    with pytest.raises(GraphError, match="no recurrent layer"):
        Engine(graph).step(np.zeros((1, graph.input_tensor.shape[1]), np.int8), [])
