"""The cell clip of an LSTM in TFLite files, as Keras always writes one: the integers of TFLite Micro, C and NumPy."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tflite_micro.python.tflite_micro import runtime as tflite_micro

from edgebat.formats.export import export_model
from edgebat.formats.tflite.read import read_tflite, tflite_graph
from edgebat.formats.tflite.write import tflite_bytes
from edgebat.graph import ClippedLstm, IntGraph
from edgebat.runtime import Engine
from edgebat.simulate.measure import measure
from tests.formats_graphs import GraphMaker

FILES = 1000 if os.environ.get("EDGEBAT_TEST_SCALE") == "full" else 50
STORED = Path(__file__).parents[1] / "files"


def micro(content: bytes, x: np.ndarray) -> np.ndarray:
    """TFLite Micro, its state cleared before each window."""
    interpreter = tflite_micro.Interpreter.from_bytes(content)
    outputs = []
    for window in x:
        interpreter.reset()
        interpreter.set_input(window[None], 0)
        interpreter.invoke()
        outputs.append(np.array(interpreter.get_output(0)[0]))
    return np.stack(outputs)


def clipped(seed: int) -> IntGraph:
    """One layer whose cells reach their limit: from a fifth of the range to all of it."""
    rng = np.random.default_rng([seed, 77])
    make = GraphMaker(rng, (int(rng.integers(2, 12)), int(rng.integers(1, 6))), 0.0625, int(rng.integers(-40, 40)))
    make.lstm(int(rng.integers(1, 9)), int(rng.choice([6000, 20480, 32766, 32767])))
    return make.graph("clipped")


def windows(graph: IntGraph, seed: int) -> np.ndarray:
    """Random ones, and constant ones that drive cells to their ends."""
    rng = np.random.default_rng(seed)
    shape = graph.input_tensor.shape
    random = rng.integers(-128, 128, (10, *shape))
    steady = np.broadcast_to(rng.choice([-128, 127], (10, 1, shape[1])), (10, *shape))
    return np.concatenate([random, steady]).astype(np.int8)


def test_a_clipped_cell_gives_the_integers_of_tflite_micro() -> None:
    reached = 0
    for seed in range(FILES):
        graph = clipped(seed)
        content = tflite_bytes(graph)[0]
        assert tflite_graph(content).fingerprint == graph.fingerprint
        x = windows(graph, seed)
        y = Engine(graph).run(x)
        np.testing.assert_array_equal(y, micro(content, x), f"seed {seed}")
        reached += bool((Engine(without_clip(graph)).run(x) != y).any())
    assert reached > FILES // 10  # the clip does something


def without_clip(graph: IntGraph) -> IntGraph:
    """The same layer with the widest clip."""
    (node,) = graph.nodes
    assert isinstance(node, ClippedLstm)
    return replace(graph, nodes=(replace(node, cell_clip=32767),))


@pytest.mark.parametrize("seed", range(3))
def test_c_clips_alike(seed: int, tmp_path: Path) -> None:
    graph = clipped(seed)
    export_model(graph, tmp_path, ["c"])
    x = windows(graph, seed)
    done = measure(tmp_path / "c" / "clipped", "clipped", "host", x, counted=1)
    np.testing.assert_array_equal(done.outputs.reshape(len(x), -1), Engine(graph).run(x).reshape(len(x), -1))


def test_keras_clips_at_ten_whatever_the_scale_of_the_cell() -> None:
    graph = read_tflite(STORED / "keras_lstm.tflite")
    limits = [node.cell_clip for node in graph.nodes if isinstance(node, ClippedLstm)]
    assert limits == [32767, 32767]  # the cell ends at 8; only -32768 becomes -32767
