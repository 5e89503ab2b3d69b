"""Generated C equals the NumPy runtime: every family of graphs, every layout of weights, every operator."""

import os
import re
from dataclasses import replace

import numpy as np
import pytest

from edgebat.graph import check_graph
from edgebat.graph.arithmetic import SIGMOID_TABLE
from edgebat.paths import firmware_dir
from edgebat.runtime import Engine
from tests.c_host import UNDEFINED, VARIANTS, Kernels, load
from tests.formats_graphs import FAMILIES, GraphMaker, random_inputs

FULL = os.environ.get("EDGEBAT_TEST_SCALE") == "full"


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    return Kernels(tmp_path_factory.mktemp("kernels"))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(3))
def test_random_graphs_give_the_same_integers(tmp_path, kernels, family, variant, seed):
    graph = FAMILIES[family](seed)
    x = random_inputs(graph, 60, seed)
    expected = Engine(graph).run(x).reshape(len(x), -1)
    # Undefined behaviour (overflow, shifts, misaligned access) ends the process.
    model = load(graph, tmp_path, kernels, (*VARIANTS[variant], *UNDEFINED))
    np.testing.assert_array_equal(model.run(x), expected)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(4, 60 if FULL else 6))
def test_many_random_graphs_give_the_same_integers(tmp_path, kernels, family, seed):
    graph = FAMILIES[family](seed)
    x = random_inputs(graph, 200, seed)
    expected = Engine(graph).run(x).reshape(len(x), -1)
    for variant, flags in VARIANTS.items():
        model = load(graph, tmp_path / variant, kernels, (*flags, *UNDEFINED))
        np.testing.assert_array_equal(model.run(x), expected)


def whole_sequence():
    """An LSTM behind a pooling layer, whose every hidden state is used: cannot be run step by step."""
    make = GraphMaker(np.random.default_rng(7), (9, 3), 0.05, 0)
    make.dense(5, scale=2.0**-5)
    make.max_pool(2, 1)
    make.lstm(6)
    make.average_pool(2, 2)
    make.flatten()
    make.dense(4, relu=True)
    make.head(5)
    return make.graph("sequence")


def dense_per_step():
    """A dense layer and a table at every time step, in front of and between LSTM layers."""
    make = GraphMaker(np.random.default_rng(8), (6, 5), 2.0**-5, 3)
    make.dense(7, scale=2.0**-5)
    make.lstm(5)
    make.lut("square")
    make.lstm(3)
    make.last_step()
    make.head(3)
    return make.graph("steps")


def rows_to_the_end():
    """A dense layer on every row of a map, and int8 rows as the model's output."""
    make = GraphMaker(np.random.default_rng(9), (5, 6), 0.05, -9)
    make.dense(7, relu=True)
    make.max_pool(3, 2)
    make.dense(3)
    return make.graph("rows")


def foreign_lstm(steps):
    """An LSTM as other converters quantize it: any Q31 multiplier, a hidden state with a zero point."""
    make = GraphMaker(np.random.default_rng(10), (7, 3), 0.043, 5)
    make.lstm(6)
    if steps:
        make.last_step()
    else:
        make.average_pool(7, 1)
        make.flatten()
    make.dense(4, relu=True)
    make.head(2)
    graph = make.graph("foreign")
    node = graph.nodes[0]
    rng = np.random.default_rng(11)
    q31 = [rng.integers(2**30, 2**31, 4).astype(np.int32) for _ in range(2)]
    odd = replace(
        node, input_multiplier=q31[0], recurrent_multiplier=q31[1], hidden_multiplier=1503238553, hidden_exponent=-22
    )
    tensors = {
        name: replace(tensor, zero_point=-9) if name in (node.output, graph.nodes[1].output) and steps else tensor
        for name, tensor in graph.tensors.items()
    }
    tensors[node.output] = replace(tensors[node.output], zero_point=-9)
    return check_graph(replace(graph, tensors=tensors, nodes=(odd, *graph.nodes[1:])))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("steps", [True, False])
def test_an_lstm_with_any_scales(tmp_path, kernels, steps, variant):
    graph = foreign_lstm(steps)
    x = random_inputs(graph, 60, 1)
    model = load(graph, tmp_path, kernels, (*VARIANTS[variant], *UNDEFINED))
    assert "edgebat_exact_lstm" in {path.stem for path in model.model.kernel_sources}
    np.testing.assert_array_equal(model.run(x), Engine(graph).run(x).reshape(len(x), -1))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("build", [whole_sequence, dense_per_step, rows_to_the_end])
def test_unusual_arrangements(tmp_path, kernels, build, variant):
    graph = build()
    x = random_inputs(graph, 60, 1)
    model = load(graph, tmp_path, kernels, (*VARIANTS[variant], *UNDEFINED))
    np.testing.assert_array_equal(model.run(x), Engine(graph).run(x).reshape(len(x), -1))


def test_an_input_may_begin_at_any_address(tmp_path, kernels):
    graph = FAMILIES["mlp"](1)
    x = random_inputs(graph, 4, 1)
    expected = Engine(graph).run(x).reshape(len(x), -1)
    model = load(graph, tmp_path, kernels, (*VARIANTS["dsp"], *UNDEFINED))
    raw = np.zeros(x[0].size + 8, np.int8)
    for shift in range(4):
        moved = raw[-raw.ctypes.data % 4 + shift :][: x[0].size]
        moved[:] = x[shift].reshape(-1)
        np.testing.assert_array_equal(model.run(moved[None])[0], expected[shift])


def test_sigmoid_table_in_c_is_that_of_the_specification():
    text = (firmware_dir() / "src" / "edgebat_sigmoid.c").read_text("utf-8")
    initializer = re.sub(r"/\*.*?\*/", "", text[text.index("] = {") + 5 : text.index("};")])
    values = [int(number) for number in re.findall(r"-?\d+", initializer)]
    assert values[:256] == (SIGMOID_TABLE - 32768).tolist()
    assert values[256:] == [32767]
